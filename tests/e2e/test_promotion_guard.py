"""Promotion tried by breaking it: whatever is wrong with a new model, the old one goes on serving, no caller's request
fails, and the failure says what was wrong and what is live.

The caller asks the endpoint itself, several at once and all the time, and never asks twice: what it counts as failed
is what any client would see, retries or not.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from botocore.config import Config

from local.execution import Execution
from tests.e2e.images.faulty import SLOW_SECONDS
from tests.e2e.people import People
from tests.e2e.permissions import DeployedRoles, Templates, check
from tests.e2e.served_models import ServedModels, ServingOptions, image_uri
from training_container.model_folder import read_golden, write_golden
from training_container.predictor import Predictor

pytestmark = pytest.mark.e2e

KIND, ENDPOINT = "performance", "iops-performance-predictor"
FAULTY = image_uri("faulty:1")
CALLERS, ASK_EVERY_SECONDS = 6, 0.1
RECORD_SCHEMA = json.loads(Path("docs/promotion-record.schema.json").read_text())


@pytest.fixture(scope="module")
def serving_options() -> ServingOptions:
    """A minute takes 3 s."""
    image = Path(__file__).parent / "images" / "faulty.py"
    return ServingOptions(kinds=(KIND,), images={"faulty:1": str(image)}, wait_scale=0.05)


@dataclass
class Seen:
    """What callers saw: (model, milliseconds) of each answer, and each failure as text."""

    answers: list[tuple[str, float]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def copied(self) -> Seen:
        return Seen(list(self.answers), list(self.failures))

    def models(self) -> set[str]:
        return {model for model, _ in self.answers}

    def milliseconds(self, model: str) -> list[float]:
        return [value for answered, value in self.answers if answered == model]


@contextmanager
def callers(served: ServedModels, *, at_once: int = CALLERS) -> Iterator[Seen]:
    """So many clients that ask one row after the other, without a retry, until the block ends."""
    client = served.cloud.client(
        "sagemaker-runtime", config=Config(retries={"total_max_attempts": 1}, max_pool_connections=at_once)
    )
    body, seen, is_over = served.golden_csv(KIND).splitlines()[0], Seen(), threading.Event()

    def ask() -> None:
        while not is_over.wait(ASK_EVERY_SECONDS):
            begun = time.perf_counter()
            try:
                answer = client.invoke_endpoint(EndpointName=ENDPOINT, ContentType="text/csv", Body=body)
                model = json.loads(answer["Body"].read())["model_version"]
                seen.answers.append((model, (time.perf_counter() - begun) * 1000))
            except Exception as failure:
                seen.failures.append(f"{type(failure).__name__}: {failure}")

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


@dataclass(frozen=True)
class Broken:
    """A promotion that must not succeed: what was live, what was tried, and what came of it."""

    old: str
    new: str
    execution: Execution
    seen: Seen
    seconds: float

    def report(self) -> str:
        """For a person who runs with -s."""
        other = self.seen.milliseconds(self.new)
        return (
            f"\n{len(self.seen.answers)} answers, {len(self.seen.failures)} failed, {len(other)} of the new model"
            + (f" (median {statistics.median(other):.0f} ms)" if other else "")
            + f"; {self.seconds:.0f} s; {self.execution.error}: {self.execution.cause}"
        )


def broken(served: ServedModels, package: str, *, at_once: int = CALLERS, may_fail: bool = False) -> Broken:
    """Promote it while callers ask, and a little longer; the old model must serve as if nothing had been."""
    old = served.live_package(KIND)
    with callers(served, at_once=at_once) as seen:
        begun = time.monotonic()
        execution = served.promote(KIND, package)
        result = Broken(old, package, execution, seen, time.monotonic() - begun)
        afterwards = seen.copied()
        while len(seen.answers) < len(afterwards.answers) + 2 * at_once:
            assert seen.failures == afterwards.failures
            time.sleep(0.05)
    print(result.report())

    assert may_fail or seen.failures == []
    assert execution.status == "FAILED"
    assert f"Live is {old}, as before." in execution.cause
    assert served.live_package(KIND) == old
    assert served.invoke(KIND)["model_version"] == old
    assert served.endpoint(KIND)["EndpointStatus"] == "InService"
    assert_recorded(served, result)
    return result


def assert_recorded(served: ServedModels, result: Broken) -> None:
    [uri] = re.findall(r"Recorded as (s3://\S+\.json)", result.execution.cause)
    record = read_record(served, uri)
    assert (record["from"], record["to"], record["live"]) == (result.old, result.new, result.old)
    assert record["outcome"] == "rolled_back"
    assert record["cause"] in result.execution.cause


def read_record(served: ServedModels, uri: str) -> dict[str, Any]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    record: dict[str, Any] = json.load(served.cloud.client("s3").get_object(Bucket=bucket, Key=key)["Body"])
    jsonschema.validate(record, RECORD_SCHEMA)
    return record


def edited(change: Callable[[dict[str, Any]], None], *, new_golden: bool = False) -> Callable[[Path], None]:
    """Change model.json; with new_golden the golden rows then say what this other model answers."""

    def edit(folder: Path) -> None:
        described = json.loads((folder / "model.json").read_text())
        change(described)
        (folder / "model.json").write_text(json.dumps(described))
        if new_golden:
            rows, _ = read_golden(folder)
            write_golden(folder, KIND, rows, Predictor.load(folder).answers(rows, explain=False))

    return edit


def doubled(described: dict[str, Any]) -> None:
    described["conformal_quantile"] *= 2


def of_another_table(described: dict[str, Any]) -> None:
    described["feature_table_hash"] = "0" * 64


def test_a_model_that_does_not_answer_its_own_golden_rows_never_gets_a_caller(served: ServedModels, tmp_path: Path):
    folder = served.variant(KIND, tmp_path / "model", edited(doubled))

    result = broken(served, served.register(KIND, folder=folder))

    assert result.seen.models() == {result.old}
    assert "the container said:" in result.execution.cause
    assert "golden row 1" in result.execution.cause


def test_another_model_than_was_evaluated_never_gets_a_caller(served: ServedModels, tmp_path: Path):
    folder = served.variant(KIND, tmp_path / "model", edited(doubled, new_golden=True))

    result = broken(served, served.register(KIND, folder=folder, golden=served.folders[KIND] / "golden.json"))

    assert result.seen.models() == {result.old}
    assert "is not the one stored with the model's evaluation" in result.execution.cause


def test_a_container_that_does_not_look_at_itself_is_asked_for_the_golden_answers_and_taken_back(
    served: ServedModels, tmp_path: Path
):
    """The last guard: its callers got answers of the other model until then, each with that model's name."""
    folder = served.variant(KIND, tmp_path / "model", edited(doubled, new_golden=True))
    package = served.register(
        KIND,
        folder=folder,
        golden=served.folders[KIND] / "golden.json",
        image=FAULTY,
        environment={"FAULT": "none", "UNREHEARSED": "1"},
    )

    result = broken(served, package)

    assert result.seen.models() == {result.old, result.new}
    assert "does not give the golden answers: golden prediction 1 interval" in result.execution.cause


