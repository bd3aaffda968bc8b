"""When the endpoints serve: the workflow that switches them, and the schedule that starts it where there are hours."""

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.permissions import unused
from stacks.workflows.switch_serving import ServingParts, SwitchServing


class OffHours(Construct):
    """The workflow is there without hours too: endpoints may be switched off and on by hand."""

    def __init__(self, scope: Construct, construct_id: str, *, parts: ServingParts, dead_letters: sqs.IQueue) -> None:
        super().__init__(scope, construct_id)
        self._dead_letters = dead_letters
        self.switch_serving = SwitchServing(self, "SwitchServing", parts=parts).state_machine
        hours = parts.settings.hours
        if hours is None:
            return
        for serving, times in (("on", hours.openings), ("off", hours.closings)):
            for time, days in times.items():
                self._rule(serving, time, days)
        role = self.switch_serving.node.find_child("EventsRole")
        unused(role, "states:StartExecution", "The schedule's; tests do not wait for the hour and start it by hand.")

    def _rule(self, serving: str, time: str, days: list[str]) -> None:
        hour, minute = (str(int(part)) for part in time.split(":"))
        events.Rule(
            self,
            f"{serving.capitalize()}{time.replace(':', '')}",
            description=f"The endpoints go {serving} at {time} UTC",
            schedule=events.Schedule.cron(minute=minute, hour=hour, week_day=",".join(days).upper()),
            targets=[
                targets.SfnStateMachine(
                    self.switch_serving,
                    input=events.RuleTargetInput.from_object({"serving": serving}),
                    max_event_age=cdk.Duration.hours(1),
                    # Else callers would miss their endpoints, or money would be spent all night, and nobody be told.
                    dead_letter_queue=self._dead_letters,
                )
            ],
        )
