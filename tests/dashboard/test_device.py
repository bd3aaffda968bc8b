from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect

from tests.dashboard.conftest import Scene, Visit
from tests.dashboard.stub_api import StubState, endpoint_down
from tests.dashboard.stub_fleet import WATCHED

MakeScene = Callable[..., Scene]


def troubled(state: StubState) -> Any:
    return max(state.devices, key=lambda device: device.trouble)


def opened(stage: Scene, *, history: bool = True, **how: Any) -> Visit:
    device = troubled(stage.state)
    if history:
        stage.state.add_history([device])
    visit = stage.visit(route=f"/device/{device.device_id}", **how)
    visit.is_settled()
    visit.tab.wait_for_selector(".forecast[data-kind=performance] .reasons")
    return visit


def test_the_newest_prediction_comes_with_confidence_interval_and_reasons(scene: MakeScene):
    stage = scene()
    visit = opened(stage, history=False)
    device = troubled(stage.state)
    risk, performance = (stage.state.newest(device.device_id, kind) for kind in ("risk", "performance"))
    assert risk is not None  # the page asked for both: none were stored
    assert performance is not None

    panel = visit.tab.locator(".forecast[data-kind=risk]")
    expect(panel.locator(".verdict")).to_contain_text(risk["risk_level"])
    expect(panel.locator(".verdict")).to_contain_text(f"{risk['confidence'] * 100:.0f}% confidence")
    for sentence in risk["explanation"]:
        expect(panel.locator(".sentences")).to_contain_text(sentence[1:])
    first = visit.texts(".forecast[data-kind=risk] .contributions tbody tr")[0]
    assert first.startswith("p99 latency")
    assert "ms" in first
    assert "▲ for" in first
    score = visit.tab.locator(".forecast[data-kind=performance] .verdict")
    expect(score).to_contain_text(f"{performance['performance_score']:.1f}")
    expect(score).to_contain_text(
        f"{performance['interval']['lower']:.0f}–{performance['interval']['upper']:.0f} with 90%"
    )


def test_measured_and_predicted_share_one_time_axis_and_one_cursor(scene: MakeScene):
    visit = opened(scene())
    plots = visit.tab.locator(".u-over")
    assert visit.texts(".chart h3") == [
        "IOPS operations/s",
        "Latency ms",
        "Queue depth I/Os in flight",
        "Predicted risk",
        "Predicted score 0–100, with 90% interval",
    ]
    boxes = [plots.nth(place).bounding_box() for place in range(5)]
    assert len({(box["x"], box["width"]) for box in boxes}) == 1
    newest = visit.texts(".readout")

    plots.first.hover(position={"x": boxes[0]["width"] * 0.93, "y": 20})

    positions = visit.tab.eval_on_selector_all(".u-cursor-x", "lines => lines.map(line => line.style.transform)")
    assert len(set(positions)) == 1
    now = visit.texts(".readout")
    assert all(before != after for before, after in zip(newest[:3], now[:3], strict=True))
    assert visit.texts(".moment")[0].endswith("UTC")


def test_the_objective_stands_in_the_latency_chart(scene: MakeScene):
    stage = scene()
    visit = opened(stage)

    expect(visit.tab.locator("[data-chart=latency] .readout")).to_contain_text("objective")
    assert visit.tab.locator("[data-chart=latency] .canvas").get_attribute("aria-label").startswith("Latency: p99 ")


def test_feedback_is_stored_shown_and_replaced(scene: MakeScene):
    stage = scene()
    visit = opened(stage)
    device = troubled(stage.state).device_id

    visit.tab.get_by_role("radio", name="high").check()
    visit.tab.get_by_label("Comment").fill("rebuild of the pool")
    visit.tab.get_by_role("button", name="Send feedback").click()

    expect(visit.tab.get_by_text("the feedback is stored")).to_be_visible()
    given = stage.state.newest(device, "risk")["feedback"]
    assert (given["risk_level"], given["performance_score"], given["comment"]) == ("high", None, "rebuild of the pool")
    expect(visit.tab.locator(".predictions tbody tr").first).to_contain_text("rebuild of the pool")
    visit.shot("device-feedback-light-1280", whole=True)
    expect(visit.tab.get_by_label("Comment")).to_have_value("rebuild of the pool")  # it is there to be corrected
    visit.tab.get_by_role("radio", name="low").check()
    visit.tab.get_by_role("button", name="Replace the feedback").click()
    expect(visit.tab.locator(".predictions tbody tr").first.locator(".given")).to_contain_text("low")


def test_an_older_prediction_can_be_chosen_looked_at_and_answered(scene: MakeScene):
    stage = scene()
    visit = opened(stage)
    device = troubled(stage.state).device_id
    row = visit.tab.locator(".predictions tbody tr", has_text="score").nth(4)
    chosen = [p for p in stage.state.predictions[device] if p["kind"] == "performance"][4]

    row.click()

    expect(visit.tab.locator(".forecast[data-kind=performance] .big-number")).to_have_text(
        f"{chosen['performance_score']:.1f}"
    )
    visit.tab.get_by_label("Mean score").fill("55.5")
    visit.tab.get_by_role("button", name="Send feedback").click()
    expect(visit.tab.get_by_text("the feedback is stored")).to_be_visible()
    assert chosen["feedback"]["performance_score"] == 55.5
    visit.tab.get_by_role("button", name="Show the newest").click()
    expect(visit.tab.get_by_role("button", name="Show the newest")).to_have_count(0)


