"""When a composite alarm may act although another alarm is there to keep it quiet.

Source: CloudWatch user guide, "Suppressing composite alarm actions", with its six examples. Every change of the
composite alarm starts a wait in which the suppressor may still ring; a suppressor that has rung extends its hold when
it stops. What is done in the end follows the state of the composite alarm at that moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Holder = Literal["Alarm", "WaitPeriod", "ExtensionPeriod"]


@dataclass(frozen=True)
class Rule:
    """The suppressor's name, and for how many of AWS's seconds to wait for it and to go on after it."""

    suppressor: str
    wait_seconds: float
    extension_seconds: float

    @classmethod
    def of(cls, alarm: Mapping[str, Any]) -> Rule | None:
        """A composite alarm's rule; its suppressor may be named by ARN."""
        if not alarm.get("ActionsSuppressor"):
            return None
        name = str(alarm["ActionsSuppressor"])
        return cls(
            name.partition(":alarm:")[2] or name,
            float(alarm["ActionsSuppressorWaitPeriod"]),
            float(alarm["ActionsSuppressorExtensionPeriod"]),
        )


@dataclass(frozen=True)
class Hold:
    """Actions that wait: by what, and until when; seconds of AWS's clock. None: as long as the suppressor rings."""

    by: Holder
    until: float | None = None


def hold_at_change(rule: Rule, *, suppressor_rings: bool, now: float) -> Hold | None:
    """Whether the actions of a composite alarm that has just changed its state are held; an earlier hold is discarded."""
    if suppressor_rings:
        return Hold("Alarm")
    return Hold("WaitPeriod", now + rule.wait_seconds) if rule.wait_seconds else None


def hold_later(hold: Hold, rule: Rule, *, suppressor_rings: bool, now: float) -> Hold | None:
    """The hold as time passes and the suppressor changes; None: act now."""
    if suppressor_rings:
        return Hold("Alarm")
    if hold.until is None:
        return Hold("ExtensionPeriod", now + rule.extension_seconds) if rule.extension_seconds else None
    return hold if now < hold.until else None
