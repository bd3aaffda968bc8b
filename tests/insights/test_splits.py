from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from insights.columns import InsightColumns
from insights.splits import (
    SPLITS,
    TooFewGroups,
    assign_by_time,
    assign_splits,
    group_of,
    worst_of_devices,
    worst_of_groups,
)
from tests.insights.insight_strategies import row


def fleet(size: int) -> dict[str, int]:
    """Half of the groups low, a quarter medium, an eighth high and an eighth critical."""
    return {f"device-{i:04d}": (0, 0, 0, 0, 1, 1, 2, 3)[i % 8] for i in range(size)}


GROUPS = st.dictionaries(st.text(min_size=1), st.integers(-1, 3), max_size=40)


@pytest.mark.parametrize(
    ("device_id", "group"),
    [("host/sda", "host"), ("rack/host/sda", "rack/host"), ("synthetic-7-0001", "synthetic-7-0001"), ("/sda", "/sda")],
)
def test_the_devices_of_a_host_are_one_group(device_id: str, group: str) -> None:
    assert group_of(device_id) == group


def test_a_large_fleet_is_split_70_15_15_at_every_level() -> None:
    groups = fleet(800)
    splits = assign_splits(groups, seed=1)
    for level, size in ((0, 400), (1, 200), (2, 100), (3, 100)):
        counts = Counter(split for group, split in splits.items() if groups[group] == level)
        assert (counts["train"] + counts["calibration"]) / size == pytest.approx(0.70, abs=0.03)
        assert counts["validation"] / size == pytest.approx(0.15, abs=0.03)
        assert counts["test"] / size == pytest.approx(0.15, abs=0.03)
        assert counts["calibration"] / size == pytest.approx(0.70 / 6, abs=0.03)


def test_every_split_of_eighty_devices_sees_every_level() -> None:
    groups = fleet(80)
    splits = assign_splits(groups, seed=3)
    assert {(splits[group], level) for group, level in groups.items()} == {
        (split, level) for split in SPLITS for level in range(4)
    }


LETTERS = {"t": "train", "v": "validation", "c": "calibration", "e": "test"}


@pytest.mark.parametrize(
    ("size", "seed", "assigned"),
    [
        (26, 2, "tctevteettvtcttvcevttevttt"),
        (61, 5, "tvttttveetceettcettttttttcttvecvvvttctttvetcvtettttttettevctc"),
    ],
)
def test_a_fleet_is_split_as_by_the_last_release(size: int, seed: int, assigned: str) -> None:
    """As 3d844ae split them. A run without its memory of splits (splits.json) gives no device of a live model's training
    to the test."""
    found = assign_splits(fleet(size), seed=seed)
    assert list(found.values()) == [LETTERS[letter] for letter in assigned]


def test_a_fleet_with_a_memory_and_groups_without_labels_is_split_as_by_the_last_release() -> None:
    groups = {**{f"a{i}": -1 for i in range(9)}, **{f"b{i}": i % 4 for i in range(13)}}
    found = assign_splits(groups, seed=1, previous={"b0": "test", "a1": "validation"})
    assert list(found.values()) == [LETTERS[letter] for letter in "evtectvtteveevtvttctvt"]


@given(GROUPS, st.integers(0, 5))
def test_a_split_is_whole_and_honest_or_refused(groups: dict[str, int], seed: int) -> None:
    labelled = [group for group, level in groups.items() if level >= 0]
    if len(labelled) < 4:
        with pytest.raises(TooFewGroups, match=f"^{len(labelled)} of {len(groups)} groups.*more labelled groups"):
            assign_splits(groups, seed=seed)
        return
    splits = assign_splits(groups, seed=seed)
    assert set(splits) == set(groups)
    assert {splits[group] for group in labelled} == set(SPLITS)
    assert splits == assign_splits(dict(reversed(groups.items())), seed=seed)


@pytest.mark.parametrize("size", [4, 5, 8, 11, 26])
def test_a_small_fleet_trains_on_most_of_what_it_has(size: int) -> None:
    counts = Counter(assign_splits(fleet(size), seed=2).values())
    assert set(counts) == set(SPLITS)
    assert counts["train"] == max(counts.values())


@given(st.integers(0, 20))
def test_a_group_keeps_the_split_that_it_was_first_given(seed: int) -> None:
    first = assign_splits(fleet(40), seed=seed)
    later = assign_splits(fleet(120), seed=seed + 1, previous=first | {"gone": "test"})
    assert {group: later[group] for group in first} == first
    assert "gone" not in later
    share = Counter(later.values())["test"] / 120
    assert share == pytest.approx(0.15, abs=0.05)


def test_a_kept_group_stays_even_when_its_level_changed() -> None:
    first = assign_splits(fleet(40), seed=1)
    assert assign_splits(dict.fromkeys(first, 3), seed=1, previous=first) == first


def test_a_memory_that_leaves_a_split_empty_is_refused_with_the_reason() -> None:
    groups = fleet(8)
    with pytest.raises(TooFewGroups, match="no labelled group is left for test"):
        assign_splits(groups, seed=1, previous=dict.fromkeys(groups, "train"))
    with pytest.raises(ValueError, match="'holdout'"):
        assign_splits(groups, seed=1, previous={"device-0001": "holdout"})


def test_another_seed_gives_another_split() -> None:
    assert assign_splits(fleet(80), seed=1) != assign_splits(fleet(80), seed=2)


def test_the_worst_label_of_a_groups_rows_is_its_level() -> None:
    columns = InsightColumns.from_insights([row(i, device) for device in ("h/a", "h/b", "x", "y") for i in range(2)])
    worst = worst_of_devices(columns, np.array([0, 1, -1, 2, -1, -1, 0, 0], np.int8))
    assert worst.tolist() == [1, 2, -1, 0]
    assert worst_of_groups(columns.devices, worst) == {"h": 2, "x": -1, "y": 0}


def test_a_split_by_time_leaves_a_gap_of_one_horizon() -> None:
    columns = InsightColumns.from_insights([row(i, device) for device in ("a", "b") for i in range(1000)])
    split = assign_by_time(columns)
    shares = Counter(split.tolist())
    assert set(shares) == {*SPLITS, ""}
    assert shares["test"] == pytest.approx(300, abs=20)
    assert shares["train"] + shares["calibration"] == pytest.approx(1400, abs=40)
    for earlier, later in (("train", "calibration"), ("calibration", "validation"), ("validation", "test")):
        last = columns.time_seconds[split == earlier].max()
        first = columns.time_seconds[split == later].min()
        assert last + 6.5 * 300 < first


def test_too_short_a_history_is_not_split_by_time() -> None:
    with pytest.raises(TooFewGroups, match="too short"):
        assign_by_time(InsightColumns.from_insights([row(i) for i in range(12)]))
    with pytest.raises(TooFewGroups, match="no rows"):
        assign_by_time(InsightColumns.from_insights([]))
