"""May a training start, and of which models? Pure: what is asked, what has run and what is allowed in, the answer out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

ON, PAUSED = "on", "paused"
WEEK: Final = timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Who wants which models trained, and why."""

    trigger: str
    kinds: tuple[str, ...]
    reason: str
    requested_by: str


@dataclass(frozen=True, kw_only=True)
class Run:
    """An execution of TrainModels of the last week, whoever started it."""

    name: str
    kinds: tuple[str, ...]
    trigger: str
    started_at: datetime
    is_running: bool


@dataclass(frozen=True, kw_only=True)
class Rules:
    """`debounce` is between two trainings of one kind; `drift_runs_per_week` counts one kind's trainings on drift."""

    debounce: timedelta
    drift_runs_per_week: int


@dataclass(frozen=True, kw_only=True)
class Decision:
    """`kinds` are trained, none of them if empty; `reasons` has a sentence for every kind that was asked for."""

    kinds: tuple[str, ...]
    reasons: Mapping[str, str]


def decide(asked: Asked, *, switch: str, runs: Sequence[Run], rules: Rules, now: datetime) -> Decision:
    """A person's request waits for a running training and for nothing else but the switch."""
    refusals = {
        kind: _paused(switch) or _running(runs) or _too_soon(asked, kind, runs, rules, now) or ""
        for kind in asked.kinds
    }
    return Decision(
        kinds=tuple(kind for kind in asked.kinds if not refusals[kind]),
        reasons={kind: refusal or f"started: {asked.reason}" for kind, refusal in refusals.items()},
    )


def _paused(switch: str) -> str | None:
    if switch == ON:
        return None
    if switch == PAUSED:
        return "retraining is paused by its switch"
    return f"the switch is {switch!r}, neither {ON!r} nor {PAUSED!r}, which counts as paused"


def _running(runs: Sequence[Run]) -> str | None:
    """Of any kind: two runs at once would each keep splits that the other does not know."""
    running = next((run for run in runs if run.is_running), None)
    return f"the training {running.name} is still running" if running else None


def _too_soon(asked: Asked, kind: str, runs: Sequence[Run], rules: Rules, now: datetime) -> str | None:
    if asked.trigger == "request":
        return None
    of_kind = [run for run in runs if kind in run.kinds and run.started_at <= now]
    last = max((run.started_at for run in of_kind), default=None)
    if last is not None and now - last < rules.debounce:
        hours, least = (now - last) / timedelta(hours=1), rules.debounce / timedelta(hours=1)
        return f"the last training of the {kind} model began {hours:.1f} h ago, less than {least:g} h"
    on_drift = [run for run in of_kind if run.trigger == "drift" and now - run.started_at < WEEK]
    if asked.trigger == "drift" and len(on_drift) >= rules.drift_runs_per_week:
        return (
            f"{len(on_drift)} trainings of the {kind} model on drift within a week, {rules.drift_runs_per_week} at most"
        )
    return None
