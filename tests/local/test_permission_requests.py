"""Which checks a request causes: pure functions, and the same on a running cloud."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.cloud import LaptopCloud
from local.permissions.further import Check, autoscaling_needs, image_pull, managed_rules, passed_roles, sagemaker_needs
from local.permissions.requests import log_stream_arn, parse_request
from local.permissions.resources import autoscaling_arns, budget_arn, budget_permission, sagemaker_arns

ACCOUNT, REGION = "000000000000", "us-east-1"
PREFIX = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/jobs"
WHERE = {"account": ACCOUNT, "region": REGION}


@pytest.mark.parametrize(
    ("action", "request_members", "resources"),
    [
        ("CreateTrainingJob", {"TrainingJobName": "t"}, ["training-job/t"]),
        ("StopHyperParameterTuningJob", {"HyperParameterTuningJobName": "h"}, ["hyper-parameter-tuning-job/h"]),
        ("DescribeProcessingJob", {"ProcessingJobName": "p"}, ["processing-job/p"]),
        ("DescribeEndpoint", {"EndpointName": "e"}, ["endpoint/e"]),
        ("UpdateEndpoint", {"EndpointName": "e", "EndpointConfigName": "c"}, ["endpoint/e", "endpoint-config/c"]),
        ("InvokeEndpoint", {"EndpointName": "e"}, ["endpoint/e"]),
        ("CreateModelPackage", {"ModelPackageGroupName": "g"}, ["model-package-group/g", "model-package/g/*"]),
        ("DescribeModelPackage", {"ModelPackageName": f"{PREFIX}model-package/g/3"}, ["model-package/g/3"]),
        ("AddTags", {"ResourceArn": f"{PREFIX}endpoint/e"}, ["endpoint/e"]),
    ],
)
def test_a_sagemaker_action_is_authorised_on_what_it_names(
    action: str, request_members: dict[str, Any], resources: list[str]
) -> None:
    assert sagemaker_arns(action, request_members, **WHERE) == [PREFIX + resource for resource in resources]


def test_a_list_action_has_no_resource() -> None:
    assert sagemaker_arns("ListTrainingJobs", {}, **WHERE) == ["*"]
    assert autoscaling_arns("DescribeScalableTargets", {}, **WHERE) == ["*"]


def test_every_role_in_a_request_is_passed_to_its_service_once() -> None:
    job = {
        "TrainingJobDefinition": {"RoleArn": ROLE, "Environment": {"RoleArn": "arn:aws:iam::1:role/no"}},
        "RoleArn": ROLE,
    }
    expected = [Check("iam:PassRole", ROLE, {"iam:passedtoservice": "sagemaker.amazonaws.com"})]
    assert list(passed_roles("sagemaker", "CreateHyperParameterTuningJob", job)) == expected
    assert list(passed_roles("sagemaker", "DescribeTrainingJob", {"RoleArn": ROLE})) == []
    assert [check.context for check in passed_roles("cloudformation", "UpdateStack", {"RoleARN": ROLE})] == [
        {"iam:passedtoservice": "cloudformation.amazonaws.com"}
    ]


def needed(action: str, request: dict[str, Any], **options: Any) -> list[tuple[str, str]]:
    arns = sagemaker_arns(action, request, **WHERE)
    return [(check.action, check.resource) for check in sagemaker_needs(action, request, arns, **WHERE, **options)]


def test_tags_on_creation_need_addtags() -> None:
    request = {"TrainingJobName": "t", "Tags": [{"Key": "a", "Value": "b"}]}
    assert needed("CreateTrainingJob", request) == [("sagemaker:AddTags", f"{PREFIX}training-job/t")]


def test_roll_back_alarms_are_looked_at_in_the_callers_name() -> None:
    alarms = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]}}
    request = {"EndpointName": "e", "EndpointConfigName": "c", "DeploymentConfig": alarms}
    alarm = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:errors"
    assert needed("UpdateEndpoint", request) == [("cloudwatch:DescribeAlarms", alarm)]


def test_deleting_a_scaled_endpoint_deregisters_its_target() -> None:
    request = {"EndpointName": "e"}
    assert needed("DeleteEndpoint", request) == []
    assert [action for action, _ in needed("DeleteEndpoint", request, has_target=True)] == [
        "application-autoscaling:DescribeScalableTargets",
        "application-autoscaling:DeregisterScalableTarget",
    ]


def test_registering_a_variant_needs_sagemaker_and_the_linked_role() -> None:
    request = {"ServiceNamespace": "sagemaker", "ResourceId": "endpoint/e/variant/live"}
    actions = [check.action for check in autoscaling_needs("RegisterScalableTarget", request, **WHERE)]
    assert actions == [
        "sagemaker:DescribeEndpoint",
        "sagemaker:UpdateEndpointWeightsAndCapacities",
        "iam:CreateServiceLinkedRole",
    ]


def test_waiting_tasks_need_their_managed_rules_and_others_none() -> None:
    definition = (
        '"arn:aws:states:::sagemaker:createHyperParameterTuningJob.sync" "arn:aws:states:::states:startExecution"'
    )
    assert managed_rules(definition) == ["StepFunctionsGetEventsForSageMakerTuningJobsRule"]


def test_a_containers_image_is_fetched_with_the_execution_role() -> None:
    checks = list(image_pull(f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/iops-insights:laptop"))
    assert [check.action for check in checks] == [
        "ecr:GetAuthorizationToken",
        "ecr:BatchCheckLayerAvailability",
        "ecr:GetDownloadUrlForLayer",
        "ecr:BatchGetImage",
    ]
    assert checks[-1].resource == f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/iops-insights"


def test_logs_are_authorised_on_streams_and_tags_on_the_plain_group() -> None:
    group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/x"
    assert log_stream_arn(group, {"logGroupName": "/aws/x", "logStreamName": "s"}) == f"{group}:log-stream:s"
    assert log_stream_arn(group, {"logGroupName": "/aws/x"}) == f"{group}:log-stream:"
    assert log_stream_arn(group, {"resourceArn": group}) == group


def test_a_request_is_read_in_each_protocol() -> None:
    target = {"x-amz-target": "SageMaker.CreateModel"}
    assert parse_request("sagemaker", "POST", "/", target, b'{"ModelName": "m"}', {}) == (
        "CreateModel",
        {"ModelName": "m"},
    )
    assert parse_request("sagemaker", "POST", "/endpoints/e/invocations", {}, b"", {}) == (
        "InvokeEndpoint",
        {"EndpointName": "e"},
    )
    form = b"Action=UpdateStack&StackName=S&RoleARN=arn"
    assert parse_request("cloudformation", "POST", "/", {}, form, {}) == (
        "UpdateStack",
        {"Action": "UpdateStack", "StackName": "S", "RoleARN": "arn"},
    )


MakeRole = Callable[..., str]


def session(laptop: LaptopCloud, role_arn: str, service: str) -> Any:
    """A client with a session of the role, as a person who may assume it would get one."""
    import boto3

    keys = laptop.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="test")["Credentials"]
    return boto3.client(
        service,
        endpoint_url=laptop.endpoint_url,
        region_name=REGION,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )


def test_a_service_that_ministack_does_not_know_is_enforced(laptop: LaptopCloud, make_role: MakeRole) -> None:
    nobody = make_role("nobody", "ec2.amazonaws.com")
    with pytest.raises(
        ClientError, match="is not authorized to perform: sagemaker:DescribeEndpoint on resource: "
    ) as refused:
        session(laptop, nobody, "sagemaker").describe_endpoint(EndpointName="e")
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    with pytest.raises(ClientError, match="application-autoscaling:DescribeScalableTargets"):
        session(laptop, nobody, "application-autoscaling").describe_scalable_targets(ServiceNamespace="sagemaker")


def test_a_condition_key_of_auto_scaling_counts(laptop: LaptopCloud, make_role: MakeRole) -> None:
    condition = {"StringEquals": {"application-autoscaling:service-namespace": "sagemaker"}}
    scaler = make_role(
        "scaler",
        "ec2.amazonaws.com",
        {"Action": "application-autoscaling:*", "Resource": "*", "Condition": condition},
    )
    client = session(laptop, scaler, "application-autoscaling")
    assert client.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []
    with pytest.raises(ClientError, match="not authorized"):
        client.describe_scalable_targets(ServiceNamespace="ecs")


def test_a_role_is_passed_only_by_whom_may_pass_it(laptop: LaptopCloud, make_role: MakeRole) -> None:
    machine_role = make_role("machine", "states.amazonaws.com")
    creator = make_role("creator", "ec2.amazonaws.com", {"Action": "states:*", "Resource": "*"})
    definition = '{"StartAt": "S", "States": {"S": {"Type": "Succeed"}}}'
    with pytest.raises(ClientError, match=f"iam:PassRole on resource: {machine_role}"):
        session(laptop, creator, "stepfunctions").create_state_machine(
            name="passed", definition=definition, roleArn=machine_role
        )


def test_loopback_counts_as_tls(laptop: LaptopCloud, make_role: MakeRole) -> None:
    s3 = laptop.client("s3")
    s3.create_bucket(Bucket="tls-only")
    deny = (
        '{"Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::tls-only/*",'
        ' "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}'
    )
    s3.put_bucket_policy(Bucket="tls-only", Policy=deny)
    writer = make_role("writer", "ec2.amazonaws.com", {"Action": "s3:PutObject", "Resource": "arn:aws:s3:::tls-only/*"})
    session(laptop, writer, "s3").put_object(Bucket="tls-only", Key="k", Body=b"v")


@pytest.mark.parametrize(
    ("action", "request_members", "permission", "name"),
    [
        ("DescribeBudget", {"BudgetName": "b"}, "budgets:ViewBudget", "b"),
        ("DescribeBudgets", {}, "budgets:ViewBudget", "*"),
        ("CreateBudget", {"Budget": {"BudgetName": "b"}}, "budgets:ModifyBudget", "b"),
        ("UpdateBudget", {"NewBudget": {"BudgetName": "b"}}, "budgets:ModifyBudget", "b"),
        ("DeleteNotification", {"BudgetName": "b"}, "budgets:ModifyBudget", "b"),
    ],
)
def test_budgets_knows_two_permissions(
    action: str, request_members: dict[str, Any], permission: str, name: str
) -> None:
    assert budget_permission(action) == permission
    assert budget_arn(request_members, account=ACCOUNT) == f"arn:aws:budgets::{ACCOUNT}:budget/{name}"


@pytest.mark.parametrize(
    ("service", "call", "allowed"),
    [
        (
            "budgets",
            lambda client: client.describe_budgets(AccountId=ACCOUNT),
            {"Action": "budgets:ViewBudget", "Resource": f"arn:aws:budgets::{ACCOUNT}:budget/*"},
        ),
        (
            "logs",
            lambda client: client.describe_query_definitions(),
            {"Action": "logs:DescribeQueryDefinitions", "Resource": "*"},
        ),
        (
            "cloudwatch",
            lambda client: client.put_composite_alarm(AlarmName="asked", AlarmRule="FALSE"),
            {
                "Action": "cloudwatch:PutCompositeAlarm",
                "Resource": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:asked",
            },
        ),
    ],
)
def test_monitoring_asks_the_caller_for_its_permission(
    laptop: LaptopCloud,
    make_role: Callable[..., str],
    service: str,
    call: Callable[[Any], Any],
    allowed: dict[str, Any],
) -> None:
    name = f"asks-{service}"
    client = session(laptop, make_role(name, "lambda.amazonaws.com"), service)
    with pytest.raises(ClientError, match=allowed["Action"]):
        call(client)

    make_role(name, "lambda.amazonaws.com", allowed)
    call(client)


def test_metrics_are_put_into_the_namespaces_of_the_policy_alone(
    laptop: LaptopCloud, make_role: Callable[..., str]
) -> None:
    condition = {"StringEquals": {"cloudwatch:namespace": ["/aws/sagemaker/TrainingJobs"]}}
    allowed = {"Action": "cloudwatch:PutMetricData", "Resource": "*", "Condition": condition}
    client = session(laptop, make_role("puts-metrics", "sagemaker.amazonaws.com", allowed), "cloudwatch")
    data = [{"MetricName": "loss", "Value": 1.0}]

    client.put_metric_data(Namespace="/aws/sagemaker/TrainingJobs", MetricData=data)
    with pytest.raises(ClientError, match="cloudwatch:PutMetricData"):
        client.put_metric_data(Namespace="Others", MetricData=data)
