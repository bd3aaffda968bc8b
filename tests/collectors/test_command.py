from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from collectors.__main__ import FAILED, REFUSED, WRITTEN, main
from collectors.mapping import ColumnMapping
from collectors.tables import PyarrowMissing, table_records
from insights.files import read_insights, write_json_lines
from lambdas import clients
from lambdas.ingest_insights.ingest_insights import ingest_insights
from tests.insights.insight_strategies import row

SAMPLES = Path(__file__).parent / "samples"
MAPPING = '[fields]\nread_iops = "reads"\nbandwidth_mbps = { column = "kib", unit = "KiB/s" }\n'
RECORD = {
    "device_id": "d",
    "timestamp": "2026-03-02T10:00:00Z",
    "interval_seconds": 60,
    "reads": 100,
    "write_iops": 0,
    "kib": 800,
}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    clients.session.cache_clear()
    clients.client.cache_clear()
    with mock_aws():
        yield
    clients.session.cache_clear()
    clients.client.cache_clear()


@pytest.fixture
def table(aws: None) -> Any:
    keys = [("device_id", "HASH"), ("timestamp", "RANGE")]
    boto3.client("dynamodb").create_table(
        TableName="insights",
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
        BillingMode="PAY_PER_REQUEST",
    )
    return boto3.resource("dynamodb").Table("insights")


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def lines(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "csv.gz"])
def test_foreign_columns_of_every_text_format_become_the_same_rows(tmp_path: Path, kind: str):
    mapping, source, output = tmp_path / "m.toml", tmp_path / f"theirs.{kind}", tmp_path / "out.jsonl"
    mapping.write_text(MAPPING)
    texts = {
        "jsonl": json.dumps(RECORD),
        "json": json.dumps([RECORD]),
        "csv": ";".join(RECORD) + "\n" + ";".join(map(str, RECORD.values())),
    }
    text = texts[kind.removesuffix(".gz")].encode()
    source.write_bytes(gzip.compress(text) if kind.endswith(".gz") else text)

    assert run("files", source, "--mapping", mapping, "--output", output) == WRITTEN
    (made,) = read_insights(output)
    assert (made.read_iops, made.bandwidth_mbps) == (100.0, pytest.approx(0.8192))


def test_parquet_is_read_where_pyarrow_is_and_else_a_sentence_says_what_is_missing(tmp_path: Path):
    path = tmp_path / "theirs.parquet"
    path.write_bytes(b"PAR1")
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        with pytest.raises(PyarrowMissing, match="pip install pyarrow"):
            list(table_records(path, ColumnMapping()))
        assert run("files", path, "--output", tmp_path / "out.jsonl") == FAILED
        return
    (tmp_path / "m.toml").write_text(MAPPING)
    parquet.write_table(pyarrow.Table.from_pylist([RECORD] * 3), path)
    assert run("files", path, "--mapping", tmp_path / "m.toml", "--output", tmp_path / "out.jsonl") == WRITTEN
    assert [made.read_iops for made in read_insights(tmp_path / "out.jsonl")] == [100.0] * 3


def test_refused_rows_are_kept_with_their_reasons_and_the_others_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    own = row().to_json()
    source = lines(
        tmp_path / "rows.jsonl", own, own | {"iops": 5}, own | {"error_rate": 7}, own | {"bandwidth_mbps": 1e7}
    )
    output, quarantine = tmp_path / "out.jsonl", tmp_path / "refused.jsonl"

    assert run("files", source, "--output", output, "--quarantine", quarantine) == REFUSED
    refused = [json.loads(line) for line in quarantine.read_text().splitlines()]
    assert [line["field"] for line in refused] == ["iops", "error_rate", "bandwidth_mbps"]
    assert [set(line) for line in refused] == [{"record", "field", "value", "reason"}] * 3
    assert len(list(read_insights(output))) == 1
    assert capsys.readouterr().out == f"1 insights written to {output}, 3 refused (see {quarantine})\n"


def test_without_a_quarantine_the_first_refusal_ends_it_and_no_file_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    source = lines(tmp_path / "rows.jsonl", row().to_json(), {"iops": 5})

    assert run("files", source, "--output", tmp_path / "out.jsonl") == FAILED
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.jsonl"]
    assert "field iops" in capsys.readouterr().err


