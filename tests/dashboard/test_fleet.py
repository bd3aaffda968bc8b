from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect

from tests.dashboard.conftest import Scene
from tests.dashboard.stub_api import Refused, endpoint_down, endpoints_resting, held

MakeScene = Callable[..., Scene]
ORDER = ["critical", "high", "medium", "low"]


def levels(visit: Any) -> list[str]:
    return visit.texts("tr[data-device] td.risk")


def batches(state: Any) -> list[list[str]]:
    return [
        [item["device_id"] for item in body["items"]]
        for method, path, body in state.requests
        if path == "/api/predict/risk"
    ]


def test_devices_come_worst_first_and_are_counted_by_level(scene: MakeScene):
    visit = scene(devices=40).visit()
    visit.is_settled()

    shown = levels(visit)
    assert len(shown) == 40
    assert shown == sorted(shown, key=ORDER.index)
    assert visit.texts(".tile") == [*(f"{shown.count(level)} {level}" for level in ORDER), "0 no prediction"]


def test_a_count_is_a_filter_that_survives_a_reload(scene: MakeScene):
    visit = scene(devices=40).visit()
    visit.is_settled()
    expected = levels(visit).count("medium")

    visit.tab.get_by_role("button", name="medium").click()
    visit.tab.reload()
    visit.is_settled()

    assert levels(visit) == ["medium"] * expected
    expect(visit.tab.get_by_role("button", name="medium")).to_have_attribute("aria-pressed", "true")
    assert visit.texts(".shown") == [f"{expected} of 40 devices"]


def test_search_class_and_workload_narrow_the_fleet_together(scene: MakeScene):
    stage = scene(devices=40)
    visit = stage.visit()
    visit.is_settled()

    visit.tab.get_by_role("combobox", name="Class", exact=True).select_option("nvme")
    visit.tab.get_by_role("combobox", name="Workload", exact=True).select_option("random")
    visit.tab.get_by_role("searchbox").fill("001 NVME")

    expected = {
        d.device_id
        for d in stage.state.devices
        if d.device_class == "nvme" and d.workload == "random" and "001" in d.device_id
    }
    assert expected
    assert set(visit.texts("td.device")) == expected
    visit.tab.get_by_role("searchbox").fill("nothing like it")
    expect(visit.tab.get_by_text("No device matches")).to_be_visible()


def test_every_column_sorts_both_ways_and_says_so(scene: MakeScene):
    visit = scene(devices=20).visit()
    visit.is_settled()
    queue = visit.tab.get_by_role("button", name="Queue")

    queue.click()
    falling = [float(text.replace(",", "")) for text in visit.texts("td.queue")]
    expect(visit.tab.locator("th[aria-sort=descending]")).to_contain_text("Queue")
    queue.click()
    rising = [float(text.replace(",", "")) for text in visit.texts("td.queue")]

    assert falling == sorted(falling, reverse=True)
    assert rising == falling[::-1]
    assert visit.tab.url.endswith("sort=queue")


def test_only_devices_without_a_fresh_prediction_are_asked_for(scene: MakeScene):
    stage = scene(devices=12)
    stage.state.add_history(stage.state.devices[:5], until=0)
    stage.state.add_history(stage.state.devices[5:7], until=1)  # theirs are one interval old
    visit = stage.visit()
    visit.is_settled()

    assert batches(stage.state) == [[device.device_id for device in stage.state.devices[5:]]]
    expect(visit.tab.get_by_text("every prediction is fresh")).to_be_visible()


def test_a_thousand_devices_are_asked_for_in_hundreds_and_made_as_they_are_scrolled_to(scene: MakeScene):
    stage = scene(devices=1000)
    visit = stage.visit()
    visit.is_settled()

    assert sorted(len(batch) for batch in batches(stage.state)) == [100] * 10
    assert len({device for batch in batches(stage.state) for device in batch}) == 1000
    assert visit.texts(".shown") == ["1,000 devices"]
    assert visit.tab.locator("tr[data-device]").count() <= 180
    visit.tab.wait_for_function(
        "() => { window.scrollTo(0, document.body.scrollHeight);"
        " return document.querySelectorAll('tr[data-device]').length === 1000; }"
    )
    assert levels(visit) == sorted(levels(visit), key=ORDER.index)


def test_devices_that_cannot_be_predicted_are_counted_with_a_reason(scene: MakeScene):
    stage = scene(devices=8)
    young = stage.state.devices[2].device_id

    def too_few(method: str, path: str, body: Any) -> None:
        for item in (body or {}).get("items", []):
            if item["device_id"] == young:
                item["device_id"] = "unknown"  # the stub then refuses this item alone, as the API would

    stage.state.faults.append(too_few)
    visit = stage.visit()
    visit.is_settled()

    expect(visit.tab.locator(".problems")).to_contain_text("1 device cannot be predicted")
    expect(visit.tab.locator(".problems")).to_contain_text(young)
    expect(visit.tab.locator(f"tr[data-device='{young}']")).to_contain_text("not predicted")


