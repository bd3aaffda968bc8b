from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from collectors.device_facts import DeviceFacts
from collectors.fio_logs import log_records
from collectors.fio_report import report_records
from insights.consistency import inconsistency
from insights.files import RawRecord, UnreadableFile
from insights.schema import Insight, InvalidInsight

SAMPLES = Path(__file__).parent / "samples"
RIG = DeviceFacts(host="rig")


def report(name: str) -> dict[str, Insight | InvalidInsight]:
    found: dict[str, Insight | InvalidInsight] = {}
    for record in report_records((SAMPLES / name).read_text(), source=name, facts=RIG):
        if isinstance(record, RawRecord):
            insight = Insight.from_json(record.value, record=record.name)
            found[insight.device_id] = insight
        else:
            found[record.record] = record
    return found


def logs(*names: str, **changes: Any) -> list[Insight]:
    given: dict[str, Any] = {"facts": RIG, "interval_seconds": None, "start": None}
    records = log_records([SAMPLES / name for name in names], **(given | changes))
    return [Insight.from_json(record.value, record=record.name) for record in records]


def test_a_job_of_one_direction_has_fios_own_numbers():
    row = report("fio.json")["rig/reader"]

    assert isinstance(row, Insight)
    assert row.timestamp == datetime(2026, 11, 25, 21, 38, 48, 624_000, tzinfo=UTC)
    assert (row.interval_seconds, row.read_iops, row.write_iops) == (8.001, pytest.approx(800 / 8.001, rel=1e-5), 0)
    assert (row.avg_latency_ms, row.p95_latency_ms, row.p99_latency_ms) == (0.515584, 2.1463, 5.14458)
    assert row.bandwidth_mbps == pytest.approx(104_857_600 / 8.001e6, rel=1e-5)
    assert (row.io_size_kib, row.error_rate) == (128.0, 0.0)


def test_percentiles_of_two_directions_are_null_where_nothing_tells_them():
    row = report("fio.json")["rig/random"]

    assert isinstance(row, Insight)
    assert (row.p95_latency_ms, row.p99_latency_ms) == (None, None)
    assert row.read_iops == pytest.approx(1120 / 8.001, rel=1e-5)
    assert row.write_iops == pytest.approx(480 / 8.001, rel=1e-5)


def test_histograms_give_the_percentiles_of_both_directions():
    """json+ and lat_percentiles: the 1,600 latencies, expanded and counted here by hand."""
    job = json.loads((SAMPLES / "fio_plus.json").read_text())["jobs"][0]
    expanded = sorted(
        int(nanoseconds)
        for side in ("read", "write")
        for nanoseconds, count in job[side]["lat_ns"]["bins"].items()
        for _ in range(count)
    )

    row = report("fio_plus.json")["rig/random"]

    assert isinstance(row, Insight)
    assert len(expanded) == 1600
    assert row.p95_latency_ms == pytest.approx(expanded[1520 - 1] / 1e6, rel=1e-5)
    assert row.p99_latency_ms == pytest.approx(expanded[1584 - 1] / 1e6, rel=1e-5)
    mean = (1120 * job["read"]["lat_ns"]["mean"] + 480 * job["write"]["lat_ns"]["mean"]) / 1600
    assert row.avg_latency_ms == pytest.approx(mean / 1e6, rel=1e-5)


def test_merged_reporting_beside_the_directions_gives_percentiles_too():
    merged = json.loads((SAMPLES / "fio_both.json").read_text())["jobs"][0]["mixed"]["clat_ns"]["percentile"]
    (row,) = report("fio_both.json").values()

    assert isinstance(row, Insight)
    assert row.p99_latency_ms == pytest.approx(merged["99.000000"] / 1e6, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "reason"), [("fio_mixed.json", "unified_rw_reporting=both"), ("fio_failed.json", "error 22")]
)
def test_a_job_that_tells_too_little_or_failed_is_refused(name: str, reason: str):
    (refusal,) = report(name).values()

    assert isinstance(refusal, InvalidInsight)
    assert reason in str(refusal)


def test_errors_that_a_job_went_on_after_are_a_rate():
    given = json.loads((SAMPLES / "fio_both.json").read_text())
    given["jobs"][0] |= {"error": 5, "total_err": 50}

    (record,) = report_records("fio: note\n" + json.dumps(given), source="s", facts=RIG)

    assert isinstance(record, RawRecord)
    assert record.value["error_rate"] == pytest.approx(50 / 250)


@pytest.mark.parametrize("text", ["", "{}", '{"jobs": ['])
def test_what_is_no_report_is_refused_by_name(text: str):
    with pytest.raises(UnreadableFile, match=r"x\.json"):
        list(report_records(text, source="x.json", facts=RIG))