def test_a_slow_model_never_gets_a_caller(served: ServedModels):
    result = broken(served, served.register(KIND, image=FAULTY, environment={"FAULT": "slow"}))

    assert result.seen.models() == {result.old}
    assert "ms an answer" in result.execution.cause
    assert "500 ms is the limit" in result.execution.cause


def test_a_model_that_is_slow_with_real_callers_alone_raises_the_latency_alarm(served: ServedModels):
    """Of more callers than it can answer within a second a slow model sheds some, so here there are two."""
    package = served.register(KIND, image=FAULTY, environment={"FAULT": "slow", "UNREHEARSED": "1"})
    people = People.of(served)

    result = broken(served, package, at_once=2)

    assert "ModelLatency" in result.execution.cause
    assert f"Endpoint {ENDPOINT} is ROLLING_BACK since" in people.hear("ROLLING_BACK")
    assert min(result.seen.milliseconds(result.new)) > SLOW_SECONDS * 1000


def test_a_model_whose_container_dies_under_load_never_gets_a_caller(served: ServedModels):
    result = broken(served, served.register(KIND, image=FAULTY, environment={"FAULT": "dies-under-load"}))

    assert result.seen.models() == {result.old}
    assert "the container said: rehearsal: 8 callers at once" in result.execution.cause


def test_a_container_that_dies_of_real_callers_alone_is_taken_back(served: ServedModels):
    """What the rehearsal cannot see: with one instance there is no other fleet in the traffic, so requests fail until
    SageMaker shifts it back (docs/promotion.md); nothing fails afterwards."""
    package = served.register(KIND, image=FAULTY, environment={"FAULT": "dies-under-load", "UNREHEARSED": "1"})

    result = broken(served, package, may_fail=True)

    assert "ServerErrors" in result.execution.cause


