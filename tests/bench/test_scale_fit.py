from __future__ import annotations

from typing import Any

import pytest

from bench.material.scale_fit import exponent, fitted_rates, line, linearity, predicted
from lambdas.prepare_run.rates import Rates

SIZES = (10_000, 100_000, 1_000_000)


def figures(rows: int, seconds: float, peak_mb: float, **more: Any) -> dict[str, Any]:
    return {"rows": rows, "seconds": seconds, "cpu_seconds": seconds, "peak_mb": peak_mb, **more}


def trials(rows: int) -> dict[str, Any]:
    """2 s and 3 s a million rows without a round, a round 0.01 s and half a second a million rows."""
    taken = [2 + 3 * rows / 1e6 + rounds * (0.01 + 0.5 * rows / 1e6) for rounds in (10, 40)]
    pairs = zip((10, 40), taken, strict=True)
    return figures(
        rows,
        sum(taken),
        100,
        trials=[{"rounds": rounds, "seconds": each, "cpu_seconds": each} for rounds, each in pairs],
    )


STEPS = {
    "features": [figures(rows, 2 + rows / 1e4, 100 + rows / 1e4, bytes_per_row={"raw": 500.0}) for rows in SIZES],
    "train_risk": [trials(rows) for rows in SIZES],
}
ORIGIN = {"measured_on": "2026-01-01", "command": "made up"}


def test_the_exponent_of_a_power_is_that_power() -> None:
    assert exponent([1, 10, 100], [2, 20, 200]) == pytest.approx(1)
    assert exponent([1, 10, 100], [5, 500, 50_000]) == pytest.approx(2)
    assert exponent([1, 10, 100], [7, 7, 7]) == pytest.approx(0)


def test_a_line_finds_what_is_fixed_and_what_grows_and_neither_is_negative() -> None:
    assert line([1, 10, 100], [12, 30, 210]) == pytest.approx((10, 2))
    assert line([10, 100], [5, 95]) == pytest.approx((0, 0.95))
    assert line([1, 10, 100], [9, 9, 6]) == (8, 0)
    assert line([50], [100]) == (0, 2)


def test_rates_say_what_each_row_and_each_round_costs() -> None:
    rates = Rates.from_json(fitted_rates(STEPS, origin=ORIGIN))
    features, risk = rates.steps["features"], rates.steps["train_risk"]
    assert features.seconds(10_000_000) == pytest.approx(1002, rel=0.01)
    assert features.peak_mb(10_000_000) == pytest.approx(1100, rel=0.01)
    assert risk.seconds(2_000_000, rounds=100) == pytest.approx(2 + 6 + 100 * (0.01 + 1.0), rel=0.01)
    assert rates.bytes_per_row == {"raw": 500.0}
    assert (rates.cores, rates.command) == (1, "made up")


def test_one_disturbed_trial_does_not_hide_what_a_round_costs() -> None:
    sizes = [trials(rows) for rows in SIZES]
    sizes[1]["trials"][0]["cpu_seconds"] *= 2  # of ten rounds: as long as one of forty
    risk = Rates.from_json(fitted_rates({"train_risk": sizes}, origin=ORIGIN)).steps["train_risk"]
    assert 0.3 < risk.seconds_per_million_rows_and_round < 0.7


def test_the_model_stands_beside_the_measurement() -> None:
    rates = Rates.from_json(fitted_rates(STEPS, origin=ORIGIN))
    row = predicted(rates, "features", figures(1_000_000, 51, 400))
    assert row is not None
    assert row["model / worked"] == pytest.approx(2, rel=0.01)
    assert row["model / measured"] == pytest.approx(0.5, rel=0.01)
    both = predicted(rates, "train_risk", trials(1_000_000))
    assert both is not None
    assert both["model / worked"] == pytest.approx(1, rel=0.01)
    assert predicted(rates, "unknown", figures(1, 1, 1)) is None


def test_linearity_compares_the_largest_sizes() -> None:
    steps = {"one": STEPS["features"][:1], "steep": [figures(10, 1, 50), figures(100, 10, 50), figures(1000, 400, 500)]}
    [found] = linearity(steps)
    assert found["step"] == "steep"
    assert found["rows per CPU second, last over before"] == pytest.approx(0.25)
    assert found["e of CPU seconds, last"] == pytest.approx(1.602, rel=1e-3)
    assert found["e of memory, last"] == pytest.approx(1)
