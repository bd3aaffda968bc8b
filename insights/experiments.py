"""Experiments on live models: which devices meet the challenger, and when enough is known to end one.

The rule is always valid: it may be applied as often as anyone likes, and the chance that an equal challenger is ever
promoted stays below `alpha`. Devices are the unit, as they were divided at random; a device counts once, however often it
was asked, by its mean loss (1 for a wrong level, else 0; the squared error of a score). So what correlates the rows of a
device (its incidents, its class) is in the spread between devices, and the difference of the two variants' means,
estimated again and again while outcomes come in, has independent increments in its information I = 1 / SE^2
(Jennison & Turnbull, "Group-Sequential Analysis Incorporating Covariate Information", JASA 92, 1997). On that scale a
normal mixture bounds it for all times (Robbins, "Statistical Methods Related to the Law of the Iterated Logarithm", Ann.
Math. Statist. 41, 1970; as in Johari et al., "Always Valid Inference", Operations Research 70, 2022):
|difference - truth| < sqrt((I + r) (ln((I + r) / r) + 2 ln(1 / (2 alpha)))) / I with probability 1 - 2 alpha, half of the rest
on either side. r = 1 / effect^2 makes the bound tightest around the effect that is of interest.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

LIVE: Final = "live"
CHALLENGER: Final = "challenger"
_BUCKETS: Final = 10_000


def variant_of(device_id: str, *, challenger: str, share_percent: float) -> str:
    """The variant that this device meets for as long as `challenger`, a package's ARN, has this share.

    The package salts the hash: another experiment divides the fleet anew, so that no device is always the one tried on,
    and what one experiment did to its devices is spread over both sides of the next.
    """
    digest = hashlib.sha256(f"{challenger}\n{device_id}".encode()).digest()
    bucket = int.from_bytes(digest[:8], "big") % _BUCKETS
    return CHALLENGER if bucket < share_percent * _BUCKETS / 100 else LIVE


class Decision(StrEnum):
    CONTINUE = "continue"
    PROMOTE = "promote"
    DROP = "drop"


@dataclass(frozen=True, kw_only=True)
class StoppingRule:
    """`effect` and `worthwhile` are parts of the mean loss: the difference that is looked for, and the gain below which a
    new model is not worth its promotion. Seven days are one of each weekday; of fewer than thirty devices the spread
    between them is not known well enough."""

    alpha: float = 0.05
    effect: float = 0.15
    worthwhile: float = 0.02
    least_days: float = 7.0
    most_days: float = 28.0
    least_devices: int = 30


class Arm(NamedTuple):
    """What is known of a variant: the number of its devices, the mean of their mean losses and its variance."""

    devices: int
    mean: float
    variance: float

    @classmethod
    def of(cls, device_losses: Sequence[float]) -> Arm:
        """`device_losses`: one mean loss for each device."""
        count = len(device_losses)
        mean = math.fsum(device_losses) / count if count else math.nan
        spread = math.fsum((loss - mean) ** 2 for loss in device_losses)
        return cls(count, mean, spread / (count - 1) / count if count > 1 else math.inf)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`gain` is by how much the challenger's mean loss is lower, with its always-valid bounds; NaN where not known yet."""

    decision: Decision
    reason: str
    gain: float = math.nan
    lower: float = math.nan
    upper: float = math.nan


DEFAULT_RULE: Final = StoppingRule()


def verdict(arms: Mapping[str, Arm], *, days: float, rule: StoppingRule = DEFAULT_RULE) -> Verdict:
    """What to do after `days`. A challenger may be dropped at any time, and promoted after `least_days`."""
    few = [name for name in (LIVE, CHALLENGER) if name not in arms or arms[name].devices < rule.least_devices]
    is_over = days >= rule.most_days
    if few:
        known = ", ".join(f"{arms[name].devices if name in arms else 0} of {name}" for name in few)
        reason = f"outcomes are known of too few devices ({known}; {rule.least_devices} are needed)"
        return Verdict(decision=Decision.DROP if is_over else Decision.CONTINUE, reason=_dated(reason, days, rule))
    live, challenger = arms[LIVE], arms[CHALLENGER]
    gain, lower, upper = bounds(live, challenger, rule)
    found = f"its mean loss is {gain:+.4g} lower than the live model's {live.mean:.4g} ({lower:+.4g} to {upper:+.4g})"

    def decided(decision: Decision, reason: str) -> Verdict:
        return Verdict(decision=decision, reason=f"{reason}: {found}", gain=gain, lower=lower, upper=upper)

    if upper < 0:
        return decided(Decision.DROP, "the challenger is worse")
    if lower > 0 and days >= rule.least_days:
        return decided(Decision.PROMOTE, "the challenger is better")
    if upper < rule.worthwhile * live.mean and days >= rule.least_days:
        return decided(Decision.DROP, f"the challenger is not better by {rule.worthwhile:.0%} of the live model's loss")
    if is_over:
        return decided(Decision.DROP, f"{rule.most_days:g} days have shown no difference, so the live model stays")
    return decided(Decision.CONTINUE, _dated("nothing is certain yet", days, rule))


def bounds(live: Arm, challenger: Arm, rule: StoppingRule) -> tuple[float, float, float]:
    """The gain and its always-valid bounds, each of which the truth is beyond with a chance of at most alpha, ever."""
    gain, variance = live.mean - challenger.mean, live.variance + challenger.variance
    pooled = (live.devices * live.mean + challenger.devices * challenger.mean) / (live.devices + challenger.devices)
    if not 0 < variance < math.inf or pooled <= 0:
        return gain, -math.inf, math.inf
    information, mixed = 1 / variance, 1 / (rule.effect * pooled) ** 2
    total = information + mixed
    radius = math.sqrt(total * (math.log(total / mixed) - 2 * math.log(2 * rule.alpha))) / information
    return gain, gain - radius, gain + radius


def _dated(reason: str, days: float, rule: StoppingRule) -> str:
    return f"{reason}, day {days:.1f} of at most {rule.most_days:g}"