def test_single_ios_make_whole_intervals_with_every_field():
    """The second interval of the log, counted here line by line."""
    lines = [[int(cell) for cell in line.split(",")] for line in (SAMPLES / "raw_lat.1.log").read_text().splitlines()]
    seconds = sorted({line[0] // 1000 for line in lines})
    inside = [line for line in lines if line[0] // 1000 == seconds[1]]
    latencies = sorted(line[1] / 1e6 for line in inside)

    row = logs("raw_lat.1.log")[0]

    assert row.device_id == "rig/raw.1"
    assert row.timestamp == datetime.fromtimestamp(seconds[1] + 1, UTC)
    assert row.read_iops == sum(line[2] == 0 for line in inside)
    assert row.write_iops == sum(line[2] == 1 for line in inside)
    assert row.p99_latency_ms == pytest.approx(latencies[-1 - int(len(latencies) * 0.01)], rel=1e-5)
    assert row.avg_latency_ms == pytest.approx(sum(latencies) / len(latencies), rel=1e-5)
    assert row.queue_depth == pytest.approx(sum(latencies) / 1000, rel=1e-5)
    assert row.bandwidth_mbps == pytest.approx(8192 * len(inside) / 1e6, rel=1e-5)
    assert inconsistency(row) is None


def test_a_sequential_job_is_seen_to_be_one_and_a_random_one_not():
    assert {row.sequential_ratio for row in logs("raw_lat.2.log")} <= {0.99, 1.0}
    assert all(row.sequential_ratio is not None and row.sequential_ratio < 0.2 for row in logs("raw_lat.1.log"))


def test_averaged_logs_make_one_row_a_window():
    """Of the first window: 140 reads and 60 writes a second of 741 and 1,676 us, 1,121 and 480 KiB/s."""
    rows = logs(*(f"avg_{what}.1.log" for what in ("bw", "clat", "iops", "lat", "slat")))

    assert len(rows) == 8
    assert [row.interval_seconds for row in rows] == [1.0] * 8
    assert (rows[0].read_iops, rows[0].write_iops) == (140, 60)
    assert rows[0].avg_latency_ms == pytest.approx((140 * 0.741420 + 60 * 1.675819) / 200, rel=1e-5)
    assert rows[0].bandwidth_mbps == pytest.approx(1601 * 1024 / 1e6, rel=1e-5)
    assert rows[0].p99_latency_ms is None
    assert {round((after.timestamp - before.timestamp).total_seconds()) for before, after in pairwise(rows)} == {1}
    assert [inconsistency(row) for row in rows] == [None] * 8


def test_averages_of_latency_alone_are_refused():
    with pytest.raises(UnreadableFile, match="_iops and a _bw log"):
        logs("avg_lat.1.log")


def test_a_job_that_only_trimmed_has_no_rows(tmp_path: Path):
    path = tmp_path / "trims_lat.1.log"
    path.write_text("".join(f"{1_790_000_000_000 + ms}, 500000, 2, 4096, 0\n" for ms in range(0, 3500, 10)))
    assert logs(str(path)) == []


def test_times_of_a_logs_own_need_its_beginning(tmp_path: Path):
    (tmp_path / "own_lat.1.log").write_text("".join(f"{ms}, 500000, 0, 4096, 0\n" for ms in range(0, 3500, 10)))
    path = tmp_path / "own_lat.1.log"

    with pytest.raises(UnreadableFile, match="--start"):
        logs(str(path))
    rows = logs(str(path), start=datetime(2026, 3, 2, 10, tzinfo=UTC))
    assert [row.timestamp.second for row in rows] == [2, 3]
    assert {(row.read_iops, row.sequential_ratio, row.queue_depth) for row in rows} == {(100.0, None, 0.05)}


@pytest.mark.parametrize(("name", "text"), [("other.log", "1, 2, 0, 4096\n"), ("x_lat.1.log", "no log\n")])
def test_what_is_no_log_is_refused_by_name(tmp_path: Path, name: str, text: str):
    (tmp_path / name).write_text(text)
    with pytest.raises(UnreadableFile, match=name):
        logs(str(tmp_path / name))


@pytest.mark.skipif(shutil.which("fio") is None, reason="fio is not installed here")
def test_fio_as_it_is_installed_here_is_read(tmp_path: Path):
    options = ("--size=1m", "--rw=randrw", "--bs=4k", "--rate_iops=200,100", "--time_based", "--runtime=1")
    output = tmp_path / "live.json"
    subprocess.run(
        ["fio", "--name=live", f"--filename={tmp_path}/file", *options, "--output-format=json+", f"--output={output}"],
        check=True,
        capture_output=True,
    )

    (record,) = report_records(output.read_text(), source="live", facts=RIG)

    assert isinstance(record, RawRecord)
    row = Insight.from_json(record.value)
    assert row.read_iops > 0
    assert row.p99_latency_ms is not None
    assert inconsistency(row) is None
