"""A headless Chromium (Debian's; nothing is downloaded) before the page, served as on the laptop, and a stub of the API."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect, sync_playwright

from local.dashboard import Dashboard, PageConfig
from tests.dashboard.stub_api import CLIENT_ID, StubApi, StubState, tokens
from tests.dashboard.stub_fleet import fleet

expect.set_options(timeout=30_000)  # a countdown of the page runs its seconds, and the machine may be shared

SCREENSHOTS = Path(__file__).resolve().parent.parent.parent / "build" / "screenshots"
CHROMIUMS = ("chromium-headless-shell", "chromium")
"""The same engine; the first has no windows and takes half of the second's time."""
CHROMIUM_ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@contextmanager
def launched_chromium() -> Iterator[Any]:
    chromium = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if chromium is None:
        pytest.skip(f"no chromium is installed here; on Debian: apt-get install {CHROMIUMS[0]}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM_ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """Not of the session: while it runs, Playwright's event loop is the thread's own, and no other test could have one."""
    with launched_chromium() as browser:
        yield browser


@dataclass
class Visit:
    """One browser tab before one page; `trouble` is what the console told that no test provoked."""

    tab: Any
    url: str
    trouble: list[str] = field(default_factory=list)

    def sign_in(self, *, is_wrong: bool = False) -> None:
        """By the sign-in's own page."""
        self.tab.get_by_role("button", name="Sign in").click()
        self.tab.locator("[name=username]").fill("operator")
        self.tab.locator("[name=password]").fill("wrong" if is_wrong else "right")
        self.tab.get_by_role("button", name="Sign in").click()

    def go(self, route: str) -> None:
        self.tab.goto(f"{self.url}#{route}")

    def texts(self, selector: str) -> list[str]:
        return [" ".join(text.split()) for text in self.tab.locator(selector).all_inner_texts()]

    def is_settled(self) -> None:
        """Every prediction that the view asked for has come."""
        self.tab.wait_for_selector("#predict:enabled")

    def shot(self, name: str, *, whole: bool = False) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.tab.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=whole)

    def overflow(self) -> int:
        """Pixels by which the page is wider than its window."""
        return int(self.tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


Open = Callable[..., Visit]


@dataclass
class Scene:
    """The stub's state, and tabs before the page that is served against it."""

    state: StubState
    visit: Open


@pytest.fixture
def scene(browser: Any) -> Iterator[Callable[..., Scene]]:
    """`scene(devices=40)`: a stub with that fleet; `.visit(width=360, scheme="dark")` opens a tab, signed in or not."""
    with ExitStack() as stack:
        visits: list[Visit] = []

        def made(devices: int = 40) -> Scene:
            state = StubState(fleet(devices))
            stub = stack.enter_context(StubApi(state))
            page = stack.enter_context(Dashboard(PageConfig(stub.url, stub.url, CLIENT_ID), port=0))
            state.origins.add(page.url.rstrip("/"))

            def visit(
                *,
                route: str = "/fleet",
                signed_in: bool = True,
                width: int = 1280,
                scheme: str = "light",
                motion: str = "no-preference",
                has_own_clock: bool = False,
            ) -> Visit:
                context = browser.new_context(
                    viewport={"width": width, "height": 900 if width > 400 else 740},
                    color_scheme=scheme,
                    reduced_motion=motion,
                )
                stack.callback(context.close)
                opened = Visit(context.new_page(), page.url)
                visits.append(opened)
                if has_own_clock:  # it goes as any does, and can be put forward
                    opened.tab.clock.install()
                opened.tab.set_default_timeout(30_000)
                opened.tab.on("pageerror", lambda error: opened.trouble.append(str(error)))
                opened.tab.on("console", lambda said: _note(opened, said, page.url))
                if signed_in:  # the tokens are there as after a sign-in, whose own pages test_sign_in goes through
                    opened.tab.goto(f"{page.url}config.json")
                    opened.tab.evaluate("given => sessionStorage.setItem('iops.tokens', given)", tokens_of(state))
                opened.go(route)
                if signed_in:
                    opened.tab.wait_for_selector("#sign-out:visible")
                return opened

            return Scene(state, visit)

        yield made
        assert [trouble for visit in visits for trouble in visit.trouble] == []


def tokens_of(state: StubState) -> str:
    """As sign_in.js stores them."""
    given = tokens(state)
    expires_at_ms = (time.time() + given["expires_in"]) * 1000
    kept = {"accessToken": given["access_token"], "refreshToken": given["refresh_token"], "expiresAt": expires_at_ms}
    return json.dumps(kept)


def _note(visit: Visit, said: Any, page_url: str) -> None:
    """A refused request is told by the browser and shown by the page; everything else, a broken policy first, is a fault."""
    if said.type in ("error", "warning") and "Failed to load resource" not in said.text:
        visit.trouble.append(said.text)
