"""The dashboard before the real sign-in and API of a laptop deployment, in headless Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from local.api_client import USERNAME
from local.dashboard import Dashboard, page_origin
from local.processes import free_port
from local.run import load_insights, page_config, sign_in_of
from tests.dashboard.conftest import SCREENSHOTS, launched_chromium
from tests.e2e.served_models import ServedModels, ServingOptions

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def serving_options(port: int) -> ServingOptions:
    return ServingOptions(context=(f"allowed_origins={page_origin(port)}",))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched_chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def tab(browser: Any, served: ServedModels, port: int) -> Iterator[Any]:
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


def shot(name: str) -> Path:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    return SCREENSHOTS / f"{name}.png"
