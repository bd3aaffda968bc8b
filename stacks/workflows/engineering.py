"""From insights in S3 to the features folder of a run: one processing job, or with a plan of several instances one whose
instances each leave a shard, and one that merges them to the same bytes."""

from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.workflows.jobs import JobDefaults, job_name, planned_cluster, processing_input, processing_job
from stacks.workflows.steps import JOB_RETRIES, choice, expression, task, when

Json = Any

# Above, what people read (features.csv and a table a split) is left out: 3 GB and most of the time at 10 million rows.
MOST_ROWS_OF_TABLES = 2_000_000
INSTANCES = "$plan.processing_instances"
_SHARDS = "'s3://' & $run.bucket & '/features/shards/' & $run.run_id & '/'"
_FEATURES = "'s3://' & $run.bucket & '/' & $run.features_prefix"
_RAW = "'s3://' & $run.bucket & '/' & $run.raw_prefix"


class Engineering:
    """The states; `first` is the entry, and every path ends in `last`."""

    def __init__(self, scope: Construct, defaults: JobDefaults) -> None:
        self._scope, self._defaults = scope, defaults
        self.first, self.last = self._find_previous_splits(), self._keep_splits()
        self.engineer, self.merge = self._engineer(), self._merge()
        in_shards = choice(scope, "AreFeaturesInShards")
        in_shards.when(when(f"{INSTANCES} > 1"), self.merge.next(self.last))
        self.first.next(self.engineer).next(in_shards.otherwise(self.last))

    @property
    def catchable(self) -> Sequence[sfn.CustomState]:
        return self.first, self.last

    @property
    def jobs(self) -> Sequence[sfn.CustomState]:
        return self.engineer, self.merge

    def _find_previous_splits(self) -> sfn.CustomState:
        """The first run has none, and a processing input whose prefix is empty fails its job."""
        return task(
            self._scope,
            "FindPreviousSplits",
            "aws-sdk:s3:listObjectsV2",
            {"Bucket": expression("$run.bucket"), "Prefix": "features/splits.json", "MaxKeys": 1},
            timeout=cdk.Duration.minutes(1),
            output={},
            assign={"splits_are_kept": expression("$count($states.result.Contents) > 0")},
        )

    def _engineer(self) -> sfn.CustomState:
        files = processing_input("raw", "$run.source.uri")
        raw = processing_input("raw", f"{_RAW} & 'export-batch-'", is_sharded=True)
        manifest = processing_input("manifest", f"{_RAW} & 'manifest.json'")
        oracle = processing_input("oracle", f"{_RAW} & 'generated/oracle.npz'")
        request = processing_job(
            self._defaults,
            job_name("engineer"),
            arguments=["engineer", *_CHOICES],
            inputs=expression(
                f"""$run.source.kind = 's3' ? ({_with_previous(files)})
                : $run.source.kind = 'synthetic' ? ({_with_previous(raw, manifest, oracle)})
                : ({_with_previous(raw, manifest)})"""
            ),
            output_name="features",
            output_uri=expression(f"{INSTANCES} > 1 ? {_SHARDS} : {_FEATURES}"),
            max_runtime_seconds=4 * 3600,
            cluster=planned_cluster(expression(INSTANCES)),
        )
        return processing_task(self._scope, "EngineerFeatures", request)

    def _merge(self) -> sfn.CustomState:
        request = processing_job(
            self._defaults,
            job_name("merge"),
            arguments=["merge", *_CHOICES],
            inputs=expression(_with_previous(processing_input("shards", _SHARDS))),
            output_name="features",
            output_uri=expression(_FEATURES),
            max_runtime_seconds=4 * 3600,
            cluster=planned_cluster(),
        )
        return processing_task(self._scope, "MergeFeatures", request)

    def _keep_splits(self) -> sfn.CustomState:
        """A device keeps the split that it was first given: the next run starts from this one's."""
        return task(
            self._scope,
            "KeepSplits",
            "aws-sdk:s3:copyObject",
            {
                "Bucket": expression("$run.bucket"),
                "Key": "features/splits.json",
                "CopySource": expression("$run.bucket & '/' & $run.features_prefix & 'splits.json'"),
            },
            timeout=cdk.Duration.minutes(1),
            output={},
        )


# Whoever writes the features folder reads them: the one instance, or the merge.
_CHOICES = (
    "--split",
    expression("$run.split"),
    "--tables",
    expression(f"$plan.rows > {MOST_ROWS_OF_TABLES} ? 'none' : 'csv'"),
    "--train-parts",
    expression("$string($plan.training_instances)"),
)


def _with_previous(*inputs: str) -> str:
    """These inputs, and the memory of splits where an earlier run has left one."""
    previous = processing_input("previous", "'s3://' & $run.bucket & '/features/splits.json'")
    return f"$splits_are_kept ? [{', '.join((*inputs, previous))}] : [{', '.join(inputs)}]"


def processing_task(scope: Construct, name: str, request: Json) -> sfn.CustomState:
    # The job's own limit ends it with a reason; the state's is for a job that does not even start.
    seconds = request["StoppingCondition"]["MaxRuntimeInSeconds"] + 1800
    return task(
        scope,
        name,
        "sagemaker:createProcessingJob.sync",
        request,
        timeout=cdk.Duration.seconds(seconds),
        retries=JOB_RETRIES,
        output={},
    )