def test_what_happened_is_what_somebody_said_or_else_what_was_measured(scene: MakeScene):
    stage = scene()
    device = troubled(stage.state)
    stage.state.add_history([device], until=0)
    risk, performance = (stage.state.newest(device.device_id, kind) for kind in ("risk", "performance"))
    assert risk is not None
    assert performance is not None
    measured = {
        "joined_at": risk["predicted_at"],
        "source": "insights",
        "risk_level": "high",
        "performance_score": 44.4,
    }
    risk["outcome"] = performance["outcome"] = measured
    visit = opened(stage, history=False)
    cells = visit.tab.locator(".predictions tbody tr td:last-child")

    expect(cells.nth(0)).to_contain_text("high")
    expect(cells.nth(1)).to_contain_text("score 44.4")
    expect(cells.nth(2)).to_contain_text("not known yet")
    visit.tab.get_by_role("radio", name="medium").check()
    visit.tab.get_by_role("button", name="Send feedback").click()
    expect(cells.nth(0)).to_contain_text("medium")


def test_with_the_endpoint_down_everything_stored_is_still_shown(scene: MakeScene):
    stage = scene()
    stage.state.faults += [endpoint_down("risk"), endpoint_down("performance")]
    visit = opened(stage)

    expect(visit.tab.locator(".notice.warning")).to_have_count(2)
    expect(visit.tab.locator(".u-over")).to_have_count(5)
    assert visit.tab.locator(".predictions tbody tr").count() == 20
    visit.shot("device-endpoint-down-light-1280", whole=True)
    stage.state.faults.clear()

    visit.tab.get_by_role("button", name="Try now").first.click()
    expect(visit.tab.locator(".notice.warning")).to_have_count(0)


def test_a_prediction_asked_for_by_hand_that_failed_is_asked_for_again_although_an_older_one_is_fresh(scene: MakeScene):
    stage = scene()
    stage.state.add_history([troubled(stage.state)], until=0)
    visit = opened(stage, history=False)
    stage.state.faults.append(endpoint_down("risk"))
    visit.tab.get_by_role("button", name="Predict now").click()
    expect(visit.tab.locator(".notice.warning")).to_have_count(1)
    stage.state.faults.clear()

    visit.tab.get_by_role("button", name="Try now").click()

    expect(visit.tab.locator(".notice.warning")).to_have_count(0)
    assert [path for _, path, _ in stage.state.requests].count("/api/predict/risk") == 2


def test_a_refused_feedback_says_why_and_keeps_what_was_typed(scene: MakeScene):
    stage = scene()
    visit = opened(stage)
    stage.state.predictions[troubled(stage.state).device_id].clear()  # it has expired meanwhile
    visit.tab.get_by_role("radio", name="low").check()

    visit.tab.get_by_role("button", name="Send feedback").click()

    expect(visit.tab.locator("form").get_by_role("alert")).to_contain_text("has expired")
    expect(visit.tab.get_by_role("radio", name="low")).to_be_checked()


def test_a_device_that_nobody_knows_is_said_to_be_unknown(scene: MakeScene):
    visit = scene().visit(route="/device/no-such-device")

    expect(visit.tab.get_by_role("heading", name="Nothing is known of this device")).to_be_visible()
    visit.shot("device-unknown-light-1280")


def test_the_models_view_says_what_is_live_why_and_how_good(scene: MakeScene):
    visit = scene().visit(route="/models")
    panel = visit.tab.locator(".model[data-kind=risk]")

    expect(panel).to_contain_text("Live")
    expect(panel).to_contain_text("iops-risk-predictor")
    expect(panel).to_contain_text("Recall of critical 0.912 ≥ 0.800 (on 54 rows).")
    expect(panel.get_by_role("img", name="passed")).to_have_count(4)
    expect(panel.get_by_role("row", name="Balanced accuracy")).to_contain_text("0.842")
    expect(panel.get_by_role("row", name="Persistence macro-F1")).to_contain_text("0.803")
    expect(panel.get_by_role("row", name="Devices judged")).to_contain_text("31")
    expect(visit.tab.get_by_role("row", name="Persistence RMSE")).to_contain_text("8.77")


def test_the_models_view_shows_drift_and_how_good_each_variant_is_live(scene: MakeScene):
    visit = scene().visit(route="/models")
    risk, performance = (visit.tab.locator(f".model[data-kind={kind}]") for kind in ("risk", "performance"))

    expect(risk).to_contain_text("Drift ✕ detected")
    assert visit.texts(".model[data-kind=risk] .drift tr")[:2] == [
        "Queue depth has drifted, PSI 0.412",
        "I/O size has drifted, PSI 0.214",
    ]
    expect(risk.get_by_role("row", name="Largest shift of missing values")).to_contain_text("1.2 points")
    expect(risk.locator(".drift").get_by_role("row", name="Accuracy")).to_contain_text("0.915 (0.894 to 0.934)")
    expect(risk).to_contain_text("monitoring/risk/2026-03-02/report.html")
    expect(performance).to_contain_text("Drift ✓ none detected")
    expect(performance.get_by_role("row", name="Variant challenger: RMSE")).to_contain_text("6.09 (5.30 to 6.90)")


def test_before_the_first_watch_and_the_first_outcome_the_models_view_says_so(scene: MakeScene):
    stage = scene()
    stage.state.drift = {"risk": None, "performance": {**WATCHED["performance"], "live": None, "variants": []}}
    visit = stage.visit(route="/models")

    expect(visit.tab.locator(".model[data-kind=risk]")).to_contain_text("not watched yet")
    expect(visit.tab.locator(".model[data-kind=performance]")).to_contain_text("No outcome is known yet")
    visit.shot("models-not-watched-light-1280", whole=True)
