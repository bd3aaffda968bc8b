"""Rates with round numbers, so that what follows from them is reckoned by hand."""

from __future__ import annotations

from lambdas.prepare_run.rates import Rates, StepRate


def rate(seconds: float, peak_bytes: float, **more: float) -> StepRate:
    return StepRate(
        fixed_seconds=0.0, seconds_per_million_rows=seconds, fixed_mb=0.0, peak_bytes_per_row=peak_bytes, **more
    )


# Of 85 bytes that training reads (15 of 100 are the test split's) 51 are divided among instances, three fifths.
RATES = Rates(
    measured_on="2026-01-01",
    command="made up",
    cores=2,
    steps={
        "export": rate(100, 0),
        "manifest": rate(50, 0),
        "features": rate(100, 100),
        "train_risk": rate(0, 400, seconds_per_million_rows_and_round=1.0),
        "train_performance": rate(0, 200, seconds_per_million_rows_and_round=0.5),
        "evaluate_risk": rate(10, 200),
        "evaluate_performance": rate(10, 100),
    },
    bytes_per_row={"item": 500, "raw": 500, "full_csv": 200, "features": 700, "columnar": 100, "columnar_train": 51},
)
