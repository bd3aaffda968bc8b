"""The stopping rule against values worked out by hand, and against a stream that is looked at after every step."""

from __future__ import annotations

import math

import numpy as np
import pytest

from insights.experiments import CHALLENGER, LIVE, Arm, Decision, StoppingRule, bounds, variant_of, verdict

RULE = StoppingRule()


def arms(live: float, challenger: float, *, spread: float = 0.001, devices: int = 100) -> dict[str, Arm]:
    return {LIVE: Arm(devices, live, spread**2), CHALLENGER: Arm(devices, challenger, spread**2)}


@pytest.mark.parametrize(("device", "bucket"), [("nvme-1", 4516), ("hdd-2", 8259), ("f", 9549), ("d", 3006)])
def test_which_variant_a_device_meets_is_the_same_in_every_release(device: str, bucket: int):
    """By hand: printf 'arn:x/2\\n%s' DEVICE | sha256sum, the first 16 hexadecimal digits modulo 10,000. A device that
    changed sides in the middle of an experiment would be counted on both."""
    just_below, just_above = bucket / 100, (bucket + 1) / 100

    assert variant_of(device, challenger="arn:x/2", share_percent=just_below) == "live"
    assert variant_of(device, challenger="arn:x/2", share_percent=just_above) == "challenger"


@pytest.mark.parametrize(
    ("live", "challenger", "spread"),
    [(0.1, 0.1, 0.0), (0.0, 0.0, 0.001), (0.1, 0.1, math.inf)],
    ids=["no spread", "no loss", "unknown spread"],
)
def test_without_spread_or_loss_nothing_is_bounded(live: float, challenger: float, spread: float):
    found = arms(live, challenger, spread=spread)

    assert bounds(found[LIVE], found[CHALLENGER], RULE)[1:] == (-math.inf, math.inf)


def test_of_whom_too_little_is_known_is_said():
    few = {LIVE: Arm(29, 0.1, 0.001)}

    assert verdict(few, days=1.0).reason.startswith(
        "outcomes are known of too few devices (29 of live, 0 of challenger; 30 are needed)"
    )


def test_an_arm_counts_each_device_once():
    arm = Arm.of([0.0, 0.5, 1.0])

    assert (arm.devices, arm.mean) == (3, 0.5)
    assert arm.variance == pytest.approx(0.25 / 3)
    assert math.isnan(Arm.of([]).mean)
    assert Arm.of([1.0]).variance == math.inf


def test_the_bounds_are_the_normal_mixtures():
    """Mean losses 0.2 and 0.1 of as many devices, SE 0.02, an effect of 0.15 x 0.15 = 0.0225:
    I = 2500, r = 1975.31; sqrt(4475.31 x (ln(2.26563) + 2 ln(10))) / 2500 = 0.0623."""
    gain, lower, upper = bounds(Arm(50, 0.2, 0.0002), Arm(50, 0.1, 0.0002), RULE)

    assert gain == pytest.approx(0.1)
    assert (lower, upper) == (pytest.approx(0.1 - 0.06230, abs=1e-4), pytest.approx(0.1 + 0.06230, abs=1e-4))


@pytest.mark.parametrize(
    ("live", "challenger", "days", "decision", "words"),
    [
        (0.10, 0.08, 7.0, Decision.PROMOTE, "the challenger is better: its mean loss is +0.02 lower"),
        (0.10, 0.08, 6.9, Decision.CONTINUE, "day 6.9 of at most 28"),
        (0.10, 0.12, 0.5, Decision.DROP, "the challenger is worse"),
        (0.10, 0.0998, 27.9, Decision.CONTINUE, "nothing is certain yet"),
        (0.10, 0.0998, 28.0, Decision.DROP, "28 days have shown no difference"),
    ],
)
def test_what_is_decided_when(live: float, challenger: float, days: float, decision: Decision, words: str):
    found = verdict(arms(live, challenger), days=days)

    assert found.decision is decision
    assert words in found.reason
    assert found.reason.startswith(("the challenger is", "nothing is certain yet", "28 days"))


def test_a_challenger_that_cannot_be_worth_its_promotion_is_dropped_after_the_first_week():
    precise = arms(0.10, 0.0999, spread=0.0001, devices=10_000)

    assert verdict(precise, days=6.0).decision is Decision.CONTINUE
    assert verdict(precise, days=7.0).decision is Decision.DROP
    assert "not better by 2%" in verdict(precise, days=7.0).reason


@pytest.mark.parametrize(("days", "decision"), [(3.0, Decision.CONTINUE), (28.0, Decision.DROP)])
def test_of_too_few_devices_nothing_is_believed(days: float, decision: Decision):
    few = {**arms(0.5, 0.1), CHALLENGER: Arm(29, 0.1, 1e-6)}

    assert verdict(few, days=days).decision is decision
    assert "29 of challenger; 30 are needed" in verdict(few, days=days).reason
    assert "0 of challenger" in verdict({LIVE: Arm(100, 0.5, 1e-6)}, days=days).reason


def test_models_that_are_never_wrong_are_no_different():
    assert verdict(arms(0.0, 0.0, spread=0.0), days=10.0).decision is Decision.CONTINUE


def test_an_equal_challenger_is_rarely_found_better_however_often_one_looks():
    """400 experiments looked at after each of 300 steps, where a test at 5% each time would be wrong in most."""
    random = np.random.default_rng(3)
    steps = np.arange(1, 301)
    fooled = 0
    for _ in range(400):
        # The means of `step` devices in either arm, whose losses have the mean 1 and the standard deviation 0.5.
        live, challenger = (1 + np.cumsum(random.normal(0, 0.5, 300)) / steps for _ in range(2))
        fooled += any(
            bounds(Arm(step, live[step - 1], 0.25 / step), Arm(step, challenger[step - 1], 0.25 / step), RULE)[1] > 0
            for step in range(30, 301)
        )
    assert fooled <= 0.05 * 400
