"""What the commands answer to inputs at the edge: a refusal that names the cause, or a result that is stated here."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from insights.generator import generate
from insights.schema import CSV_COLUMNS
from training_container.__main__ import main
from training_container.split_file import Split

Record = dict[str, Any]
REQUIRED = ("device_id", "timestamp", "interval_seconds", "read_iops", "write_iops", "bandwidth_mbps")


@pytest.fixture(scope="module")
def records() -> list[Record]:
    """Twelve devices of 64 rows."""
    return [insight.to_json() for insight in generate(768, 3)]


@pytest.fixture(scope="module")
def plain(records: list[Record], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Every output of the records as they are."""
    folder = tmp_path_factory.mktemp("plain")
    assert engineered(folder, json.dumps(records)) == 0
    return outputs(folder)


def engineered(folder: Path, content: str | bytes, name: str = "given.json", *, split: str = "device") -> int:
    data = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(data)
    return main(["engineer", "--input", str(folder / name), "--output", str(folder / "out"), "--split", split])


def outputs(folder: Path) -> dict[str, bytes]:
    out = folder / "out"
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def trained(folder: Path, kind: str) -> int:
    argv = ["--kind", kind, "--input", str(folder / "out"), "--model", str(folder / kind)]
    return main(["train", *argv, "--num-round", "5", "--nthread", "1"])


def as_csv(records: Sequence[Mapping[str, Any]], columns: Sequence[str] = CSV_COLUMNS, delimiter: str = ",") -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, delimiter=delimiter, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(records)
    return stream.getvalue()


def with_raw_value(records: Sequence[Record], field: str, value: str) -> str:
    """The records as JSON with `value`, spelled as it is, in the field of the sixth."""
    changed = [dict(record) for record in records]
    changed[5][field] = "@value@"
    return json.dumps(changed).replace('"@value@"', value)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("given.json", "[]", "holds no insight; load insights into the table"),
        ("given.csv", ",".join(REQUIRED) + "\n", "holds no insight; load insights into the table"),
        ("given.jsonl", "", "it is empty"),
        ("given.jsonl", "\n \n", "it is empty"),
    ],
)
def test_an_empty_table_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: str, reason: str
):
    assert engineered(tmp_path, content, name) == 2
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_export_of_an_empty_table_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "manifest.json").write_text("{}")
    (tmp_path / "export" / "export-batch-000-00000.json").write_text("[]")
    assert main(["engineer", "--input", str(tmp_path / "export"), "--output", str(tmp_path / "out")]) == 2
    assert "holds no insight" in capsys.readouterr().err


def test_one_device_is_refused_by_device_and_taken_by_time(
    tmp_path: Path, records: list[Record], capsys: pytest.CaptureFixture[str]
):
    lonely = json.dumps([record for record in records if record["device_id"] == records[0]["device_id"]])
    assert engineered(tmp_path, lonely) == 2
    assert "1 of 1 groups of devices hold labels" in capsys.readouterr().err
    assert engineered(tmp_path, lonely, split="time") == 0


def test_a_device_of_one_row_has_no_window_and_is_no_error(tmp_path: Path, records: list[Record]):
    assert engineered(tmp_path, json.dumps([*records, {**records[0], "device_id": "new"}])) == 0
    table = pd.read_csv(tmp_path / "out" / "features.csv").set_index("device_id")
    assert table.loc["new", ["iops_variance", "trend_score", "anomaly_score"]].tolist() == [0, 0, 0]


def test_one_class_is_counted_as_such_and_trains_a_model_that_knows_no_other(tmp_path: Path, records: list[Record]):
    calm = [{**record, "risk_level": record["risk_level"] and "low"} for record in records]
    assert engineered(tmp_path, json.dumps(calm)) == 0
    levels = json.loads((tmp_path / "out" / "engineer.json").read_text())["levels"]
    assert levels["low"] > 0
    assert levels["medium"] == levels["high"] == levels["critical"] == 0
    assert trained(tmp_path, "risk") == 0


