from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from insights.columns import ARRAY_COLUMNS, InsightColumns
from insights.generator import REALISTIC, generate
from insights.schema import Insight
from training_container import device_rows
from training_container import shards as module
from training_container.shards import Shards


@pytest.fixture(scope="module")
def insights() -> list[Insight]:
    """Seven devices whose rows are scattered, some of them twice with the same key and other values."""
    rows = list(generate(448, 3, collector=REALISTIC))
    order = np.random.default_rng(1).permutation(len(rows)).tolist()
    return [rows[place] for place in order] + rows[::5]


def blocks_of(insights: list[Insight]) -> Iterator[InsightColumns]:
    """As a reader gives them: a few at a time, in the order read."""
    return (InsightColumns.from_insights(insights[begin : begin + 7]) for begin in range(0, len(insights), 7))


@pytest.mark.parametrize("block", [1, 50, 10_000])
@pytest.mark.parametrize(("shard_rows", "expected"), [(1, 7), (160, 4), (10_000, 1)])
def test_the_shards_one_after_the_other_are_the_whole(
    tmp_path: Path, insights: list[Insight], block: int, shard_rows: int, expected: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "BLOCK_ROWS", block)
    monkeypatch.setattr(device_rows, "SHARD_ROWS", shard_rows)
    whole = InsightColumns.from_insights(insights)

    shards = Shards.spool(blocks_of(insights), tmp_path)
    parts = list(shards)

    assert [name for part in parts for name in part.devices] == list(whole.devices) == list(shards.devices)
    assert shards.device_classes == whole.device_classes
    assert len(parts) == expected
    together = InsightColumns.concatenate(parts)
    for name in ARRAY_COLUMNS:
        np.testing.assert_array_equal(getattr(together, name), getattr(whole, name), err_msg=name)


def test_a_shard_holds_whole_devices_and_no_more_rows_than_its_limit_where_it_can(
    tmp_path: Path, insights: list[Insight], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(device_rows, "SHARD_ROWS", 200)
    parts = list(Shards.spool(blocks_of(insights), tmp_path))
    assert len(parts) > 1
    assert all(len(part) <= 200 for part in parts)
    assert sum(len(part.devices) for part in parts) == len({row.device_id for row in insights})


def test_whether_labels_are_brought_is_asked_of_every_row(tmp_path: Path, insights: list[Insight]):
    bare = [row for row in insights if row.risk_level is None and row.performance_score is None]
    labelled = next(row for row in insights if row.performance_score is not None)
    assert not Shards.spool(blocks_of(bare), tmp_path).brings_labels
    assert Shards.spool(blocks_of([*bare, labelled]), tmp_path).brings_labels


def test_nothing_has_no_shard(tmp_path: Path):
    assert list(Shards.spool([], tmp_path)) == []
