"""Who is told, and once: composite alarms over the alarms that one fault sets off together."""

from collections.abc import Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from stacks.monitoring.alarm import alarm_name, construct_id
from stacks.runbook import described

# The most that lies between the first alarm of a fault in serving and the page about it, so that what follows from the
# same fault waits for that page instead of making one.
_WAIT = cdk.Duration.minutes(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hush:
    """Keeps a page quiet while another alarm rings and for a while after it."""

    by: cloudwatch.IAlarm
    quiet_after: cdk.Duration


class Page(Construct):
    """Rings while any member does, or only while all do; without a topic it is a member of another page."""

    def __init__(
        self,
        scope: Construct,
        entry: str,
        members: Sequence[cloudwatch.IAlarm],
        *,
        says: str,
        topic: sns.ITopic | None = None,
        of: str | None = None,
        needs_all: bool = False,
        hush: Hush | None = None,
    ) -> None:
        name = alarm_name(entry, of)
        super().__init__(scope, construct_id(name))
        # By name: a member's ARN would be a reference to its stack, and some stand in the endpoints' stacks.
        rings = (" AND " if needs_all else " OR ").join(f'ALARM("{member.alarm_name}")' for member in members)
        self.alarm: cloudwatch.CompositeAlarm = cloudwatch.CompositeAlarm(
            self,
            "Alarm",
            composite_alarm_name=name,
            alarm_rule=cloudwatch.AlarmRule.from_string(rings),
            alarm_description=described(says, entry),
            actions_suppressor=hush.by if hush else None,
            actions_suppressor_wait_period=_WAIT if hush else None,
            actions_suppressor_extension_period=hush.quiet_after if hush else None,
        )
        if topic is not None:
            told = actions.SnsAction(topic)
            self.alarm.add_alarm_action(told)
            self.alarm.add_ok_action(told)


def tells(alarms: Sequence[cloudwatch.Alarm], topic: sns.ITopic) -> None:
    """Alarms whose fault sets off no other."""
    for alarm in alarms:
        alarm.add_alarm_action(actions.SnsAction(topic))
        alarm.add_ok_action(actions.SnsAction(topic))
