import gzip
import io
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insights.files import (
    UnreadableFile,
    parse_insights,
    read_insights,
    write_csv,
    write_json,
    write_json_lines,
)
from insights.schema import CSV_COLUMNS, Insight, InvalidInsight
from tests.insights.insight_strategies import INSIGHTS, row

Writer = Callable[[str | Path, Iterable[Insight]], int]
WRITERS: list[Writer] = [write_json, write_csv, write_json_lines]
ROWS = [row(index, avg_latency_ms=None if index % 3 else 1.5, alert=index == 2) for index in range(5)]


def lines_of(rows: Iterable[Insight]) -> list[str]:
    return [json.dumps(insight.to_json()) for insight in rows]


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("ending", ["data", "data.gz"])
def test_what_is_written_is_read_back_whatever_the_name(tmp_path: Path, writer: Writer, ending: str) -> None:
    assert writer(tmp_path / ending, iter(ROWS)) == len(ROWS)
    assert list(read_insights(tmp_path / ending)) == ROWS
    (tmp_path / ending).rename(tmp_path / "renamed.txt")
    assert list(read_insights(tmp_path / "renamed.txt")) == ROWS


@given(st.lists(INSIGHTS, min_size=1, max_size=5), st.sampled_from(WRITERS))
def test_any_insight_survives_any_file(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Insight], writer: Writer
) -> None:
    path = tmp_path_factory.mktemp("files") / "rows"
    writer(path, rows)
    assert list(read_insights(path)) == rows


@pytest.mark.parametrize("writer", WRITERS)
def test_gzip_files_of_the_same_rows_are_the_same_bytes(tmp_path: Path, writer: Writer) -> None:
    writer(tmp_path / "a.gz", ROWS)
    writer(tmp_path / "b.gz", ROWS)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    # RFC 1952: magic, method, no flags (so no name), no time, then level and system
    assert (tmp_path / "a.gz").read_bytes()[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"


def test_a_json_file_holds_one_insight_per_line(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", ROWS)
    text = (tmp_path / "a.json").read_text()
    assert [insight["timestamp"] for insight in json.loads(text)] == [r.to_json()["timestamp"] for r in ROWS]
    assert text.count("\n") == len(ROWS) + 2


def test_an_empty_array_holds_no_insights_but_an_empty_file_is_refused(tmp_path: Path) -> None:
    assert write_json(tmp_path / "none.json", []) == 0
    assert list(read_insights(tmp_path / "none.json")) == []
    for content in (b"", b"\n \n", gzip.compress(b"")):
        (tmp_path / "empty").write_bytes(content)
        with pytest.raises(UnreadableFile, match=r"empty.*is empty"):
            list(read_insights(tmp_path / "empty"))


def test_a_csv_header_alone_holds_no_insights(tmp_path: Path) -> None:
    assert write_csv(tmp_path / "none.csv", []) == 0
    assert list(read_insights(tmp_path / "none.csv")) == []


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_columns_may_come_in_any_order_with_a_usual_delimiter(delimiter: str) -> None:
    columns = list(CSV_COLUMNS)
    random.Random(4).shuffle(columns)
    lines = [delimiter.join(columns)] + [delimiter.join(r.to_csv()[name] for name in columns) for r in ROWS]
    stream = io.StringIO("\r\n".join(lines), newline="")
    assert list(parse_insights(stream, source="shuffled.csv")) == ROWS


def test_an_array_across_chunk_borders_and_without_line_ends_is_read() -> None:
    rows = [row(index, device_id="d" * (index % 128 + 1)) for index in range(900)]
    stream = io.StringIO("\n\n  [ " + " , ".join(lines_of(rows)) + "]  \n")
    assert list(parse_insights(stream, source="one line")) == rows


def test_a_byte_order_mark_and_blank_lines_are_no_matter(tmp_path: Path) -> None:
    content = "\ufeff\n" + "\n\n".join(lines_of(ROWS)) + "\n"
    (tmp_path / "bom").write_text(content, encoding="utf-8")
    assert list(read_insights(tmp_path / "bom")) == ROWS


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"device_id": "caf\xe9"}', "UTF-8"),
        ("device_id,timestamp".encode("utf-16"), "UTF-16"),
        (b"PAR1\x00\x00", "Parquet"),
        (b"PK\x03\x04....", "zip"),
        (gzip.compress(b'{"device_id": "x"}\n' * 50, mtime=0)[:-9], "gzip"),
        (b"\x1f\x8bnonsense", ""),
        (b"\x28\xb5\x2f\xfd\x00", "zstandard"),
        (b"BZh91AY", "bzip2"),
        (b"\xfd7zXZ\x00", "xz"),
        (b"\xfe\xff\x00d", "UTF-16"),
        ((",".join(CSV_COLUMNS) + '\n"a').encode(), "its CSV is broken near line 2"),
        (b"device_id," + b"x" * 400 + b"\n", "x..."),
        (b"hello world\n", "neither JSON nor a header"),
        (b'[{"device_id": "x"', "broken"),
        (b"[1, 2", "cut off"),
        (b"[] trailing", "follows"),
        (b"[,]", ""),
        (b"device_id,timestamp,iops\n", "unknown column 'iops'"),
        (b"device_id,device_id,timestamp\n", "twice"),
        (b"device_id,timestamp,interval_seconds,read_iops,write_iops\n", "missing column 'bandwidth_mbps'"),
    ],
)
def test_an_unreadable_file_is_refused_by_name_with_the_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "rack7.dat").write_bytes(content)
    with pytest.raises(UnreadableFile, match=r"rack7\.dat") as caught:
        list(read_insights(tmp_path / "rack7.dat", on_invalid=lambda refusal: None))
    assert reason in str(caught.value)


