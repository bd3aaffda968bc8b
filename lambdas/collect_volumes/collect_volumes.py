"""Insights of a shard's EBS volumes, from where the table ends to the last period that is over.

Nothing is remembered beside the table: a run that was throttled, cut short or lost leaves what it wrote, and the next
one begins at each volume's newest row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from aws_lambda_powertools import Logger

from insights.schema import Insight, InvalidInsight
from lambdas.clients import client
from lambdas.collect_volumes.asking import Asker, StillThrottled
from lambdas.collect_volumes.measuring import insight_of
from lambdas.collect_volumes.metrics import Periods, read_periods
from lambdas.collect_volumes.spans import Reach, Span, calls, slices, span_of
from lambdas.collect_volumes.stored import Table, split
from lambdas.collect_volumes.volumes import volumes_of_shard
from lambdas.insight_writer import InsightWriter
from lambdas.metric_names import put
from lambdas.quarantine import Quarantine
from lambdas.throttling import Backoff, TableThrottled

logger = Logger(child=True)


@dataclass(frozen=True)
class CollectEnvironment:
    """`late_seconds`: for how long points of a period may still come; `every_seconds`: what the schedule says."""

    bucket_name: str
    insights_table_name: str
    volume_tag: str = ""
    period_seconds: int = 300
    every_seconds: int = 300
    late_seconds: int = 900
    catch_up_hours: int = 72
    # Longer than every delay of one call (lambdas.throttling.Backoff) and the writing of what it answered.
    hand_on_margin_seconds: int = 75

    @property
    def reach(self) -> Reach:
        return Reach(
            period_seconds=self.period_seconds,
            late=timedelta(seconds=self.late_seconds),
            every=timedelta(seconds=self.every_seconds),
            catch_up=timedelta(hours=self.catch_up_hours),
        )


@dataclass(frozen=True)
class Services:
    """Clients and patience; each is a real one where it is not given."""

    ec2: Any = field(default_factory=lambda: client("ec2"))
    cloudwatch: Any = field(default_factory=lambda: client("cloudwatch"))
    dynamodb: Any = field(default_factory=lambda: client("dynamodb"))
    s3: Any = field(default_factory=lambda: client("s3"))
    backoff: Backoff = field(default_factory=Backoff)


def collect_volumes(
    *,
    shard: int,
    shards: int,
    now: datetime,
    environment: CollectEnvironment,
    remaining_seconds: Callable[[], float],
    services: Services | None = None,
) -> dict[str, Any]:
    """Writes what is new and what late points have changed; says what it did and how far behind it is."""
    services = services or Services()
    asker = Asker(services.backoff)
    with ExitStack() as stack:
        key = f"quarantine/ebs/{now.strftime('%Y-%m-%dT%H-%M-%SZ')}-shard-{shard}.jsonl"
        quarantine = Quarantine(services.s3, environment.bucket_name, key, stack)
        run = _Run(now, environment, services, asker, quarantine)
        # Throttled here, nothing is known of how far behind it is: the invocation fails, which an alarm tells.
        spans = run.spans(shard, shards)
        try:
            run.collect(spans, remaining_seconds)
        except (StillThrottled, TableThrottled) as throttled:
            logger.warning("throttled", extra={"shard": shard, "reason": str(throttled)})
    return _told(run, asker, quarantine)


def _told(run: _Run, asker: Asker, quarantine: Quarantine) -> dict[str, Any]:
    put(
        "collect_volumes",
        {
            "CollectedInsights": run.rows + run.rewritten,
            "CollectedVolumes": run.volumes,
            "CollectionRefused": quarantine.refused,
            "CollectionUnfinished": len(run.behind),
            "CollectionLagSeconds": run.lag_seconds,
            "CollectionThrottles": asker.throttles,
        },
    )
    return {
        "volumes": run.volumes,
        "rows": run.rows,
        "rewritten": run.rewritten,
        "waiting": run.waiting,
        "refused": quarantine.refused,
        "quarantine": quarantine.uri,
        "unfinished": len(run.behind),
        "lag_seconds": run.lag_seconds,
        "throttles": asker.throttles,
    }


class _Run:
    """One pass over a shard; `behind` has the volumes that are not read to the end, and how far they are."""

    def __init__(
        self,
        now: datetime,
        environment: CollectEnvironment,
        services: Services,
        asker: Asker,
        quarantine: Quarantine,
    ) -> None:
        self._now, self._environment, self._services = now, environment, services
        self._asker, self._quarantine = asker, quarantine
        self._table = Table(environment.insights_table_name, services.dynamodb, asker)
        self._writer = InsightWriter(environment.insights_table_name, services.dynamodb, services.backoff)
        self.volumes = self.rows = self.rewritten = self.waiting = 0
        self.behind: dict[str, datetime] = {}

    @property
    def lag_seconds(self) -> float:
        """Age of the oldest period that could have been read and was not; 0 where all were."""
        return max(((self._now - since).total_seconds() for since in self.behind.values()), default=0.0)

    def spans(self, shard: int, shards: int) -> list[Span]:
        """What there is to read; all of it is behind at first."""
        reach, tag = self._environment.reach, self._environment.volume_tag
        found = []
        for volume in volumes_of_shard(shard, shards, tag=tag, ec2=self._services.ec2, asker=self._asker):
            past = self._table.past_of(volume.volume_id, reach.again)
            span = span_of(volume, past, now=self._now, reach=reach)
            if span is not None:
                found.append(span)
        self.volumes, self.behind = len(found), {span.volume.volume_id: span.start for span in found}
        return found

    def collect(self, spans: Sequence[Span], remaining_seconds: Callable[[], float]) -> None:
        for together in calls(spans):
            for start, end in slices(together, self._environment.period_seconds):
                if remaining_seconds() < self._environment.hand_on_margin_seconds:
                    logger.warning("out of time; the next run goes on", extra={"unfinished": len(self.behind)})
                    return
                self._collect_slice(together, start, end)

    def _collect_slice(self, spans: Sequence[Span], start: datetime, end: datetime) -> None:
        """A volume of which CloudWatch did not tell all is left to the next run, with all that would come after."""
        reading = [span for span in spans if start <= self.behind.get(span.volume.volume_id, end) < end]
        if not reading:
            return
        answer = read_periods(
            [span.volume for span in reading],
            start,
            end,
            period_seconds=self._environment.period_seconds,
            cloudwatch=self._services.cloudwatch,
            asker=self._asker,
        )
        complete = [span for span in reading if span.volume.volume_id not in answer.incomplete]
        self._write(complete, answer.periods)
        for span in complete:
            if end < span.end:
                self.behind[span.volume.volume_id] = end
            else:
                del self.behind[span.volume.volume_id]

    def _write(self, spans: Sequence[Span], periods: Mapping[str, Periods]) -> None:
        """Oldest first, and at a time no more of a volume than the next run reads again: a batch that is torn may leave
        out a row and have a newer one."""
        new: list[Insight] = []
        changed: list[Insight] = []
        for span in spans:
            insights = self._insights(span, periods[span.volume.volume_id])
            for found, more in zip((new, changed), split(insights, span.past), strict=True):
                found.extend(more)
        for _, together in groupby(sorted(new, key=_time), key=self._block):
            self.rows += self._writer.write(together)
        self.rewritten += sum(self._table.rewrite(insight) for insight in changed)

    def _block(self, insight: Insight) -> int:
        return int(_time(insight) // self._environment.reach.again.total_seconds())

    def _insights(self, span: Span, periods: Periods) -> Iterator[Insight]:
        """What is no insight is one perhaps when late points have come; it is refused when they can come no more."""
        length = timedelta(seconds=self._environment.period_seconds)
        for start in sorted(periods):
            if not span.start <= start < span.end:
                continue
            is_settled = start + length <= self._now - self._environment.reach.late
            try:
                insight = insight_of(
                    span.volume,
                    start,
                    periods[start],
                    period_seconds=self._environment.period_seconds,
                    is_settled=is_settled,
                )
            except InvalidInsight as refusal:
                if is_settled:
                    self._quarantine.add(refusal)
                else:
                    self.waiting += 1
                continue
            if insight is not None:
                yield insight


def _time(insight: Insight) -> float:
    return insight.timestamp.timestamp()
