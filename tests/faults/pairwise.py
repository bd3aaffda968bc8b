"""A choice of cells where all of them take too long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar


class Crossing(Protocol):
    """A cell of a matrix: what is covered by trying it, as pairs."""

    @property
    def covers(self) -> set[tuple[str, str]]: ...


CellT = TypeVar("CellT", bound=Crossing)


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
