"""One table per bench on the screen, and the same figures as JSON below build/bench."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def show(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows of the same keys as an aligned table; floats with four significant digits."""
    print(f"\n{title}")
    names = list(rows[0])
    cells = [[_text(row[name]) for name in names] for row in rows]
    widths = [max(len(name), *(len(row[i]) for row in cells)) for i, name in enumerate(names)]
    for row in [names, *cells]:
        print("  ".join(text.rjust(width) if i else text.ljust(width) for i, (text, width) in enumerate(zip(row, widths, strict=True))))  # fmt: skip  # noqa: E501


def keep(name: str, figures: Mapping[str, Any]) -> None:
    path = Path("build/bench") / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=1) + "\n")
    print(f"\n{path}")


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
