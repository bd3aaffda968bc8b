"""Endpoints as boto3 sees them: fleets, blue/green updates that fail or ring an alarm, scaling, variants, invocations."""

import json
import os
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

RED = {"TOY_PING": "red"}


def create(toy: Any, config: str, **members: Any) -> str:
    name: str = toy.name("endpoint")
    toy.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config, **members)
    return name


def serving(toy: Any, *, version: str = "1", count: int = 1, **members: Any) -> str:
    variant = {"ModelName": toy.model(version), "InitialInstanceCount": count}
    name = create(toy, toy.config(variant, **members))
    assert toy.settled(name)["EndpointStatus"] == "InService"
    return name


def update(toy: Any, name: str, config: str, **members: Any) -> dict[str, Any]:
    toy.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config, **members)
    settled: dict[str, Any] = toy.settled(name)
    return settled


def counts(described: dict[str, Any]) -> tuple[int, int]:
    [variant] = described["ProductionVariants"]
    return variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]


def test_an_endpoint_serves_its_model(toy):
    archive = toy.train()["ModelArtifacts"]["S3ModelArtifacts"]
    model = toy.name("model")
    container = {"Image": "toy:1", "ModelDataUrl": archive, "Environment": {"VERSION": "7"}}
    toy.sagemaker.create_model(ModelName=model, ExecutionRoleArn=toy.role, Containers=[container])
    name = create(toy, toy.config({"ModelName": model}))
    described = toy.settled(name)
    assert described["EndpointStatus"] == "InService", described
    assert counts(described) == (1, 1)
    told = toy.invoke(name, "1,2,3", Accept="application/json", CustomAttributes="trace=1", InferenceId="i-1")
    assert (told["body"], told["version"], told["model"], told["variant"]) == ("1,2,3", "7", ["algo-1.json"], "live")
    passed_on = {key: told["headers"][key] for key in ("content-type", "accept", "x-amzn-sagemaker-inference-id")}
    assert passed_on == {
        "content-type": "text/csv",
        "accept": "application/json",
        "x-amzn-sagemaker-inference-id": "i-1",
    }
    assert "authorization" not in told["headers"]
    assert told["answer"]["CustomAttributes"] == "from the container"


@pytest.mark.parametrize("environment", [RED, {"TOY_SERVE": "end"}])
def test_an_endpoint_whose_container_does_not_become_healthy_fails(toy, environment):
    name = create(toy, toy.config({"ModelName": toy.model(**environment)}))
    described = toy.settled(name)
    assert described["EndpointStatus"] == "Failed"
    assert described["FailureReason"] == (
        "The primary container for production variant live did not pass the ping health check. "
        "Please check CloudWatch logs for this endpoint."
    )
    with pytest.raises(ClientError, match=f"Endpoint {name} of account 000000000000 not found"):
        toy.invoke(name)


def test_a_missing_endpoint_is_sagemakers_validation_error(toy):
    with pytest.raises(
        toy.runtime.exceptions.ValidationError, match="Endpoint nobody of account 000000000000 not found"
    ):
        toy.invoke("nobody")
    with pytest.raises(ClientError, match=r'Could not find endpoint "arn:aws:sagemaker:.*:endpoint/nobody"'):
        toy.sagemaker.describe_endpoint(EndpointName="nobody")


@pytest.mark.parametrize(("status", "side"), [(400, "client"), (500, "server")])
def test_a_models_error_is_a_model_error_with_its_own_words(toy, status, side):
    name = serving(toy)
    with pytest.raises(toy.runtime.exceptions.ModelError) as caught:
        toy.invoke(name, f"status {status}")
    answer = caught.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert answer["OriginalStatusCode"] == status
    assert answer["OriginalMessage"] == '{"error":"as asked"}'
    assert f'Received {side} error ({status}) from primary with message "{{"error":"as asked"}}"' in str(caught.value)


def test_a_model_that_answers_too_late_is_a_model_error(toy):
    name = serving(toy)
    with pytest.raises(toy.runtime.exceptions.ModelError, match="Your invocation timed out"):
        toy.invoke(name, "sleep")


