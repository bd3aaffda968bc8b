from __future__ import annotations

import json
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from collectors.mapping import ColumnMapping, InvalidMapping, mapping_of, read_mapping
from collectors.units import UNITS
from insights.schema import NUMBER_FIELDS, Insight, InvalidInsight

MINIMAL: dict[str, Any] = {
    "device_id": "d",
    "timestamp": "2026-03-02T10:00:00Z",
    "interval_seconds": 60,
    "read_iops": 100.0,
    "write_iops": 50.0,
    "bandwidth_mbps": 2.5,
}


def insight(record: dict[str, Any], mapping: str = "") -> Insight:
    values = mapping_of(tomllib.loads(mapping)).values(record, name="line 1 of f")
    return Insight.from_json(values, record="line 1 of f")


def test_own_columns_need_no_mapping():
    assert insight(MINIMAL) == Insight.from_json(MINIMAL)


def test_texts_of_own_columns_are_read_as_csv_cells():
    texts = {name: str(value) for name, value in MINIMAL.items()} | {"alert": "true", "p99_latency_ms": " "}
    assert insight(texts) == Insight.from_json(MINIMAL | {"alert": True})


@pytest.mark.parametrize(
    ("field", "unit", "cell", "value"),
    [
        ("avg_latency_ms", "s", 0.0025, 2.5),
        ("p95_latency_ms", "us", "2500", 2.5),
        ("p99_latency_ms", "ns", 2_500_000, 2.5),
        ("bandwidth_mbps", "B/s", 2_500_000, 2.5),
        ("bandwidth_mbps", "kB/s", 2500, 2.5),
        ("bandwidth_mbps", "KiB/s", 2000, 2.048),
        ("bandwidth_mbps", "MiB/s", 2, 2.097152),
        ("bandwidth_mbps", "Mb/s", 20, 2.5),
        ("bandwidth_mbps", "Gb/s", "0.02", 2.5),
        ("bandwidth_mbps", "sectors/s", 4000, 2.048),
        ("bandwidth_mbps", "B/interval", 150_000_000, 2.5),
        ("read_iops", "1/interval", 6000, 100.0),
        ("read_iops", "1000/s", 0.1, 100.0),
        ("write_iops", "1/min", 3000, 50.0),
        ("error_rate", "%", 0.5, 0.005),
        ("sequential_ratio", "%", 80, 0.8),
        ("io_size_kib", "sectors", 16, 8.0),
        ("io_size_kib", "B", 4096, 4.0),
        ("queue_depth", "1", 3, 3.0),
    ],
)
def test_a_unit_is_turned_into_the_insights_own(field: str, unit: str, cell: Any, value: float):
    record = {name: given for name, given in MINIMAL.items() if name != field} | {"theirs": cell}
    row = insight(record, f'[fields]\n{field} = {{ column = "theirs", unit = "{unit}" }}')
    assert getattr(row, field) == pytest.approx(value)


def test_every_number_field_has_its_own_unit_among_those_that_may_be_named():
    assert set(UNITS) == NUMBER_FIELDS
    assert [name for name, units in UNITS.items() if not any(unit.factor == 1 for unit in units.values())] == []


@pytest.mark.parametrize(
    ("options", "cell"),
    [
        ("", "2026-03-02T11:00:00+01:00"),
        ('format = "epoch_s"', 1_772_445_600),
        ('format = "epoch_ms"', "1772445600000"),
        ('format = "epoch_ns"', 1_772_445_600_000_000_000),
        ('format = "%d/%m/%Y %H:%M", zone = "Europe/Vienna"', "02/03/2026 11:00"),
        ('zone = "UTC"', "2026-03-02 10:00:00"),
        ('stamps = "start"', "2026-03-02T09:59:00Z"),
        ("", datetime(2026, 3, 2, 10, tzinfo=UTC)),
    ],
)
def test_a_time_in_any_form_is_the_end_of_its_interval(options: str, cell: Any):
    record = {name: given for name, given in MINIMAL.items() if name != "timestamp"} | {"at": cell}
    more = f", {options}" if options else ""
    row = insight(record, f'[fields]\ntimestamp = {{ column = "at"{more} }}')
    assert row.timestamp == datetime(2026, 3, 2, 10, tzinfo=UTC)


def test_columns_are_joined_to_a_name_added_to_a_number_and_renamed():
    record = {
        "host": "rack-1",
        "disk": "sda",
        "r": 60,
        "w": 40,
        "state": "ALARM",
        "at": 1_772_445_600,
        "rb": 1e6,
        "wb": 1e6,
    }
    row = insight(
        record,
        """
        ignore = ["comment"]
        [fields]
        device_id = { columns = ["host", "disk"] }
        timestamp = { column = "at", format = "epoch_s" }
        read_iops = "r"
        write_iops = "w"
        bandwidth_mbps = { columns = ["rb", "wb"], unit = "B/s" }
        alert = { column = "state", values = { OK = false, ALARM = true } }
        [constants]
        interval_seconds = 60
        device_class = "nvme"
        """,
    )
    assert (row.device_id, row.bandwidth_mbps, row.alert, row.device_class) == ("rack-1/sda", 2.0, True, "nvme")
    assert row.interval_seconds == 60