@pytest.mark.parametrize("split", ["device", "time"])
def test_a_column_of_nulls_is_missing_everywhere_and_trains(tmp_path: Path, records: list[Record], split: str):
    nulls = [{**record, "queue_depth": None} for record in records]
    assert engineered(tmp_path, json.dumps(nulls), split=split) == 0
    statistics = json.loads((tmp_path / "out" / "feature-statistics.json").read_text())["queue_depth"]
    assert (statistics["count"], statistics["mean"]) == (0, None)
    preprocessing = json.loads((tmp_path / "out" / "preprocessing.json").read_text())
    column = preprocessing["feature_names"].index("queue_depth")
    assert [preprocessing[name][column] for name in ("median", "mean", "deviation")] == [0, 0, 1]
    assert [trained(tmp_path, kind) for kind in ("risk", "performance")] == [0, 0]


def test_constant_columns_have_no_variance_and_no_trend_and_train(tmp_path: Path, records: list[Record]):
    constant = {"read_iops": 0.1, "write_iops": 0.2, "bandwidth_mbps": 0.3, "p99_latency_ms": 0.7, "error_rate": 0.1}
    assert engineered(tmp_path, json.dumps([{**record, **constant} for record in records])) == 0
    table = pd.read_csv(tmp_path / "out" / "features.csv")
    still = ["iops_variance", "throughput_variance", "error_trend", "trend_score", "anomaly_score"]
    assert (table[still] == 0).all(axis=None)
    assert [trained(tmp_path, kind) for kind in ("risk", "performance")] == [0, 0]


def test_of_duplicate_keys_the_last_one_counts(tmp_path: Path, records: list[Record], plain: dict[str, bytes]):
    wrong = [{**record, "read_iops": 1.0, "risk_level": "critical"} for record in records[::3]]
    assert engineered(tmp_path, json.dumps(wrong + records + records[:50])) == 0
    assert outputs(tmp_path) == plain


def test_of_duplicate_keys_in_two_files_the_one_of_the_later_name_counts(
    tmp_path: Path, records: list[Record], plain: dict[str, bytes]
):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.json").write_text(json.dumps([{**record, "read_iops": 1.0} for record in records[::3]]))
    (tmp_path / "raw" / "b.json").write_text(json.dumps(records))
    assert main(["engineer", "--input", str(tmp_path / "raw"), "--output", str(tmp_path / "out")]) == 0
    assert outputs(tmp_path) == plain


def test_the_order_of_the_records_changes_nothing(tmp_path: Path, records: list[Record], plain: dict[str, bytes]):
    assert engineered(tmp_path, json.dumps(random.Random(1).sample(records, len(records)))) == 0
    assert outputs(tmp_path) == plain


def test_a_future_timestamp_is_a_time_like_any_other_because_nothing_asks_the_clock(
    tmp_path: Path, records: list[Record], plain: dict[str, bytes]
):
    # 2026-01-05 and 2099-01-05 are Mondays.
    later = [{**record, "timestamp": record["timestamp"].replace("2026-", "2099-")} for record in records]
    assert engineered(tmp_path, json.dumps(later)) == 0
    moved = outputs(tmp_path)
    assert moved["features.csv"].replace(b"2099-", b"2026-") == plain["features.csv"]
    assert moved["preprocessing.json"] == plain["preprocessing.json"]


@pytest.mark.parametrize("year", ["1969", "2200", "9999"])
def test_a_timestamp_of_no_possible_year_is_refused(
    tmp_path: Path, records: list[Record], capsys: pytest.CaptureFixture[str], year: str
):
    assert engineered(tmp_path, with_raw_value(records, "timestamp", f'"{year}-01-05T00:00:00.000Z"')) == 2
    said = capsys.readouterr().err
    assert all(part in said for part in ("record 6 of", "timestamp", year, "it must lie from 1970 to 2199"))


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "-Infinity", "1e9999", "-1", "1e300", "1e-200", "9" * 400, '"12"', "true", "[]"]
)
def test_no_number_within_its_range_is_refused_by_record_field_value_and_rule(
    tmp_path: Path, records: list[Record], capsys: pytest.CaptureFixture[str], value: str
):
    assert engineered(tmp_path, with_raw_value(records, "queue_depth", value)) == 2
    said = capsys.readouterr().err
    rule = "it must be a finite number, 0 or from 1e-12 to 1e+08 (mean I/Os in flight), or null when unknown"
    assert all(part in said for part in ("record 6 of", "given.json", "queue_depth", rule))


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1e300", "1,5", "twelve", "0x10"])
def test_so_is_one_in_a_cell_of_csv(
    tmp_path: Path, records: list[Record], capsys: pytest.CaptureFixture[str], value: str
):
    changed = [dict(record) for record in records]
    changed[5]["queue_depth"] = value
    assert engineered(tmp_path, as_csv(changed, delimiter=";"), "given.csv") == 2
    said = capsys.readouterr().err
    assert all(part in said for part in ("line 7 of", "given.csv", "queue_depth", "it must be a"))


