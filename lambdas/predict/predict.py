"""Predictions: the devices' windows, the model's answer about them, explained and stored before it is given."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from insights.experiments import LIVE
from insights.explanations import explained
from insights.feature_table import WINDOW_ROWS
from insights.schema import timestamp_text
from lambdas.api.problems import ModelDown, Problem, TooFewInsights, UnknownDevice
from lambdas.predict.circuit import Circuit
from lambdas.predict.experiment import Experiment, ExperimentNote, no_experiment
from lambdas.predict.model_endpoint import Instance, ModelAnswer, ModelEndpoint
from lambdas.predict.predictions import Predictions
from lambdas.predict.request import PredictionRequest
from lambdas.predict.telemetry import Telemetry, Window, within_window
from lambdas.predict.variants import Told, told_by_variants

# Medians, slopes and variances of fewer rows say nothing about where a device is heading.
FEWEST_ROWS = 3
NOT_STORED = "the prediction could not be stored; it may be missing from the device's history"


@dataclass(frozen=True)
class PredictEnvironment:
    insights_table_name: str
    predictions_table_name: str
    risk_endpoint_name: str
    performance_endpoint_name: str
    requests_table_name: str
    client_requests_per_minute: int
    allowed_origins: str
    risk_experiment_parameter: str
    performance_experiment_parameter: str
    prediction_days: int = 400
    last_alert_index_name: str = "last-alert"
    serving_hours: str = ""
    serving_windows: str = ""

    def endpoint_of(self, kind: str) -> str:
        return self.risk_endpoint_name if kind == "risk" else self.performance_endpoint_name

    def experiment_of(self, kind: str) -> str:
        return self.risk_experiment_parameter if kind == "risk" else self.performance_experiment_parameter


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a prediction is made with."""

    telemetry: Telemetry
    endpoint: ModelEndpoint
    predictions: Predictions
    circuits: Mapping[str, Circuit]
    """By variant: a challenger that is down closes the way to nobody else."""
    experiment: ExperimentNote = field(default_factory=no_experiment)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    new_suffix: Callable[[], str] = lambda: secrets.token_hex(4)


def predict(kind: str, request: PredictionRequest, *, parts: Parts) -> dict[str, Any]:
    """The API's answer to a `kind` request; raises a Problem where there is none."""
    (outcome,) = _outcomes(kind, [request], parts)
    if isinstance(outcome, Problem):
        raise outcome
    return outcome


def predict_items(
    kind: str, requests: Sequence[PredictionRequest | Problem], *, parts: Parts, instance: str
) -> list[dict[str, Any]]:
    """Each item's own status with its prediction or problem, in the order asked; a wrong one harms no other."""
    valid = [request for request in requests if isinstance(request, PredictionRequest)]
    outcomes = iter(_outcomes(kind, valid, parts))
    found = [next(outcomes) if isinstance(request, PredictionRequest) else request for request in requests]
    return [
        {"status": outcome.status, "problem": outcome.to_dict(instance)}
        if isinstance(outcome, Problem)
        else {"status": 200, "prediction": outcome}
        for outcome in found
    ]


def _outcomes(kind: str, requests: Sequence[PredictionRequest], parts: Parts) -> list[dict[str, Any] | Problem]:
    """All windows side by side, then one call to each variant that is to answer, then one store of the answers."""
    experiment = parts.experiment.begin()
    if requests:
        _check_circuit(parts, experiment)
    distinct = list(dict.fromkeys(requests))
    read = parts.telemetry.side_by_side(lambda request: _window_or_problem(request, parts.telemetry), distinct)
    found = dict(zip(distinct, read, strict=True))
    windows = [found[request] for request in requests]
    asked = [window for window in windows if isinstance(window, Window)]
    answers = iter(_answers(kind, asked, parts, experiment()) if asked else ())
    return [next(answers) if isinstance(window, Window) else window for window in windows]


def _check_circuit(parts: Parts, experiment: Callable[[], Experiment | None]) -> None:
    """While the circuit is open no window is read: a caller would wait for them, and the table be asked, for nothing.
    Beside a challenger some devices may still be answered, and each variant's own circuit decides."""
    try:
        parts.circuits[LIVE].check()
    except ModelDown:
        if experiment() is None:
            raise


def _answers(
    kind: str, windows: Sequence[Window], parts: Parts, experiment: Experiment | None
) -> list[dict[str, Any] | Problem]:
    def ask(variant: str | None, texts: Sequence[str]) -> ModelAnswer:
        return parts.circuits[variant or LIVE].call(lambda: parts.endpoint.ask(kind, texts, variant))

    instances = [Instance(window.rows, window.last_alert_at).to_json() for window in windows]
    variants = [experiment.variant_of(window.rows[-1].device_id) if experiment else None for window in windows]
    told = told_by_variants(ask, variants, instances)
    predicted_at = parts.now()
    outcomes = [
        one if isinstance(one, Problem) else _answer(kind, window, one, predicted_at, parts.new_suffix(), instance)
        for window, one, instance in zip(windows, told, instances, strict=True)
    ]
    answered = [
        (outcome, window.rows[-1])
        for outcome, window in zip(outcomes, windows, strict=True)
        if not isinstance(outcome, Problem)
    ]
    answers, newest = [answer for answer, _ in answered], [row for _, row in answered]
    unstored = parts.predictions.store(answers, newest=newest, predicted_at=predicted_at)
    for answer in answers:
        if answer["prediction_id"] in unstored:
            answer["warnings"].append(NOT_STORED)
    return outcomes


def _answer(
    kind: str,
    window: Window,
    told: Told,
    predicted_at: datetime,
    suffix: str,
    instance: str,
) -> dict[str, Any]:
    recent, prediction = within_window(window.rows), told.prediction
    speaks_for = f"{prediction['risk_level']} risk" if kind == "risk" else "a good score"
    contributions, explanation = explained(prediction.get("contributions", []), recent, answer=speaks_for)
    return {
        "device_id": recent[-1].device_id,
        "kind": kind,
        "as_of": timestamp_text(recent[-1].timestamp),
        "predicted_at": timestamp_text(predicted_at),
        **prediction,
        "contributions": contributions,
        "explanation": explanation,
        "model_version": told.model_version,
        "variant": told.variant,
        "window_sha256": hashlib.sha256(instance.encode()).hexdigest(),
        "prediction_id": f"{timestamp_text(predicted_at)}#{kind}#{suffix}",
        "warnings": _warnings(window, len(recent)),
    }


def _window_or_problem(request: PredictionRequest, telemetry: Telemetry) -> Window | Problem:
    try:
        window = _window(request, telemetry)
        _check_length(request.device_id, len(within_window(window.rows)))
    except Problem as problem:
        return problem
    return window


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
