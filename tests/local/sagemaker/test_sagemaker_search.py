"""Ranges as the API gives them, and what the search makes of results."""

from typing import Any

import pytest

from local.sagemaker.errors import SageMakerError
from local.sagemaker.search import Range, Search, ranges_of

MINIMISE = {"Type": "Minimize", "MetricName": "loss"}


def continuous(low: str, high: str, scaling: str = "Linear") -> dict[str, Any]:
    entry = {"Name": "x", "MinValue": low, "MaxValue": high, "ScalingType": scaling}
    return {"ContinuousParameterRanges": [entry]}


def search(ranges: dict[str, Any], *, strategy: str = "Bayesian", seed: int = 5) -> Search:
    return Search(ranges_of(ranges), strategy=strategy, objective=MINIMISE, seed=seed)


def minimise(found: Search, count: int) -> list[float]:
    """The x that were tried, one after the other, for the loss (x - 3)^2."""
    tried = []
    for _ in range(count):
        trial, given = found.suggest()
        tried.append(float(given["x"]))
        found.tell(trial, (tried[-1] - 3) ** 2)
    return tried


def test_the_search_learns_from_what_it_is_told():
    tried = minimise(search(continuous("-100", "100")), 40)
    misses = sorted(abs(x - 3) for x in tried[20:])
    assert misses[10] < 25  # the median of the second half; blind guessing has 50


def test_the_same_seed_and_results_give_the_same_trials():
    first, second = (minimise(search(continuous("0", "1")), 15) for _ in range(2))
    assert first == second


def test_trials_that_run_side_by_side_are_not_the_same_place():
    found = search(continuous("0", "1"))
    minimise(found, 12)
    asked = {found.suggest()[1]["x"] for _ in range(5)}
    assert len(asked) == 5


def test_a_failed_trial_teaches_nothing_and_does_not_stop_the_search():
    found = search(continuous("0", "1"))
    trial, _ = found.suggest()
    found.tell(trial, None)
    assert len(minimise(found, 3)) == 3


def test_each_kind_of_range_gives_text_within_its_ends():
    ranges = {
        **continuous("0.001", "1", "Logarithmic"),
        "IntegerParameterRanges": [{"Name": "n", "MinValue": "3", "MaxValue": "10"}],
        "CategoricalParameterRanges": [{"Name": "c", "Values": ["a", "b"]}],
    }
    found = search(ranges, strategy="Random")
    given = [found.suggest()[1] for _ in range(30)]
    assert {type(value) for one in given for value in one.values()} == {str}
    assert all(0.001 <= float(one["x"]) <= 1 for one in given)
    assert {int(one["n"]) for one in given} <= set(range(3, 11))
    assert {one["c"] for one in given} == {"a", "b"}


def test_reverse_logarithmic_values_lie_dense_below_one():
    found = search(continuous("0", "0.9999", "ReverseLogarithmic"), strategy="Random")
    given = [float(found.suggest()[1]["x"]) for _ in range(60)]
    assert all(0 <= x <= 0.9999 for x in given)
    assert sum(x > 0.9 for x in given) > 30  # three of the four decades of 1 - x


def test_a_grid_is_gone_through_completely():
    grid = {"CategoricalParameterRanges": [{"Name": n, "Values": ["1", "2", "3"]} for n in ("a", "b")]}
    found = search(grid, strategy="Grid")
    tried = set()
    for _ in range(9):
        trial, given = found.suggest()
        tried.add((given["a"], given["b"]))
        found.tell(trial, 1.0)
    assert len(tried) == 9


def test_auto_scaling_is_logarithmic_over_two_orders_of_magnitude():
    assert ranges_of(continuous("0.01", "1", "Auto"))["x"].scaling == "Logarithmic"
    assert ranges_of(continuous("0.01", "0.3", "Auto"))["x"].scaling == "Linear"
    assert ranges_of(continuous("0", "1", "Auto"))["x"] == Range("x", "Continuous", 0.0, 1.0, "Linear")


@pytest.mark.parametrize(
    ("low", "high", "scaling", "reason"),
    [
        ("a", "1", "Linear", "must have continuous numbers as its ends"),
        ("2", "1", "Linear", "must have MinValue <= MaxValue"),
        ("0", "inf", "Linear", "must have MinValue <= MaxValue"),
        ("0", "1", "Logarithmic", "must lie above 0 for Logarithmic scaling"),
        ("0", "1", "ReverseLogarithmic", r"must lie in \[0, 1\) for ReverseLogarithmic scaling"),
    ],
)
def test_an_impossible_range_is_refused(low, high, scaling, reason):
    with pytest.raises(SageMakerError, match=f"The range of hyperparameter x {reason}"):
        ranges_of(continuous(low, high, scaling))
