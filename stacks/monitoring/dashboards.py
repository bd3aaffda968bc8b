"""What people look at: the endpoints, the API with its error budget, the workflows, the data, the models."""

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from stacks.functions import InsightFunction
from stacks.monitoring.alarm import FIVE_MINUTES, calculated, own_metric
from stacks.monitoring.alarms_api import api_metric
from stacks.monitoring.alarms_data import throttled
from stacks.monitoring.alarms_endpoints import endpoint_metric
from stacks.monitoring.alarms_functions import function_metric
from stacks.monitoring.alarms_workflows import workflow_metric
from stacks.monitoring.objective import BUDGET, BUDGET_PERIOD, OBJECTIVE, failed_share, prediction_metric
from stacks.monitoring.watched import Watched
from stacks.names import KINDS

_HOUR, _DAY = cdk.Duration.hours(1), cdk.Duration.days(1)
_WHOLE_WIDTH = 24


def dashboards(scope: Construct, watched: Watched) -> None:
    for name, rows in {
        "endpoints": _endpoints(watched),
        "api": [*_budget(watched), *_api(watched)],
        "workflows": _workflows(watched),
        "data": _data(watched),
        "models": _models(),
    }.items():
        board = cloudwatch.Dashboard(
            scope,
            f"{name.capitalize()}Dashboard",
            dashboard_name=f"iops-{name}",
            default_interval=cdk.Duration.hours(12) if name != "models" else cdk.Duration.days(30),
        )
        for row in rows:
            board.add_widgets(*row)


Row = Sequence[cloudwatch.IWidget]


def _graph(title: str, *metrics: cloudwatch.IMetric, width: int = 8, zero: bool = True) -> cloudwatch.GraphWidget:
    axis = cloudwatch.YAxisProps(min=0) if zero else None
    return cloudwatch.GraphWidget(title=title, left=list(metrics), left_y_axis=axis, width=width)


def _text(markdown: str) -> Row:
    return [cloudwatch.TextWidget(markdown=markdown, width=_WHOLE_WIDTH, height=2)]


def _endpoints(watched: Watched) -> list[Row]:
    minute = cdk.Duration.minutes(1)
    rows: list[Row] = [_text("# Endpoints\nWhat they answered, how fast, on how many instances; per live variant.")]
    for kind in KINDS:
        name = watched.settings.endpoint_name(kind)

        def of(metric: str, statistic: str, endpoint: str = name) -> cloudwatch.Metric:
            return endpoint_metric(endpoint, metric, statistic, period=minute)

        instances = {"calls": of("Invocations", "Sum"), "per_instance": of("InvocationsPerInstance", "Sum")}
        rows.append(
            [
                _graph(
                    f"{name}: calls and errors",
                    of("Invocations", "Sum"),
                    of("Invocation4XXErrors", "Sum"),
                    of("Invocation5XXErrors", "Sum"),
                ),
                _graph(
                    f"{name}: latency (microseconds)",
                    of("ModelLatency", "p50"),
                    of("ModelLatency", "p99"),
                    of("OverheadLatency", "p99"),
                ),
                _graph(
                    f"{name}: instances that answered",
                    calculated("calls / per_instance", instances, period=minute, label="instances"),
                ),
            ]
        )
    return rows


def _budget(watched: Watched) -> list[Row]:
    """How much of the month's failures is still allowed: 100% untouched, below 0% the objective is missed."""
    left = calculated(
        f"100 * (1 - share / {BUDGET:.4f})",
        {"share": failed_share(watched.api, BUDGET_PERIOD, fewest_calls=1)},
        period=BUDGET_PERIOD,
        label="% of the error budget left",
    )
    rates = [
        _graph(
            f"Burn rate over {window}",
            calculated(
                f"share / {BUDGET:.4f}",
                {"share": failed_share(watched.api, period)},
                period=period,
                label="times the sustainable rate",
            ),
        )
        for window, period in (("an hour", _HOUR), ("a day", _DAY))
    ]
    return [
        _text(
            f"# API\n{OBJECTIVE:.1%} of prediction requests are answered without a server error, over "
            f"{BUDGET_PERIOD.to_days():.0f} days. At a burn rate of 1 the budget is spent when they are over."
        ),
        [
            cloudwatch.SingleValueWidget(
                title="Error budget left", metrics=[left], set_period_to_time_range=False, width=8, height=6
            ),
            *rates,
        ],
    ]


def _api(watched: Watched) -> list[Row]:
    api = watched.api
    routes = {
        kind: prediction_metric(api, kind, "Latency", "p99", period=FIVE_MINUTES).with_(label=f"{kind}, p99")
        for kind in KINDS
    }
    return [
        [
            _graph(
                "Calls and errors",
                api_metric(api, "Count", "Sum"),
                api_metric(api, "4XXError", "Sum"),
                api_metric(api, "5XXError", "Sum"),
            ),
            _graph(
                "Latency (ms)",
                api_metric(api, "Latency", "p50"),
                api_metric(api, "Latency", "p99"),
                api_metric(api, "IntegrationLatency", "p99"),
            ),
            _graph("Latency of predictions (ms)", *routes.values()),
        ],
        [
            _graph(title, *(function_metric(function, metric, statistic) for function in watched.answering.values()))
            for title, metric, statistic in (
                ("Functions: duration (ms, p99)", "Duration", "p99"),
                ("Functions: errors", "Errors", "Sum"),
                ("Functions: throttles", "Throttles", "Sum"),
            )
        ],
        [
            _graph(
                "Predictions",
                *(own_metric("predict", "Predictions", "Sum", Kind=kind).with_(label=kind) for kind in KINDS),
            ),
            _graph(
                "Requests that the functions refused",
                *(own_metric("predict", "RequestsRefused", "Sum", Kind=kind).with_(label=kind) for kind in KINDS),
                own_metric("read_fleet", "RequestsRefused", "Sum"),
            ),
            _graph(
                "Requests that failed",
                *(own_metric("predict", "RequestsFailed", "Sum", Kind=kind).with_(label=kind) for kind in KINDS),
                own_metric("read_fleet", "RequestsFailed", "Sum"),
            ),
        ],
    ]


