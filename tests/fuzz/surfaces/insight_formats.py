"""The forms of an insight: files, a JSON object, a CSV row, an item of the table."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from insights.files import UnreadableFile, read_insights, write_csv, write_json, write_json_lines
from insights.schema import Insight, InvalidInsight
from tests.fuzz.target import NotJson, Target, as_file, check_sentence, json_seeds, parsed, scratch, texts
from tests.insights.insight_strategies import row

ROWS = [
    row(0, "array-1/nvme0", p99_latency_ms=4.5, device_class="nvme", alert=True, workload_type="mixed"),
    row(
        1,
        "array-1/nvme0",
        avg_latency_ms=0.5,
        error_rate=0.0,
        risk_level="high",
        label_source="operator",
        is_anomaly=False,
    ),
]


def read_file(data: bytes) -> None:
    """Every refused record can be said, and what was read can be written and read again."""
    path = as_file(data, "insights")
    refused: list[InvalidInsight] = []
    try:
        read = list(read_insights(path, on_invalid=refused.append))
    finally:
        for refusal in refused[:50]:
            check_sentence(str(refusal))
    for insight in read[:50]:
        _round_trip(insight)


def from_json(data: bytes) -> None:
    _round_trip(Insight.from_json(parsed(data)))


def from_csv(data: bytes) -> None:
    _round_trip(Insight.from_csv(texts(data)))


def from_item(data: bytes) -> None:
    """As boto3 gives an item: numbers are Decimals of up to 38 digits."""
    try:
        item = json.loads(data, parse_float=_decimal, parse_int=_decimal, parse_constant=_no_number)
    except (ValueError, RecursionError, ArithmeticError):
        raise NotJson("no item of a table: a number is none of DynamoDB's") from None
    if isinstance(item, dict):
        _round_trip(Insight.from_item(item))


def _decimal(text: str) -> Decimal:
    number = Decimal(text)
    if number and not -130 <= number.adjusted() <= 125:
        raise ValueError(text)
    return number


def _no_number(name: str) -> Any:
    raise ValueError(name)


def _round_trip(insight: Insight) -> None:
    again = (
        Insight.from_json(json.loads(json.dumps(insight.to_json(), allow_nan=False))),
        Insight.from_csv(insight.to_csv()),
        Insight.from_item(insight.to_item()),
    )
    assert again == (insight,) * 3


def _files() -> tuple[bytes, ...]:
    folder, made = scratch(), []
    for name, write in (("a.jsonl", write_json_lines), ("a.json", write_json), ("a.csv", write_csv)):
        write(folder / name, ROWS)
        text = Path(folder / name).read_bytes()
        made += [text, gzip.compress(text, mtime=0), b"\xef\xbb\xbf\n\n" + text.replace(b"\n", b"\r\n")]
    return tuple(made)


_RECORDS = [insight.to_json() for insight in ROWS]
TARGETS = (
    Target("insight_files", read_file, (UnreadableFile,), _files(), is_json=False),
    Target("insight_json", from_json, (InvalidInsight, NotJson), json_seeds(_RECORDS)),
    Target("insight_csv", from_csv, (InvalidInsight, NotJson), json_seeds(insight.to_csv() for insight in ROWS)),
    Target(
        "insight_item",
        from_item,
        (InvalidInsight, NotJson),
        json_seeds({name: value for name, value in record.items() if value is not None} for record in _RECORDS),
    ),
)
