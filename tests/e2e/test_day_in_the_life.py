"""A day in the life: the fleet slows down; that is noticed, trained for, tried, found wrong by operators, taken back."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from insights.generator import generate
from insights.schema import Insight
from local.api_client import get, post
from local.execution import Execution, follow_execution
from local.run import sign_in_of
from tests.e2e.permissions import DeployedRoles, Templates, check
from tests.e2e.served_models import WATCHED, ServedModels, ServingOptions
from tests.e2e.watched_models import Watched, ask, know_outcomes, same, slower, truncated, watch
from tests.local.watching import Metrics, patiently

pytestmark = pytest.mark.e2e

RECORDS, FLEET_SEED = 10_000, 12
DEVICES_ASKED = 40
OTHER_LEVEL = {"low": "high", "medium": "critical", "high": "low", "critical": "medium"}


@pytest.fixture(scope="module")
def serving_options() -> ServingOptions:
    """The day's minutes take 1.2 s; a training that nobody asked for tunes as the deployment says."""
    return ServingOptions(context=WATCHED, wait_scale=0.02)


@dataclass
class Day:
    """The deployment as the people of this day see it."""

    served: ServedModels
    devices: list[str] = field(default_factory=list)

    def client(self, name: str) -> Any:
        return self.served.cloud.client(name)

    def load(self, insights: list[Insight]) -> None:
        """By the fleet's own way into the table."""
        bucket, key = self.served.deployment["IopsData.BucketName"], "incoming/day.jsonl"
        text = "".join(json.dumps(insight.to_json()) + "\n" for insight in insights)
        self.client("s3").put_object(Bucket=bucket, Key=key, Body=text.encode())
        answer = self.client("lambda").invoke(
            FunctionName=self.served.deployment["IopsTraining.IngestInsightsName"],
            Payload=json.dumps({"bucket": bucket, "key": key}),
        )
        assert json.loads(answer["Payload"].read())["rows"] == len(insights)
        self.devices = sorted({insight.device_id for insight in insights})

    def alarm(self, name: str) -> str:
        found = self.client("cloudwatch").describe_alarms(
            AlarmNames=[name], AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
        return str([*found["MetricAlarms"], *found["CompositeAlarms"]][0]["StateValue"])

    def comes_to(self, name: str, state: str) -> None:
        patiently(lambda: self.alarm(name) == state, seconds=60)
        assert (name, self.alarm(name)) == (name, state)

    def objects(self, prefix: str) -> list[dict[str, Any]]:
        """Records in the order in which they were written; their keys begin with their times."""
        s3, bucket = self.client("s3"), self.served.deployment["IopsData.BucketName"]
        keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]
        return [json.load(s3.get_object(Bucket=bucket, Key=key)["Body"]) for key in sorted(keys)]

    def retraining(self) -> Execution:
        """The training that the decision started, to its end."""
        [decided] = patiently(lambda: self.objects("retraining/"), seconds=60)
        assert decided["decisions"]["risk"]["is_started"], decided
        assert (decided["trigger"], list(decided["decisions"])) == ("drift", ["risk"])
        return follow_execution(self.client("stepfunctions"), decided["execution"], timeout_seconds=300)

    def predictions(self) -> list[dict[str, Any]]:
        url, token = self._api()
        body = {"items": [{"device_id": device} for device in self.devices[:DEVICES_ASKED]]}
        answer = post(url, "/api/predict/risk", body, token=token)
        assert answer.status == 200, answer.body
        assert {item["status"] for item in answer.body["results"]} == {200}, answer.body
        return [item["prediction"] for item in answer.body["results"]]

    def object_to(self, predictions: list[dict[str, Any]]) -> None:
        """Operators saw something else."""
        url, token = self._api()
        for prediction in predictions:
            said = {name: prediction[name] for name in ("device_id", "prediction_id")}
            level = OTHER_LEVEL[prediction["risk_level"]]
            assert post(url, "/api/feedback", {**said, "risk_level": level}, token=token).status == 200

    def model(self) -> dict[str, Any]:
        url, token = self._api()
        [risk] = [model for model in get(url, "/api/models", token=token).body["models"] if model["kind"] == "risk"]
        return dict(risk)

    def _api(self) -> tuple[str, str]:
        cloud, deployment = self.served.cloud, self.served.deployment
        return cloud.reachable_url(deployment["IopsApi.ApiUrl"]), sign_in_of(cloud, deployment).service_token()


def fleet_that_slowed_down() -> list[Insight]:
    """Twice the latencies, and what followed them as it was labelled."""
    return [
        replace(slower(insight), device_id=insight.device_id.replace("synthetic-", "array-"))
        for insight in generate(RECORDS, FLEET_SEED)
    ]


@pytest.fixture(scope="module")
def day(served: ServedModels) -> Day:
    made = Day(served)
    made.load(fleet_that_slowed_down())
    return made


@pytest.fixture(scope="module")
def periods(served: ServedModels, day: Day) -> tuple[Watched, Watched]:
    know_outcomes(served)
    since = truncated(datetime.now(UTC))
    first = watch(served, since, {kind: ask(served, kind, same) for kind in ("risk", "performance")})
    time.sleep(1.1)
    since = truncated(datetime.now(UTC))
    asked = {"risk": ask(served, "risk", slower), "performance": ask(served, "performance", same)}
    return first, watch(served, since, asked)


def test_a_fleet_like_the_one_trained_on_raises_no_alarm(periods: tuple[Watched, Watched]):
    first, _ = periods
    for kind in ("risk", "performance"):
        assert (first.latest[kind]["compared"], first.latest[kind]["drift_detected"]) == (True, False)
        assert first.metrics[kind, "DriftDetected"] == 0
        assert first.metrics[kind, "CapturedRows"] == first.latest[kind]["rows"] > 500


