"""Training rows as XGBoost takes them: quantised block by block, in memory or in a cache on the storage volume.

A quantised row is one byte a feature, where a DMatrix keeps eight of each and quantises beside them (make bench
BENCH=external_memory). Up to one block of rows the quantiles are those of a DMatrix, so that the model is too; beyond,
and from a cache, they are sketched over blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt
import xgboost as xgb

from insights.feature_table import FEATURE_NAMES
from training_container.mapped_rows import BLOCK_ROWS, Rows, blocks

PAGE_ROWS: Final = 1 << 21
"""Of external memory: 52 MB quantised, read again for every level of every tree, so that pages must not be small; the block of
210 MB that makes one is the peak."""

Labels = npt.NDArray[Any]


class _Blocks(xgb.DataIter):  # type: ignore[misc]
    def __init__(self, X: Rows, label: Labels, rows: int, cache: Path | None = None) -> None:
        self._X, self._label, self._rows = X, label, rows
        self._left = self._begun()
        super().__init__(cache_prefix=str(cache / "page") if cache else None)

    def next(self, input_data: Callable[..., None]) -> bool:
        found = next(self._left, None)
        if found is None:
            return False
        input_data(data=found[0], label=found[1], feature_names=list(FEATURE_NAMES))
        return True

    def reset(self) -> None:
        self._left = self._begun()

    def _begun(self) -> Iterator[tuple[Rows, Labels]]:
        begin = 0
        for block in blocks(self._X, self._rows):
            yield block, self._label[begin : begin + len(block)]
            begin += len(block)


def quantised(X: Rows, label: Labels, *, threads: int, ref: xgb.DMatrix | None = None) -> xgb.QuantileDMatrix:
    """In memory; with the quantiles of `ref`, on which a booster of its trees says exactly what it says on the features."""
    if len(X) == 0:  # a host without rows takes part all the same
        return xgb.QuantileDMatrix(X, label=label, feature_names=list(FEATURE_NAMES), nthread=threads, ref=ref)
    return xgb.QuantileDMatrix(_Blocks(X, label, BLOCK_ROWS), nthread=threads, ref=ref)


def cached(X: Rows, label: Labels, cache: Path, *, threads: int) -> xgb.DMatrix:
    """In pages below the folder `cache`, of which memory holds one at a time."""
    if len(X) == 0:
        return quantised(X, label, threads=threads)
    return xgb.ExtMemQuantileDMatrix(_Blocks(X, label, PAGE_ROWS, cache), nthread=threads)
