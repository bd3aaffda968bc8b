from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given

from insights.row_text import CSV_HEADER, row_texts
from insights.schema import CSV_COLUMNS, Insight
from tests.insights.insight_strategies import INSIGHTS, row


@given(INSIGHTS)
def test_both_lines_are_what_the_libraries_write(insight: Insight) -> None:
    table = io.StringIO()
    writer = csv.DictWriter(table, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerow(insight.to_csv())
    line, row = row_texts(insight)
    assert line == json.dumps(insight.to_json(), separators=(",", ":"))
    assert f"{CSV_HEADER}\n{row}\n" == table.getvalue()


@pytest.mark.parametrize(
    ("device", "json_text", "csv_text"),
    [
        ("a,b", '"a,b"', '"a,b"'),
        ('a"b', r'"a\"b"', '"a""b"'),
        ('","', r'"\",\""', '""","""'),
        ("a b;c'd", '"a b;c\'d"', "a b;c'd"),
        ("ü\\", r'"\u00fc\\"', "ü\\"),
    ],
)
def test_a_text_with_a_comma_or_a_quote_is_quoted_in_csv_and_no_other(
    device: str, json_text: str, csv_text: str
) -> None:
    line, cells = row_texts(row(0, device))
    assert line.startswith('{"device_id":' + json_text + ',"timestamp":"2026-01-05T00:00:00.000Z",')
    assert cells.startswith(csv_text + ",2026-01-05T00:00:00.000Z,")


def test_what_is_unknown_is_null_or_empty_and_a_flag_is_a_word() -> None:
    line, cells = row_texts(row(0, alert=True, is_anomaly=False))
    values, written = json.loads(line), dict(zip(CSV_HEADER.split(","), cells.split(","), strict=True))
    assert [(values[name], written[name]) for name in ("alert", "is_anomaly", "error_rate", "risk_level", "read_iops")] == [
        (True, "true"), (False, "false"), (None, ""), (None, ""), (60.0, "60.0"),
    ]  # fmt: skip
