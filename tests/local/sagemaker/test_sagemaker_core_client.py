"""The laptop's SageMaker through sagemaker-core, a client that nobody here wrote."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local.settings import client_environment


@pytest.fixture(scope="module")
def core(toy: Any) -> Iterator[Any]:
    """sagemaker.core.resources, whose clients find the cloud by the environment alone."""
    import os

    with pytest.MonkeyPatch.context() as patch:
        for name, value in client_environment(toy.cloud.endpoint_url, base={}).items():
            patch.setenv(name, value)
        for name in set(os.environ) & {"AWS_PROFILE", "AWS_SESSION_TOKEN"}:
            patch.delenv(name)
        from sagemaker.core import resources
        from sagemaker.core.utils.utils import SageMakerClient

        SageMakerClient.reset()
        yield resources
        SageMakerClient.reset()


def shapes() -> Any:
    from sagemaker.core import shapes as found

    return found


def algorithm(toy: Any) -> Any:
    given = toy.algorithm()
    return shapes().AlgorithmSpecification(
        training_image=given["TrainingImage"],
        training_input_mode="File",
        metric_definitions=[shapes().MetricDefinition(name="validation:loss", regex="loss=([0-9.eE+-]+);")],
    )


def training_parts(toy: Any) -> dict[str, Any]:
    return {
        "role_arn": toy.role,
        "output_data_config": shapes().OutputDataConfig(s3_output_path="s3://toy-data/models/"),
        "resource_config": shapes().ResourceConfig(instance_type="ml.m5.xlarge", instance_count=1, volume_size_in_gb=1),
        "stopping_condition": shapes().StoppingCondition(max_runtime_in_seconds=60),
    }


def test_a_training_job(toy, core):
    job = core.TrainingJob.create(
        training_job_name=toy.name("core"), algorithm_specification=algorithm(toy), **training_parts(toy)
    )
    job.wait(poll=1)
    assert job.training_job_status == "Completed"
    assert [(metric.metric_name, metric.value) for metric in job.final_metric_data_list] == [("validation:loss", 4.0)]
    found = core.TrainingJob.get_all(name_contains=job.training_job_name)
    assert [one.training_job_name for one in found] == [job.training_job_name]


def test_a_failed_processing_job_raises_with_its_reason(toy, core):
    from sagemaker.core.utils.exceptions import FailedStatusError

    output = shapes().ProcessingS3Output(
        s3_uri="s3://toy-data/core/", local_path="/opt/ml/processing/output/out", s3_upload_mode="EndOfJob"
    )
    job = core.ProcessingJob.create(
        processing_job_name=toy.name("core"),
        processing_resources=shapes().ProcessingResources(
            cluster_config=shapes().ProcessingClusterConfig(
                instance_count=1, instance_type="ml.m5.large", volume_size_in_gb=1
            )
        ),
        app_specification=shapes().AppSpecification(image_uri="toy:1", container_arguments=["process", "refuse"]),
        processing_output_config=shapes().ProcessingOutputConfig(
            outputs=[shapes().ProcessingOutput(output_name="out", s3_output=output)]
        ),
        role_arn=toy.role,
    )
    with pytest.raises(FailedStatusError, match="has no rows, exit code: 2"):
        job.wait(poll=1)


def test_a_tuning_job(toy, core):
    made = shapes()
    job = core.HyperParameterTuningJob.create(
        hyper_parameter_tuning_job_name=toy.name("core"),
        hyper_parameter_tuning_job_config=made.HyperParameterTuningJobConfig(
            strategy="Random",
            random_seed=3,
            hyper_parameter_tuning_job_objective=made.HyperParameterTuningJobObjective(
                type="Minimize", metric_name="validation:loss"
            ),
            resource_limits=made.ResourceLimits(max_number_of_training_jobs=3, max_parallel_training_jobs=3),
            parameter_ranges=made.ParameterRanges(
                continuous_parameter_ranges=[
                    made.ContinuousParameterRange(name="x", min_value="0", max_value="6", scaling_type="Linear")
                ]
            ),
        ),
        training_job_definition=made.HyperParameterTrainingJobDefinition(
            algorithm_specification=made.HyperParameterAlgorithmSpecification(
                training_image=toy.algorithm()["TrainingImage"],
                training_input_mode="File",
                metric_definitions=algorithm(toy).metric_definitions,
            ),
            **training_parts(toy),
        ),
    )
    job.wait(poll=1)
    assert job.hyper_parameter_tuning_job_status == "Completed"
    assert len(list(job.get_all_training_jobs())) == 3
    x = float(job.best_training_job.tuned_hyper_parameters["x"])
    value = job.best_training_job.final_hyper_parameter_tuning_job_objective_metric.value
    assert value == pytest.approx((x - 3) ** 2)


def test_from_a_model_package_to_an_answer(toy, core):
    made = shapes()
    group = core.ModelPackageGroup.create(model_package_group_name=toy.name("core"))
    # ModelPackage.create of sagemaker-core 2.27 reads a ModelPackageName that CreateModelPackage does not answer with.
    arn = toy.sagemaker.create_model_package(
        ModelPackageGroupName=group.model_package_group_name,
        ModelApprovalStatus="Approved",
        InferenceSpecification={"Containers": [{"Image": "toy:1", "Environment": {"VERSION": "core"}}]},
    )["ModelPackageArn"]
    package = core.ModelPackage.get(model_package_name=arn)
    assert (package.model_package_version, package.model_approval_status) == (1, "Approved")
    model = core.Model.create(
        model_name=toy.name("core"),
        execution_role_arn=toy.role,
        containers=[made.ContainerDefinition(model_package_name=package.model_package_arn)],
    )
    config = core.EndpointConfig.create(
        endpoint_config_name=toy.name("core"),
        production_variants=[
            made.ProductionVariant(
                variant_name="live",
                model_name=model.model_name,
                instance_type="ml.m5.large",
                initial_instance_count=1,
            )
        ],
    )
    endpoint = core.Endpoint.create(endpoint_name=toy.name("core"), endpoint_config_name=config.endpoint_config_name)
    endpoint.wait_for_status("InService", poll=1)
    answer = endpoint.invoke(body=b"1,2", content_type="text/csv")
    assert json.loads(answer.body.read())["version"] == "core"
    assert answer.invoked_production_variant == "live"
    endpoint.delete()
    endpoint.wait_for_delete(poll=1)
