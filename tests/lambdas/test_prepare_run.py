from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from insights.gate import GATE_DEFAULTS
from lambdas.prepare_run import handler as adapter
from lambdas.prepare_run.prepare_run import (
    BucketForbidden,
    BucketMissing,
    PrepareRunEnvironment,
    TableMissing,
    prepare_run,
)
from lambdas.prepare_run.rates import Rates
from lambdas.prepare_run.run_input import InvalidRunInput

ARN = "arn:aws:states:us-east-1:123456789012:execution:TrainModels:e1"
ENVIRONMENT = PrepareRunEnvironment(bucket_name="iops-bucket", insights_table_name="insights")


def prepared(cloud: Any, given: object, **changes: Any) -> dict[str, Any]:
    arguments = {"execution_arn": ARN, "redrive_count": 0, "environment": ENVIRONMENT, **changes}
    return prepare_run(given, s3=cloud.s3, dynamodb=cloud.dynamodb, **arguments)


def test_an_empty_input_is_a_full_run(cloud: Any) -> None:
    run_id = hashlib.sha256(f"{ARN}#0".encode()).hexdigest()[:12]
    assert prepared(cloud, {}) == {
        "run_id": run_id,
        "bucket": "iops-bucket",
        "raw_prefix": f"raw/{run_id}/",
        "features_prefix": f"features/{run_id}/",
        "source": {"kind": "dynamodb", "device_prefix": None, "records": None, "seed": None, "uri": None},
        "models": {"risk": True, "performance": True},
        "tuning": {"max_jobs": 50, "max_parallel_jobs": 5},
        "gate": {
            "min_accuracy": 0.9,
            "min_critical_recall": 0.8,
            "min_critical_rows": 30,
            "max_rmse": 10.0,
            "min_coverage": 0.88,
            "max_coverage": 0.92,
            "max_loss_to_live": 0.02,
        },
        "promote": True,
        "split": "device",
        "trigger": "request",
        "reason": "",
        "segments": [{"segment": number, "total_segments": 4} for number in range(4)],
        "export": {
            "method": "scan",
            "segments": 4,
            "reason": "About 0 rows are scanned: they take 0 s of the table's first read capacity. 4 segments.",
        },
        "plan": {
            "rows": 0,
            "processing_instances": 1,
            "processing_instance_type": "ml.m5.xlarge",
            "processing_volume_gb": 30,
            "training_instances": 1,
            "training_instance_type": "ml.m5.xlarge",
            "training_volume_gb": 30,
            "external_memory": False,
            "reasons": ["0 rows: up to 1,000,000 one instance of each job suffices."],
        },
        "planning": {
            "limits": {
                "processing_instance_type": "ml.m5.xlarge",
                "training_instance_type": "ml.m5.xlarge",
                "larger_instance_types": (),
                "most_processing_instances": 1,
                "most_training_instances": 1,
                "scan_segments": 4,
            },
            "chosen": dict.fromkeys(
                ("processing_instances", "training_instances", "export", "segments", "external_memory")
            ),
            "source_kind": "dynamodb",
        },
    }


def test_the_first_plan_is_made_of_what_is_known_before_the_export(cloud: Any, stored: list[Any]) -> None:
    assert prepared(cloud, {})["plan"]["rows"] == len(stored)
    assert prepared(cloud, {"source": {"kind": "synthetic", "records": 5000}})["plan"]["rows"] == 5000
    per_row = Rates.read().bytes_per_row
    cloud.put("incoming/fleet/a.jsonl", b"x" * round(30 * per_row["raw"]))
    cloud.put("incoming/fleet/b.csv.gz", b"x" * round(2 * per_row["full_csv"]))
    source = {"kind": "s3", "uri": "s3://iops-bucket/incoming/fleet/"}
    run = prepared(cloud, {"source": source})
    assert run["plan"]["rows"] == 30 + 8 * 2
    assert run["export"] == {"method": "none", "segments": 0, "reason": "Files in S3 need no export."}


def test_the_input_may_decide_the_plan_within_what_the_deployment_allows(cloud: Any) -> None:
    environment = replace(ENVIRONMENT, most_training_instances=4, larger_instance_types="ml.m5.2xlarge,ml.m5.4xlarge")
    asked = {"training_instances": 4, "export": "point_in_time", "segments": 2, "external_memory": True}
    run = prepared(cloud, {"plan": asked}, environment=environment)
    assert (run["plan"]["training_instances"], run["plan"]["external_memory"]) == (4, True)
    assert (run["export"]["method"], len(run["segments"])) == ("point_in_time", 2)
    assert run["planning"]["limits"]["larger_instance_types"] == ("ml.m5.2xlarge", "ml.m5.4xlarge")
    with pytest.raises(InvalidRunInput, match="the setting most_training_instances allows 4"):
        prepared(cloud, {"plan": {"training_instances": 5}}, environment=environment)


