"""Bills worked out by hand, at prices that are easy to multiply."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stacks.costs.bill import Line, Model
from stacks.costs.counted import Counted
from stacks.costs.jobs import JobSeconds
from stacks.costs.load import Load
from stacks.costs.prices import Price, PriceTable
from stacks.settings import Settings

PRICES = {
    "instance/ml.m5.large": 0.1,
    "instance/ml.m5.xlarge": 0.2,
    "sagemaker_storage_gb_month": 0.1,
    "sagemaker_data_gb": 0.02,
    "dynamodb_write": 1e-6,
    "dynamodb_read": 1e-7,
    "dynamodb_storage_gb_month": 0.25,
    "dynamodb_pitr_gb_month": 0.2,
    "dynamodb_stream_read_by_lambda": 0.0,
    "s3_storage_gb_month": 0.02,
    "s3_put": 5e-6,
    "ecr_storage_gb_month": 0.1,
    "data_out_gb": 0.09,
    "lambda_request": 2e-7,
    "lambda_arm_gb_second": 1e-5,
    "api_request": 3e-6,
    "cognito_user_month": 0.01,
    "cognito_client_month": 6.0,
    "cognito_token": 0.002,
    "state_transition": 2e-5,
    "get_metric_data_metric": 1e-5,
    "alarm_metric_month": 0.1,
    "composite_alarm_month": 0.5,
    "dashboard_month": 3.0,
    "custom_metric_month": 0.3,
    "logs_ingested_gb": 0.5,
    "logs_stored_gb_month": 0.03,
    "cloudfront_https_request": 1e-6,
    "cloudfront_out_gb": 0.08,
    "sns_email": 2e-5,
    "eventbridge_rule": 0.0,
    "budget": 0.0,
}
TABLE = PriceTable(
    region="us-east-1",
    prices={name: Price(usd=usd, unit="unit", source="hand", verified=True) for name, usd in PRICES.items()},
    instances={},
    sources={},
)
SETTINGS = Settings(
    stage="dev",
    region=None,
    account=None,
    bucket=None,
    create_bucket=False,
    source_buckets=(),
    execution_role_arn=None,
    model_type="both",
    risk_endpoint_name="r",
    performance_endpoint_name="p",
    training_instance_type="ml.m5.xlarge",
    processing_instance_type="ml.m5.large",
    endpoint_instance_type="ml.m5.large",
    larger_instance_types=(),
    most_processing_instances=1,
    most_training_instances=1,
    requests_per_second_per_instance=100,
    data_capture_percent=20,
    tuning_max_jobs=50,
    tuning_max_parallel_jobs=5,
    scan_segments=8,
    monthly_training=False,
    watch_every_hours=24,
    retraining_debounce_hours=24,
    retraining_drift_runs_per_week=2,
    kept_versions=10,
    allowed_origins=("http://localhost:3000",),
    notification_email=None,
    prediction_days=73,
    client_requests_per_minute=3000,
    serving_hours=None,
    monthly_budget_usd=None,
    ebs_collection="off",
    ebs_tag=None,
    ebs_period_seconds=300,
    ebs_every_minutes=10,
    ebs_shards=2,
    ebs_catch_up_hours=72,
)
COUNTED = Counted(
    endpoints=2,
    function_gb={"predict": 1.0, "read_fleet": 0.5, "track_devices": 0.5, "export_insights": 2.0},
    alarm_metrics=20,
    composite_alarms=4,
    dashboards=2,
    service_clients=1,
    schedules=3,
    budgets=1,
    machines=frozenset({"TrainModels", "PromoteModel"}),
    has_page=True,
)
JOBS = JobSeconds(
    engineer=[540], trial={"risk": 120, "performance": 240}, evaluate={"risk": 60, "performance": 120}, origin="by hand"
)
MODEL = Model(settings=SETTINGS, counted=COUNTED, load=Load(), jobs=JOBS, table=TABLE)


def found(lines: list[Line], what: str) -> Line:
    [line] = [line for line in lines if f"{line.component}: {line.what}" == what]
    return line


def usd(model: Model, what: str, instances: int = 1) -> float:
    return found(model.month(instances=instances), what).usd


def test_endpoints_cost_their_hours_by_instance_and_their_volumes():
    # 2 endpoints x 730 h x 0.1; x 3; 2 x 30 GB x 0.1
    assert usd(MODEL, "endpoints: instances") == pytest.approx(146.0)
    assert usd(MODEL, "endpoints: instances", 3) == pytest.approx(438.0)
    assert usd(MODEL, "endpoints: their storage") == pytest.approx(6.0)


def test_serving_hours_take_the_same_share_off_instances_and_of_predictions():
    resting = replace(MODEL, settings=replace(SETTINGS, serving_hours="Mon-Fri 06:00-20:00"))

    # 70 of a week's 168 hours
    assert usd(resting, "endpoints: instances") == pytest.approx(146.0 * 70 / 168)
    assert usd(resting, "functions: predict, calls") == pytest.approx(
        usd(MODEL, "functions: predict, calls") * 70 / 168
    )
    assert usd(resting, "tables: insights written") == usd(MODEL, "tables: insights written")
    # twice for each of five days, 730 / 168 weeks, 150 states each
    assert usd(resting, "off-hours: workflow") == pytest.approx(10 * (730 / 168) * 150 * 2e-5)


def test_a_training_costs_trials_and_steps_with_their_overhead():
    lines = MODEL.training()

    # 50 x (120 + 60 + 240 + 60) s = 24,000 s; (540 + 60 + 120 + 3 x 60) s = 900 s
    assert found(lines, "training: tuning jobs").quantity == pytest.approx(24_000 / 3600)
    assert found(lines, "training: tuning jobs").usd == pytest.approx(24_000 / 3600 * 0.2)
    assert found(lines, "training: processing").usd == pytest.approx(0.025)
    # 200 devices x 30 days x 288 = 1,728,000 rows of 0.4 KB, half a unit for 4 KB
    assert found(lines, "training: table scan of the export").quantity == pytest.approx(86_400)
    # 2 GB for 1,728,000 / 5,000 s
    assert found(lines, "training: export functions").quantity == pytest.approx(691.2)


def test_instances_beside_the_first_and_the_merge_of_their_features_are_paid_with_an_overhead_each():
    several = replace(MODEL, jobs=replace(JOBS, engineer=[270, 270, 90], trial_instances=2))
    lines = several.training()

    # twice 50 x (120 + 60 + 240 + 60) s; (2 x 270 + 90 + 60 + 120 + 5 x 60) s = 1,110 s
    assert found(lines, "training: tuning jobs").quantity == pytest.approx(48_000 / 3600)
    assert found(lines, "training: processing").quantity == pytest.approx(1_110 / 3600)


def test_one_model_is_tuned_and_evaluated_alone_and_two_trainings_cost_twice():
    alone = replace(MODEL, settings=replace(SETTINGS, model_type="risk"))
    assert found(alone.training(), "training: tuning jobs").quantity == pytest.approx(50 * 180 / 3600)
    assert found(alone.training(), "training: processing").quantity == pytest.approx((540 + 60 + 2 * 60) / 3600)

    twice = replace(MODEL, load=Load(trainings_per_month=2))
    assert usd(twice, "training: tuning jobs") == pytest.approx(2 * usd(MODEL, "training: tuning jobs"))


def test_tables_cost_writes_reads_storage_and_recovery():
    # 200 devices x 43,800 minutes / 5 = 1,752,000 insights; 80 x 43,800 = 3,504,000 predictions of 3 units
    assert found(MODEL.month(instances=1), "tables: insights written").quantity == pytest.approx(1_927_200)
    assert found(MODEL.month(instances=1), "tables: states of devices").quantity == pytest.approx(5_256_000)
    assert usd(MODEL, "tables: predictions written") == pytest.approx(10.512)
    # 12 x 1,752,000 x 0.4 KB + 73 days (2.4 months) x 3,504,000 x 2.5 KB = 29.4336 GB
    assert found(MODEL.month(instances=1), "tables: storage").quantity == pytest.approx(29.4336)
    assert usd(MODEL, "tables: storage") == pytest.approx(7.3584)
    assert usd(MODEL, "tables: point-in-time recovery") == pytest.approx(5.88672)


def test_items_of_one_request_share_its_price():
    many = replace(MODEL, load=Load(predictions_per_request=100))
    one, hundred = (found(m.month(instances=1), "functions: predict, calls").quantity for m in (MODEL, many))
    assert (one, hundred) == (pytest.approx(3_504_000), pytest.approx(35_040))
    assert usd(many, "tables: predictions written") == usd(MODEL, "tables: predictions written")


def test_requests_of_callers_and_of_the_page_meet_the_gateway():
    # 3,504,000 + 5 users x 40 h x 60 x 3 = 36,000
    assert usd(MODEL, "API: requests") == pytest.approx(3_540_000 * 3e-6)
    assert usd(MODEL, "page: requests") == pytest.approx(0.036)
    assert "page" not in {
        line.component for line in replace(MODEL, counted=replace(COUNTED, has_page=False)).month(instances=1)
    }


def test_what_the_templates_count_is_priced_by_the_piece():
    expected = {
        "monitoring: alarms, by metric": 2.0,
        "monitoring: composite alarms": 2.0,
        "monitoring: dashboards": 6.0,
        "monitoring: own metrics": 18.0,
        "sign-in: service clients": 6.0,
        "sign-in: tokens of services": 1.46,
        "sign-in: users": 0.05,
        "events and mail: schedules": 0.0,
    }
    assert {what: usd(MODEL, what) for what in expected} == pytest.approx(expected)


def test_captured_requests_are_kept_three_months_and_none_cost_nothing():
    # 3,504,000 x 20% x 5.5 KB x 3 months = 11.5632 GB
    assert found(MODEL.month(instances=1), "objects: data capture").quantity == pytest.approx(11.5632)
    off = replace(MODEL, settings=replace(SETTINGS, data_capture_percent=0))
    assert usd(off, "objects: data capture") == usd(off, "objects: data capture, files") == 0


def test_production_keeps_its_logs_for_a_year():
    dev, prod = (
        found(replace(MODEL, settings=replace(SETTINGS, stage=stage)).month(instances=1), "monitoring: logs kept")
        for stage in ("dev", "prod")
    )
    assert prod.quantity / dev.quantity == pytest.approx(365 / 30)


def test_the_watch_is_priced_where_it_is_deployed():
    watching = replace(COUNTED, machines=COUNTED.machines | {"WatchModels"})
    # 30 times, 2 endpoints, 60 + 120 s each: 3 hours
    assert usd(replace(MODEL, counted=watching), "watch: processing") == pytest.approx(0.3)
    assert "watch" not in {line.component for line in MODEL.month(instances=1)}


def test_only_what_hangs_on_instances_grows_with_them():
    one, three = MODEL.month(instances=1), MODEL.month(instances=3)
    grown = {line.what for line, other in zip(three, one, strict=True) if line.usd != other.usd}
    assert grown == {"instances", "their storage"}


def test_collecting_volumes_costs_the_metrics_of_each_run_where_it_is_deployed():
    on = replace(
        MODEL,
        counted=replace(COUNTED, function_gb={**COUNTED.function_gb, "collect_volumes": 0.5}),
        load=replace(MODEL.load, ebs_volumes=10),
    )

    # 4,380 runs of ten minutes x 10 volumes x 11 metrics x 1e-5
    assert usd(on, "EBS collection: metrics asked for") == pytest.approx(4.818)
    # two shards
    assert usd(on, "EBS collection: calls") == pytest.approx(8760 * 2e-7)
    # 43,800 volumes and runs x 0.02 s x 0.5 GB
    assert usd(on, "EBS collection: time") == pytest.approx(438 * 1e-5)
    assert usd(on, "EBS collection: newest rows") == pytest.approx(87_600 * 1e-7)
    assert usd(on, "EBS collection: own metrics") == pytest.approx(1.8)
    assert not [line for line in MODEL.month(instances=1) if line.component == "EBS collection"]
