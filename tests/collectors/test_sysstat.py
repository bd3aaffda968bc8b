from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from collectors.device_facts import DeviceFacts
from collectors.sysstat import iostat_records, sadf_records
from insights.consistency import inconsistency
from insights.files import RawRecord, UnreadableFile
from insights.schema import Insight, InvalidInsight

SAMPLES = Path(__file__).parent / "samples"
NOBODY = DeviceFacts(host="")


def insights_of(records: Any) -> list[Insight]:
    found = list(records)
    assert all(isinstance(record, RawRecord) for record in found)
    return [Insight.from_json(record.value, record=record.name) for record in found]


def iostat(text: str, **changes: Any) -> list[Insight]:
    given: dict[str, Any] = {"source": "iostat.json", "facts": NOBODY, "interval_seconds": None}
    return insights_of(iostat_records(text, **(given | changes)))


def test_real_iostat_json_becomes_insights():
    """First report: 23 reads and 89 writes, 0.09 and 15.74 ms; 1.41 in flight, of which six discards of 1.67 ms."""
    rows = iostat((SAMPLES / "iostat.json").read_text())

    assert [row.timestamp.second for row in rows] == [40, 41, 42, 43, 44, 45]
    assert {(row.device_id, row.interval_seconds) for row in rows} == {("vm/vda", 1.0)}
    assert (rows[0].read_iops, rows[0].write_iops) == (23.0, 89.0)
    assert rows[0].avg_latency_ms == pytest.approx((23 * 0.09 + 89 * 15.74) / 112, rel=1e-5)
    assert rows[0].queue_depth == pytest.approx(1.41 - 6 * 1.67 / 1000, rel=1e-5)
    assert rows[0].bandwidth_mbps == pytest.approx((384 + 131_192) * 1024 / 1e6, rel=1e-5)
    assert rows[0].io_size_kib == pytest.approx((384 + 131_192) / 112, rel=1e-5)
    assert [inconsistency(row) for row in rows] == [None] * 6


def test_plain_iostat_reads_like_its_json():
    rows = iostat((SAMPLES / "iostat.txt").read_text(), facts=DeviceFacts(host="rack-1", device_class="ssd"))

    assert [row.timestamp.second for row in rows] == [40, 41, 42]
    assert {(row.device_id, row.device_class) for row in rows} == {("rack-1/vda", "ssd")}
    assert (rows[1].read_iops, rows[1].write_iops) == (248.0, 71.0)
    assert rows[1].bandwidth_mbps == pytest.approx((13_996 + 520) * 1024 / 1e6, rel=1e-5)


def test_times_without_a_zone_are_refused_with_what_to_type():
    with pytest.raises(UnreadableFile, match=r"11/25/26 21:38:40.*S_TIME_FORMAT=ISO"):
        iostat((SAMPLES / "iostat_us.json").read_text())


def changed(change: Any) -> str:
    report = json.loads((SAMPLES / "iostat.json").read_text())
    change(report["sysstat"]["hosts"][0]["statistics"])
    return json.dumps(report)


def test_a_pause_is_a_longer_interval_and_a_second_of_rounding_is_none():
    def pause(reports: list[Any]) -> None:
        for number, seconds in enumerate((0, 10, 21, 30, 90, 100)):
            reports[number]["timestamp"] = f"2026-11-25T21:{38 + seconds // 60}:{seconds % 60:02d}+0000"

    assert [row.interval_seconds for row in iostat(changed(pause))] == [10, 10, 10, 10, 60, 10]


def test_a_single_report_needs_its_length():
    alone = changed(lambda reports: reports.__delitem__(slice(1, None)))

    with pytest.raises(UnreadableFile, match="--interval"):
        iostat(alone)
    assert [row.interval_seconds for row in iostat(alone, interval_seconds=1.0)] == [1.0]


def test_a_report_of_other_columns_is_refused_and_named():
    def not_extended(reports: list[Any]) -> None:
        del reports[2]["disk"][0]["w_await"]

    records = list(iostat_records(changed(not_extended), source="iostat.json", facts=NOBODY, interval_seconds=None))

    (refusal,) = [record for record in records if isinstance(record, InvalidInsight)]
    assert len(records) == 6
    assert "vda" in refusal.record
    assert "w_await" in str(refusal)


@pytest.mark.parametrize("text", ["", "{}", '{"sysstat": {"hosts": [', "hello"])
def test_what_is_no_iostat_is_refused_by_name(text: str):
    with pytest.raises(UnreadableFile, match=r"iostat\.json"):
        iostat(text)


def test_real_sar_becomes_insights_split_as_its_bytes_are():
    """Second report: 326 transfers, 14,004 KiB read and 520 written."""
    rows = insights_of(sadf_records((SAMPLES / "sadf.json").read_text(), source="sadf.json", facts=NOBODY))

    assert rows[1].timestamp == datetime(2026, 11, 25, 21, 38, 41, tzinfo=UTC)
    assert rows[1].interval_seconds == 1.0
    assert rows[1].read_iops == pytest.approx(326 * 14_004 / 14_524, rel=1e-5)
    assert rows[1].write_iops == pytest.approx(326 * 520 / 14_524, rel=1e-5)
    assert rows[1].bandwidth_mbps == pytest.approx(14_524 * 1024 / 1e6, rel=1e-5)
    assert (rows[1].avg_latency_ms, rows[1].queue_depth) == (0.1, 0.03)
    assert [inconsistency(row) for row in rows] == [None] * len(rows)
