"""Held against insights/files.py, which is the strict reader and says what is an insight."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insights.columns import ARRAY_COLUMNS, InsightColumns
from insights.files import UnreadableFile, read_insights, write_csv, write_json, write_json_lines
from insights.schema import Insight, InvalidInsight
from tests.insights.insight_strategies import INSIGHTS, row
from training_container import read_columns as module
from training_container.read_columns import read_columns

WRITERS: list[Callable[..., int]] = [write_json, write_json_lines, write_csv]
ROWS = [row(index, f"disk-{index % 3}", avg_latency_ms=None if index % 2 else 1.5) for index in range(7)]
LINES = [json.dumps(insight.to_json()) for insight in ROWS]


def whole(path: Path) -> InsightColumns:
    return InsightColumns.concatenate([block.columns for block in read_columns(path)])


def assert_same(ours: InsightColumns, theirs: InsightColumns) -> None:
    assert (ours.devices, ours.device_classes) == (theirs.devices, theirs.device_classes)
    for name in ARRAY_COLUMNS:
        one, other = getattr(ours, name), getattr(theirs, name)
        assert (one.dtype, one.tobytes()) == (other.dtype, other.tobytes()), name


def outcome(read: Callable[[Path], Any], path: Path) -> Any:
    """What is read, or the words of the refusal."""
    try:
        return read(path)
    except (InvalidInsight, UnreadableFile) as refused:
        return type(refused), str(refused)


@given(st.lists(INSIGHTS, min_size=1, max_size=6), st.sampled_from(WRITERS), st.sampled_from(["rows", "rows.gz"]))
@settings(max_examples=60)
def test_any_insight_has_the_bits_that_the_strict_reader_gives_it(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Insight], writer: Callable[..., int], name: str
) -> None:
    path = tmp_path_factory.mktemp("rows") / name
    writer(path, rows)
    assert_same(whole(path), InsightColumns.from_insights(list(read_insights(path))))


def refuse(path: Path) -> Iterator[Insight]:
    raise AssertionError(f"{path} was left to the strict reader")


@pytest.mark.parametrize("writer", [write_json, write_json_lines])
@pytest.mark.parametrize("name", ["rows", "rows.gz"])
def test_what_the_export_writes_needs_no_strict_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: Callable[..., int], name: str
) -> None:
    monkeypatch.setattr(module, "ROWS_READ", 3)
    writer(tmp_path / name, ROWS)
    expected = InsightColumns.from_insights(ROWS)
    monkeypatch.setattr(module, "read_insights", refuse)
    assert [block.rows for block in read_columns(tmp_path / name)] == [3, 3, 1]
    assert_same(whole(tmp_path / name), expected)


def changed(place: int, **values: Any) -> str:
    """The rows as a JSON array, an object a line, one of them with other values, spelled as they are."""
    record = json.loads(LINES[place])
    text = json.dumps(record | dict.fromkeys(values, "@"))
    for name, value in values.items():
        text = text.replace(f'"{name}": "@"', f'"{name}": {value}')
    return "[\n" + ",\n".join([*LINES[:place], text, *LINES[place + 1 :]]) + "\n]\n"


ODD_VALUES = {
    "queue_depth": ["NaN", "-Infinity", "1e9999", "-1", "1e-200", "-0.0", "7", "9" * 400, '"12"', "true", "null", "{}"],
    "interval_seconds": ["null", "0", "0.0", "604801", "300"],
    "error_rate": ["1.0000000000000002", "1", "1e-12", "9.9e-13"],
    "alert": ["null", "1", '"true"', "true"],
    "risk_level": ['"severe"', '"high"', "3", "null"],
    "device_id": ['""', '"  "', '"a\\u0007"', '"\\ud800"', '"dïsk"', "7", f'"{"x" * 129}"'],
    "device_class": ['"\\u0085"', '" "', '"hdd"', "null"],
    "timestamp": [
        '"2026-01-05T00:00:00Z"',
        '"2026-01-05T02:00:00.000+02:00"',
        '"2026-01-05T00:00:00.000000Z"',
        '"2026-01-05 00:00:00.000Z"',
        '"2026-02-30T00:00:00.000Z"',
        '"2026-01-05T24:00:00.000Z"',
        '"2026-01-05T23:59:60.000Z"',
        '"1969-12-31T23:59:59.999Z"',
        '"2199-12-31T23:59:59.999Z"',
        '"2200-01-01T00:00:00.000Z"',
        '"0000-01-05T00:00:00.000Z"',
        '"２026-01-05T00:00:00.000Z"',
        '"2026-01-05T00:00:00.000z"',
        "1767571200",
        "null",
    ],
    "surprise": ["1"],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in ODD_VALUES.items() for value in values], ids=ascii
)
def test_an_odd_value_is_read_or_refused_in_the_strict_readers_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setattr(module, "ROWS_READ", 3)  # row 4 is in the second block
    path = tmp_path / "rows.json"
    path.write_text(changed(4, **{name: value}))
    expected = outcome(lambda file: InsightColumns.from_insights(list(read_insights(file))), path)
    found = outcome(whole, path)
    if isinstance(expected, InsightColumns):
        assert_same(found, expected)
    else:
        assert found == expected


PRETTY = json.dumps([json.loads(line) for line in LINES], indent=1)
ODD_FORMS = {
    "pretty": PRETTY,
    "one line": json.dumps([json.loads(line) for line in LINES]),
    "two a line": "[\n" + LINES[0] + "," + LINES[1] + ",\n" + LINES[2] + "\n]",
    "no comma": "[\n" + LINES[0] + "\n" + LINES[1] + "\n]",
    "two commas": "[\n" + LINES[0] + ",,\n" + LINES[1] + "\n]",
    "comma first": "[\n,\n" + LINES[0] + "\n]",
    "comma last": "[\n" + LINES[0] + ",\n]",
    "blank lines": "[\n\n" + LINES[0] + ",\n \n" + LINES[1] + "\n\n]\n\n",
    "cut off": "[\n" + LINES[0] + ",\n" + LINES[1][:50],
    "no bracket": "[\n" + LINES[0] + ",\n" + LINES[1] + "\n",
    "text after it": "[\n" + LINES[0] + "\n]\n{}",
    "empty array": "[\n]\n",
    "brackets": "[]",
    "lines with blanks": "\n" + LINES[0] + "\n\n  \n " + LINES[1] + "\n",
    "object over two lines": LINES[0].replace(", ", ",\n", 1) + "\n" + LINES[1],
    "two objects a line": LINES[0] + LINES[1] + "\n" + LINES[2],
    "a comma after a line": LINES[0] + ",\n" + LINES[1],
    "windows": "[\r\n" + ",\r\n".join(LINES) + "\r\n]\r\n",
    "byte order mark": "\ufeff[\n" + ",\n".join(LINES) + "\n]",
    "no insights": "[\n1,\n2\n]",
    "a name twice": "[\n" + LINES[0].replace('"alert": false', '"alert": 3, "alert": true') + "\n]",
    "a valid name twice": LINES[0].replace('"alert": false', '"alert": false, "alert": true'),
}


@pytest.mark.parametrize("form", ODD_FORMS)
@pytest.mark.parametrize("rows_read", [1, 100])
def test_an_odd_form_is_read_or_refused_in_the_strict_readers_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, rows_read: int
) -> None:
    monkeypatch.setattr(module, "ROWS_READ", rows_read)
    path = tmp_path / "rows.json"
    path.write_bytes(ODD_FORMS[form].encode())
    expected = outcome(lambda file: InsightColumns.from_insights(list(read_insights(file))), path)
    found = outcome(whole, path)
    if isinstance(expected, InsightColumns):
        assert_same(found, expected)
    else:
        assert found == expected


@pytest.mark.parametrize("damage", [b"\xff", b"\x00"])
@pytest.mark.parametrize("place", [300, -10])
def test_damaged_text_is_refused_in_the_strict_readers_words(tmp_path: Path, damage: bytes, place: int) -> None:
    path = tmp_path / "rows.json"
    write_json(path, ROWS)
    content = path.read_bytes()
    path.write_bytes(content[:place] + damage + content[place + 1 :])
    expected = outcome(lambda file: list(read_insights(file)), path)
    assert expected[0] in (InvalidInsight, UnreadableFile)
    assert outcome(whole, path) == expected


def test_a_gzip_file_that_ends_early_is_refused_in_the_strict_readers_words(tmp_path: Path) -> None:
    write_json(tmp_path / "whole.gz", ROWS * 50)
    (tmp_path / "rows.gz").write_bytes((tmp_path / "whole.gz").read_bytes()[:-9])
    expected = outcome(lambda file: list(read_insights(file)), tmp_path / "rows.gz")
    assert expected[0] is UnreadableFile
    assert outcome(whole, tmp_path / "rows.gz") == expected


def test_of_rows_with_one_key_the_last_wins_on_either_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row(0, read_iops=1.0), row(1), row(0, read_iops=2.0), row(2)]
    bad = "[\n" + ",\n".join([*(json.dumps(r.to_json()) for r in rows), "{}"]) + "\n]\n"
    monkeypatch.setattr(module, "ROWS_READ", 2)
    write_json(tmp_path / "good.json", rows)
    (tmp_path / "bad.json").write_text(bad)
    assert whole(tmp_path / "good.json").read_iops.tolist() == [2.0, 60.0, 60.0]
    with pytest.raises(InvalidInsight, match=r"record 5 of .*bad\.json"):
        whole(tmp_path / "bad.json")


def test_times_are_the_same_number_to_the_last_bit(tmp_path: Path) -> None:
    moments = np.random.default_rng(3).integers(0, 7_258_118_400_000, 500)
    stamps = np.char.add(np.datetime_as_string(moments.astype("datetime64[ms]")), "Z").tolist()
    records = [json.loads(LINES[0]) | {"timestamp": stamp} for stamp in stamps]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, records)))
    expected = InsightColumns.from_insights(list(read_insights(tmp_path / "rows.jsonl")))
    found = whole(tmp_path / "rows.jsonl")
    assert_same(found, expected)
    assert found.timestamps() == sorted(stamps)