def test_instances_take_turns_and_a_dead_one_is_replaced(toy):
    name = serving(toy, count=2)
    pids = [toy.invoke(name)["pid"] for _ in range(4)]
    assert len(set(pids)) == 2
    assert pids[:2] == pids[2:]
    os.kill(pids[0], signal.SIGKILL)
    assert {toy.invoke(name)["pid"] for _ in range(6)} == {pids[1]}
    now = toy.until(lambda: {toy.invoke(name)["pid"] for _ in range(4)}, lambda found: len(found) == 2)
    assert pids[0] not in now
    assert counts(toy.sagemaker.describe_endpoint(EndpointName=name)) == (2, 2)


def test_a_request_that_kills_its_instance_is_not_passed_on_until_none_is_left(toy):
    name = serving(toy, count=3)
    before = {toy.invoke(name)["pid"] for _ in range(6)}
    runtime = toy.cloud.client("sagemaker-runtime", config=Config(retries={"max_attempts": 0}))
    with pytest.raises(runtime.exceptions.ServiceUnavailable):
        runtime.invoke_endpoint(EndpointName=name, Body=b"die")
    assert toy.invoke(name)["pid"] in before


def test_requests_share_a_kept_connection(toy):
    name = serving(toy)
    assert len({toy.invoke(name)["caller"] for _ in range(5)}) == 1


def test_an_instance_that_leaves_answers_what_it_was_asked(toy, tmp_path):
    name = serving(toy, count=2)
    answer_now = tmp_path / "now"
    with ThreadPoolExecutor(5) as pool:
        slow = [pool.submit(toy.invoke, name, f"until {answer_now}") for _ in range(4)]
        toy.until(lambda: len(list(tmp_path.glob("*.waiting"))), lambda waiting: waiting == 4)
        resized = pool.submit(resize, toy, name, 1)
        toy.until(lambda: toy.sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"], "Updating".__eq__)
        answer_now.touch()
        assert counts(resized.result()) == (1, 1)
        answers = [answer.result() for answer in slow]
    assert len({answer["pid"] for answer in answers}) == 2


def test_no_request_is_lost_while_a_fleet_replaces_the_other(toy):
    name = serving(toy, version="1", count=2)
    config = toy.config({"ModelName": toy.model("2"), "InitialInstanceCount": 2})
    is_over, everyone_asks = threading.Event(), threading.Barrier(4)

    def ask_on() -> list[str]:
        runtime = toy.cloud.client("sagemaker-runtime", config=Config(retries={"max_attempts": 0}))

        def version() -> str:
            answer = runtime.invoke_endpoint(EndpointName=name, Body=b"hello")
            told: dict[str, str] = json.loads(answer["Body"].read())
            return told["version"]

        versions = [version()]
        everyone_asks.wait()
        while not is_over.is_set():
            versions.append(version())
        return [*versions, version()]

    with ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(ask_on) for _ in range(3)]
        everyone_asks.wait()
        update(toy, name, config)
        is_over.set()
        courses = [answers.result() for answers in asking]
    for versions in courses:
        assert versions == sorted(versions)
        assert set(versions) == {"1", "2"}


def test_a_request_that_kills_every_instance_is_answered_as_unavailable(toy):
    name = serving(toy)
    runtime = toy.cloud.client("sagemaker-runtime", config=Config(retries={"max_attempts": 0}))
    with pytest.raises(runtime.exceptions.ServiceUnavailable):
        runtime.invoke_endpoint(EndpointName=name, Body=b"die")
    toy.until(lambda: counts(toy.sagemaker.describe_endpoint(EndpointName=name)), lambda found: found == (1, 1))


