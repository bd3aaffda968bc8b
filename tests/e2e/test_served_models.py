"""The quick deployment that other end-to-end tests start from is what a training run would have left; and such a model
is taken down outside the serving hours and comes back the same."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.api_client import Answer, get, post
from local.deploy import EXECUTION_ROLE, App, DeployFailed, run_cdk, synthesise
from local.run import sign_in_of
from local.settings import ACCOUNT
from tests.e2e.api_refusals import windows
from tests.e2e.permissions import DeployedRoles, Templates, check
from tests.e2e.served_models import ServedModels, ServingOptions, image_uri
from training_container.model_folder import read_golden, write_golden
from training_container.predictor import Predictor

pytestmark = pytest.mark.e2e

LOUD_IMAGE = Path(__file__).parent / "images" / "loud.py"


# A day away, so that the test is outside the serving hours whenever it runs and no schedule acts meanwhile.
RETURN = (datetime.now(UTC) + timedelta(days=3)).replace(hour=6, minute=0, second=0, microsecond=0)
HOURS = f"{RETURN:%a} 06:00-20:00"
CONTEXT = ("stage=local", f"serving_hours={HOURS}", "monthly_budget_usd=400")


@pytest.fixture(scope="module")
def serving_options() -> ServingOptions:
    return ServingOptions(
        kinds=("performance",),
        images={"loud:1": str(LOUD_IMAGE)},
        wait_scale=0.02,
        context=CONTEXT[1:],
    )


def test_the_trained_model_is_live_and_gives_its_golden_answers(served: ServedModels):
    golden = json.loads((served.folders["performance"] / "golden.json").read_text())
    answer = served.invoke("performance")

    assert answer["model_version"] == served.live_package("performance")
    assert [p["performance_score"] for p in answer["predictions"]] == pytest.approx(
        [p["performance_score"] for p in golden["predictions"]], abs=1e-4
    )
    assert served.endpoint("performance")["EndpointStatus"] == "InService"


def test_a_package_may_bring_another_image(served: ServedModels):
    before = served.live_package("performance")
    loud = served.make_live("performance", served.register("performance", image=image_uri("loud:1")))
    answer = served.invoke("performance")

    assert answer["model_version"] == loud
    assert all(prediction["loud"] == "yes" for prediction in answer["predictions"])
    served.make_live("performance", before)


def test_an_edited_model_is_another_model_and_golden_answers_can_be_wrong_for_it(served: ServedModels, tmp_path: Path):
    before = served.live_package("performance")
    golden = json.loads((served.folders["performance"] / "golden.json").read_text())
    golden["predictions"][0]["performance_score"] += 1
    (tmp_path / "golden.json").write_text(json.dumps(golden))
    folder = served.variant("performance", tmp_path / "wider", widen)
    package = served.register("performance", folder=folder, golden=tmp_path / "golden.json")
    execution = served.promote("performance", package)

    assert execution.status == "FAILED"
    assert "is not the one stored with the model's evaluation" in execution.cause
    assert served.live_package("performance") == before
    assert served.invoke("performance")["model_version"] == before


def widen(folder: Path) -> None:
    """Twice the interval, and golden rows that say so, so that the container finds itself in order."""
    described = json.loads((folder / "model.json").read_text())
    described["conformal_quantile"] *= 2
    (folder / "model.json").write_text(json.dumps(described))
    rows, _ = read_golden(folder)
    write_golden(folder, "performance", rows, Predictor.load(folder).answers(rows, explain=False))


def test_the_budget_is_deployed_with_its_alerts(served: ServedModels):
    budgets, account = served.cloud.client("budgets"), {"AccountId": ACCOUNT}
    [budget] = budgets.describe_budgets(**account)["Budgets"]
    alerts = budgets.describe_notifications_for_budget(**account, BudgetName=budget["BudgetName"])["Notifications"]

    assert float(budget["BudgetLimit"]["Amount"]) == 400
    assert budget["CostFilters"] == {"TagKeyValue": ["user:application$iops-insights"]}
    assert {(a["NotificationType"], a["Threshold"]) for a in alerts} == {("ACTUAL", 80.0), ("FORECASTED", 100.0)}


def switch(served: ServedModels, serving: str) -> Any:
    execution = served.execute("SwitchServing", {"serving": serving, "kinds": ["performance"]})
    assert execution.status == "SUCCEEDED", execution.cause
    return execution.output["endpoints"]


def predicted(served: ServedModels) -> Answer:
    token = sign_in_of(served.cloud, served.deployment).service_token()
    url = served.cloud.reachable_url(served.deployment["IopsApi.ApiUrl"])
    return post(url, "/api/predict/performance", {"insights": windows("nvme-1", 12)}, token=token)


def is_scaled(served: ServedModels) -> bool:
    targets = served.cloud.client("application-autoscaling").describe_scalable_targets(ServiceNamespace="sagemaker")
    return any("iops-performance-predictor" in target["ResourceId"] for target in targets["ScalableTargets"])


def is_gone(served: ServedModels) -> bool:
    try:
        served.endpoint("performance")
    except ClientError as error:
        return "Could not find" in str(error)
    return False


def test_an_endpoint_rests_says_when_it_returns_and_comes_back_the_same(served: ServedModels):
    before = served.live_package("performance")
    assert predicted(served).body["model_version"] == before
    assert is_scaled(served)

    assert switch(served, "off") == [{"kind": "performance", "serving": "off", "result": "switched"}]
    assert is_gone(served)
    assert not is_scaled(served)
    assert served.live_package("performance") == before
    answer = predicted(served)
    assert answer.status == 503
    assert answer.body["detail"] == f"the endpoints rest outside {HOURS} UTC and return at {RETURN:%Y-%m-%dT%H:%MZ}"
    wait = RETURN - datetime.now(UTC)
    assert abs(int(answer.headers["Retry-After"]) - wait.total_seconds()) < 60
    health = get(served.cloud.reachable_url(served.deployment["IopsApi.ApiUrl"]), "/api/health", token=None)
    assert health.body["models"] == {"risk": "absent", "performance": "resting"}

    assert switch(served, "on") == [{"kind": "performance", "serving": "on", "result": "switched"}]
    assert predicted(served).body["model_version"] == before
    assert is_scaled(served)


def test_a_promotion_outside_the_hours_is_verified_and_the_endpoint_rests_again(served: ServedModels):
    switch(served, "off")
    execution = served.promote("performance", served.register("performance"))

    assert execution.status == "SUCCEEDED", execution.cause
    assert execution.output["verification"]["matched"]
    assert re.match("arn:.*:SwitchServing:", execution.output["rest"])
    deadline = time.monotonic() + 60
    while not is_gone(served):
        assert time.monotonic() < deadline, "the endpoint goes on serving"
        time.sleep(0.2)
    switch(served, "on")
    assert served.invoke("performance")["model_version"] == execution.output["live_package"]


def test_an_endpoint_gets_another_instance_type_as_the_procedure_says(served: ServedModels, tmp_path: Path):
    """docs/operations.md, by the CDK CLI: scaling off, the type, scaling on; the model and its answers stay."""
    before, live = served.invoke("performance"), served.live_package("performance")
    deployed, changed = served.cloud.settings.state_dir / "cdk.out", tmp_path / "cdk.out"
    synthesise(served.cloud, App(context=(*CONTEXT, "endpoint_instance_type=ml.c5.large")), changed)

    def deploy_endpoint(assembly: Path, *more: str) -> None:
        exclusively = ("deploy", "IopsPerformanceEndpoint", "--exclusively", "--app", str(assembly), *more)
        run_cdk(served.cloud, App(), [*exclusively, "--require-approval", "never", "--role-arn", EXECUTION_ROLE])

    with pytest.raises(DeployFailed, match="deregister it before you change its instance type"):
        deploy_endpoint(changed)
    deploy_endpoint(deployed, "--parameters", "IopsPerformanceEndpoint:Scaling=off")
    deploy_endpoint(changed)
    deploy_endpoint(changed, "--parameters", "IopsPerformanceEndpoint:Scaling=on")

    config = served.cloud.client("sagemaker").describe_endpoint_config(
        EndpointConfigName=served.endpoint("performance")["EndpointConfigName"]
    )
    targets = served.cloud.client("application-autoscaling").describe_scalable_targets(ServiceNamespace="sagemaker")
    assert config["ProductionVariants"][0]["InstanceType"] == "ml.c5.large"
    assert [target["ResourceId"] for target in targets["ScalableTargets"]] == [
        "endpoint/iops-performance-predictor/variant/live"
    ]
    assert (served.live_package("performance"), served.invoke("performance")) == (live, before)


def test_removing_any_one_action_that_this_module_is_to_prove_would_have_failed_a_call(
    served: ServedModels, templates: Templates
):
    check("served_models", served.cloud, DeployedRoles.of(served.cloud), templates)
