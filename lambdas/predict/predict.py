"""One prediction: the device's window, the model's answer about it, stored before it is given."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from insights.feature_table import WINDOW_ROWS
from insights.schema import timestamp_text
from lambdas.api.problems import TooFewInsights, UnknownDevice
from lambdas.predict.model_endpoint import ModelEndpoint
from lambdas.predict.predictions import Predictions
from lambdas.predict.request import PredictionRequest, parse_request
from lambdas.predict.telemetry import Telemetry, Window, within_window

logger = Logger(child=True)
# Medians, slopes and variances of fewer rows say nothing about where a device is heading.
FEWEST_ROWS = 3
NOT_STORED = "the prediction could not be stored; it will be missing from the device's history"


@dataclass(frozen=True)
class PredictEnvironment:
    insights_table_name: str
    predictions_table_name: str
    risk_endpoint_name: str
    performance_endpoint_name: str
    requests_table_name: str
    client_requests_per_minute: int
    allowed_origins: str
    prediction_days: int = 400
    last_alert_index_name: str = "last-alert"

    def endpoint_of(self, kind: str) -> str:
        return self.risk_endpoint_name if kind == "risk" else self.performance_endpoint_name


def predict(
    kind: str,
    body: object,
    *,
    telemetry: Telemetry,
    endpoint: ModelEndpoint,
    predictions: Predictions,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    new_suffix: Callable[[], str] = lambda: secrets.token_hex(4),
) -> dict[str, Any]:
    """The API's answer to a `kind` request; raises a Problem where there is none."""
    request = parse_request(body)
    window = _window(request, telemetry)
    recent = within_window(window.rows)
    _check_length(request.device_id, len(recent))
    prediction, model_version = endpoint.ask(window.rows, window.last_alert_at)
    predicted_at = now()
    answer = {
        "device_id": request.device_id,
        "kind": kind,
        "as_of": timestamp_text(recent[-1].timestamp),
        "predicted_at": timestamp_text(predicted_at),
        **prediction,
        "model_version": model_version,
        "prediction_id": f"{timestamp_text(predicted_at)}#{kind}#{new_suffix()}",
        "warnings": _warnings(window, len(recent)),
    }
    try:
        predictions.store(answer, predicted_at=predicted_at)
    except (ClientError, BotoCoreError):
        logger.exception("the prediction was not stored")
        answer["warnings"] = [*answer["warnings"], NOT_STORED]
    return answer


def _window(request: PredictionRequest, telemetry: Telemetry) -> Window:
    if request.insights:
        return Window(rows=request.insights, last_alert_at=request.last_alert_at)
    window = telemetry.window(request.device_id)
    if not window.rows:
        unreadable = f" ({window.unreadable} stored items are no valid insights)" if window.unreadable else ""
        raise UnknownDevice(
            f"no insight of the device {request.device_id!r} is stored{unreadable}; check the id, or send its insights",
            field="device_id",
        )
    return window


def _check_length(device_id: str, rows: int) -> None:
    if rows < FEWEST_ROWS:
        raise TooFewInsights(
            f"device {device_id!r} has {rows} insights within its newest {WINDOW_ROWS} intervals; "
            f"at least {FEWEST_ROWS} are needed, {WINDOW_ROWS} are a full window"
        )


def _warnings(window: Window, recent: int) -> list[str]:
    warnings = []
    if recent < WINDOW_ROWS:
        warnings.append(f"{recent} of the {WINDOW_ROWS} insights of a full window are known")
    if window.unreadable:
        warnings.append(f"{window.unreadable} stored items of the device are no valid insights and were left out")
    if window.is_cut:
        warnings.append("the device has more insights than its interval allows; only the newest were used")
    return warnings