@pytest.mark.parametrize(
    "given",
    [
        None,
        {"Comment": "Insert your JSON here"},
        {"AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": ARN},
        {"source": {}, "tuning": None, "gate": {}},
    ],
)
def test_what_the_console_and_null_say_is_the_same_as_nothing(cloud: Any, given: object) -> None:
    assert prepared(cloud, given) == prepared(cloud, {})


def test_a_synthetic_run_exports_only_the_devices_of_its_seed(cloud: Any) -> None:
    run = prepared(cloud, {"source": {"kind": "synthetic", "seed": 11, "records": 2000}})
    assert run["source"] == {
        "kind": "synthetic",
        "device_prefix": "synthetic-11-",
        "records": 2000,
        "seed": 11,
        "uri": None,
    }
    assert len(run["segments"]) == 4


def test_a_run_over_files_scans_no_table(cloud: Any) -> None:
    cloud.put("incoming/fleet/day.csv", b"x")
    run = prepared(cloud, {"source": {"kind": "s3", "uri": "s3://iops-bucket/incoming/fleet"}})
    assert run["source"]["uri"] == "s3://iops-bucket/incoming/fleet/"
    assert run["segments"] == []


def test_chosen_fields_replace_the_defaults_and_fewer_jobs_lower_the_parallel_ones(cloud: Any) -> None:
    run = prepared(
        cloud,
        {
            "models": ["performance"],
            "tuning": {"max_jobs": 2},
            "gate": {"max_rmse": 7},
            "promote": False,
            "split": "time",
        },
    )
    assert run["models"] == {"risk": False, "performance": True}
    assert run["tuning"] == {"max_jobs": 2, "max_parallel_jobs": 2}
    assert run["gate"] == {**GATE_DEFAULTS, "max_rmse": 7}
    assert (run["promote"], run["split"]) == (False, "time")


def test_the_deployment_chooses_the_default_models(cloud: Any) -> None:
    environment = PrepareRunEnvironment(
        bucket_name="iops-bucket", insights_table_name="insights", model_type="risk", tuning_max_jobs=9
    )
    run = prepared(cloud, {}, environment=environment)
    assert run["models"] == {"risk": True, "performance": False}
    assert run["tuning"]["max_jobs"] == 9


def test_a_redrive_and_another_execution_have_run_ids_of_their_own(cloud: Any) -> None:
    first, again = prepared(cloud, {})["run_id"], prepared(cloud, {})["run_id"]
    redriven = prepared(cloud, {}, redrive_count=1)["run_id"]
    other = prepared(cloud, {}, execution_arn=ARN + "2")["run_id"]
    assert first == again
    assert len({first, redriven, other}) == 3
    # "performance-<run>-r99-9" must fit a tuning job's name.
    assert len(f"performance-{first}-r99-9") <= 32


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ([], "input"),
        ("{}", "input"),
        ({"modles": ["risk"]}, "modles"),
        ({"source": "dynamodb"}, "source"),
        ({"source": {"kind": "kafka"}}, "source.kind"),
        ({"source": {"kind": "dynamodb", "seed": 7}}, "source.seed"),
        ({"source": {"kind": "synthetic", "sed": 7}}, "source.sed"),
        ({"source": {"kind": "synthetic", "records": 10}}, "source.records"),
        ({"source": {"kind": "synthetic", "records": "10000"}}, "source.records"),
        ({"source": {"kind": "synthetic", "seed": -1}}, "source.seed"),
        ({"source": {"kind": "s3"}}, "source.uri"),
        ({"source": {"kind": "s3", "uri": "iops-bucket/x"}}, "source.uri"),
        ({"source": {"kind": "s3", "uri": "s3://iops-bucket/"}}, "source.uri"),
        ({"source": {"kind": "s3", "uri": "s3://iops-bucket/nothing-here/"}}, "source.uri"),
        ({"source": {"kind": "s3", "uri": "s3://no-such-bucket/x/"}}, "source.uri"),
        ({"source": {"device_prefix": ""}}, "source.device_prefix"),
        ({"models": []}, "models"),
        ({"models": "risk"}, "models"),
        ({"models": ["risk", "risky"]}, "models[1]"),
        ({"models": ["risk", "risk"]}, "models[1]"),
        ({"models": [["risk"]]}, "models[0]"),
        ({"tuning": {"jobs": 3}}, "tuning.jobs"),
        ({"tuning": {"max_jobs": 0}}, "tuning.max_jobs"),
        ({"tuning": {"max_jobs": 751}}, "tuning.max_jobs"),
        ({"tuning": {"max_jobs": True}}, "tuning.max_jobs"),
        ({"tuning": {"max_jobs": 2.5}}, "tuning.max_jobs"),
        ({"tuning": {"max_jobs": 20, "max_parallel_jobs": 11}}, "tuning.max_parallel_jobs"),
        ({"tuning": {"max_jobs": 2, "max_parallel_jobs": 3}}, "tuning.max_parallel_jobs"),
        ({"gate": {"min_acuracy": 0.5}}, "gate.min_acuracy"),
        ({"gate": {"min_accuracy": 90}}, "gate.min_accuracy"),
        ({"gate": {"max_rmse": "10"}}, "gate.max_rmse"),
        ({"gate": {"min_coverage": 0.95}}, "gate.min_coverage"),
        ({"gate": {"max_rmse": float("nan")}}, "gate.max_rmse"),
        ({"promote": "yes"}, "promote"),
        ({"split": "random"}, "split"),
        ({"trigger": "whim"}, "trigger"),
        ({"reason": 5}, "reason"),
        ({"plan": 2}, "plan"),
        ({"plan": {"instances": 2}}, "plan.instances"),
        ({"plan": {"processing_instances": 0}}, "plan.processing_instances"),
        ({"plan": {"processing_instances": 2}}, "plan.processing_instances"),
        ({"plan": {"training_instances": "2"}}, "plan.training_instances"),
        ({"plan": {"export": "none"}}, "plan.export"),
        ({"plan": {"segments": 1001}}, "plan.segments"),
        ({"plan": {"external_memory": 1}}, "plan.external_memory"),
        (
            {"plan": {"processing_instances": 1}, "source": {"kind": "s3", "uri": "s3://iops-bucket/x/"}},
            "plan.processing_instances",
        ),
        ({"plan": {"segments": 2}, "source": {"kind": "s3", "uri": "s3://iops-bucket/x/"}}, "plan.segments"),
        ({"reason": "x" * 1001}, "reason"),
    ],
)
def test_a_wrong_field_is_refused_by_name(cloud: Any, given: object, field: str) -> None:
    with pytest.raises(InvalidRunInput) as refused:
        prepared(cloud, given)
    assert refused.value.field == field
    assert str(refused.value).startswith(f"field {field} has the value ")


