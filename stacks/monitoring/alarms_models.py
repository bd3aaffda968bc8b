"""Whether the live models still fit the fleet: its inputs, what operators say, what really happened."""

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from stacks.monitoring.alarm import Breach, alarm, calculated, own_metric

# Below the gate's own demands (insights/gate.py), as few and unrepresentative outcomes scatter around them.
_LEAST_AGREEMENT = 0.80
_FEWEST_OPINIONS = 20
_LEAST_ACCURACY = 0.80
_MOST_RMSE = 15.0


def model_alarms(scope: Construct, kind: str) -> list[cloudwatch.Alarm]:
    return [_drift(scope, kind), _feedback(scope, kind), _live_quality(scope, kind)]


def _drift(scope: Construct, kind: str) -> cloudwatch.Alarm:
    """Its name is drift_alarm_name's: its change of state starts the decision to train again."""
    return alarm(
        scope,
        "drift",
        own_metric("publish_watch", "DriftDetected", "Maximum", Kind=kind),
        Breach(threshold=0, keeps_state=True),
        of=kind,
        says=f"What the {kind} endpoint is asked differs from what its model was trained on",
    )


def _feedback(scope: Construct, kind: str) -> cloudwatch.Alarm:
    day = cdk.Duration.days(1)
    agreed, given = (
        own_metric("give_feedback", "FeedbackAgreed", statistic, period=day, Kind=kind)
        for statistic in ("Average", "SampleCount")
    )
    return alarm(
        scope,
        "feedback-accuracy",
        calculated(
            f"IF(given >= {_FEWEST_OPINIONS}, agreed, 1)",
            {"agreed": agreed, "given": given},
            period=day,
            label="agreed with",
        ),
        Breach(threshold=_LEAST_AGREEMENT, is_below=True),
        of=kind,
        says=f"Operators agree with less than 80% of the {kind} predictions that they gave feedback on today",
    )


def _live_quality(scope: Construct, kind: str) -> cloudwatch.Alarm:
    if kind == "risk":
        return alarm(
            scope,
            "live-quality",
            own_metric("publish_watch", "LiveAccuracy", "Minimum", Kind=kind),
            Breach(threshold=_LEAST_ACCURACY, is_below=True, keeps_state=True),
            of=kind,
            says="Of the risk predictions whose outcome is known, less than 80% were right",
        )
    return alarm(
        scope,
        "live-quality",
        own_metric("publish_watch", "LiveRmse", "Maximum", Kind=kind),
        Breach(threshold=_MOST_RMSE, keeps_state=True),
        of=kind,
        says="The performance scores were off by more than 15 points (RMSE) from what really happened",
    )
