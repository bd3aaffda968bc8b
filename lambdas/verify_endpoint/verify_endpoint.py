"""Does the live endpoint answer as the model did when it was evaluated? Asked with the golden rows stored beside it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from insights.feature_table import FEATURE_NAMES
from insights.schema import is_finite_number
from lambdas.clients import client
from lambdas.objects import UnreadableObject, read_json_object, split_uri

# Predictions are 32-bit floats, computed again on another machine; a level's probability or a score of another model
# differs by far more.
TOLERANCE = 1e-4
# Contributions tie and then change places; they explain a prediction and are none.
_EXPLANATION = "contributions"


class Comparison(NamedTuple):
    """The worst difference of any number, and the first disagreement as text (empty: none)."""

    worst_difference: float
    disagreement: str


def verify_endpoint(
    *,
    endpoint_name: str,
    golden_uri: str,
    expected_package: str,
    variant: str = "live",
    s3: Any = None,
    sagemaker_runtime: Any = None,
) -> dict[str, Any]:
    """An endpoint that cannot be asked raises, so that the state retries; one that answers otherwise does not match."""
    bucket, key = split_uri(golden_uri)
    golden = read_json_object(s3 or client("s3"), bucket, key, remedy="promote a model whose run still has its files")
    rows, expected = golden.get("rows"), golden.get("predictions")
    if not isinstance(rows, list) or not rows or not isinstance(expected, list) or len(rows) != len(expected):
        raise UnreadableObject(bucket, key, "does not hold as many predictions as rows")
    if not all(isinstance(row, list) for row in rows):
        raise UnreadableObject(bucket, key, "holds a row that is no list of values")
    response = (sagemaker_runtime or client("sagemaker-runtime")).invoke_endpoint(
        EndpointName=endpoint_name,
        TargetVariant=variant,
        ContentType="text/csv",
        Accept="application/json",
        Body=_as_csv(rows),
    )
    answer = json.loads(response["Body"].read())
    matched, comparison, reason = _verdict(answer, expected, expected_package)
    return {
        "matched": matched,
        "checked": len(rows),
        "worst_difference": comparison.worst_difference,
        "reason": reason,
    }


def _verdict(answer: Mapping[str, Any], expected: Sequence[Any], expected_package: str) -> tuple[bool, Comparison, str]:
    predictions, package = answer.get("predictions", []), answer.get("model_version")
    if package != expected_package:
        return False, Comparison(0.0, ""), f"the endpoint answers as {package}, not as {expected_package}"
    if len(predictions) != len(expected):
        reason = f"the endpoint gave {len(predictions)} predictions for {len(expected)} golden rows"
        return False, Comparison(0.0, ""), reason
    comparison = compare(expected, predictions)
    if comparison.disagreement:
        return False, comparison, f"golden prediction {comparison.disagreement} (tolerance {TOLERANCE:g})"
    return True, comparison, f"all {len(expected)} golden predictions match within {TOLERANCE:g}"


def compare(expected: Sequence[Any], found: Sequence[Any]) -> Comparison:
    """Every number of the golden predictions must be there again; a level follows from its probabilities."""
    worst, disagreement = 0.0, ""
    for row, (wanted, given) in enumerate(zip(expected, found, strict=True), start=1):
        for place, left, right in _pairs(wanted, given, f"{row}"):
            difference = abs(left - right) if is_finite_number(right) else None
            worst = max(worst, difference or 0.0)
            if (difference is None or difference > TOLERANCE) and not disagreement:
                disagreement = f"{place}: expected {left}, got {right}"
    return Comparison(worst, disagreement)


def _pairs(wanted: Any, given: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(wanted, Mapping):
        for name, value in wanted.items():
            if name == _EXPLANATION:
                continue
            yield from _pairs(value, given.get(name) if isinstance(given, Mapping) else None, f"{place} {name}")
    elif isinstance(wanted, list):
        others = given if isinstance(given, list) else []
        for position, value in enumerate(wanted):
            other = others[position] if position < len(others) else None
            yield from _pairs(value, other, f"{place} [{position}]")
    elif is_finite_number(wanted):
        yield place, wanted, given


def _as_csv(rows: Sequence[Sequence[float | None]]) -> str:
    """With the header, so that the container checks the order too; an unknown value is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FEATURE_NAMES)
    writer.writerows(["" if value is None else repr(value) for value in row] for row in rows)
    return text.getvalue()
