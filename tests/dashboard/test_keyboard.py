from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.dashboard.conftest import Scene

MakeScene = Callable[..., Scene]


def focused(visit) -> str:
    return visit.tab.evaluate("document.activeElement.textContent.trim()")


def test_the_first_tab_leads_past_the_navigation(scene: MakeScene):
    visit = scene().visit()
    visit.is_settled()

    visit.tab.keyboard.press("Tab")
    assert focused(visit) == "Skip to the content"
    visit.tab.keyboard.press("Enter")

    assert visit.tab.evaluate("document.activeElement.id") == "content"
    assert visit.tab.url.endswith("#/fleet")


def test_rows_are_walked_and_opened_without_a_mouse(scene: MakeScene):
    visit = scene().visit()
    visit.is_settled()
    devices = visit.texts("td.device")

    for key in "jjjk":
        visit.tab.keyboard.press(key)
    assert focused(visit) == devices[1]
    visit.tab.keyboard.press("Enter")

    expect(visit.tab.get_by_role("heading", level=1)).to_contain_text(devices[1])


def test_single_keys_search_switch_views_and_can_be_switched_off(scene: MakeScene):
    visit = scene().visit()
    visit.is_settled()

    visit.tab.keyboard.press("/")
    visit.tab.keyboard.type("mf")
    expect(visit.tab.get_by_role("searchbox")).to_have_value("mf")  # typing is no shortcut
    visit.tab.get_by_role("heading", level=1).click()
    visit.tab.keyboard.press("m")
    expect(visit.tab.get_by_role("heading", name="Models")).to_be_visible()
    visit.tab.keyboard.press("?")
    expect(visit.tab.get_by_role("dialog")).to_be_visible()
    visit.tab.get_by_label("Single-key shortcuts are on").uncheck()
    visit.tab.keyboard.press("Escape")
    visit.tab.keyboard.press("f")

    expect(visit.tab.get_by_role("heading", name="Models", exact=True)).to_be_visible()


def test_arrows_move_the_cursor_of_focused_charts(scene: MakeScene):
    stage = scene()
    visit = stage.visit(route=f"/device/{stage.state.devices[0].device_id}")
    visit.is_settled()
    charts = visit.tab.get_by_role("group", name="Charts")
    charts.focus()

    visit.tab.keyboard.press("ArrowLeft")
    newest = visit.texts(".moment")[0]
    visit.tab.keyboard.press("ArrowLeft")

    assert newest.endswith("UTC")
    assert visit.texts(".moment")[0] < newest or visit.texts(".moment")[0][:11] != newest[:11]


def test_whatever_has_the_focus_shows_it(scene: MakeScene):
    stage = scene()
    visit = stage.visit(route=f"/device/{stage.state.devices[0].device_id}")
    visit.is_settled()
    visit.tab.wait_for_selector(".predictions")
    seen = set()

    for _ in range(24):
        visit.tab.keyboard.press("Tab")
        name, width = visit.tab.evaluate(
            "() => { const style = getComputedStyle(document.activeElement);"
            " return [document.activeElement.tagName, style.outlineStyle === 'none' ? 0 : parseFloat(style.outlineWidth)]; }"
        )
        seen.add(name)
        assert name == "BODY" or width >= 2

    assert {"A", "BUTTON", "SELECT", "DIV"} <= seen