def test_with_the_endpoint_down_the_page_says_when_it_tries_again_and_recovers_by_itself(scene: MakeScene):
    stage = scene(devices=20)
    stage.state.add_history(stage.state.devices)
    stage.state.faults.append(endpoint_down("risk", retry_after=30))
    visit = stage.visit(has_own_clock=True)
    visit.is_settled()

    notice = visit.tab.locator(".notice.warning")
    expect(notice).to_contain_text("Risk cannot be predicted at the moment")
    expect(notice).to_contain_text("iops-risk-predictor is down")
    expect(notice.locator(".countdown")).to_contain_text(" s")
    expect(visit.tab.locator(".chip.stale")).to_have_count(20)  # what was predicted before is still there
    visit.shot("fleet-endpoint-down-light-1280")
    stage.state.faults.clear()
    asked = len(batches(stage.state))

    visit.tab.clock.fast_forward(25_000)
    expect(notice.locator(".countdown")).to_have_text(re.compile(r"^[1-5] s$"))
    assert len(batches(stage.state)) == asked  # not before its time
    visit.tab.clock.fast_forward(5_000)
    expect(notice).to_have_count(0)
    expect(visit.tab.locator(".chip.stale")).to_have_count(0)


def test_outside_the_serving_hours_the_page_names_the_hour_of_return(scene: MakeScene):
    stage = scene(devices=5)
    stage.state.add_history(stage.state.devices)
    stage.state.faults.append(endpoints_resting(9 * 3600 + 30 * 60))
    visit = stage.visit()
    visit.is_settled()

    notices = visit.tab.locator(".notice.warning")
    expect(notices).to_have_count(2)
    for notice in notices.all():
        expect(notice).to_contain_text("rest outside Mon-Fri 06:00-20:00 UTC and return at 2026-11-25T06:00Z")
        expect(notice.locator(".countdown")).to_contain_text(re.compile(r"^9 h (30|29) min$"))


def test_a_short_retry_after_is_waited_for_without_a_word(scene: MakeScene):
    stage = scene(devices=5)
    refusals = iter([Refused(429, "Too Many Requests", "Rate exceeded", retry_after=1)])

    def once(method: str, path: str, body: Any) -> None:
        if path == "/api/devices" and (refusal := next(refusals, None)):
            raise refusal

    stage.state.faults.append(once)
    visit = stage.visit()

    expect(visit.tab.locator("tr[data-device]")).to_have_count(5)
    assert [path for _, path, _ in stage.state.requests].count("/api/devices") == 2


def test_an_empty_fleet_says_what_to_do(scene: MakeScene):
    visit = scene(devices=0).visit()

    expect(visit.tab.get_by_role("heading", name="No device has reported yet")).to_be_visible()
    expect(visit.tab.get_by_text("incoming/")).to_be_visible()
    visit.shot("fleet-empty-light-1280")


def test_an_error_shows_the_problems_detail_and_trying_again_helps(scene: MakeScene):
    stage = scene(devices=5)

    def broken(method: str, path: str, body: Any) -> None:
        raise Refused(500, "The request could not be answered", "an unexpected error happened here")

    stage.state.faults.append(broken)
    visit = stage.visit()
    expect(visit.tab.get_by_role("alert")).to_contain_text("An unexpected error happened here.")
    visit.shot("fleet-error-light-1280")
    stage.state.faults.clear()

    visit.tab.get_by_role("button", name="Try again").click()
    expect(visit.tab.locator("tr[data-device]")).to_have_count(5)


def test_without_an_api_the_page_says_so(scene: MakeScene):
    visit = scene(devices=5).visit()
    visit.is_settled()
    visit.tab.route("**/api/models", lambda route: route.abort())

    visit.go("/models")

    expect(visit.tab.get_by_role("alert")).to_contain_text("The API cannot be reached")


def test_while_loading_the_page_stands_where_it_will_stand(scene: MakeScene):
    stage, looked = scene(devices=5), threading.Event()
    stage.state.faults.append(held(looked))
    visit = stage.visit()

    expect(visit.tab.locator(".skeleton.rows")).to_be_visible()
    visit.shot("fleet-loading-light-1280")
    skeleton = visit.tab.locator(".skeleton.tiles").bounding_box()
    looked.set()
    expect(visit.tab.locator("tr[data-device]").first).to_be_visible()
    tiles = visit.tab.locator(".tiles").bounding_box()

    assert abs(tiles["y"] - skeleton["y"]) <= 2
    assert abs(tiles["height"] - skeleton["height"]) <= 4


def test_a_device_id_with_markup_is_text_everywhere(scene: MakeScene):
    stage = scene(devices=3)
    hostile = "<img src=x onerror=alert(1)>/'\"%"
    stage.state.devices[0].device_id = hostile
    visit = stage.visit()
    visit.is_settled()

    visit.tab.get_by_role("link", name=hostile).click()
    expect(visit.tab.get_by_role("heading", level=1)).to_contain_text(hostile)
    visit.is_settled()
    assert visit.tab.locator("img").count() == 0
