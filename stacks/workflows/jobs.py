"""The SageMaker jobs of a run as their API requests; `$run` is PrepareRun's answer, `$plan` what its jobs are given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stacks.budget import TAG
from stacks.names import package_group_name
from stacks.settings import Settings
from stacks.workflows.lost_worker import again
from stacks.workflows.steps import ATTEMPT, expression

Json = Any

_CONTAINER_ROOT = "/opt/ml/processing"
_VOLUME_GB = 30  # of a job that no plan is made for: what a planned one has at least
_TAGS: Json = [{"Key": TAG[0], "Value": TAG[1]}]
_SEED = "7"  # improves reproducibility; AMT promises no more of a Bayesian search (Considerations)

_TRAINING_INSTANCES = "$plan.training_instances"
_TRIAL_SECONDS = 3600
# Of a trial whose instance was lost (InternalServerError); all attempts together have _TRIAL_SECONDS (StoppingCondition).
_RESTARTS = 2

OBJECTIVES: Mapping[str, str] = {"risk": "validation:mlogloss", "performance": "validation:rmse"}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDefaults:
    """What every job request of a deployment has in common."""

    settings: Settings
    image_uri: str
    role_arn: str


def processing_job(
    defaults: JobDefaults,
    name: str,
    *,
    arguments: Sequence[str],
    inputs: Json,
    output_name: str,
    output_uri: str,
    max_runtime_seconds: int,
    cluster: Json = None,
) -> Json:
    """CreateProcessingJob; `arguments`, `inputs`, `output_uri` and `cluster` may hold expressions. Without a `cluster` it
    is one instance as the settings have it."""
    return {
        "ProcessingJobName": name,
        "AppSpecification": {"ImageUri": defaults.image_uri, "ContainerArguments": list(arguments)},
        "RoleArn": defaults.role_arn,
        "ProcessingInputs": inputs,
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": output_name,
                    "S3Output": {
                        "S3Uri": output_uri,
                        "LocalPath": f"{_CONTAINER_ROOT}/output/{output_name}",
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ]
        },
        "ProcessingResources": {
            "ClusterConfig": cluster
            or {
                "InstanceCount": 1,
                "InstanceType": defaults.settings.processing_instance_type,
                "VolumeSizeInGB": _VOLUME_GB,
            }
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": max_runtime_seconds},
        # SageMaker brings and fetches the files, outside the container.
        "NetworkConfig": {"EnableNetworkIsolation": True},
        "Tags": _TAGS,
    }


def job_name(step: str, *, kind: str = "", run_id: str = "$run.run_id") -> str:
    """50 characters at most, of 63 (iops-evaluate-performance-<run>-r99-9-again). `kind` is that of the branch."""
    return expression(f"'iops-{step}-' & {run_id} & '-' & {ATTEMPT} & {again(kind)}")


def planned_cluster(instances: Json = 1) -> Json:
    """Instances of the type and volume that the run's plan names."""
    return {
        "InstanceCount": instances,
        "InstanceType": expression("$plan.processing_instance_type"),
        "VolumeSizeInGB": expression("$plan.processing_volume_gb"),
    }


def processing_input(name: str, uri: str, *, is_sharded: bool = False) -> str:
    """One input as a JSONata object; `uri` is a JSONata expression. With `is_sharded` each instance gets some of its
    objects, else all of them."""
    distribution = ", 'S3DataDistributionType': 'ShardedByS3Key'" if is_sharded else ""
    return (
        f"{{'InputName': '{name}', 'S3Input': {{'S3Uri': {uri}, 'LocalPath': '{_CONTAINER_ROOT}/input/{name}', "
        f"'S3DataType': 'S3Prefix', 'S3InputMode': 'File'{distribution}}}}}"
    )


def tuning_job(defaults: JobDefaults, kind: str, *, max_runtime_seconds: int) -> Json:
    """CreateHyperParameterTuningJob: Bayesian over eight ranges, judged on the validation split."""
    return {
        "HyperParameterTuningJobName": expression(tuning_job_name(kind)),
        "HyperParameterTuningJobConfig": {
            "Strategy": "Bayesian",
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": OBJECTIVES[kind]},
            "ResourceLimits": {
                "MaxNumberOfTrainingJobs": expression("$run.tuning.max_jobs"),
                # The quota is of instances ("ml.m5.xlarge for training job usage"): trials of several run fewer at a time.
                "MaxParallelTrainingJobs": expression(
                    f"$max([1, $floor($run.tuning.max_parallel_jobs / {_TRAINING_INSTANCES})])"
                ),
                "MaxRuntimeInSeconds": max_runtime_seconds,
            },
            "ParameterRanges": _ranges(),
            # Trials stop by themselves (early_stopping_rounds); stopping them from outside as well would compare
            # finished with unfinished models.
            "TrainingJobEarlyStoppingType": "Off",
            "RandomSeed": int(_SEED),
        },
        "TrainingJobDefinition": _training_job(defaults, kind),
        "Tags": _TAGS,  # of its training jobs too
    }


def tuning_job_name(kind: str) -> str:
    """11 + 1 + 12 + 1 + 7 characters at most (r99-9): a tuning job's name has 32."""
    return f"'{kind}-' & $run.run_id & '-' & {ATTEMPT}"