def test_a_missing_bucket_is_named_unless_it_may_be_made(cloud: Any) -> None:
    without = {"bucket_name": "new-bucket", "insights_table_name": "insights"}
    with pytest.raises(BucketMissing, match="new-bucket"):
        prepared(cloud, {}, environment=PrepareRunEnvironment(**without))
    prepared(cloud, {}, environment=PrepareRunEnvironment(**without, create_bucket=True))
    assert "new-bucket" in {bucket["Name"] for bucket in cloud.s3.list_buckets()["Buckets"]}


def test_a_bucket_that_may_not_be_looked_at_is_named_with_the_permission(cloud: Any) -> None:
    s3 = boto3.client("s3", region_name="us-east-1")
    with Stubber(s3) as forbidding:
        forbidding.add_client_error("head_bucket", "403", "Forbidden", 403)
        with pytest.raises(BucketForbidden, match="not authorized to perform s3:ListBucket on bucket iops-bucket"):
            prepare_run({}, execution_arn=ARN, redrive_count=0, environment=ENVIRONMENT, s3=s3, dynamodb=cloud.dynamodb)


def test_outside_us_east_1_the_bucket_is_made_in_the_functions_region(cloud: Any) -> None:
    environment = PrepareRunEnvironment(
        bucket_name="bucket-in-frankfurt", insights_table_name="insights", create_bucket=True
    )
    s3 = boto3.client("s3", region_name="eu-central-1")
    prepare_run({}, execution_arn=ARN, redrive_count=0, environment=environment, s3=s3, dynamodb=cloud.dynamodb)
    location = s3.get_bucket_location(Bucket="bucket-in-frankfurt")["LocationConstraint"]
    assert location == "eu-central-1"


def test_a_missing_table_is_named(cloud: Any) -> None:
    environment = PrepareRunEnvironment(bucket_name="iops-bucket", insights_table_name="gone")
    with pytest.raises(TableMissing, match="gone"):
        prepared(cloud, {}, environment=environment)


def test_the_handler_reads_the_environment_and_the_event(
    cloud: Any, event: Any, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUCKET_NAME", "iops-bucket")
    monkeypatch.setenv("INSIGHTS_TABLE_NAME", "insights")
    monkeypatch.setenv("SCAN_SEGMENTS", "2")
    adapter.environment.cache_clear()
    run = adapter.handler(event("prepare_run"), context)
    assert run["segments"] == [{"segment": 0, "total_segments": 2}, {"segment": 1, "total_segments": 2}]