def _workflows(watched: Watched) -> list[Row]:
    rows: list[Row] = [
        _text("# Workflows\nExecutions, how they ended and how long they took; the functions they call.")
    ]
    for name, machine in watched.workflows.items():
        ends = ("ExecutionsStarted", "ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsTimedOut")
        rows.append(
            [
                _graph(f"{name}: executions", *(workflow_metric(machine, end, "Sum") for end in ends), width=12),
                _graph(f"{name}: time (ms)", workflow_metric(machine, "ExecutionTime", "Maximum"), width=12),
            ]
        )
    functions = watched.working.values()
    return [
        *rows,
        [
            _graph("Functions: errors", *(function_metric(one, "Errors", "Sum") for one in functions), width=12),
            _graph(
                "Functions: duration (ms)",
                *(function_metric(one, "Duration", "Maximum") for one in functions),
                width=12,
            ),
        ],
    ]


def _data(watched: Watched) -> list[Row]:
    manifest = [own_metric("write_manifest", name, "Maximum") for name in ("ExportedInsights", "QuarantinedInsights")]
    outcomes = [
        own_metric("join_outcomes", name, "Sum", Kind=kind).with_(label=f"{kind}: {name}")
        for kind in KINDS
        for name in ("OutcomesJoined", "OutcomesUnknown")
    ]
    of_tables = [throttled(name, table) for name, table in watched.tables.items()]
    return [
        _text("# Data\nTelemetry and predictions on their way."),
        [
            _graph("Exports: insights", *manifest),
            _graph(
                "Exports: newest insight (seconds old)", own_metric("write_manifest", "ExportLagSeconds", "Maximum")
            ),
            _graph(
                "Devices table: behind its streams (ms)",
                function_metric(watched.track_devices, "IteratorAge", "Maximum"),
            ),
        ],
        [
            _graph("Tables: throttled requests", *of_tables),
            _graph(
                "Predictions that were not stored",
                *(own_metric("predict", "PredictionsNotStored", "Sum", Kind=kind).with_(label=kind) for kind in KINDS),
            ),
            _graph("Outcomes", *outcomes),
        ],
        *(_collection(watched.collect_volumes) if watched.collect_volumes else ()),
    ]


def _collection(function: InsightFunction) -> list[Row]:
    def of(name: str, statistic: str = "Sum") -> cloudwatch.Metric:
        return own_metric(function.folder, name, statistic, period=_HOUR)

    return [
        [
            _graph("EBS volumes: insights", of("CollectedInsights"), of("CollectionRefused")),
            _graph(
                "EBS volumes: behind (s), volumes not read to the end",
                of("CollectionLagSeconds", "Maximum"),
                of("CollectionUnfinished"),
            ),
            _graph("EBS volumes: read, calls throttled", of("CollectedVolumes"), of("CollectionThrottles")),
        ]
    ]


def _models() -> list[Row]:
    rows: list[Row] = [_text("# Models\nInputs against training, answers against outcomes.")]
    for kind in KINDS:

        def watch(name: str, statistic: str = "Maximum", of: str = kind) -> cloudwatch.Metric:
            return own_metric("publish_watch", name, statistic, period=_HOUR, Kind=of)

        quality = ("LiveAccuracy", "LiveAccuracyLower") if kind == "risk" else ("LiveRmse",)
        rows += [
            [
                _graph(f"{kind}: drift", watch("DriftDetected"), watch("DriftedFeatures"), watch("WorstPsi")),
                _graph(f"{kind}: predictions and missing values", watch("PredictionPsi"), watch("MissingRateShift")),
                _graph(f"{kind}: rows and outcomes compared", watch("CapturedRows"), watch("JoinedOutcomes")),
            ],
            [
                _graph(f"{kind}: live quality", *(watch(name) for name in quality)),
                _graph(
                    f"{kind}: share of feedback that agrees",
                    own_metric("give_feedback", "FeedbackAgreed", "Average", period=_DAY, Kind=kind),
                ),
                _graph(
                    f"{kind}: feedback, and trainings that were decided on",
                    own_metric("give_feedback", "FeedbackGiven", "Sum", period=_DAY, Kind=kind),
                    own_metric("decide_retraining", "RetrainingStarted", "Sum", period=_DAY, Kind=kind),
                    own_metric("decide_retraining", "RetrainingRefused", "Sum", period=_DAY, Kind=kind),
                ),
            ],
        ]
    return rows