@pytest.mark.parametrize(
    ("record", "mapping", "field", "reason"),
    [
        (MINIMAL | {"iops": 5}, "", "iops", "ignore"),
        (MINIMAL | {"iops": None}, "", "iops", "map it"),
        (MINIMAL | {"r": 5}, '[fields]\nread_iops = "r"', "read_iops", "ignore"),
        (MINIMAL | {"device_class": "ssd"}, '[constants]\ndevice_class = "hdd"', "device_class", "ignore"),
        (MINIMAL | {"at": 1}, '[fields]\ntimestamp = { column = "at", format = "epoch_s" }', "timestamp", "ignore"),
        (MINIMAL | {"lat": "2,5"}, '[fields]\navg_latency_ms = "lat"', "avg_latency_ms", "'lat'"),
        (MINIMAL | {"lat": True}, '[fields]\navg_latency_ms = "lat"', "avg_latency_ms", "'lat'"),
        (MINIMAL | {"state": "?"}, '[fields]\nalert = { column = "state", values = { OK = false } }', "alert", "OK"),
        (MINIMAL | {"timestamp": "2026-03-02 10:00:00"}, "", "timestamp", "zone"),
        (MINIMAL | {"timestamp": "yesterday"}, "", "timestamp", "format"),
        (MINIMAL | {"timestamp": 1e30}, '[fields]\ntimestamp = { format = "epoch_s" }', "timestamp", "epoch_s"),
        ({"timestamp": "2026-03-02T10:00Z"}, '[fields]\ntimestamp = { stamps = "start" }', "interval_seconds", "start"),
        (MINIMAL | {"write_iops": None}, "", "write_iops", "missing"),
    ],
)  # fmt: skip
def test_a_row_that_is_not_understood_is_refused_by_field_with_the_remedy(
    record: dict[str, Any], mapping: str, field: str, reason: str
):
    with pytest.raises(InvalidInsight) as refused:
        insight(record, mapping)
    assert refused.value.field == field
    assert reason in str(refused.value)
    assert "line 1 of f" in str(refused.value)


def test_a_null_by_another_name_is_null():
    row = insight(MINIMAL | {"avg_latency_ms": "-", "p99_latency_ms": "n/a"}, 'null = ["-", "n/a"]')
    assert (row.avg_latency_ms, row.p99_latency_ms) == (None, None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[field]", "'field'"),
        ('[fields]\niops = "r"', "'iops'"),
        ('[fields]\nread_iops = { column = "r", unit = "ms" }', "1/interval"),
        ('[fields]\nread_iops = { kolumn = "r" }', "kolumn"),
        ('[fields]\nread_iops = { unit = "1/s" }', "read_iops"),
        ('[fields]\nalert = { columns = ["a", "b"] }', "one column"),
        ('[fields]\nread_iops = "r"\n[constants]\nread_iops = 5', "leave one"),
        ('[fields]\ntimestamp = { format = "unix" }', "epoch_ms"),
        ('[fields]\ntimestamp = { zone = "Vienna" }', "Europe/Vienna"),
        ('[fields]\ntimestamp = { stamps = "middle" }', "end, start"),
        ('ignore = "x"', "list"),
        ("not toml", "TOML"),
    ],
)
def test_a_mapping_that_cannot_be_meant_is_refused_by_file_and_place(tmp_path: Path, text: str, reason: str):
    (tmp_path / "m.toml").write_text(text)
    with pytest.raises(InvalidMapping, match=r"m\.toml") as refused:
        read_mapping(tmp_path / "m.toml")
    assert reason.lower() in str(refused.value).lower()


def test_json_says_the_same_as_toml(tmp_path: Path):
    (tmp_path / "m.json").write_text(json.dumps({"fields": {"read_iops": "r"}, "ignore": ["x"]}))
    (tmp_path / "m.toml").write_text('ignore = ["x"]\n[fields]\nread_iops = "r"')
    assert read_mapping(tmp_path / "m.json") == read_mapping(tmp_path / "m.toml") != ColumnMapping()


def test_the_documented_example_is_a_mapping_of_its_documented_row():
    text = Path("docs/collectors.md").read_text()
    mapping, record = (text.partition(f"```{kind}\n")[2].partition("```")[0] for kind in ("toml", "json"))

    row = insight(json.loads(record), mapping)

    assert row.device_id == "array-1/lun-7"
    assert row.timestamp == datetime(2026, 11, 25, 10, 5, tzinfo=UTC)
    assert (row.read_iops, row.write_iops, row.interval_seconds) == (400.0, 100.0, 300.0)
    assert (row.avg_latency_ms, row.p99_latency_ms, row.bandwidth_mbps) == (0.85, 3.2, pytest.approx(8.192))
