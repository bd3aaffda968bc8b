"""Stack operations in a service role's name, and the types that MiniStack lacks."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.cloud import LaptopCloud
from local.cloudformation.autoscaling_types import policy_target, target_id
from local.cloudformation.sagemaker_types import name_of, typed
from local.cloudformation.service_role import StackRoles, plain_name, stacks_read

DEPLOYER, PROMOTER = "arn:aws:iam::000000000000:role/deployer", "arn:aws:iam::000000000000:role/promoter"
STACK_ARN = "arn:aws:cloudformation:us-east-1:000000000000:stack/S/0a1b"


def test_a_stack_keeps_the_role_of_its_last_operation_until_another_is_given() -> None:
    roles = StackRoles()
    assert roles.role_for("UpdateStack", {"StackName": "S"}) is None
    assert roles.role_for("UpdateStack", {"StackName": "S", "RoleARN": PROMOTER}) == PROMOTER
    assert roles.role_for("UpdateStack", {"StackName": STACK_ARN}) == PROMOTER
    assert roles.role_for("UpdateStack", {"StackName": "S", "RoleARN": DEPLOYER}) == DEPLOYER
    assert roles.role_for("DeleteStack", {"StackName": "S"}) == DEPLOYER
    assert roles.role_for("CreateStack", {"StackName": "S"}) is None


def test_a_change_set_is_executed_with_the_role_that_it_was_created_with() -> None:
    roles = StackRoles()
    created = {"StackName": "S", "ChangeSetName": "c", "RoleARN": DEPLOYER}
    roles.role_for("CreateChangeSet", created)
    change_set = "arn:aws:cloudformation:us-east-1:000000000000:changeSet/c/0a1b"
    assert roles.role_for("ExecuteChangeSet", {"StackName": "S", "ChangeSetName": change_set}) == DEPLOYER
    assert plain_name("c") == "c"


def test_text_of_parameters_gets_the_models_types() -> None:
    variant = {"VariantName": "live", "InitialInstanceCount": "2", "InitialVariantWeight": "1"}
    capture = {"EnableCapture": "true", "InitialSamplingPercentage": "20"}
    request = typed("CreateEndpointConfig", {"ProductionVariants": [variant], "DataCaptureConfig": capture})
    assert request["ProductionVariants"][0]["InitialInstanceCount"] == 2
    assert request["ProductionVariants"][0]["InitialVariantWeight"] == 1.0
    assert request["DataCaptureConfig"] == {"EnableCapture": True, "InitialSamplingPercentage": 20}


def test_an_arn_is_the_physical_id_and_its_end_the_name() -> None:
    assert name_of("arn:aws:sagemaker:us-east-1:000000000000:endpoint/risk") == "risk"


def test_a_policy_names_its_target_by_ref_or_by_members() -> None:
    members = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/e/variant/live",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    assert policy_target(members) == members
    assert policy_target({"ScalingTargetId": target_id(members)}) == members


def test_the_stacks_whose_outputs_a_template_reads_are_found_at_any_depth() -> None:
    read = {"Fn::GetStackOutput": {"StackName": "IopsData", "OutputName": "BucketName"}}
    assert list(stacks_read({"A": [{"Fn::Join": ["", ["s3://", read]]}], "B": "text"})) == ["IopsData"]


PARAMETER = {
    "Resources": {
        "Parameter": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Name": "/live", "Value": "1"}}
    }
}
TOPIC = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
MakeRole = Callable[..., str]


def create(laptop: LaptopCloud, name: str, template: dict[str, Any], role: str) -> dict[str, Any]:
    """The stack after its creation ended, whichever way."""
    client = laptop.client("cloudformation")
    client.create_stack(StackName=name, TemplateBody=json.dumps(template), RoleARN=role)
    deadline = time.monotonic() + 20
    while True:
        stack: dict[str, Any] = client.describe_stacks(StackName=name)["Stacks"][0]
        if not stack["StackStatus"].endswith("IN_PROGRESS"):
            return stack
        assert time.monotonic() < deadline
        time.sleep(0.05)


def failure(laptop: LaptopCloud, stack: str) -> str:
    events = laptop.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
    reasons = [event["ResourceStatusReason"] for event in events if event["ResourceStatus"] == "CREATE_FAILED"]
    return "; ".join(reasons)


def test_cloudformation_may_do_what_its_role_may(laptop: LaptopCloud, make_role: MakeRole) -> None:
    parameter = "arn:aws:ssm:us-east-1:000000000000:parameter/live"
    allowed = {"Action": ["ssm:PutParameter", "ssm:GetParameters"], "Resource": parameter}
    role = make_role("stack-allowed", "cloudformation.amazonaws.com", allowed)
    assert create(laptop, "Allowed", PARAMETER, role)["StackStatus"] == "CREATE_COMPLETE"


def test_cloudformation_may_not_do_what_its_role_may_not(laptop: LaptopCloud, make_role: MakeRole) -> None:
    role = make_role("stack-refused", "cloudformation.amazonaws.com", {"Action": "ssm:GetParameters", "Resource": "*"})
    assert create(laptop, "Refused", PARAMETER, role)["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "assumed-role/stack-refused/AWSCloudFormation is not authorized to perform: ssm:PutParameter" in failure(
        laptop, "Refused"
    )


def test_a_type_without_known_calls_takes_an_administrator(laptop: LaptopCloud, make_role: MakeRole) -> None:
    scoped = make_role("stack-scoped", "cloudformation.amazonaws.com", {"Action": "sns:*", "Resource": "*"})
    admin = make_role("stack-admin", "cloudformation.amazonaws.com", {"Action": "*", "Resource": "*"})
    assert create(laptop, "Scoped", TOPIC, scoped)["StackStatus"] == "ROLLBACK_COMPLETE"
    assert create(laptop, "Admin", TOPIC, admin)["StackStatus"] == "CREATE_COMPLETE"


def test_a_role_that_does_not_trust_cloudformation_is_refused(laptop: LaptopCloud, make_role: MakeRole) -> None:
    stranger = make_role("stack-stranger", "ec2.amazonaws.com")
    with pytest.raises(ClientError, match="is invalid or cannot be assumed"):
        create(laptop, "Stranger", TOPIC, stranger)


def test_a_role_reads_other_stacks_outputs_only_where_it_may(laptop: LaptopCloud, make_role: MakeRole) -> None:
    admin = make_role("stack-admin", "cloudformation.amazonaws.com", {"Action": "*", "Resource": "*"})
    producer = {**TOPIC, "Outputs": {"Name": {"Value": "from-the-producer"}}}
    assert create(laptop, "Producer", producer, admin)["StackStatus"] == "CREATE_COMPLETE"
    read = {"Fn::GetStackOutput": {"StackName": "Producer", "OutputName": "Name"}}
    properties = {"Type": "String", "Name": "/read", "Value": read}
    consumer = {"Resources": {"Parameter": {"Type": "AWS::SSM::Parameter", "Properties": properties}}}
    ssm = {"Action": "ssm:*", "Resource": "*"}
    blind = make_role("stack-blind", "cloudformation.amazonaws.com", ssm)
    assert create(laptop, "Blind", consumer, blind)["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "cloudformation:DescribeStacks" in failure(laptop, "Blind")
    stacks = {"Action": "cloudformation:DescribeStacks", "Resource": "arn:aws:cloudformation:*:*:stack/Producer/*"}
    seeing = make_role("stack-seeing", "cloudformation.amazonaws.com", ssm, stacks)
    assert create(laptop, "Seeing", consumer, seeing)["StackStatus"] == "CREATE_COMPLETE"


def test_a_logging_role_of_the_api_must_be_able_to_log(laptop: LaptopCloud, make_role: MakeRole) -> None:
    admin = make_role("stack-admin", "cloudformation.amazonaws.com", {"Action": "*", "Resource": "*"})
    mute = make_role("mute", "apigateway.amazonaws.com")
    account = {"Type": "AWS::ApiGateway::Account", "Properties": {"CloudWatchRoleArn": mute}}
    assert create(laptop, "Mute", {"Resources": {"Account": account}}, admin)["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "does not have required permissions" in failure(laptop, "Mute")


def test_a_custom_resource_whose_function_fails_says_so_at_once(
    laptop: LaptopCloud, make_role: MakeRole, make_function: Callable[[str, str], str]
) -> None:
    name = make_function("custom", "def handler(event, context): raise RuntimeError('no answer')\n")
    token = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    template = {"Resources": {"Own": {"Type": "Custom::Own", "Properties": {"ServiceToken": token}}}}
    admin = make_role("stack-admin", "cloudformation.amazonaws.com", {"Action": "*", "Resource": "*"})
    assert create(laptop, "Custom", template, admin)["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "no answer" in failure(laptop, "Custom")