def test_an_update_serves_without_a_gap_and_ends_with_the_new_configuration(toy):
    name = serving(toy, version="1")
    config = toy.config({"ModelName": toy.model("2")})
    toy.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config)
    pending = toy.sagemaker.describe_endpoint(EndpointName=name)
    assert pending["EndpointStatus"] == "Updating"
    assert pending["PendingDeploymentSummary"]["EndpointConfigName"] == config
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        toy.sagemaker.delete_endpoint(EndpointName=name)
    seen = []
    while toy.sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] != "InService":
        seen.append(toy.invoke(name)["version"])
    assert seen == sorted(seen)
    assert toy.invoke(name)["version"] == "2"
    assert toy.sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"] == config


def test_an_update_whose_new_fleet_fails_leaves_the_old_one_in_service(toy):
    name = serving(toy, version="1")
    before = toy.sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
    described = update(toy, name, toy.config({"ModelName": toy.model("2", **RED)}))
    assert described["EndpointStatus"] == "InService"
    assert described["EndpointConfigName"] == before
    assert "did not pass the ping health check" in described["FailureReason"]
    assert toy.invoke(name)["version"] == "1"
    again = update(toy, name, toy.config({"ModelName": toy.model("3")}))
    assert "FailureReason" not in again
    assert toy.invoke(name)["version"] == "3"


def policy(kind: str, **members: Any) -> dict[str, Any]:
    routing = {"Type": kind, "WaitIntervalInSeconds": members.pop("wait", 0), **members}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}


def test_an_alarm_during_an_update_rolls_it_back(toy):
    name = serving(toy, version="1")
    alarms = toy.cloud.client("cloudwatch")
    alarm = toy.name("alarm")
    alarms.put_metric_alarm(
        AlarmName=alarm,
        Namespace="Test",
        MetricName="m",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    deployment = {
        **policy("ALL_AT_ONCE"),
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm}]},
    }
    deployment["BlueGreenUpdatePolicy"]["TerminationWaitInSeconds"] = 600
    config = toy.config({"ModelName": toy.model("2")})
    toy.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config, DeploymentConfig=deployment)
    toy.until(lambda: toy.invoke(name)["version"], lambda version: version == "2")
    alarms.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="a test")
    described = toy.settled(name)
    assert described["EndpointConfigName"] != config
    assert alarm in described["FailureReason"]
    assert toy.invoke(name)["version"] == "1"


def test_a_canary_gets_its_share_before_everything(toy):
    name = serving(toy, version="1", count=2)
    size = {"Type": "INSTANCE_COUNT", "Value": 1}
    config = toy.config({"ModelName": toy.model("2"), "InitialInstanceCount": 2})
    deployment = policy("CANARY", wait=20, CanarySize=size)  # waits take a tenth here
    toy.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config, DeploymentConfig=deployment)
    toy.until(lambda: toy.invoke(name)["version"], lambda version: version == "2")
    both = Counter(toy.invoke(name)["version"] for _ in range(60))
    assert set(both) == {"1", "2"}
    described = toy.settled(name)
    assert described["LastDeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["Type"] == "CANARY"
    assert {toy.invoke(name)["version"] for _ in range(10)} == {"2"}


def test_a_canary_of_more_than_half_is_refused(toy):
    name = serving(toy)
    config = toy.config({"ModelName": toy.model("2")})
    deployment = policy("CANARY", CanarySize={"Type": "INSTANCE_COUNT", "Value": 1})
    with pytest.raises(ClientError, match="CanarySize must be at most 50 percent"):
        toy.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config, DeploymentConfig=deployment)


def resize(toy: Any, name: str, count: int, variant: str = "live") -> dict[str, Any]:
    change = {"VariantName": variant, "DesiredInstanceCount": count}
    toy.sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=[change])
    settled: dict[str, Any] = toy.settled(name)
    return settled


def test_capacities_start_and_end_processes(toy):
    name = serving(toy)
    assert counts(resize(toy, name, 3)) == (3, 3)
    assert len({toy.invoke(name)["pid"] for _ in range(6)}) == 3
    assert counts(resize(toy, name, 1)) == (1, 1)
    assert len({toy.invoke(name)["pid"] for _ in range(4)}) == 1


