"""What people look at, and what wakes them."""

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sns as sns
from constructs import Construct

from stacks.app_stack import AppStack
from stacks.dead_letters import DeadLetters
from stacks.monitoring.alarms_api import api_alarms, caller_alarms
from stacks.monitoring.alarms_data import data_alarms, table_alarms
from stacks.monitoring.alarms_endpoints import endpoint_alarms, scaling_alarms
from stacks.monitoring.alarms_models import model_alarms
from stacks.monitoring.alarms_workflows import undelivered_alarms, workflow_alarms
from stacks.monitoring.dashboards import dashboards
from stacks.monitoring.objective import BURN_RATES, BurnRate, burn_alarms
from stacks.monitoring.pages import Hush, Page, tells
from stacks.monitoring.queries import queries
from stacks.monitoring.state_changes import state_changes
from stacks.monitoring.watched import Watched
from stacks.names import KINDS, ROLLBACK_ALARMS, rollback_alarm_name


class MonitoringStack(AppStack):
    """Alarms by what they are about, the pages over them, and what people look at then."""

    def __init__(self, scope: Construct, construct_id: str, *, watched: Watched, topic: sns.ITopic) -> None:
        settings = watched.settings
        super().__init__(scope, construct_id, settings=settings, summary="dashboards, alarms and who is told")
        undelivered = DeadLetters(self).queue
        serving = self._serving_page(watched, topic)
        self._budget_pages(watched, topic, serving)
        # A promotion that is rolled back fails a little after the alarm that ended it.
        after_serving = Hush(by=serving.alarm, quiet_after=cdk.Duration.minutes(15))
        Page(
            self,
            "page-workflows",
            [
                *workflow_alarms(self, watched),
                *undelivered_alarms(self, {**watched.undelivered, "messages": undelivered}),
            ],
            says="A workflow failed, is late, or was not started, or people were not told",
            topic=topic,
            hush=after_serving,
        )
        Page(
            self,
            "page-data",
            data_alarms(self, watched),
            says="Telemetry or predictions do not arrive where they belong",
            topic=topic,
            hush=after_serving,
        )
        for kind in KINDS:
            Page(
                self,
                "page-model",
                model_alarms(self, kind),
                of=kind,
                says=f"The {kind} model no longer fits the fleet",
                topic=topic,
            )
        tells([*caller_alarms(self, watched.api), *scaling_alarms(self, settings)], topic)
        dashboards(self, watched)
        queries(self, watched)
        state_changes(self, settings, topic, undelivered)

    def _serving_page(self, watched: Watched, topic: sns.ITopic) -> Page:
        """A dead endpoint shows in its own alarms, in the API's and in the budget: one page over them all, as which of
        them rings first is chance."""
        return Page(
            self,
            "page-serving",
            [
                *self._rollback_alarms(),
                *endpoint_alarms(self, watched.settings),
                *api_alarms(self, watched),
                *table_alarms(self, watched),
                *self._fast_burns(watched),
            ],
            says="Callers do not get their predictions, or not in time",
            topic=topic,
        )

    def _budget_pages(self, watched: Watched, topic: sns.ITopic, serving: Page) -> None:
        """Slow leaks. What a page about serving was about is over, for these, when it has left their short window."""
        for burn in BURN_RATES:
            if not burn.wakes:
                _, short = burn.short
                self._burn(watched, burn, topic=topic, hush=Hush(by=serving.alarm, quiet_after=short))

    def _fast_burns(self, watched: Watched) -> list[cloudwatch.IAlarm]:
        return [self._burn(watched, burn).alarm for burn in BURN_RATES if burn.wakes]

    def _burn(
        self, watched: Watched, burn: BurnRate, *, topic: sns.ITopic | None = None, hush: Hush | None = None
    ) -> Page:
        windows = burn_alarms(self, watched.api, burn)
        return Page(self, burn.entry, windows, says=burn.spent, topic=topic, needs_all=True, hush=hush)

    def _rollback_alarms(self) -> list[cloudwatch.IAlarm]:
        names = [rollback_alarm_name(kind, what) for kind in KINDS for what in ROLLBACK_ALARMS]
        return [cloudwatch.Alarm.from_alarm_name(self, name, name) for name in names]
