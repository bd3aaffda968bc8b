"""The dashboard before the real sign-in and API of a laptop deployment, in headless Chromium; and what both say of an
endpoint that falls ill and gets well again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from local.api_client import USERNAME, Answer
from local.dashboard import Dashboard, page_origin
from local.processes import free_port
from local.run import load_insights, page_config, sign_in_of
from tests.dashboard.conftest import SCREENSHOTS, launched_chromium
from tests.e2e.api_refusals import Api
from tests.e2e.moods import MOODY, MoodyEndpoint, moody_endpoint
from tests.e2e.served_models import ServedModels, ServingOptions

pytestmark = pytest.mark.e2e
LONGEST_SECONDS = 10.0
"""Tells an answer that the API gave by itself from the endpoint's, 20 s late, on however busy a machine; `make bench
BENCH=failing_endpoint` prints how fast it is."""


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def serving_options(port: int) -> ServingOptions:
    return ServingOptions(kinds=("performance",), images=MOODY, context=(f"allowed_origins={page_origin(port)}",))


@pytest.fixture(scope="module")
def risk_endpoint(served: ServedModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MoodyEndpoint]:
    with moody_endpoint(served, "risk", tmp_path_factory.mktemp("mood") / "fault") as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched_chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def tab(browser: Any, served: ServedModels, risk_endpoint: MoodyEndpoint, port: int) -> Iterator[Any]:
    """Signed in on the pool's own page, the fleet loaded."""
    telemetry = next(iter(served.folders.values())).parent / "raw" / "training-data.json"
    load_insights(served.cloud, served.deployment, telemetry)
    sign_in = sign_in_of(served.cloud, served.deployment)
    password = sign_in.new_password()
    with Dashboard(page_config(served.cloud, served.deployment), port=port) as page:
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.set_default_timeout(30_000)
        tab.goto(page.url)
        tab.get_by_role("button", name="Sign in").click()
        tab.get_by_label("Username").fill(USERNAME)
        tab.get_by_label("Password").fill(password)
        tab.get_by_role("button", name="Sign in").click()
        yield tab


def test_an_operator_signs_in_sees_the_fleet_a_device_and_says_what_happened(tab: Any, served: ServedModels):
    tab.wait_for_selector("tr[data-device]")
    tab.wait_for_selector("#predict:enabled")
    expect(tab.get_by_text("every prediction is fresh")).to_be_visible(timeout=30_000)
    tab.screenshot(path=shot("laptop-fleet"))
    device = tab.locator("td.device").first.inner_text()

    tab.locator("td.device a").first.click()
    tab.wait_for_selector(".forecast[data-kind=risk] .contributions")
    tab.wait_for_selector(".forecast[data-kind=performance] .contributions")
    tab.get_by_role("radio", name="medium").check()
    tab.get_by_label("Comment").fill("<b>seen</b> on the console")
    tab.get_by_role("button", name="Send feedback").click()
    expect(tab.get_by_text("the feedback is stored")).to_be_visible()
    tab.reload()
    expect(tab.locator(".predictions .given")).to_contain_text("<b>seen</b> on the console")
    tab.screenshot(path=shot("laptop-device"), full_page=True)

    stored = served.cloud.client("dynamodb").query(
        TableName=served.deployment["IopsData.PredictionsTableName"],
        KeyConditionExpression="device_id = :device",
        ExpressionAttributeValues={":device": {"S": device}},
    )["Items"]
    assert [item["feedback"]["M"]["risk_level"]["S"] for item in stored if "feedback" in item] == ["medium"]


def test_the_models_view_names_the_live_versions(tab: Any):
    tab.goto(tab.url.partition("#")[0] + "#/models")

    expect(tab.locator(".model")).to_have_count(2)
    expect(tab.locator(".model[data-kind=risk]")).to_contain_text("Live")
    expect(tab.locator(".model[data-kind=risk]")).to_contain_text("iops-risk-predictor")
    tab.screenshot(path=shot("laptop-models"), full_page=True)


@pytest.fixture(scope="module")
def api(tab: Any, served: ServedModels) -> Api:
    """With the first device of the fleet that the tab shows."""
    tab.goto(tab.url.partition("#")[0] + "#/fleet")
    tab.wait_for_selector("td.device")
    sign_in = sign_in_of(served.cloud, served.deployment)
    return Api(
        served=served,
        url=served.cloud.reachable_url(served.deployment["IopsApi.ApiUrl"]),
        token=sign_in.service_token(),
        tokens=sign_in.service_token,
        device_id=tab.locator("td.device").first.inner_text(),
    )


@pytest.mark.parametrize(
    ("fault", "told", "seconds"),
    [
        ("slow", "did not answer in time", "5"),
        ("shedding", "has more requests than it can take", "1"),
        ("throttled", "has more requests than it can take", "1"),
        ("stopped", "is down", "30"),
        ("garbling", "gave an answer that cannot be read", "60"),
    ],
)
def test_an_endpoint_in_trouble_is_told_soon_everywhere_and_recovers_without_anybody(
    tab: Any, api: Api, risk_endpoint: MoodyEndpoint, fault: str, told: str, seconds: str
):
    one, many = {"device_id": api.device_id}, {"items": [{"device_id": api.device_id}] * 3}
    page = tab.url.partition("#")[0]
    tab.goto(f"{page}#/models")  # a view that asks for no prediction while the function is changed
    with api.function("predict", AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME=risk_endpoint.url):
        with risk_endpoint.ill(fault):
            refused = [api.predict(one), api.predict(many)]  # the first by a cold function, which knows nothing yet
            history = api.get("/api/predictions", device_id=api.device_id)
            tab.goto(f"{page}#/device/{api.device_id}")
            tab.get_by_role("button", name="Predict now").click()
            notice = tab.locator(".notice.warning")
            expect(notice).to_contain_text("Risk cannot be predicted at the moment")
            expect(tab.locator(".predictions tbody tr").first).to_be_visible()
            tab.screenshot(path=shot(f"laptop-endpoint-{fault}"), full_page=True)
        answer = first_good(api, one)

        assert [(each.status, each.headers.get("Retry-After")) for each in refused] == [(503, seconds)] * 2, refused
        assert all(told in each.body["detail"] for each in refused)
        assert max(each.milliseconds for each in refused) < LONGEST_SECONDS * 1000
        assert history.status == 200
        assert history.body["predictions"]
        assert answer.body["risk_level"]
        if int(seconds) > 5:
            notice.get_by_role("button", name="Try now").click()  # or wait for the countdown's end, as the others do
        expect(notice).to_have_count(0)


def first_good(api: Api, body: dict[str, Any]) -> Answer:
    """The answer once the endpoint is well: its container may have to start, and the circuit to close."""
    deadline = time.monotonic() + 60
    while (answer := api.predict(body)).status != 200:
        assert time.monotonic() < deadline, f"it did not recover: {answer.body}"
        time.sleep(0.2)
    return answer


def shot(name: str) -> Path:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    return SCREENSHOTS / f"{name}.png"
