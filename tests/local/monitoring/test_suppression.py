"""The six examples of CloudWatch's guide, "Suppressing composite alarm actions": a wait of 2 units, an extension of 3."""

import pytest

from local.monitoring.suppression import Hold, Rule, hold_at_change, hold_later

RULE = Rule("quiet", wait_seconds=2, extension_seconds=3)


def acted_at(changes: list[int], rings: list[int]) -> list[int]:
    """The times from 0 to 12 at which actions are taken, for a composite alarm that changes at some times and a
    suppressor that rings at some."""
    hold: Hold | None = None
    taken = []
    for now in range(13):
        suppressor_rings = now in rings
        if now in changes:
            hold = hold_at_change(RULE, suppressor_rings=suppressor_rings, now=now)
        elif hold is not None:
            hold = hold_later(hold, RULE, suppressor_rings=suppressor_rings, now=now)
        else:
            continue
        if hold is None:
            taken.append(now)
    return taken


@pytest.mark.parametrize(
    ("changes", "rings", "expected"),
    [
        pytest.param([2], [], [4], id="1: not suppressed after the wait"),
        pytest.param([2], list(range(3, 13)), [], id="2: suppressed before the wait ends"),
        pytest.param([2, 3], [], [5], id="3: a change during the wait starts another"),
        pytest.param([2], list(range(1, 13)), [], id="4: the suppressor rings already"),
        pytest.param([2], [3, 4, 5], [9], id="5: not suppressed after the extension"),
        pytest.param([2, 7], [3, 4, 5], [9], id="6: a change during the extension starts a wait"),
    ],
)
def test_actions_are_held_as_in_the_guide(changes: list[int], rings: list[int], expected: list[int]) -> None:
    assert acted_at(changes, rings) == expected


def test_without_a_wait_or_an_extension_actions_are_taken_at_once() -> None:
    rule = Rule("quiet", wait_seconds=0, extension_seconds=0)

    assert hold_at_change(rule, suppressor_rings=False, now=5) is None
    assert hold_later(Hold("Alarm"), rule, suppressor_rings=False, now=5) is None


def test_a_suppressor_may_be_named_by_its_arn() -> None:
    alarm = {
        "ActionsSuppressor": "arn:aws:cloudwatch:us-east-1:000000000000:alarm:quiet",
        "ActionsSuppressorWaitPeriod": 60,
        "ActionsSuppressorExtensionPeriod": 120,
    }

    assert Rule.of(alarm) == Rule("quiet", 60, 120)
    assert Rule.of({"AlarmRule": "TRUE"}) is None
