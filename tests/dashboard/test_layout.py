"""Every view at the widths and in the themes it is used in; the screenshots in build/screenshots are for looking at."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.dashboard.conftest import Scene

MakeScene = Callable[..., Scene]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_no_view_is_wider_than_its_window(scene: MakeScene, width: int, scheme: str):
    stage = scene(devices=60)
    worst = max(stage.state.devices, key=lambda device: device.trouble)
    stage.state.add_history([worst])
    visit = stage.visit(width=width, scheme=scheme)
    for name, route, ready in (
        ("fleet", "/fleet", "td.device"),
        ("device", f"/device/{worst.device_id}", ".predictions tbody tr"),
        ("models", "/models", ".model"),
    ):
        visit.go(route)
        visit.tab.wait_for_selector(ready)
        if name != "models":
            visit.is_settled()
        assert visit.overflow() == 0
        visit.shot(f"{name}-{scheme}-{width}", whole=name != "fleet")


def test_a_chosen_theme_wins_over_the_systems_and_is_kept(scene: MakeScene):
    visit = scene(devices=3).visit(scheme="dark")
    visit.is_settled()
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = visit.tab.evaluate(ground)

    visit.tab.get_by_role("button", name="Theme: system").click()
    light = visit.tab.evaluate(ground)
    visit.tab.reload()

    assert dark != light
    assert visit.tab.evaluate(ground) == light
    expect(visit.tab.get_by_role("button", name="Theme: light")).to_be_visible()


def test_charts_follow_the_theme(scene: MakeScene):
    stage = scene(devices=3)
    visit = stage.visit(route=f"/device/{stage.state.devices[0].device_id}")
    visit.is_settled()
    picture = "document.querySelector('.u-wrap canvas').toDataURL()"
    before = visit.tab.evaluate(picture)

    for _ in range(2):
        visit.tab.get_by_role("button", name="Theme:").click()

    assert visit.tab.evaluate(picture) != before


def test_who_asked_for_less_motion_gets_none(scene: MakeScene):
    stage = scene(devices=3)
    visit = stage.visit(motion="reduce", signed_in=False)

    names = visit.tab.evaluate(
        "() => { const box = document.createElement('div'); box.className = 'skeleton'; document.body.append(box);"
        " return getComputedStyle(box).animationName; }"
    )

    assert names == "none"
