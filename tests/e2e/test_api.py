"""Every route and every refusal of the API, through the laptop's API Gateway with real tokens."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from lambdas.api.openapi import document
from local.api_client import Answer, get, post, send
from local.run import load_insights, sign_in_of
from tests.e2e.api_refusals import HOSTILE, REFUSALS, Api, windows
from tests.e2e.moods import MOODY, MoodyEndpoint, moody_endpoint
from tests.e2e.served_models import ServedModels, ServingOptions

pytestmark = pytest.mark.e2e

DOCUMENTED = Path(__file__).parents[2] / "docs" / "api.md"
ORIGIN = "http://localhost:3000"
CASES_PER_OPERATION = int(os.environ.get("CASES_PER_OPERATION", "40"))
"""`make fuzz` asks for 150 of each, which make more than two thousand with those of the phases before."""


@pytest.fixture(scope="module")
def serving_options() -> ServingOptions:
    return ServingOptions(kinds=("risk",), images=MOODY, wait_scale=0.02)


@pytest.fixture(scope="module")
def performance(served: ServedModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MoodyEndpoint]:
    with moody_endpoint(served, "performance", tmp_path_factory.mktemp("mood") / "fault") as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def api(served: ServedModels, performance: MoodyEndpoint) -> Api:
    fleet = served.folders["risk"].parent / "raw" / "training-data.json"
    load_insights(served.cloud, served.deployment, fleet)
    sign_in = sign_in_of(served.cloud, served.deployment)
    url = served.cloud.reachable_url(served.deployment["IopsApi.ApiUrl"])
    token = sign_in.service_token()
    device = devices_known(url, token)[0]["device_id"]
    predicted = post(url, "/api/predict/risk", {"device_id": device}, token=token)
    assert predicted.status == 200, predicted.body
    return Api(
        served=served,
        url=url,
        token=token,
        tokens=sign_in.service_token,
        device_id=device,
        prediction_id=predicted.body["prediction_id"],
        performance=performance,
    )


def devices_known(url: str, token: str) -> list[dict[str, Any]]:
    """The streams are a moment behind."""
    deadline = time.monotonic() + 60
    while not (devices := get(url, "/api/devices", token=token).body["devices"]):
        assert time.monotonic() < deadline, "no device came out of the insights table's stream"
        time.sleep(0.2)
    found: list[dict[str, Any]] = devices
    return found


def check(schema: str, answer: Answer, status: int = 200) -> Any:
    """The body, which is of the schema."""
    assert answer.status == status, answer.body
    validator = Draft202012Validator({"$ref": f"#/components/schemas/{schema}", "components": document()["components"]})
    assert [error.message for error in validator.iter_errors(answer.body)] == []
    return answer.body


def documented_refusals() -> list[tuple[int, str]]:
    rows = re.findall(r"^\| (\d{3}) \| (\S+) \|", DOCUMENTED.read_text(), re.MULTILINE)
    return [(int(status), name) for status, name in rows]


def test_every_documented_refusal_can_be_brought_about_and_no_other() -> None:
    assert documented_refusals() == list(REFUSALS)


@pytest.mark.parametrize(("status", "name"), [pytest.param(*key, id=f"{key[0]}-{key[1]}") for key in REFUSALS])
def test_a_refusal_is_as_documented(api: Api, status: int, name: str) -> None:
    answer = REFUSALS[status, name](api)

    problem = check("Problem", answer, status)
    assert problem["type"] == f"urn:iops-insights:problem:{name}"
    assert problem["status"] == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert ("Retry-After" in answer.headers) == (status in (429, 503))
    assert "Traceback" not in str(problem)
    assert ".py" not in str(problem)


def test_both_predict_routes_answer_a_device_its_own_rows_and_items(api: Api) -> None:
    own = windows("elsewhere", 12)
    risk = check("RiskPrediction", api.predict({"device_id": api.device_id}))
    score = check("PerformancePrediction", api.predict({"insights": own}, kind="performance"))
    items = [{"device_id": api.device_id}] * 98 + [{"insights": own}, {"device_id": "nobody"}]
    results = check("RiskResults", api.predict({"items": items}))["results"]

    assert risk["explanation"]
    assert (score["device_id"], score["variant"]) == ("elsewhere", "live")
    assert [result["status"] for result in results] == [200] * 99 + [404]


def test_history_is_what_was_answered_with_the_feedback_given_since(api: Api) -> None:
    answered = check("RiskPrediction", api.predict({"device_id": api.device_id}))
    sign_in = sign_in_of(api.served.cloud, api.served.deployment)
    person = sign_in.user_token(sign_in.new_password())
    body = {name: answered[name] for name in ("device_id", "prediction_id")} | {"risk_level": "low", "comment": "quiet"}
    given = check("Feedback", post(api.url, "/api/feedback", body, token=person))
    query = {"device_id": api.device_id, "kind": "risk", "from": answered["predicted_at"]}
    (stored,) = check("Predictions", api.get("/api/predictions", **query, limit=1))["predictions"]

    assert given["given_by"] == "operator@example.com"
    assert stored == {**answered, "feedback": given}


def test_a_devices_insights_are_read_page_by_page(api: Api) -> None:
    newest = check("Insights", api.get("/api/insights", device_id=api.device_id))["insights"]
    query = {"device_id": api.device_id, "from": newest[0]["timestamp"], "limit": 5}
    first = check("Insights", api.get("/api/insights", **query))
    second = check("Insights", api.get("/api/insights", **query, next=first["next"]))

    assert first["insights"] + second["insights"] == newest[:10]


def test_the_fleet_shows_each_devices_newest_insight_and_prediction(api: Api) -> None:
    answered = check("PerformancePrediction", api.predict({"device_id": api.device_id}, kind="performance"))
    deadline = time.monotonic() + 30
    while True:
        devices = check("Devices", api.get("/api/devices", limit=1000))["devices"]
        device = next(device for device in devices if device["device_id"] == api.device_id)
        if (device["performance"] or {}).get("prediction_id") == answered["prediction_id"]:
            break
        assert time.monotonic() < deadline, f"the prediction did not arrive in the fleet: {device}"
        time.sleep(0.2)
    (newest,) = api.get("/api/insights", device_id=api.device_id, limit=1).body["insights"]

    assert (device["as_of"], device["read_iops"]) == (newest["timestamp"], newest["read_iops"])
    assert device["performance"]["performance_score"] == answered["performance_score"]
    assert len({device["device_id"] for device in devices}) == len(devices) > 1


def test_models_health_and_description_are_told(api: Api) -> None:
    models = check("Models", api.get("/api/models"))["models"]
    health = check("Health", get(api.url, "/api/health", token=None))
    described = get(api.url, "/api/openapi.json", token=None)

    assert [model["status"] for model in models] == ["live", "live"]
    assert models[0]["model_package_arn"] == api.served.live_package("risk")
    assert health == {"status": "ok", "models": {"risk": "live", "performance": "live"}, "returns_at": None}
    assert described.body == document()


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("route", ["/api/predict/risk", "/api/feedback"])
def test_a_hostile_body_is_refused_as_the_callers_and_echoes_no_markup(api: Api, what: str, route: str) -> None:
    body, content_type = HOSTILE[what]
    answer = send(api.url, route, body, token=api.token, content_type=content_type)

    check("Problem", answer, answer.status)
    assert answer.status in (400, 413, 415)
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("route", ["/api/devices", "/api/health", "/api/predict/risk"])
def test_the_allowed_origin_may_ask_and_is_never_everybody(api: Api, route: str) -> None:
    preflight = send(api.url, route, None, token=None, method="OPTIONS")

    assert preflight.status == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    assert "*" not in preflight.headers["Access-Control-Allow-Origin"]


def test_schemathesis_finds_nothing_in_hundreds_of_cases(api: Api, tmp_path: Path) -> None:
    """All checks on what it makes of the kept description: every operation, right and wrong requests, seeded."""
    known = {"device_id": api.device_id, "prediction_id": api.prediction_id}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", str(DOCUMENTED.with_name("openapi.json"))),
            *("--url", api.url.rstrip("/"), "--header", f"Authorization: Bearer {api.token}"),
            *("--checks", "all", "--phases", "examples,coverage,fuzzing", "--max-examples", str(CASES_PER_OPERATION)),
            # One worker: in Python 3.11, until 3.11.8, two threads must not parse at once (cpython issue 106905).
            *("--workers", "1", "--seed", "1", "--generation-deterministic", "--continue-on-failure", "--no-color"),
            *("--request-timeout", "29", "--report", "junit", "--report-dir", str(tmp_path)),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, "IOPS_KNOWN": json.dumps(known), "SCHEMATHESIS_HOOKS": "tests.e2e.schemathesis_hooks"},
        cwd=DOCUMENTED.parents[1],
    )
    cases = re.search(r"(\d[\d,]*) generated", done.stdout)

    assert done.returncode == 0, done.stdout[-20_000:]
    assert cases is not None, done.stdout
    assert int(cases[1].replace(",", "")) >= 2000 * CASES_PER_OPERATION / 150
