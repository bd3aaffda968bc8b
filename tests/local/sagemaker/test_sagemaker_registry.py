"""Models, model packages and tags as boto3 sees them."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

ARN = "arn:aws:sagemaker:us-east-1:000000000000"


def group(toy: Any) -> str:
    name: str = toy.name("group")
    toy.sagemaker.create_model_package_group(ModelPackageGroupName=name)
    return name


def package(toy: Any, group_name: str, *, status: str = "Approved", **members: Any) -> str:
    containers = [{"Image": "toy:1", "Environment": {"VERSION": "from the package", "KEPT": "yes"}}]
    arn: str = toy.sagemaker.create_model_package(
        ModelPackageGroupName=group_name,
        InferenceSpecification={"Containers": containers, "SupportedContentTypes": ["text/csv"]},
        ModelApprovalStatus=status,
        **members,
    )["ModelPackageArn"]
    return arn


def test_packages_are_numbered_within_their_group_and_numbers_are_not_used_again(toy):
    name = group(toy)
    assert package(toy, name) == f"{ARN}:model-package/{name}/1"
    second = package(toy, name, status="PendingManualApproval", CustomerMetadataProperties={"accuracy": "0.9"})
    assert second == f"{ARN}:model-package/{name}/2"
    described = toy.sagemaker.describe_model_package(ModelPackageName=second)
    assert (described["ModelPackageVersion"], described["ModelPackageStatus"]) == (2, "Completed")
    assert described["CustomerMetadataProperties"] == {"accuracy": "0.9"}
    toy.sagemaker.delete_model_package(ModelPackageName=second)
    assert package(toy, name) == f"{ARN}:model-package/{name}/3"
    found = toy.sagemaker.list_model_packages(ModelPackageGroupName=name, SortBy="CreationTime", SortOrder="Descending")
    assert [p["ModelPackageVersion"] for p in found["ModelPackageSummaryList"]] == [3, 1]


def test_approval_is_changed_and_listed(toy):
    name = group(toy)
    arn = package(toy, name, status="PendingManualApproval")
    approved = {"ModelPackageGroupName": name, "ModelApprovalStatus": "Approved"}
    assert toy.sagemaker.list_model_packages(**approved)["ModelPackageSummaryList"] == []
    toy.sagemaker.update_model_package(
        ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="looked at it"
    )
    [listed] = toy.sagemaker.list_model_packages(**approved)["ModelPackageSummaryList"]
    assert listed["ModelPackageArn"] == arn
    assert toy.sagemaker.describe_model_package(ModelPackageName=arn)["ApprovalDescription"] == "looked at it"


def test_a_repeated_client_token_makes_one_package(toy):
    name = group(toy)
    assert package(toy, name, ClientToken="once") == package(toy, name, ClientToken="once")
    assert len(toy.sagemaker.list_model_packages(ModelPackageGroupName=name)["ModelPackageSummaryList"]) == 1


def test_a_group_is_deleted_when_it_is_empty(toy):
    name = group(toy)
    arn = package(toy, name)
    with pytest.raises(toy.sagemaker.exceptions.ConflictException):
        toy.sagemaker.delete_model_package_group(ModelPackageGroupName=name)
    toy.sagemaker.delete_model_package(ModelPackageName=arn)
    toy.sagemaker.delete_model_package_group(ModelPackageGroupName=name)
    with pytest.raises(ClientError, match="does not exist"):
        toy.sagemaker.describe_model_package_group(ModelPackageGroupName=name)


def test_a_model_of_a_package_serves_with_the_environments_of_both(toy):
    arn = package(toy, group(toy))
    model = toy.name("model")
    toy.sagemaker.create_model(
        ModelName=model,
        ExecutionRoleArn=toy.role,
        Containers=[{"ModelPackageName": arn, "Environment": {"VERSION": "from the model"}}],
    )
    endpoint = toy.name("endpoint")
    toy.sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=toy.config({"ModelName": model}))
    toy.settled(endpoint)
    assert toy.invoke(endpoint)["version"] == "from the model"


def test_an_unapproved_package_is_not_deployed(toy):
    arn = package(toy, group(toy), status="Rejected")
    with pytest.raises(ClientError, match="ModelApprovalStatus is Rejected"):
        toy.sagemaker.create_model(
            ModelName=toy.name("model"), ExecutionRoleArn=toy.role, Containers=[{"ModelPackageName": arn}]
        )


def test_a_model_needs_its_artifact_and_its_image(toy):
    def create(**container: str) -> None:
        toy.sagemaker.create_model(
            ModelName=toy.name("model"), ExecutionRoleArn=toy.role, PrimaryContainer={"Image": "toy:1", **container}
        )

    with pytest.raises(ClientError, match=r"Could not find model data at s3://toy-data/no/model\.tar\.gz"):
        create(ModelDataUrl="s3://toy-data/no/model.tar.gz")
    with pytest.raises(ClientError, match="Requested image other:9 not found"):
        create(Image="other:9")


def test_names_of_models_and_configurations_are_used_once(toy):
    model = toy.model()
    with pytest.raises(ClientError, match="Cannot create already existing model"):
        toy.sagemaker.create_model(ModelName=model, ExecutionRoleArn=toy.role, PrimaryContainer={"Image": "toy:1"})
    toy.sagemaker.delete_model(ModelName=model)
    with pytest.raises(ClientError, match="Could not find model"):
        toy.sagemaker.delete_model(ModelName=model)


def test_tags_are_added_listed_and_removed(toy):
    name = toy.name("group")
    arn = toy.sagemaker.create_model_package_group(
        ModelPackageGroupName=name, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    )["ModelPackageGroupArn"]
    toy.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "b", "Value": "3"}, {"Key": "c", "Value": "4"}])
    toy.sagemaker.delete_tags(ResourceArn=arn, TagKeys=["a"])
    assert toy.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [
        {"Key": "b", "Value": "3"},
        {"Key": "c", "Value": "4"},
    ]


def test_what_the_laptop_does_not_provide_is_refused_by_name(toy):
    with pytest.raises(ClientError, match="does not provide the action ListNotebookInstances"):
        toy.sagemaker.list_notebook_instances()
