"""Telemetry on its way in, to the devices table and to the next training run; predictions on their way to be joined."""

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from stacks.data_stack import DUE_INDEX, LAST_ALERT_INDEX
from stacks.functions import InsightFunction
from stacks.monitoring.alarm import FIVE_MINUTES, Breach, alarm, calculated, own_metric
from stacks.monitoring.alarms_functions import function_alarms, function_metric
from stacks.monitoring.watched import Watched
from stacks.names import KINDS

_LAG_SECONDS = cdk.Duration.hours(1).to_seconds()
_QUARANTINED_SHARE = 0.01
_STREAM_AGE = cdk.Duration.minutes(5).to_milliseconds()
_INDEXES = {"insights": LAST_ALERT_INDEX, "predictions": DUE_INDEX}
# An outcome can be known half an hour after its prediction.
_UNJOINED_SECONDS = cdk.Duration.hours(6).to_seconds()


def data_alarms(scope: Construct, watched: Watched) -> list[cloudwatch.Alarm]:
    """What callers do not notice at once."""
    return [
        *_export_alarms(scope),
        alarm(
            scope,
            "stream-age",
            function_metric(watched.track_devices, "IteratorAge", "Maximum"),
            Breach(threshold=_STREAM_AGE, periods=2),
            says="The devices table is more than 5 minutes behind the streams that it follows",
        ),
        *function_alarms(scope, {"track_devices": watched.track_devices}, periods=3, needed=2),
        *(_collection_alarms(scope, watched.collect_volumes) if watched.collect_volumes else ()),
        *(
            alarm(
                scope,
                "predictions-not-stored",
                own_metric("predict", "PredictionsNotStored", "Sum", Kind=kind),
                Breach(threshold=0, periods=3, needed=2),
                of=kind,
                says=f"{kind.capitalize()} predictions were answered and could not be stored",
            )
            for kind in KINDS
        ),
        *(
            alarm(
                scope,
                "outcomes-unjoined",
                own_metric("join_outcomes", "OldestUnjoinedSeconds", "Maximum", Kind=kind),
                Breach(threshold=_UNJOINED_SECONDS, keeps_state=True),
                of=kind,
                says=f"A {kind} prediction has waited for more than 6 h to be joined to what really happened",
            )
            for kind in KINDS
        ),
    ]


def _collection_alarms(scope: Construct, function: InsightFunction) -> list[cloudwatch.Alarm]:
    """A run that failed once is made up for by the next."""
    return [
        *function_alarms(scope, {function.folder: function}, periods=3, needed=2),
        alarm(
            scope,
            "collection-late",
            own_metric(function.folder, "CollectionLagSeconds", "Maximum"),
            Breach(threshold=_LAG_SECONDS, keeps_state=True),
            says="EBS volumes have metrics in CloudWatch that are more than an hour old and not in the table",
        ),
        alarm(
            scope,
            "collection-refused",
            calculated(
                "refused / (refused + collected)",
                {
                    "refused": own_metric(function.folder, "CollectionRefused", "Sum"),
                    "collected": own_metric(function.folder, "CollectedInsights", "Sum"),
                },
                label="share refused",
            ),
            Breach(threshold=_QUARANTINED_SHARE, keeps_state=True),
            says="More than 1% of what the last collection read of EBS volumes are no insights",
        ),
    ]


def _export_alarms(scope: Construct) -> list[cloudwatch.Alarm]:
    quarantined, exported = (
        own_metric("write_manifest", name, "Sum") for name in ("QuarantinedInsights", "ExportedInsights")
    )
    return [
        alarm(
            scope,
            "export-lag",
            own_metric("write_manifest", "ExportLagSeconds", "Maximum"),
            Breach(threshold=_LAG_SECONDS, keeps_state=True),
            says="The newest insight of the last export was more than an hour old: the fleet's telemetry does not arrive",
        ),
        alarm(
            scope,
            "export-quarantine",
            calculated(
                "quarantined / (quarantined + exported)",
                {"quarantined": quarantined, "exported": exported},
                label="share in quarantine",
            ),
            Breach(threshold=_QUARANTINED_SHARE, keeps_state=True),
            says="More than 1% of the last export's rows are no insights",
        ),
    ]


def table_alarms(scope: Construct, watched: Watched) -> list[cloudwatch.Alarm]:
    """DynamoDB turns requests away; the API answers 503 then."""
    return [
        alarm(
            scope,
            "table-throttles",
            throttled(name, table),
            Breach(threshold=0, periods=3, needed=2),
            of=name,
            says=f"DynamoDB throttles reads or writes of the {name} table",
        )
        for name, table in watched.tables.items()
    ]


def throttled(name: str, table: dynamodb.Table) -> cloudwatch.MathExpression:
    """Requests for the table, and for its index, which are not among them: an index that throttles stops its table's
    writes as well."""
    found = {
        f"{name}_{verb.lower()}s": table_metric(table, f"{verb}ThrottleEvents", "Sum") for verb in ("Read", "Write")
    }
    if name in _INDEXES:
        index = {"GlobalSecondaryIndexName": _INDEXES[name]}
        found |= {
            f"{name}_index_{verb.lower()}s": table_metric(table, f"{verb}ThrottleEvents", "Sum", **index)
            for verb in ("Read", "Write")
        }
    return calculated(f"SUM([{', '.join(found)}])", found, label=f"{name}: throttled requests")


def table_metric(table: dynamodb.Table, name: str, statistic: str, **dimensions: str) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="AWS/DynamoDB",
        metric_name=name,
        dimensions_map={"TableName": table.table_name, **dimensions},
        statistic=statistic,
        period=FIVE_MINUTES,
    )