@pytest.mark.parametrize(
    ("retain", "expected"),
    [
        ({}, 1),
        ({"RetainAllVariantProperties": True}, 2),
        (
            {
                "RetainAllVariantProperties": True,
                "ExcludeRetainedVariantProperties": [{"VariantPropertyType": "DesiredInstanceCount"}],
            },
            1,
        ),
    ],
)
def test_an_update_keeps_the_scaled_size_only_when_told_to(toy, retain, expected):
    name = serving(toy)
    resize(toy, name, 2)
    described = update(toy, name, toy.config({"ModelName": toy.model("2")}), **retain)
    assert counts(described) == (expected, expected)


def test_variants_share_the_traffic_by_weight_and_can_be_named(toy):
    variants = [
        {"VariantName": "a", "ModelName": toy.model("A"), "InitialVariantWeight": 9.0},
        {"VariantName": "b", "ModelName": toy.model("B"), "InitialVariantWeight": 1.0},
    ]
    name = create(toy, toy.config(*variants))
    toy.settled(name)
    shares = Counter(toy.invoke(name)["version"] for _ in range(200))
    assert 160 <= shares["A"] < 200  # 180 expected; 160 is 4.7 standard deviations away
    assert toy.invoke(name, TargetVariant="b")["version"] == "B"
    with pytest.raises(ClientError, match="Variant c was not found"):
        toy.invoke(name, TargetVariant="c")


def test_a_variant_without_weight_answers_those_alone_who_name_it(toy):
    name = serving(toy)
    challenger = {"VariantName": "challenger", "ModelName": toy.model("C"), "InitialVariantWeight": 0.0}
    update(toy, name, toy.config({"ModelName": toy.model("1")}, challenger))
    assert {toy.invoke(name)["variant"] for _ in range(20)} == {"live"}
    assert toy.invoke(name, TargetVariant="challenger")["version"] == "C"


def test_guardrails_exclude_a_change_of_the_variants(toy):
    name = serving(toy)
    config = toy.config({"ModelName": toy.model("1")}, {"VariantName": "challenger", "ModelName": toy.model("C")})
    with pytest.raises(ClientError, match="must have the variant names of the old one: live, not challenger, live"):
        toy.sagemaker.update_endpoint(
            EndpointName=name, EndpointConfigName=config, DeploymentConfig=policy("ALL_AT_ONCE")
        )
    assert update(toy, name, config)["EndpointConfigName"] == config


def shadow_of(model: str) -> dict[str, Any]:
    given = {"VariantName": "shadow", "ModelName": model, "InstanceType": "ml.m5.large"}
    return {**given, "InitialInstanceCount": 1, "InitialVariantWeight": 1.0}


def test_a_shadow_needs_exactly_one_production_variant(toy):
    variants = [{"VariantName": name, "ModelName": toy.model()} for name in ("a", "b")]
    with pytest.raises(ClientError, match="exactly one production and one shadow variant"):
        toy.config(*variants, ShadowProductionVariants=[shadow_of(toy.model("S"))])


def test_a_shadow_variant_gets_the_requests_and_answers_nobody(toy):
    name = serving(toy, ShadowProductionVariants=[shadow_of(toy.model("S"))], DataCaptureConfig=capture_config(toy))
    assert {toy.invoke(name)["version"] for _ in range(3)} == {"1"}
    with pytest.raises(ClientError, match="Variant shadow was not found"):
        toy.invoke(name, TargetVariant="shadow")
    prefix = f"captured/{name}/shadow/"
    lines = toy.until(lambda: captured_lines(toy, prefix), lambda found: len(found) == 3)
    outputs = [json.loads(line["captureData"]["endpointOutput"]["data"]) for line in lines]
    assert {output["version"] for output in outputs} == {"S"}
    assert toy.until(lambda: total(toy, name, "Invocations", variant="shadow"), lambda count: count >= 3) == 3
    resize(toy, name, 2, variant="shadow")
    [described] = toy.sagemaker.describe_endpoint(EndpointName=name)["ShadowProductionVariants"]
    assert described["CurrentInstanceCount"] == 2