def test_the_largest_values_that_are_allowed_give_finite_features(tmp_path: Path, records: list[Record]):
    huge = {"read_iops": 1e9, "write_iops": 1e9, "bandwidth_mbps": 1e8, "queue_depth": 1e8, "io_size_kib": 1e8}
    latency = dict.fromkeys(("avg_latency_ms", "p95_latency_ms", "p99_latency_ms"), 1e8)
    changed = [{**record, **(huge | latency if row % 2 else {})} for row, record in enumerate(records)]
    assert engineered(tmp_path, json.dumps(changed)) == 0
    split = Split.read(tmp_path / "out" / "columnar", "train")
    assert not np.isinf(split.X).any()
    assert [trained(tmp_path, kind) for kind in ("risk", "performance")] == [0, 0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('[{"device_id": "sÿnthetic"}]'.encode("latin-1"), "it is no UTF-8 text (invalid start byte at byte 17)"),
        ("device_id,timestamp\ndïsk,".encode("latin-1"), "it is no UTF-8 text"),
        ("[]".encode("utf-16"), "it is UTF-16 text, which is not read here"),
        (b"PAR1....", "it is Parquet, which is not read here"),
    ],
)
def test_what_is_no_utf_8_is_refused_with_what_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, reason: str
):
    assert engineered(tmp_path, content) == 2
    said = capsys.readouterr().err
    assert reason in said
    assert "JSON lines, a JSON array or CSV with a header, as UTF-8" in said


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("arranged", [sorted, reversed], ids=["sorted", "reversed"])
def test_csv_may_have_another_delimiter_and_its_columns_in_any_order(
    tmp_path: Path,
    records: list[Record],
    plain: dict[str, bytes],
    delimiter: str,
    arranged: Callable[[Sequence[str]], Sequence[str]],
):
    content = as_csv(records, list(arranged(CSV_COLUMNS)), delimiter)
    assert engineered(tmp_path, "\ufeff" + content.replace("\n", "\r\n"), "given.csv") == 0
    assert outputs(tmp_path) == plain


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ([*REQUIRED, "Queue Depth"], "unknown column 'Queue Depth'"),
        (REQUIRED[1:], "missing column 'device_id'"),
        ([*REQUIRED, "read_iops"], "column 'read_iops' stands twice"),
    ],
)
def test_csv_with_other_columns_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], columns: Sequence[str], reason: str
):
    assert engineered(tmp_path, ",".join(columns) + "\n", "given.csv") == 2
    assert reason in capsys.readouterr().err


def test_stamps_denser_than_the_interval_put_more_than_twelve_rows_into_a_window(tmp_path: Path, records: list[Record]):
    """The window is a span of time, 11.5 intervals: 115 rows where a row comes each tenth of its interval."""
    one = {**records[0], "device_id": "dense", "interval_seconds": 300.0, "write_iops": 0.0}
    stamps = pd.date_range("2026-01-06", periods=200, freq="30s", tz="UTC")
    dense = [{**one, "timestamp": moment.isoformat(), "read_iops": float(row)} for row, moment in enumerate(stamps)]
    assert engineered(tmp_path, json.dumps(records + dense)) == 0
    table = pd.read_csv(tmp_path / "out" / "features.csv")
    last = table[table["device_id"] == "dense"].iloc[-1]
    assert last["iops_variance"] == pytest.approx((115**2 - 1) / 12)


def test_without_labels_and_without_latency_nothing_says_what_was_good(
    tmp_path: Path, records: list[Record], capsys: pytest.CaptureFixture[str]
):
    bare = [{name: record[name] for name in REQUIRED} for record in records]
    assert engineered(tmp_path, json.dumps(bare)) == 2
    assert "0 of 12 groups of devices hold labels" in capsys.readouterr().err
