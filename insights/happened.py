"""What happened after a prediction, of those who say so: the operators, then the telemetry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

OUTCOME_OF: Final[Mapping[str, str]] = {"risk": "risk_level", "performance": "performance_score"}
"""The field that each kind of model predicts; `feedback` and `outcome` of a stored prediction name it alike."""


def happened_to(prediction: Mapping[str, Any]) -> Any:
    """What a stored prediction's `feedback` says of its kind's field, else its `outcome`, else None: an operator's word
    counts before the telemetry's."""
    name = OUTCOME_OF[prediction["kind"]]
    for source in ("feedback", "outcome"):
        value = (prediction.get(source) or {}).get(name)
        if value is not None:
            return value
    return None
