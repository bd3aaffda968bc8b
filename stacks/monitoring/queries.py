"""The runbook's questions to the logs, saved where the console of CloudWatch Logs Insights lists them."""

from dataclasses import dataclass

from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.monitoring.watched import Watched
from stacks.workflows.machine import log_group_name

FOLDER = "iops-insights"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """`of`: which log groups it is asked of, by the groups' names in log_groups below."""

    name: str
    of: str
    lines: tuple[str, ...]


QUERIES = (
    Query(
        name="api-failures",
        of="answering",
        lines=(
            "fields @timestamp, service, status, detail, exception_name, correlation_id",
            "filter level = 'ERROR' or status >= 500",
            "sort @timestamp desc",
            "limit 100",
        ),
    ),
    Query(
        name="api-refusals",
        of="answering",
        lines=(
            "filter message = 'refused' and status < 500",
            "stats count(*) as refused by service, status, field, detail",
            "sort refused desc",
            "limit 50",
        ),
    ),
    Query(
        name="api-calls",
        of="access",
        lines=(
            "stats count(*) as calls by resourcePath, status, bin(5m)",
            "sort calls desc",
            "limit 200",
        ),
    ),
    Query(
        name="api-callers",
        of="access",
        lines=(
            "filter status >= 400 and status < 500",
            "stats count(*) as refused by ip, user, resourcePath, status",
            "sort refused desc",
            "limit 50",
        ),
    ),
    Query(
        name="function-durations",
        of="functions",
        lines=(
            "filter @type = 'REPORT'",
            "stats count(*) as calls, pct(@duration, 50) as p50_ms, pct(@duration, 99) as p99_ms, "
            "max(@initDuration) as slowest_start_ms, max(@maxMemoryUsed / 1024 / 1024) as most_mib by @log",
            "sort p99_ms desc",
        ),
    ),
    Query(
        name="function-crashes",
        of="functions",
        lines=(
            "fields @timestamp, @log, @requestId, @message",
            "filter @message like /Task timed out|Runtime.ExitError|Runtime exited|Traceback/ or level = 'ERROR'",
            "sort @timestamp desc",
            "limit 100",
        ),
    ),
    Query(
        name="workflow-failures",
        of="workflows",
        lines=(
            "fields @timestamp, execution_arn, type, details.name, details.error, details.cause",
            "filter type like /Failed|TimedOut|Aborted/",
            "sort @timestamp desc",
            "limit 100",
        ),
    ),
    Query(
        name="workflow-durations",
        of="workflows",
        lines=(
            "filter type like /^Execution/",
            "stats min(@timestamp) as began, max(@timestamp) as last, latest(type) as state by execution_arn",
            "sort began desc",
            "limit 50",
        ),
    ),
    Query(
        name="exports",
        of="exports",
        lines=(
            "filter message = 'manifest written'",
            "fields @timestamp, account.rows, account.quarantined, account.newest_at, account.manifest",
            "sort @timestamp desc",
            "limit 20",
        ),
    ),
    Query(
        name="collections",
        of="collecting",
        lines=(
            "filter message = 'volumes collected' or level in ['ERROR', 'WARNING']",
            "fields @timestamp, message, reason, collected.shard, collected.volumes, collected.rows, collected.refused, "
            "collected.unfinished, collected.lag_seconds, collected.throttles, collected.quarantine",
            "sort @timestamp desc",
            "limit 100",
        ),
    ),
    Query(
        name="stream-failures",
        of="streams",
        lines=(
            "fields @timestamp, message, exception_name, exception",
            "filter level = 'ERROR'",
            "sort @timestamp desc",
            "limit 100",
        ),
    ),
)


def queries(scope: Construct, watched: Watched) -> None:
    groups = log_groups(watched)
    for query in QUERIES:
        if not groups[query.of]:
            continue
        logs.CfnQueryDefinition(
            scope,
            "Query" + "".join(part.capitalize() for part in query.name.split("-")),
            name=f"{FOLDER}/{query.name}",
            query_string="\n| ".join(query.lines),
            log_group_names=groups[query.of],
        )


def log_groups(watched: Watched) -> dict[str, list[str]]:
    answering = [function.log_group.log_group_name for function in watched.answering.values()]
    working = {name: function.log_group.log_group_name for name, function in watched.working.items()}
    streams = [watched.track_devices.log_group.log_group_name]
    collecting = [watched.collect_volumes.log_group.log_group_name] if watched.collect_volumes else []
    return {
        "access": [watched.access_log.log_group_name],
        "answering": answering,
        "functions": [*answering, *working.values(), *streams, *collecting],
        "workflows": [log_group_name(name) for name in watched.workflows],
        "exports": [working["write_manifest"]],
        "streams": streams,
        "collecting": collecting,
    }
