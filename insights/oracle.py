"""The oracle: the best that any model could do on a synthetic fleet, found before any model is trained.

It knows the hidden state at t (the incident under way, how far it has come, how fast and how high it goes, the load's
expected course) and the laws of the simulation, not their draws after t: it simulates the next six rows many times,
applies the rule of insights/labels.py to each future, and takes the modal label and the mean score. How long an
incident's peak still lasts, the next incident, blips, noise and lost rows are drawn anew in each future.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from insights.columns import Floats, InsightColumns, Int8s
from insights.compiled import compiled
from insights.feature_table import HORIZON_ROWS
from insights.fleet_physics import (
    AVERAGE_NOISE,
    BLIP,
    BLIP_PROBABILITY,
    ERROR_NOISE,
    HIGHEST_UTILISATION,
    MEAN_UTILISATION,
    NOISE,
    TAIL,
    Device,
)
from insights.fleet_plan import (
    CALM_ROWS_BETWEEN,
    CHECKPOINT_PERIODS,
    CLASS_NAMES,
    KINDS,
    SUDDEN_ROWS,
    SUDDEN_SHARE,
    Course,
    onset_rates,
)
from insights.label_rule import LEAST_HORIZON_ROWS
from insights.labels import judge_rows

FUTURES: Final = 200
ORACLE: Final = "oracle.npz"
NONE: Final = -1
"""No incident under way."""
_LONG_AGO: Final = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Foretold:
    """Per row of some insights, by device and time: the oracle's level (index into RISK_LEVELS) and score."""

    devices: tuple[str, ...]
    device: npt.NDArray[np.int32]
    time_seconds: Floats
    risk: Int8s
    score: Floats

    @classmethod
    def nothing(cls) -> Self:
        return cls((), np.empty(0, np.int32), np.empty(0), np.empty(0, np.int8), np.empty(0))

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Several cohorts', whose devices differ."""
        codes: list[npt.NDArray[np.int32]] = []
        names: list[str] = []
        for part in parts:
            codes.append(part.device + len(names))
            names.extend(part.devices)
        joined = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in ("time_seconds", "risk", "score")
        }
        return cls(devices=tuple(names), device=np.concatenate(codes).astype(np.int32), **joined)

    def take(self, rows: npt.NDArray[Any]) -> Self:
        if len(self.device) == 0:
            return self
        return type(self)(self.devices, self.device[rows], self.time_seconds[rows], self.risk[rows], self.score[rows])

    def of(self, columns: InsightColumns) -> tuple[Int8s, Floats]:
        """What was foretold of these rows: level or -1, score or NaN."""
        known: dict[tuple[str, float], int] = {
            (self.devices[code], second): row
            for row, (code, second) in enumerate(zip(self.device.tolist(), self.time_seconds.tolist(), strict=True))
        }
        risk, score = np.full(len(columns), -1, np.int8), np.full(len(columns), np.nan)
        if known:
            keys = zip(columns.device_ids(), columns.time_seconds.tolist(), strict=True)
            place = np.array([known.get(key, -1) for key in keys])
            found = place >= 0
            risk[found], score[found] = self.risk[place[found]], self.score[place[found]]
        return risk, score

    def write(self, path: Path) -> None:
        np.savez_compressed(
            path,
            devices=np.array(self.devices, np.str_),
            device=self.device,
            time_seconds=self.time_seconds,
            risk=self.risk,
            score=self.score.astype(np.float32),
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        with np.load(path, allow_pickle=False) as arrays:
            columns = {name: arrays[name] for name in ("device", "time_seconds", "risk")}
            return cls(devices=tuple(arrays["devices"].tolist()), score=arrays["score"].astype(np.float64), **columns)


@dataclass(frozen=True, slots=True, eq=False)
class HiddenState:
    """Per row t what physically is: `kind` of incident (NONE), rows `since` it began (t included), its course, rows
    `until` it ends where a row of its recovery has been (else -1), rows `quiet` since the last one ended; and per
    horizon row the expected `load` (n, 6)."""

    device_class: npt.NDArray[np.int32]
    calm: Floats
    swing: Floats
    load: Floats
    kind: npt.NDArray[np.int32]
    since: npt.NDArray[np.int64]
    until: npt.NDArray[np.int64]
    build_up: npt.NDArray[np.int64]
    recovery: npt.NDArray[np.int64]
    peak: Floats
    period: npt.NDArray[np.int64]
    quiet: npt.NDArray[np.int64]

    @classmethod
    def of(cls, device: Device, courses: Sequence[Course], count: int) -> Self:
        """The state after each of a device's first `count` rows."""
        whole: dict[str, npt.NDArray[Any]] = {
            "kind": np.full(count, NONE, np.int32),
            **{name: np.zeros(count, np.int64) for name in ("since", "build_up", "recovery", "period")},
            "until": np.full(count, -1, np.int64),
            "peak": np.zeros(count),
            "quiet": np.full(count, _LONG_AGO, np.int64),
        }
        for course in courses:
            start, end = course.incident.start, course.incident.start + course.incident.rows
            rows = np.arange(max(0, start), min(count, end))
            whole["kind"][rows] = KINDS.index(course.incident.kind)
            whole["since"][rows] = rows - start + 1
            shown = rows - (rows - start) % course.period  # the latest row that the incident showed itself in
            whole["until"][rows] = np.where(end - shown < course.recovery, end - rows, -1)
            for name in ("build_up", "recovery", "peak", "period"):
                whole[name][rows] = getattr(course, name)
            after = np.arange(max(0, end), min(count, end + CALM_ROWS_BETWEEN))
            whole["quiet"][after] = np.minimum(whole["quiet"][after], after - end + 1)
        ahead = np.arange(count)[:, None] + 1 + np.arange(HORIZON_ROWS)
        return cls(
            device_class=np.full(count, CLASS_NAMES.index(device.device_class.name), np.int32),
            calm=np.full(count, device.calm),
            swing=np.full(count, device.workload.swing),
            load=device.load(count + HORIZON_ROWS)[ahead],
            **whole,
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)})

    def take(self, rows: npt.NDArray[Any]) -> Self:
        return type(self)(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


_ONSETS: Final = np.array([onset_rates(name) for name in CLASS_NAMES])
_ROWS: Final = np.array([kind.rows for kind in KINDS])
_UP: Final = np.array([kind.build_up for kind in KINDS])
_DOWN: Final = np.array([kind.recovery for kind in KINDS])
_PEAK: Final = np.array([kind.peak for kind in KINDS])
_ERRORS: Final = np.array([kind.errors for kind in KINDS])
_PERIODIC: Final = np.array([kind.is_periodic for kind in KINDS])


def foretell(
    columns: InsightColumns, state: HiddenState, *, futures: int = FUTURES, lost: float = 0.0, seed: Sequence[int]
) -> Foretold:
    """The modal level and mean score of `futures` simulated horizons per row; the same for a seed."""
    count = len(columns)
    _seed(int(np.random.default_rng([*seed, 3]).integers(2**31)))
    p99, avg, errors = (np.empty(count * HORIZON_ROWS) for _ in range(3))
    ones, first = np.ones(count * HORIZON_ROWS), np.arange(count) * HORIZON_ROWS
    slo, end = np.ones(count), np.empty(count, np.int64)
    risk, score = np.empty(count, np.int8), np.empty(count)
    votes, points, scored = np.zeros((count, 4), np.int32), np.zeros(count), np.zeros(count, np.int64)
    for _ in range(futures):
        _simulate(_Laws, *(getattr(state, f.name) for f in fields(state)), lost, p99, avg, errors, end)
        # In units of the SLO; Little's law with one operation per second makes the queue the mean latency in seconds.
        judge_rows(first, end, LEAST_HORIZON_ROWS, p99, avg, ones, errors, avg / 1000, slo, slo, risk, score)
        _count(risk, score, votes, points, scored)
    modal = votes.argmax(axis=1).astype(np.int8)
    mean = points / np.maximum(scored, 1)
    return Foretold(columns.devices, columns.device, columns.time_seconds, modal, mean)


_Laws: Final = (_ONSETS, _ROWS, _UP, _DOWN, _PEAK, _ERRORS, _PERIODIC)


@compiled
def _seed(value):  # type: ignore[no-untyped-def]
    np.random.seed(value)


@compiled
def _count(risk, score, votes, points, scored):  # type: ignore[no-untyped-def]
    for i in range(len(risk)):
        if risk[i] >= 0:
            votes[i, risk[i]] += 1
        if not math.isnan(score[i]):
            points[i] += score[i]
            scored[i] += 1


@compiled
def _simulate(  # type: ignore[no-untyped-def]  # noqa: PLR0913, PLR0917 - the compiler takes arrays
    laws, device_class, calm, swing, load, kind, since, until, build_up, recovery, peak, period, quiet,
    lost, p99, avg, errors, end,
):  # fmt: skip
    """One future of every row: six rows each of p99 and mean over SLO and error rate, those that arrive first."""
    onsets, rows, ups, downs, peaks, error_peaks, periodic = laws
    for i in range(len(kind)):
        k, s, up, down, top, every, rest = kind[i], since[i], build_up[i], recovery[i], peak[i], period[i], quiet[i]
        left = until[i]
        if k >= 0 and left < 0:
            shortest = max(rows[k, 0], s - 1 + down)
            left = max(np.random.randint(shortest, max(rows[k, 1], shortest) + 1) - s + 1, 1)
        out = HORIZON_ROWS * i
        for step in range(HORIZON_ROWS):
            if k >= 0:
                s, left = s + 1, left - 1
                if left <= 0:
                    k, rest = -1, 0
            if k < 0:
                rest += 1
                chance = np.random.random()
                for candidate in range(onsets.shape[1] if rest > CALM_ROWS_BETWEEN else 0):
                    chance -= onsets[device_class[i], candidate]
                    if chance < 0:
                        k, s = candidate, 1
                        left = np.random.randint(rows[k, 0], rows[k, 1] + 1)
                        up = np.random.randint(ups[k, 0], ups[k, 1] + 1)
                        if np.random.random() < SUDDEN_SHARE:
                            up = min(up, SUDDEN_ROWS)
                        down = np.random.randint(downs[k, 0], downs[k, 1] + 1)
                        top = np.random.uniform(peaks[k, 0], peaks[k, 1])
                        every = CHECKPOINT_PERIODS[np.random.randint(len(CHECKPOINT_PERIODS))] if periodic[k] else 1
                        break
            used = min(load[i, step] * math.exp(np.random.normal(0, swing[i])), HIGHEST_UTILISATION)
            ratio = calm[i] * (1 - MEAN_UTILISATION) / (1 - used)
            if np.random.random() < BLIP_PROBABILITY:
                ratio = np.random.uniform(BLIP[0], BLIP[1])
            failing = abs(np.random.normal(0, ERROR_NOISE))
            if k >= 0 and (s - 1) % every == 0:
                depth = min(1.0, s / up, left / down)
                ratio = ratio ** (1 - depth) * top**depth
                failing += error_peaks[k] * depth**2
            if np.random.random() >= lost:
                p99[out] = ratio * math.exp(np.random.normal(0, NOISE))
                avg[out] = p99[out] / TAIL * math.exp(np.random.normal(0, AVERAGE_NOISE))
                errors[out] = failing
                out += 1
        end[i] = out