def test_a_refused_file_is_said_with_reason_and_remedy_and_no_more_than_some_of_it() -> None:
    assert str(UnreadableFile("a.csv", "it is empty", "give another")) == "a.csv: it is empty; give another"
    assert str(UnreadableFile("a", "r" * 300, "give")) == f"a: {'r' * 300}; give"
    assert str(UnreadableFile("a", "r" * 301, "give")) == f"a: {'r' * 297}...; give"


def test_a_missing_file_and_a_folder_are_refused_by_name(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.json", tmp_path):
        with pytest.raises(UnreadableFile, match=path.name):
            list(read_insights(path))


def test_the_first_bad_record_raises_and_names_its_line() -> None:
    lines = lines_of(ROWS)
    lines[3] = lines[3].replace('"read_iops": 60.0', '"read_iops": NaN')
    with pytest.raises(InvalidInsight, match=r"line 4 of rack\.jsonl.*read_iops.*nan"):
        list(parse_insights(io.StringIO("\n".join(lines)), source="rack.jsonl"))


def test_bad_records_are_handed_over_and_the_others_still_read() -> None:
    lines = lines_of(ROWS)
    bad = ["{not json", "[1]", '{"device_id": "x"}', "17", '{"a": ' + "9" * 5000 + "}"]
    refusals: list[InvalidInsight] = []
    stream = io.StringIO("\n".join([lines[0], *bad, *lines[1:]]))
    assert list(parse_insights(stream, source="s", on_invalid=refusals.append)) == ROWS
    assert [refusal.record for refusal in refusals] == [f"line {number} of s" for number in range(2, 7)]


def test_a_csv_row_with_a_cell_too_few_is_handed_over_with_its_line() -> None:
    table = [",".join(CSV_COLUMNS), *(",".join(r.to_csv().values()) for r in ROWS)]
    table[2] = table[2].rpartition(",")[0]
    refusals: list[InvalidInsight] = []
    rows = list(parse_insights(io.StringIO("\n".join(table)), source="s", on_invalid=refusals.append))
    assert rows == [ROWS[0], *ROWS[2:]]
    assert [refusal.record for refusal in refusals] == ["line 3 of s"]
    assert "22, not 21" in refusals[0].rule


def test_records_of_an_array_are_named_by_their_place() -> None:
    refusals: list[InvalidInsight] = []
    text = f"[{lines_of(ROWS)[0]}, null, {lines_of(ROWS)[1]}]"
    assert list(parse_insights(io.StringIO(text), source="s", on_invalid=refusals.append)) == ROWS[:2]
    assert refusals[0].record == "record 2 of s"


def test_lines_like_those_of_measured_servers_are_read() -> None:
    line = (
        '{"device_id": "host.example/sda", "timestamp": "2004-11-24T23:12:06.279Z", "interval_seconds": 59.973, '
        '"read_iops": 0.0, "write_iops": 0.0, "avg_latency_ms": null, "p99_latency_ms": null, "bandwidth_mbps": 0.0, '
        '"error_rate": null, "queue_depth": 0.0, "io_size_kib": null, "sequential_ratio": null}\n'
    )
    (insight,) = parse_insights(io.StringIO(line), source="measured")
    assert insight.avg_latency_ms is None
    assert insight.queue_depth == 0
    assert insight.device_class is None
    assert insight.alert is False
