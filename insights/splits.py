"""Which rows train, tune, calibrate and judge a model: whole groups of devices, so that no window crosses a split."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from insights.columns import Floats, InsightColumns, Int8s
from insights.feature_table import HORIZON_SPAN
from insights.schema import RISK_LEVELS

SPLITS: Final = ("train", "validation", "calibration", "test")
# 70 / 15 / 15; calibration groups are a sixth of the 70.
SHARES: Final[Mapping[str, float]] = {
    "train": 0.70 * 5 / 6,
    "validation": 0.15,
    "calibration": 0.70 / 6,
    "test": 0.15,
}
# Whom a small fleet serves first: without training there is no model, without test no verdict.
_NEEDED: Final = ("train", "test", "validation", "calibration")


class RowTimes(Protocol):
    """What of the columns a split by time looks at."""

    @property
    def time_seconds(self) -> Floats: ...

    @property
    def interval_seconds(self) -> Floats: ...


class TooFewGroups(ValueError):
    """No honest split exists; the message says what is missing."""


def group_of(device_id: str) -> str:
    """The group of a device: its id before the last "/" (disks of one host or measuring run), else the whole id."""
    return device_id.rpartition("/")[0] or device_id


def worst_of_devices(columns: InsightColumns, risk: Int8s) -> Int8s:
    """Each device's worst label, -1 where none of its rows has one."""
    worst = np.full(len(columns.devices), -1, np.int8)
    np.maximum.at(worst, columns.device, risk)
    return worst


def worst_of_groups(devices: Sequence[str], worst: Int8s) -> dict[str, int]:
    """Each group's worst label by its devices', in the order of the devices."""
    groups: dict[str, int] = {}
    for device_id, level in zip(devices, worst.tolist(), strict=True):
        group = group_of(device_id)
        groups[group] = max(groups.get(group, -1), level)
    return groups


def assign_splits(groups: Mapping[str, int], *, seed: int, previous: Mapping[str, str] | None = None) -> dict[str, str]:
    """A split for every group: 70/15/15 train/validation/test with calibration taken out of train, per worst level.

    `groups` maps a group to its worst level (index into RISK_LEVELS, -1 unlabelled). A group of `previous` keeps its
    split, so that a live model was never trained on today's test rows; new ones fill what the shares lack. Every
    split gets at least one labelled group, or TooFewGroups is raised. The same input gives the same answer.
    """
    labelled = sum(level >= 0 for level in groups.values())
    if labelled < len(SPLITS):
        raise TooFewGroups(
            f"{labelled} of {len(groups)} groups of devices hold labels, but {', '.join(SPLITS)} need one each: "
            f"{len(SPLITS) - labelled} more labelled groups are missing (a group is a device id before its last /)"
        )
    known = _known_splits(groups, previous or {})
    assigned = dict(known)
    filled: Counter[str] = Counter()
    for level in range(len(RISK_LEVELS) - 1, -2, -1):
        members = sorted((g for g, worst in groups.items() if worst == level), key=lambda g: _draw(g, seed))
        counts = Counter(assigned[group] for group in members if group in assigned)
        for group in (group for group in members if group not in assigned):
            assigned[group] = _neediest(counts, len(members), filled)
            counts[assigned[group]] += 1
        filled.update(counts)
    _fill_empty(groups, assigned, known)
    return {group: assigned[group] for group in groups}


def assign_by_time(columns: RowTimes) -> npt.NDArray[np.str_]:
    """The option: a split per row by time, oldest to train, newest to test; "" for rows in the gap of one horizon
    before each later split, whose labels would look into it. TooFewGroups where a split would stay empty."""
    time = columns.time_seconds
    if len(time) == 0:
        raise TooFewGroups("there are no rows to split by time")
    order = ("train", "calibration", "validation", "test")
    edges = np.quantile(time, np.cumsum([SHARES[name] for name in order])[:-1], method="lower")
    split = np.array(order)[np.searchsorted(edges, time, side="left")].astype("<U11")
    ahead = time + HORIZON_SPAN * columns.interval_seconds
    for edge in edges:
        split[(time <= edge) & (ahead > edge)] = ""
    for name in order:
        if not (split == name).any():
            raise TooFewGroups(
                f"the rows span {time.max() - time.min():.0f} s, too short to split by time with a gap of one horizon "
                f"({HORIZON_SPAN} intervals) before each split: {name} stays empty; give more history"
            )
    return split


def _known_splits(groups: Mapping[str, int], previous: Mapping[str, str]) -> dict[str, str]:
    for group, split in previous.items():
        if split not in SPLITS:
            raise ValueError(f"group {group!r} was in the split {split!r}; known are {', '.join(SPLITS)}")
    return {group: previous[group] for group in groups if group in previous}


def _draw(group: str, seed: int) -> bytes:
    """A group's place in the queue depends on itself and the seed alone, not on which other groups there are."""
    return hashlib.sha256(f"{seed}:{group}".encode()).digest()


def _neediest(counts: Mapping[str, int], members: int, filled: Mapping[str, int]) -> str:
    """The split furthest below its share of this level; small levels are told apart by what worse levels gave."""
    total = sum(filled.values()) + members

    def need(split: str) -> tuple[float, float]:
        here = members * SHARES[split] - counts.get(split, 0)
        overall = total * SHARES[split] - filled.get(split, 0) - counts.get(split, 0)
        return (here / max(members * SHARES[split], 1.0), overall / (total * SHARES[split]))

    return max(_NEEDED, key=need)


def _fill_empty(groups: Mapping[str, int], assigned: dict[str, str], known: Mapping[str, str]) -> None:
    """Moves a newly given labelled group into each split without one, from the split that has most to spare."""
    for split in _NEEDED:
        holders: dict[str, list[str]] = {name: [] for name in SPLITS}
        for group, name in assigned.items():
            if groups[group] >= 0:
                holders[name].append(group)
        if holders[split]:
            continue
        free = [
            (len(names) / SHARES[name], group)
            for name, names in holders.items()
            if len(names) > 1
            for group in names
            if group not in known
        ]
        if not free:
            raise TooFewGroups(
                f"no labelled group is left for {split}: the {len(groups)} groups keep the splits that they were first "
                "given; add devices, or start the memory of splits anew (a live model may then have seen test rows)"
            )
        assigned[max(free)[1]] = split