def capture_config(toy: Any) -> dict[str, Any]:
    return {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": "s3://toy-data/captured",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]},
    }


def captured_lines(toy: Any, prefix: str) -> list[dict[str, Any]]:
    return [json.loads(line) for key in toy.keys(prefix) for line in toy.read(key).splitlines()]


def test_captured_requests_lie_in_s3_as_aws_lays_them_out(toy):
    name = serving(toy, DataCaptureConfig=capture_config(toy))
    toy.invoke(name, "1,2", InferenceId="row-1")
    [line] = toy.until(lambda: captured_lines(toy, f"captured/{name}/live/"), lambda found: len(found) == 1)
    sent = line["captureData"]["endpointInput"]
    assert sent == {"observedContentType": "text/csv", "mode": "INPUT", "data": "1,2", "encoding": "CSV"}
    assert json.loads(line["captureData"]["endpointOutput"]["data"])["body"] == "1,2"
    assert line["eventMetadata"]["inferenceId"] == "row-1"
    [key] = toy.keys(f"captured/{name}/live/")
    assert key.startswith(time.strftime(f"captured/{name}/live/%Y/%m/%d/", time.gmtime()))
    assert toy.sagemaker.describe_endpoint(EndpointName=name)["DataCaptureConfig"]["CaptureStatus"] == "Started"


def total(toy: Any, name: str, metric: str, *, statistic: str = "Sum", variant: str = "live") -> float:
    data = toy.cloud.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName=metric,
        Dimensions=[{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": variant}],
        StartTime=time.time() - 600,
        EndTime=time.time() + 60,
        Period=3600,
        Statistics=[statistic],
    )["Datapoints"]
    found: float = sum(datum[statistic] for datum in data)
    return found


def test_invocations_are_counted_in_cloudwatch(toy):
    name = serving(toy, count=2)
    for _ in range(4):
        toy.invoke(name)
    with pytest.raises(toy.runtime.exceptions.ModelError):
        toy.invoke(name, "status 400")

    assert toy.until(lambda: total(toy, name, "Invocations"), lambda count: count >= 5) == 5
    assert total(toy, name, "InvocationsPerInstance") == pytest.approx(2.5)
    assert total(toy, name, "Invocation4XXErrors") == 1
    assert total(toy, name, "Invocation5XXErrors") == 0
    assert total(toy, name, "ModelLatency", statistic="SampleCount") == 5


def test_a_deleted_endpoint_is_gone_and_so_are_its_processes(toy):
    name = serving(toy)
    port_owner = toy.invoke(name)["pid"]
    toy.sagemaker.delete_endpoint(EndpointName=name)
    with pytest.raises(ClientError, match="Could not find endpoint"):
        toy.until(lambda: toy.sagemaker.describe_endpoint(EndpointName=name), lambda _: False)
    from local.processes import ProcessIdentity

    assert ProcessIdentity.of(port_owner) is None


def test_what_the_containers_print_is_in_the_endpoints_log_group(toy):
    name = serving(toy)
    toy.invoke(name)
    lines = toy.until(
        lambda: toy.log_text(f"/aws/sagemaker/Endpoints/{name}", "live/"),
        lambda found: any("POST /invocations" in line for line in found),
    )
    assert any("GET /ping" in line for line in lines)


def test_burstable_instances_do_not_exist_for_endpoints(toy):
    with pytest.raises(ClientError) as caught:
        toy.config({"ModelName": toy.model(), "InstanceType": "ml.t3.medium"})
    assert caught.value.response["Error"]["Message"].startswith(
        "1 validation error detected: Value 'ml.t3.medium' at 'productionVariants.1.member.instanceType' failed to "
        "satisfy constraint: Member must satisfy enum value set: ["
    )


def test_a_configuration_needs_its_models(toy):
    with pytest.raises(ClientError, match=r'Could not find model "arn:aws:sagemaker:.*:model/nobody"'):
        toy.config({"ModelName": "nobody"})
