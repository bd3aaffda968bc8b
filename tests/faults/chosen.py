"""Which cells are tried: with `make faults` (FAULTS=all) each whose name holds CELLS, a regular expression; else a choice, as
all of them take too long."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

ALL: Final = os.environ.get("FAULTS") == "all"
CELLS: Final = re.compile(os.environ.get("CELLS", ""))


class Crossing(Protocol):
    """A cell of a matrix: its name, and what is covered by trying it, as pairs."""

    @property
    def id(self) -> str: ...

    @property
    def covers(self) -> set[tuple[str, str]]: ...


CellT = TypeVar("CellT", bound=Crossing)


def chosen(cells: Sequence[CellT]) -> list[CellT]:
    return [cell for cell in cells if CELLS.search(cell.id)] if ALL else pairwise(cells)


def pairwise(cells: Sequence[CellT]) -> list[CellT]:
    """The fewest, by which everything that any cell covers is covered: the one with most of what is missing comes next, the
    first of equals. In the order of `cells`."""
    missing = set[tuple[str, str]]().union(*(cell.covers for cell in cells))
    chosen: set[int] = set()
    while missing:
        best = max(range(len(cells)), key=lambda index: len(cells[index].covers & missing))
        chosen.add(best)
        missing -= cells[best].covers
    return [cells[index] for index in sorted(chosen)]