def test_a_column_of_the_mapping_that_no_row_has_is_a_mistake_and_no_null(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "m.toml").write_text(MAPPING + 'avg_latency_ms = "latencie"\n')
    source = lines(tmp_path / "rows.jsonl", RECORD)

    assert run("files", source, "--mapping", tmp_path / "m.toml", "--output", tmp_path / "out.jsonl") == FAILED
    assert "'latencie'" in capsys.readouterr().err
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz"])
def test_repeating_a_command_changes_nothing_in_a_file(tmp_path: Path, ending: str):
    outputs = [tmp_path / f"{number}.{ending}" for number in range(2)]
    for output in (outputs[0], outputs[1], outputs[1]):
        assert run("iostat", SAMPLES / "iostat.json", "--output", output) == WRITTEN
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    assert len(list(read_insights(outputs[0]))) == 6


def test_repeating_a_command_changes_nothing_in_the_table(table: Any):
    for _ in range(2):
        assert run("sar", SAMPLES / "sadf.json", "--split", "bytes", "--table", "insights") == WRITTEN
        assert table.scan(Select="COUNT")["Count"] == 6


def test_a_bucket_gets_an_object_that_ingest_insights_loads_and_one_of_refusals(
    table: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="iops")
    source = lines(tmp_path / "rows.jsonl", row(1).to_json(), row(2).to_json(), {"iops": 5})
    for _ in range(2):
        assert run("files", source, "--bucket", "iops") == REFUSED

    incoming, quarantine = sorted(entry["Key"] for entry in s3.list_objects_v2(Bucket="iops")["Contents"])
    loaded = ingest_insights(bucket="iops", key=incoming, table="insights")

    assert quarantine == f"quarantine/{incoming}.jsonl"
    assert f"s3://iops/{incoming}, 1 refused (see s3://iops/{quarantine})" in capsys.readouterr().out
    assert (loaded["rows"], loaded["refused"]) == (2, 0)
    assert table.scan(Select="COUNT")["Count"] == 2


def test_a_table_that_does_not_exist_is_a_sentence(aws: None, capsys: pytest.CaptureFixture[str]):
    assert run("iostat", SAMPLES / "iostat.json", "--table", "insights") == FAILED
    assert "failed: AWS refused" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["iostat", "x.json"],
        ["sar", "x.json", "--output", "y.jsonl"],
        ["diskstats", "--interval", "0", "--output", "y.jsonl"],
        ["diskstats", "--bucket", "b"],
        ["fio", "x.log", "--start", "2026-03-02T10:00:00", "--output", "y.jsonl"],
        ["files", "x.csv", "--output", "y.jsonl", "--table", "t"],
    ],
)
def test_a_wrong_argument_is_the_second_exit_code(arguments: list[str]):
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 2


def test_fio_files_of_both_kinds_go_into_one_output(tmp_path: Path):
    output = tmp_path / "out.jsonl"
    logs = [SAMPLES / f"raw_lat.{number}.log" for number in (1, 2)]

    assert run("fio", SAMPLES / "fio.json", *logs, "--host", "rig", "--output", output) == WRITTEN
    assert {made.device_id for made in read_insights(output)} == {"rig/random", "rig/reader", "rig/raw.1", "rig/raw.2"}


def test_what_is_written_is_what_write_json_lines_writes(tmp_path: Path):
    write_json_lines(tmp_path / "own.jsonl", [row(1), row(2)])
    assert run("files", tmp_path / "own.jsonl", "--output", tmp_path / "out.jsonl") == WRITTEN
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "own.jsonl").read_bytes()


def test_a_csv_of_the_insights_own_columns_needs_no_mapping(tmp_path: Path):
    with (tmp_path / "own.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row().to_csv()))
        writer.writeheader()
        writer.writerow(row().to_csv())
    assert run("files", tmp_path / "own.csv", "--output", tmp_path / "out.jsonl") == WRITTEN
    assert list(read_insights(tmp_path / "out.jsonl")) == [row()]
