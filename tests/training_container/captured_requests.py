"""Requests as SageMaker captures them, of a synthetic fleet that the model was not trained on."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from insights.generator import generate
from insights.schema import Insight

DEVICES, ROWS_PER_DEVICE, WINDOW = 60, 64, 12
Change = Callable[[Insight], Insight]


def windows(*, seed: int, change: Change = lambda insight: insight, each: int = 6) -> Iterable[Sequence[Insight]]:
    """Full windows of 60 devices, every `each`-th row's."""
    insights = map(change, generate(DEVICES * ROWS_PER_DEVICE, seed))
    for _, rows in groupby(insights, key=lambda insight: insight.device_id):
        history = list(rows)
        for end in range(WINDOW, len(history) + 1, each):
            yield history[end - WINDOW : end]


def captured_line(
    body: str, *, content_type: str = "application/json", encoding: str = "JSON", time: str = "2026-03-02T10:30:00Z"
) -> str:
    """As in SageMaker's guide, "Capture data"; the answer is left out, as nothing reads it."""
    data = base64.b64encode(body.encode()).decode() if encoding == "BASE64" else body
    record: dict[str, Any] = {
        "captureData": {
            "endpointInput": {"observedContentType": content_type, "mode": "INPUT", "data": data, "encoding": encoding}
        },
        "eventMetadata": {"eventId": "5e4c1f0e-8c3c-4a57-9d0e-6e0f6a7d1c11", "inferenceTime": time},
        "eventVersion": "0",
    }
    return json.dumps(record)


def body_of(window: Sequence[Insight]) -> str:
    return json.dumps({"instances": [{"insights": [row.to_json() for row in window], "last_alert_at": None}]})


def write_captures(folder: Path, lines: Iterable[str], *, variant: str = "live") -> Path:
    """One file where SageMaker would put it."""
    target = folder / variant / "2026" / "03" / "02" / "10" / "30-00-000-0f1e2d3c.jsonl"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("".join(f"{line}\n" for line in lines))
    return folder