def test_a_model_of_another_feature_table_says_so_in_the_cause(served: ServedModels, tmp_path: Path):
    folder = served.variant(KIND, tmp_path / "model", edited(of_another_table))

    result = broken(served, served.register(KIND, folder=folder))

    assert result.seen.models() == {result.old}
    assert "the container said: refused:" in result.execution.cause
    assert "trained on another feature table" in result.execution.cause


def test_a_canary_of_one_instance_is_refused_and_recorded(served: ServedModels):
    execution = served.promote(KIND, served.register(KIND), traffic_shift="canary")

    assert execution.error == "InvalidPromotion"
    assert f"{ENDPOINT} has 1; scale it to two" in execution.cause
    [uri] = re.findall(r"Recorded as (s3://\S+\.json)", execution.cause)
    assert read_record(served, uri)["outcome"] == "refused"


def test_a_canary_gives_a_bad_model_half_of_the_callers_and_the_alarm_takes_them_back(served: ServedModels):
    scaled_to(served, 2)
    package = served.register(KIND, image=FAULTY, environment={"FAULT": "slow", "UNREHEARSED": "1"})

    result = broken(served, package, at_once=2)

    assert "ModelLatency" in result.execution.cause
    assert result.seen.milliseconds(result.new)
    assert len(result.seen.milliseconds(result.old)) > len(result.seen.milliseconds(result.new))


def test_going_back_from_a_slow_live_model_is_not_stopped_by_its_own_alarm(served: ServedModels):
    """A model gets slow weeks after it went live: its alarm rings, and the way back must be open all the same."""
    good = served.live_package(KIND)
    scaled_to(served, 1)
    slow = served.register(KIND, image=FAULTY, environment={"FAULT": "slow", "UNREHEARSED": "1"})
    assert served.promote(KIND, slow).status == "SUCCEEDED"  # nobody asked it, so no alarm had data

    with callers(served, at_once=2) as seen:
        until_alarm(served)
        back = served.execute("PromoteModel", {"kind": KIND, "version": "previous", "reason": "slow"})

    assert back.status == "SUCCEEDED", back.cause
    assert back.output["live_package"] == good
    assert seen.failures == []
    record = read_record(served, back.output["recorded"])
    assert (record["from"], record["to"], record["live"]) == (slow, good, good)
    assert (record["outcome"], record["is_roll_back"], record["reason"]) == ("promoted", True, "slow")
    assert back.arn in record["requested_by"]


def scaled_to(served: ServedModels, count: int) -> None:
    """As a scaling policy does it; that itself is suspended, as it would bring an endpoint with so little traffic back."""
    served.cloud.client("application-autoscaling").register_scalable_target(
        ServiceNamespace="sagemaker",
        ResourceId=f"endpoint/{ENDPOINT}/variant/live",
        ScalableDimension="sagemaker:variant:DesiredInstanceCount",
        SuspendedState={"DynamicScalingInSuspended": True, "DynamicScalingOutSuspended": True},
    )
    served.cloud.client("sagemaker").update_endpoint_weights_and_capacities(
        EndpointName=ENDPOINT, DesiredWeightsAndCapacities=[{"VariantName": "live", "DesiredInstanceCount": count}]
    )
    deadline = time.monotonic() + 60
    while served.endpoint(KIND)["EndpointStatus"] != "InService":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert served.endpoint(KIND)["ProductionVariants"][0]["CurrentInstanceCount"] == count


def until_alarm(served: ServedModels) -> None:
    deadline = time.monotonic() + 60
    cloudwatch = served.cloud.client("cloudwatch")
    while True:
        ringing = cloudwatch.describe_alarms(StateValue="ALARM")["MetricAlarms"]
        if any("IopsPerformanceEndpoint-ModelLatency" in alarm["AlarmName"] for alarm in ringing):
            return
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_the_command_goes_back_and_says_from_what_to_what_and_how_long_it_took(served: ServedModels):
    good = served.live_package(KIND)
    newer = served.make_live(KIND)
    environment = {**served.cloud.environment(), "KIND": KIND, "REASON": "a test"}

    done = subprocess.run(
        [sys.executable, "-m", "local", "rollback"], env=environment, capture_output=True, text=True, check=False
    )
    print(done.stdout)

    assert done.returncode == 0, done.stderr
    assert served.live_package(KIND) == good
    found = re.search(rf"from {newer} to {good} in [\d.]+ s; record: (s3://\S+)", done.stdout)
    assert found
    assert read_record(served, found[1])["requested_by"].startswith("arn:aws:")


def test_removing_any_one_action_that_this_module_is_to_prove_would_have_failed_a_call(
    served: ServedModels, templates: Templates
):
    check("promotion_guard", served.cloud, DeployedRoles.of(served.cloud), templates)
