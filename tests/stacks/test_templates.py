from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import aws_cdk as cdk
import pytest
from statelint.linter import Linter

from stacks.settings import InvalidSetting, Settings
from tests.conftest import ROOT, Assembly

Templates = Mapping[str, dict[str, Any]]


def resources(template: Mapping[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {name: r for name, r in template["Resources"].items() if r["Type"] == kind}


def definition(template: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A state machine's definition with every CloudFormation function as a plain word."""
    for machine in resources(template, "AWS::StepFunctions::StateMachine").values():
        properties = machine["Properties"]
        if properties.get("StateMachineName") == name:
            text = properties["DefinitionString"]
            parts = text["Fn::Join"][1] if isinstance(text, dict) else [text]
            return json.loads("".join(part if isinstance(part, str) else "word" for part in parts))
    raise AssertionError(f"no state machine {name}")


def states(machine: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every state, of Parallel branches and Maps too."""
    for name, state in machine["States"].items():
        yield name, state
        for inner in [*state.get("Branches", []), *([state["ItemProcessor"]] if "ItemProcessor" in state else [])]:
            yield from states(inner)


@pytest.fixture(params=["TrainModels", "PromoteModel", "WatchModels", "SwitchServing"])
def machine(request: pytest.FixtureRequest, templates: Templates) -> dict[str, Any]:
    return definition(templates["IopsTraining"], request.param)


@pytest.mark.parametrize("stage", ["dev", "prod", "local"])
def test_every_stage_synthesises_without_a_finding_of_cdk_nag(synthesise: Callable[..., Assembly], stage: str):
    assembly = synthesise(stage=stage)

    assert assembly.returncode == 0, assembly.output  # app.py carries the checks and fails with each finding


def test_every_handler_string_resolves_to_a_function(templates: Templates):
    handlers = {
        function["Properties"]["Handler"]
        for template in templates.values()
        for function in resources(template, "AWS::Lambda::Function").values()
        if function["Properties"]["Runtime"].startswith("python")
    }
    assert "lambdas.predict.handler.handler" in handlers
    for handler in handlers:
        module, _, name = handler.rpartition(".")
        assert callable(getattr(importlib.import_module(module), name))


def test_the_definitions_have_no_structural_fault(machine: dict[str, Any]):
    # JSON knows one kind of number; the linter wants a point in it, Step Functions does not.
    # Nor does it know two fields of a Distributed Map (Amazon States Language, "Map": Label, and ItemReader's InputType).
    taken_for_wrong = re.compile(
        r"BackoffRate is \d+ but should be a Float$|"
        r'^Field "(Label" not allowed in State Machine\.States\.\w+|InputType" not allowed in [\w. ]+\.ReaderConfig)$'
    )
    assert [problem for problem in Linter.validate(machine) if not taken_for_wrong.search(problem)] == []


def uncaught(machine: Mapping[str, Any]) -> Iterator[str]:
    """Tasks whose failure would end the execution without a cause of ours; a Map's catch is its tasks' too."""
    for name, state in machine["States"].items():
        if state.get("Catch"):
            continue
        if state["Type"] == "Task":
            yield name
        for inner in [*state.get("Branches", []), *([state["ItemProcessor"]] if "ItemProcessor" in state else [])]:
            yield from uncaught(inner)


def test_every_task_has_a_timeout_and_its_failure_goes_somewhere(machine: dict[str, Any]):
    assert [name for name, s in states(machine) if s["Type"] == "Task" and not s.get("TimeoutSeconds")] == []
    assert list(uncaught(machine)) == []


def test_what_is_caught_keeps_state_error_and_cause(templates: Templates):
    tasks = dict(states(definition(templates["IopsTraining"], "TrainModels")))
    for name in ("PrepareRun", "EngineerFeatures", "TuneRisk"):
        (kept,) = tasks[name]["Catch"][0]["Assign"].values()
        assert re.search(r"'state'.*'error'.*'cause'", kept)


def test_tuning_is_bayesian_over_the_eight_ranges_with_names_within_the_limit(templates: Templates):
    tune = dict(states(definition(templates["IopsTraining"], "TrainModels")))["TuneRisk"]["Arguments"]
    config = tune["HyperParameterTuningJobConfig"]
    ranges = config["ParameterRanges"]
    found = {
        entry["Name"]: (entry["MinValue"], entry["MaxValue"])
        for entry in [*ranges["IntegerParameterRanges"], *ranges["ContinuousParameterRanges"]]
    }

    assert config["Strategy"] == "Bayesian"
    assert found == {
        "max_depth": ("3", "10"),
        "eta": ("0.01", "0.3"),
        "subsample": ("0.5", "1"),
        "colsample_bytree": ("0.5", "1"),
        "min_child_weight": ("1", "10"),
        "gamma": ("0", "5"),
        "alpha": ("0", "2"),
        "lambda": ("0", "2"),
    }


@pytest.mark.parametrize("kind", ["Risk", "Performance"])
def test_an_endpoint_scales_from_one_to_three_by_invocations(templates: Templates, kind: str):
    template = templates[f"Iops{kind}Endpoint"]
    target = next(iter(resources(template, "AWS::ApplicationAutoScaling::ScalableTarget").values()))["Properties"]
    policy = next(iter(resources(template, "AWS::ApplicationAutoScaling::ScalingPolicy").values()))["Properties"]
    tracking = policy["TargetTrackingScalingPolicyConfiguration"]
    metric = tracking["PredefinedMetricSpecification"]["PredefinedMetricType"]

    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 3)
    assert metric == "SageMakerVariantInvocationsPerInstance"
    assert (tracking["ScaleOutCooldown"], tracking["ScaleInCooldown"]) == (60, 300)


@pytest.mark.parametrize("kind", ["Risk", "Performance"])
def test_without_a_live_package_an_endpoint_stack_still_has_one_resource(templates: Templates, kind: str):
    template = templates[f"Iops{kind}Endpoint"]
    endpoint = next(iter(resources(template, "AWS::SageMaker::Endpoint").values()))
    unconditional = [name for name, resource in template["Resources"].items() if "Condition" not in resource]

    assert template["Parameters"]["LivePackage"]["Default"] == ""
    assert "Condition" in endpoint
    assert endpoint["Properties"]["RetainAllVariantProperties"] is True
    assert unconditional


def test_replaced_models_and_configurations_are_retained_and_have_no_physical_names(templates: Templates):
    for kind in ("AWS::SageMaker::Model", "AWS::SageMaker::EndpointConfig"):
        for resource in resources(templates["IopsRiskEndpoint"], kind).values():
            assert resource["UpdateReplacePolicy"] == "Retain"
            assert not {"ModelName", "EndpointConfigName"} & set(resource["Properties"])


def test_the_tables_survive_in_production_and_are_recoverable_everywhere(synthesise: Callable[..., Assembly]):
    for stage in ("dev", "prod", "local"):
        tables = resources(synthesise(stage=stage).templates["IopsData"], "AWS::DynamoDB::Table")
        assert len(tables) == 3
        for table in tables.values():
            recovery = table["Properties"]["PointInTimeRecoverySpecification"]
            assert recovery["PointInTimeRecoveryEnabled"] is True
            assert table["DeletionPolicy"] == ("Retain" if stage == "prod" else "Delete")


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("endpoint_instance_type", "ml.t2.medium", "scal"),
        ("endpoint_instance_type", "ml.t3.medium", "ml.t3"),
        ("training_instance_type", "m5.xlarge", "training_instance_type"),
        ("model_type", "both-of-them", "performance"),
        ("scan_segments", "0", "scan_segments"),
        ("bucket", "Not_A_Bucket", "bucket"),
    ],
)
def test_a_wrong_setting_is_refused_by_field_value_and_what_is_allowed(field: str, value: str, named: str):
    context = {**json.loads((ROOT / "cdk.json").read_text())["context"], "stage": "local", field: value}

    with pytest.raises(InvalidSetting) as refused:
        Settings.from_context(cdk.App(context=context))
    assert value in str(refused.value)
    assert named in str(refused.value)


def test_a_refused_setting_fails_the_synthesis(synthesise: Callable[..., Assembly]):
    assembly = synthesise(stage="test")

    assert assembly.returncode != 0
    assert "stage" in assembly.output
    assert "prod" in assembly.output


ALLOWED_DIFFERENCES = (
    (r"^Iops\w+\.(Parameters\.BootstrapVersion|Rules\.CheckBootstrapVersion)\.", "AWS deploys with bootstrapped roles"),
    (r"^Iops\w+\.Resources\.\w+\.Metadata\.", "asset and construct paths, for tools only"),
    (r"^Iops\w+\.Resources\.\w+Function\w+\.Properties\.Environment\.Variables\.STAGE$", "the stage's own name"),
    (r"^IopsDashboard\.", "the laptop serves the page itself: BucketDeployment runs /opt/awscli, which it has not"),
    (r"^IopsApi\.Outputs\.PublishOutputRef", "what IopsDashboard reads of the API's stack"),
    (r"\.DefinitionString\..*\.(TrainingImage|ImageUri|Image|image)$", "the image has no registry on the laptop"),
    (r"^IopsTraining\.Resources\.SageMakerRoles(Jobs|Serving)\w+\..*\.Resource$", "the repository of that image"),
)


def leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every value with its path; a state machine's definition by its states, not by the pieces of its text."""
    if path.endswith(".DefinitionString"):
        value = json.loads("".join(part if isinstance(part, str) else named(part) for part in value["Fn::Join"][1]))
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{place}]")
    else:
        yield path, value


def named(reference: Mapping[str, Any]) -> str:
    [target] = reference.values()
    return target if isinstance(target, str) else ".".join(target)


def test_local_and_aws_templates_differ_only_where_listed(synthesise: Callable[..., Assembly]):
    """The same account and region, so that what differs is the stage's doing."""
    place = {"account": "000000000000", "region": "us-east-1"}
    local, aws = synthesise(stage="local").templates, synthesise(stage="dev", **place).templates
    found = [dict(leaf for name, t in assembly.items() for leaf in leaves(t, name)) for assembly in (local, aws)]
    different = {path for path in found[0].keys() | found[1].keys() if found[0].get(path) != found[1].get(path)}

    unlisted = sorted(path for path in different if not any(re.search(rule, path) for rule, _ in ALLOWED_DIFFERENCES))
    assert unlisted == []


def test_local_and_aws_templates_have_the_same_resources_and_states(synthesise: Callable[..., Assembly]):
    local, aws = (synthesise(stage=stage).templates for stage in ("local", "dev"))

    assert set(aws) - set(local) == {"IopsDashboard"}
    for stack, template in local.items():
        kinds = {name: resource["Type"] for name, resource in template["Resources"].items()}
        assert kinds == {name: resource["Type"] for name, resource in aws[stack]["Resources"].items()}
    for name in ("TrainModels", "PromoteModel", "WatchModels"):
        machines = [definition(assembly["IopsTraining"], name) for assembly in (local, aws)]
        assert machines[0]["States"].keys() == machines[1]["States"].keys()