def _training_job(defaults: JobDefaults, kind: str) -> Json:
    metric = OBJECTIVES[kind]
    return {
        "AlgorithmSpecification": {
            "TrainingImage": defaults.image_uri,
            "TrainingInputMode": "File",
            "MetricDefinitions": [
                {"Name": metric, "Regex": f"{metric.replace(':', '-')}=([0-9.eE+-]+);"},
            ],
        },
        "RoleArn": defaults.role_arn,
        "StaticHyperParameters": {
            "kind": kind,
            "num_round": "300",
            "early_stopping_rounds": "10",
            "seed": _SEED,
            "external_memory": expression("$string($plan.external_memory)"),
        },
        "InputDataConfig": [
            # The prefix of train.npz and of its parts, train-00000-of-0000K.npz: one for each instance.
            _channel("train", "train", expression(f"{_TRAINING_INSTANCES} > 1 ? 'ShardedByS3Key' : 'FullyReplicated'")),
            _channel("validation", "validation.npz"),
            _channel("calibration", "calibration.npz"),
        ],
        "OutputDataConfig": {
            "S3OutputPath": expression(f"'s3://' & $run.bucket & '/models/' & $run.run_id & '/{kind}/'")
        },
        "ResourceConfig": {
            "InstanceCount": expression(_TRAINING_INSTANCES),
            "InstanceType": expression("$plan.training_instance_type"),
            "VolumeSizeInGB": expression("$plan.training_volume_gb"),
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": _TRIAL_SECONDS},
        "RetryStrategy": {"MaximumRetryAttempts": _RESTARTS},
        "EnableNetworkIsolation": True,  # instances of one job still reach each other (CreateTrainingJob)
    }


def _channel(name: str, prefix: str, distribution: str = "FullyReplicated") -> Json:
    """A channel of the split's files, whose keys begin with the prefix."""
    uri = f"'s3://' & $run.bucket & '/' & $run.features_prefix & 'columnar/{prefix}'"
    return {
        "ChannelName": name,
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": expression(uri),
                "S3DataDistributionType": distribution,
            }
        },
    }


def _ranges() -> Json:
    """XGBoost's eight that matter; the learning rate's effect is one of proportion, so it is searched on a log scale.

    Ranges that start at 0 cannot be logarithmic (ScalingType: Logarithmic needs values above 0).
    """
    return {
        "IntegerParameterRanges": [_range("max_depth", "3", "10")],
        "ContinuousParameterRanges": [
            _range("eta", "0.01", "0.3", "Logarithmic"),
            _range("min_child_weight", "1", "10"),
            _range("subsample", "0.5", "1"),
            _range("colsample_bytree", "0.5", "1"),
            _range("gamma", "0", "5"),
            _range("alpha", "0", "2"),
            _range("lambda", "0", "2"),
        ],
    }


def _range(name: str, low: str, high: str, scaling: str = "Linear") -> Json:
    return {"Name": name, "MinValue": low, "MaxValue": high, "ScalingType": scaling}


def model_package(defaults: JobDefaults, kind: str, *, approved: bool) -> Json:
    """CreateModelPackage of the judged model, with what a later promotion and a reader need to know about it."""
    judgement = f"${kind}_judgement"
    return {
        "ModelPackageGroupName": package_group_name(kind),
        "ModelPackageDescription": expression(f"$substring($join({judgement}.reasons, '; '), 0, 1024)"),
        "ModelApprovalStatus": "Approved" if approved else "Rejected",
        "InferenceSpecification": {
            # The package carries its image: a model is served by the code that trained it.
            "Containers": [
                {
                    "Image": defaults.image_uri,
                    "ModelDataUrl": expression(f"'s3://' & $run.bucket & '/' & {model_key(kind)}"),
                }
            ],
            "SupportedContentTypes": ["application/json", "text/csv"],
            "SupportedResponseMIMETypes": ["application/json"],
            "SupportedRealtimeInferenceInstanceTypes": [defaults.settings.endpoint_instance_type],
        },
        "ModelMetrics": {
            "ModelQuality": {
                "Statistics": {
                    "ContentType": "application/json",
                    "S3Uri": expression(f"{judgement}.metrics_uri"),
                }
            }
        },
        "CustomerMetadataProperties": expression(
            f"""$merge($append([{{'kind': '{kind}', 'run_id': $run.run_id, 'golden_uri': {judgement}.golden,
            'report_uri': {judgement}.report, 'metrics_uri': {judgement}.metrics_uri}}, {judgement}.lineage],
            $each({judgement}.metrics, function($value, $name) {{ {{'metric_' & $name: $string($value)}} }})))"""
        ),
        "ModelCard": {
            "ModelCardContent": expression(f"{judgement}.card"),
            "ModelCardStatus": "Approved" if approved else "Draft",
        },
        # A repeated request answers with the version that the first one made.
        "ClientToken": expression(f"${kind}_tuning_job"),
    }


def model_key(kind: str) -> str:
    """SageMaker's own layout below S3OutputPath: <training job>/output/model.tar.gz."""
    return f"'models/' & $run.run_id & '/{kind}/' & ${kind}_training_job & '/output/model.tar.gz'"