def test_doubled_latencies_are_found_within_one_period_at_the_endpoint_that_saw_them(
    periods: tuple[Watched, Watched],
):
    _, second = periods
    drifted = {feature["feature"] for feature in second.latest["risk"]["drifted_features"]}
    assert {"avg_latency", "p95_latency", "p99_latency"} <= drifted
    assert second.metrics["risk", "DriftDetected"] == 1
    assert second.metrics["performance", "DriftDetected"] == 0
    assert second.outputs["performance"]["drifted_features"] == []


def test_live_answers_are_held_against_what_happened(periods: tuple[Watched, Watched]):
    first, _ = periods
    live = first.latest["risk"]["live"]
    assert (live["outcomes"], live["accuracy"]) == (20, 0.75)
    assert live["lower"] < 0.75 < live["upper"]
    assert [one["variant"] for one in first.latest["risk"]["variants"]] == ["live"]
    assert first.metrics["risk", "JoinedOutcomes"] == 20
    assert first.latest["performance"]["live"] == {"outcomes": 0}


def test_the_report_stands_where_the_result_says(served: ServedModels, periods: tuple[Watched, Watched]):
    _, second = periods
    bucket, _, key = second.latest["risk"]["report"].removeprefix("s3://").partition("/")
    page = served.cloud.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    assert "Drift in" in page
    assert "avg_latency" in page


def watched_again(day: Day) -> Watched:
    time.sleep(1.1)  # captured requests are stamped by the second
    since = truncated(datetime.now(UTC))
    return watch(day.served, since, {"risk": ask(day.served, "risk", slower)})


def succeeded(execution: Execution) -> dict[str, Any]:
    assert execution.status == "SUCCEEDED", execution.cause
    return execution.output


def test_drift_is_trained_for_tried_and_what_operators_object_to_is_taken_back(
    day: Day, periods: tuple[Watched, Watched]
):
    served = day.served
    first = served.live_package("risk")
    day.comes_to("iops-drift-risk", "ALARM")
    assert day.alarm("iops-drift-performance") != "ALARM"

    trained = succeeded(day.retraining())
    newcomer = served.live_package("risk")
    assert (trained["trigger"], trained["models"]["performance"]["status"]) == ("drift", "skipped")
    assert (trained["models"]["risk"]["status"], newcomer == first) == ("promoted", False), trained
    assert watched_again(day).metrics["risk", "DriftDetected"] == 0
    day.comes_to("iops-drift-risk", "OK")

    challenger = served.register("risk")
    tried = served.promote("risk", challenger, challenger="ab", share=50)
    assert succeeded(tried)["status"] == "experiment_started"
    patiently(lambda: {one["variant"] for one in day.predictions()} == {"live", "challenger"}, seconds=90)
    answered = day.predictions()
    versions = {one["variant"]: one["model_version"] for one in answered}
    assert versions == {"live": newcomer, "challenger": challenger}
    assert succeeded(served.promote("risk", challenger))["status"] == "promoted"
    assert served.live_package("risk") == challenger

    day.object_to(answered)
    day.comes_to("iops-feedback-accuracy-risk", "ALARM")
    day.comes_to("iops-page-model-risk", "ALARM")
    back = served.execute("PromoteModel", {"kind": "risk", "version": "previous", "reason": "operators object"})
    assert succeeded(back)["live_package"] == newcomer
    assert served.live_package("risk") == newcomer


def test_every_step_of_the_day_is_in_the_records(day: Day):
    """After the story above; the oldest promotions are the fixture's."""
    promotions = [(one["outcome"], str(one["live"]).rpartition("/")[2]) for one in day.objects("promotions/risk/")]
    [retraining] = day.objects("retraining/")

    assert promotions == [
        ("promoted", "1"),
        ("promoted", "2"),
        ("experiment_started", "2"),
        ("experiment_ended", "2"),
        ("promoted", "3"),
        ("promoted", "2"),
    ]
    assert retraining["decisions"]["risk"]["reason"].startswith("started: ")
    drift = day.model()["drift"]
    assert (drift["drift_detected"], drift["drifted_features"]) == (False, [])


def test_every_step_of_the_day_is_in_the_dashboards_metrics(day: Day):
    deployment, metrics = day.served.deployment, Metrics(day.client("cloudwatch"))
    boards = day.client("cloudwatch")
    drawn = "".join(
        boards.get_dashboard(DashboardName=board["DashboardName"])["DashboardBody"]
        for board in boards.list_dashboards()["DashboardEntries"]
    )
    written = {
        ("publish_watch", "DriftDetected"): 1,
        ("publish_watch", "CapturedRows"): 1500,
        ("give_feedback", "FeedbackGiven"): DEVICES_ASKED,
        ("predict", "Predictions"): DEVICES_ASKED,
        ("decide_retraining", "RetrainingStarted"): 1,
    }
    for (function, name), least in written.items():
        found = metrics.total("IopsInsights", name, service=function, Kind="risk")
        assert (name, (found or 0) >= least) == (name, True)
        assert f'"{name}"' in drawn, name
    for machine, least in {"TrainModels": 1, "PromoteModel": 6, "WatchModels": 3}.items():
        found = metrics.total(
            "AWS/States", "ExecutionsSucceeded", StateMachineArn=deployment[f"IopsTraining.{machine}Arn"]
        )
        assert (machine, (found or 0) >= least) == (machine, True)
        assert deployment[f"IopsTraining.{machine}Arn"] in drawn


def test_removing_any_one_action_that_this_day_is_to_prove_would_have_failed_a_call(
    served: ServedModels, templates: Templates
):
    check("day_in_the_life", served.cloud, DeployedRoles.of(served.cloud), templates)
