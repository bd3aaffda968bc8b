"""WCAG 2.2 AA over the stylesheet's own colours: 4.5:1 for text, 3:1 for shapes and controls (1.4.3, 1.4.11)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

STYLE = (Path(__file__).resolve().parent.parent.parent / "dashboard" / "style.css").read_text()
COLOURS = {
    name: {"light": light, "dark": dark}
    for name, light, dark in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\);", STYLE)
}
GROUNDS = ("page", "surface", "raised")
LEVELS = ("low", "medium", "high", "critical")
TEXT_PAIRS = [
    *((ink, ground) for ink in ("ink", "muted", "accent", "error-ink", "ok-ink", "warning-ink") for ground in GROUNDS),
    *((f"{level}-ink", f"{level}-ground") for level in LEVELS),
    ("on-accent", "accent"),
    ("warning-ink", "warning-ground"),
    ("error-ink", "error-ground"),
]
SHAPE_PAIRS = [
    *((shape, "surface") for shape in ("control", "accent", "line-1", "line-2", "line-3", "line-slo")),
    *((f"fill-{level}", "surface") for level in LEVELS),
    ("control", "page"),
    ("accent", "page"),
    ("line-1", "band"),
]


def luminance(colour: str) -> float:
    """Relative luminance by WCAG's definition."""
    channels = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_the_ratio_is_wcags():
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.478, abs=0.001)  # the well-known grey that just fails


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("pairs", "least"), [(TEXT_PAIRS, 4.5), (SHAPE_PAIRS, 3.0)], ids=["text", "shapes"])
def test_every_pair_of_the_palette_has_enough_contrast(pairs: list[tuple[str, str]], least: float, theme: str):
    too_weak = {
        f"{ink} on {ground}": round(ratio, 2)
        for ink, ground in pairs
        if (ratio := contrast(COLOURS[ink][theme], COLOURS[ground][theme])) < least
    }
    assert too_weak == {}


def test_no_colour_stands_outside_the_palette():
    outside = re.sub(r":root \{.*?\n\}", "", STYLE, count=1, flags=re.DOTALL)
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b(?![\w-]*[^;{]*\{)", outside) == []
