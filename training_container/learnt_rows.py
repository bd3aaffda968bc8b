"""What a model folder says of the rows that trained it, wherever they lie: on one host, or a part on each of several.

All hosts go through this together, in the same order; rank 0 alone has the whole answer. It sees a few columns of all rows
at a time, and of whole rows only evenly spaced or sampled ones, so that its memory does not grow with 25 features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from insights.drift_baseline import quantile_edges, sampled_rows, strata_of
from insights.feature_table import FEATURE_NAMES
from insights.preprocessing import Preprocessing
from insights.splits import group_of
from training_container.collective import Group
from training_container.mapped_rows import Rows, blocks, forget
from training_container.split_file import Split

HELD_OUT: Final = ("validation", "calibration")
COLUMN_BYTES: Final = 256 << 20  # of columns that rank 0 holds at a time; at least one
MOST_SPREAD_ROWS: Final = 500_000

Column = npt.NDArray[np.float32]
Range = list[float | None]


@dataclass(frozen=True, slots=True, eq=False)
class SampledRows:
    """Of all rows of training and then of the held-out splits, those that the baseline keeps, in this order.

    `X` (k, 25), `unit` (k,); `held_out` (k,) is a row's place among the held-out ones, -1 for training rows.
    """

    X: Rows
    unit: npt.NDArray[np.int64]
    held_out: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class LearntRows:
    """`edges` are those of the baseline's bins, of training and held-out rows; `spread` holds evenly spaced rows and their
    scores, none for risk."""

    count: int
    ranges: Mapping[str, Range]
    preprocessing: Preprocessing
    edges: Sequence[npt.NDArray[np.float64]]
    sampled: SampledRows
    spread: tuple[Rows, Column]

    @classmethod
    def of(cls, kind: str, splits: Mapping[str, Split], group: Group) -> LearntRows | None:
        """None but at rank 0. `splits["train"]` is the host's own part; the held-out splits are whole at rank 0."""
        train = splits["train"]
        held_out = [splits[name] for name in HELD_OUT]
        count = group.total(len(train))
        measured = [_measured(column, held_out, place, group.rank) for place, column in _columns(train, count, group)]
        sampled = _sampled(train, held_out, group)
        spread = _spaced(train, count if kind == "performance" else 0, group)
        if group.rank:
            return None
        ranges, scales, edges = zip(*measured, strict=True)
        return cls(
            count,
            dict(zip(FEATURE_NAMES, ranges, strict=True)),
            Preprocessing(*(np.array(values) for values in zip(*scales, strict=True))),
            edges,
            sampled,
            spread,
        )


def _columns(train: Split, count: int, group: Group) -> Iterator[tuple[int, Column]]:
    """Each feature of all rows in the order of ranks; a few are read in one pass over the file."""
    at_once = max(1, min(len(FEATURE_NAMES), COLUMN_BYTES // (4 * max(count, 1))))
    for first in range(0, len(FEATURE_NAMES), at_once):
        places = range(first, min(first + at_once, len(FEATURE_NAMES)))
        own = np.empty((len(places), len(train)), np.float32)
        begin = 0
        for block in blocks(train.X):
            own[:, begin : begin + len(block)] = block[:, places.start : places.stop].T
            begin += len(block)
        for place in places:
            yield place, group.gathered(own[place - first])


def _measured(column: Column, held_out: Sequence[Split], place: int, rank: int) -> Any:
    """Range, preprocessing and the baseline's edges of one feature; nothing but at rank 0."""
    if rank:
        return None
    known = column[~np.isnan(column)]
    limits: Range = [float(known.min()), float(known.max())] if len(known) else [None, None]
    scales = Preprocessing.of_column(column)
    edges = quantile_edges(np.concatenate([column, *(split.X[:, place] for split in held_out)]))
    for split in held_out:
        forget(split.X)
    return limits, scales, edges


def _sampled(train: Split, held_out: Sequence[Split], group: Group) -> SampledRows:
    """The rows are chosen at rank 0 by unit and part of the week; each host then gives those that it has."""
    offset = _offset(len(train), group)
    units, strata = _units(train, held_out, group), group.gathered(_strata(train))
    chosen = np.empty(0, np.int64)
    if group.rank == 0:
        strata = np.concatenate([strata, *(_strata(split) for split in held_out)])
        chosen = sampled_rows(units, strata.astype(np.int64))
    learnt = len(strata) - sum(map(len, held_out)) if group.rank == 0 else 0
    wanted = group.told(chosen[chosen < learnt]) - offset
    own = wanted[(wanted >= 0) & (wanted < len(train))]
    X = group.gathered(np.array(train.X[own], np.float32))
    forget(train.X)
    place = chosen[chosen >= learnt] - learnt
    return SampledRows(
        np.concatenate([X, rows_at(held_out, place)]),
        units[chosen].astype(np.int64),
        np.concatenate([np.full(len(X), -1), place]),
    )


def rows_at(splits: Sequence[Split], places: npt.NDArray[np.int64]) -> Rows:
    """Rows by their ascending places among those of several splits."""
    found, begin = [np.empty((0, len(FEATURE_NAMES)), np.float32)], 0
    for split in splits:
        found.append(np.array(split.X[places[(places >= begin) & (places < begin + len(split))] - begin]))
        forget(split.X)
        begin += len(split)
    return np.concatenate(found)


def _units(train: Split, held_out: Sequence[Split], group: Group) -> npt.NDArray[np.int32]:
    """(n,) at rank 0 the number of each row's group of devices among those of all rows, training's and then held-out."""
    names, codes = _groups(train)
    known = group.gathered(names.astype("U"))
    codes = group.gathered(codes + np.int32(_offset(len(names), group)))
    if group.rank:
        return np.empty(0, np.int32)
    for split in held_out:
        own_names, own_codes = _groups(split)
        codes = np.concatenate([codes, own_codes + np.int32(len(known))])
        known = np.concatenate([known, own_names])
    numbers: npt.NDArray[np.int32] = np.unique(known, return_inverse=True)[1].astype(np.int32)
    return numbers[codes]


def _groups(split: Split) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.int32]]:
    """Names of the groups (splits.group_of) of the rows' devices, one for each device, and each row's place among them."""
    devices, codes = np.unique(split.device, return_inverse=True)
    return np.array([group_of(name) for name in split.devices[devices].tolist()], np.str_), codes.astype(np.int32)


def _strata(split: Split) -> npt.NDArray[np.uint8]:
    found = [np.empty(0, np.uint8), *(strata_of(block).astype(np.uint8) for block in blocks(split.X))]
    return np.concatenate(found)


def _spaced(train: Split, count: int, group: Group) -> tuple[Rows, Column]:
    """Every k-th of all `count` rows, so that it is at most MOST_SPREAD_ROWS, with their scores; nothing for no rows."""
    step = max(1, -(-count // MOST_SPREAD_ROWS))
    own = np.arange(-_offset(len(train), group) % step, len(train) if count else 0, step)
    X, score = np.array(train.X[own], np.float32), train.score[own]
    forget(train.X)
    return group.gathered(X), group.gathered(score)


def _offset(number: int, group: Group) -> int:
    """The sum of the numbers of the hosts of lower rank."""
    numbers = group.told(group.gathered(np.array([number], np.int64)))
    return int(numbers[: group.rank].sum())
