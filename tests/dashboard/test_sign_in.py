from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.dashboard.conftest import Scene

MakeScene = Callable[..., Scene]


def test_signing_in_leads_back_to_the_address_that_was_asked_for(scene: MakeScene):
    visit = scene().visit(route="/models", signed_in=False)
    visit.shot("sign-in-light-1280")

    visit.sign_in()

    expect(visit.tab.get_by_role("heading", name="Models", exact=True)).to_be_visible()
    assert visit.tab.url == f"{visit.url}#/models"  # neither code nor state stays in the address


def test_a_refused_sign_in_says_why_and_offers_another(scene: MakeScene):
    visit = scene().visit(signed_in=False)

    visit.sign_in(is_wrong=True)
    expect(visit.tab.get_by_role("alert")).to_contain_text("wrong password")
    visit.shot("sign-in-refused-light-1280")
    visit.tab.get_by_role("button", name="Sign in again").click()
    visit.tab.locator("[name=password]").fill("right")
    visit.tab.get_by_role("button", name="Sign in").click()

    expect(visit.tab.locator("tr[data-device]").first).to_be_visible()


def test_an_answer_that_belongs_to_no_sign_in_of_this_tab_is_refused(scene: MakeScene):
    stage = scene()
    visit = stage.visit(signed_in=False)

    visit.tab.goto(f"{visit.url}?code=stolen&state=foreign")

    expect(visit.tab.get_by_role("alert")).to_contain_text("no sign-in of this tab")
    assert stage.state.access_tokens == set()


def test_a_token_that_the_api_no_longer_takes_is_renewed_unseen(scene: MakeScene):
    stage = scene()
    visit = stage.visit()
    visit.is_settled()
    stage.state.access_tokens.clear()

    visit.go("/models")

    expect(visit.tab.locator(".model")).to_have_count(2)
    assert len(stage.state.access_tokens) == 1


def test_a_token_about_to_run_out_is_renewed_before_it_is_used(scene: MakeScene):
    stage = scene()
    stage.state.token_seconds = 30
    visit = stage.visit()
    visit.is_settled()

    assert len(stage.state.access_tokens) > 1
    assert {status for _, path, status in stage.state.answers if path.startswith("/api/")} == {200}


def test_an_expired_sign_in_keeps_the_place_and_what_was_typed(scene: MakeScene):
    stage = scene()
    device = stage.state.devices[3].device_id
    visit = stage.visit(route=f"/device/{device}")
    visit.is_settled()
    visit.tab.get_by_role("radio", name="critical").check()
    visit.tab.get_by_label("Comment").fill("a disk was pulled")
    stage.state.access_tokens.clear()
    stage.state.refresh_tokens.clear()

    visit.tab.get_by_role("button", name="Send feedback").click()
    expect(visit.tab.get_by_role("heading", name="Your sign-in has expired")).to_be_visible()
    visit.shot("sign-in-expired-light-1280", whole=True)
    visit.sign_in()
    visit.is_settled()

    assert visit.tab.url == f"{visit.url}#/device/{device}"
    expect(visit.tab.get_by_label("Comment")).to_have_value("a disk was pulled")
    expect(visit.tab.get_by_role("radio", name="critical")).to_be_checked()


def test_an_expired_sign_in_on_a_view_says_so_and_comes_back_to_it(scene: MakeScene):
    stage = scene()
    visit = stage.visit()
    visit.is_settled()
    stage.state.access_tokens.clear()
    stage.state.refresh_tokens.clear()

    visit.go("/models")
    expect(visit.tab.get_by_role("heading", name="Your sign-in has expired")).to_be_visible()
    visit.sign_in()

    expect(visit.tab.locator(".model")).to_have_count(2)


def test_signing_out_forgets_the_tokens(scene: MakeScene):
    visit = scene().visit()
    visit.is_settled()

    visit.tab.get_by_role("button", name="Sign out").click()

    expect(visit.tab.get_by_role("heading", name="Sign in to see the fleet")).to_be_visible()
    assert visit.tab.evaluate("sessionStorage.length") == 0
    expect(visit.tab).to_have_url(re.compile(re.escape(visit.url)))
