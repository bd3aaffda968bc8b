"""What an endpoint's stack becomes for the values of its experiment's parameters, resolved as CloudFormation does it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from ministack.services.cloudformation import engine

from insights.experiments import CHALLENGER as CHALLENGER_VARIANT
from insights.experiments import LIVE as LIVE_VARIANT

Templates = Mapping[str, dict[str, Any]]
LIVE, CHALLENGER = "arn:package/iops-risk/1", "arn:package/iops-risk/2"
NO_VALUE = object()


@pytest.fixture
def template(templates: Templates) -> dict[str, Any]:
    return templates["IopsRiskEndpoint"]


class Resolved:
    """The template with these parameters: conditions by CloudFormation's functions, references to resources by name."""

    def __init__(self, template: Mapping[str, Any], **given: str) -> None:
        self.template = template
        defaults = {name: str(p.get("Default", "")) for name, p in template["Parameters"].items()}
        self.parameters = {**defaults, **given}

    def is_met(self, condition: Any) -> bool:
        if isinstance(condition, str):
            return self.is_met(self.template["Conditions"][condition])
        [(function, arguments)] = condition.items()
        if function == "Fn::Equals":
            left, right = (self.value(argument) for argument in arguments)
            return bool(left == right)
        if function == "Fn::Not":
            return not self.is_met(arguments[0])
        if function == "Condition":
            return self.is_met(arguments)
        combined = {"Fn::And": all, "Fn::Or": any}[function]
        return combined(self.is_met(argument) for argument in arguments)

    def value(self, given: Any) -> Any:
        if isinstance(given, list):
            return [found for found in map(self.value, given) if found is not NO_VALUE]
        if not isinstance(given, dict):
            return given
        if len(given) == 1 and (function := next(iter(given))) in ("Ref", "Fn::If", "Fn::GetAtt", "Fn::Join"):
            return self.called(function, given[function])
        found = {name: self.value(value) for name, value in given.items()}
        return {name: value for name, value in found.items() if value is not NO_VALUE}

    def called(self, function: str, argument: Any) -> Any:
        if function == "Ref":
            return NO_VALUE if argument == "AWS::NoValue" else self.parameters.get(argument, argument)
        if function == "Fn::If":
            return self.value(argument[1] if self.is_met(argument[0]) else argument[2])
        if function == "Fn::GetAtt":
            return argument[0]
        return argument[0].join(str(self.value(part)) for part in argument[1])

    def properties(self, kind: str) -> list[dict[str, Any]]:
        return [
            self.value(resource["Properties"])
            for resource in self.template["Resources"].values()
            if resource["Type"] == kind and ("Condition" not in resource or self.is_met(resource["Condition"]))
        ]

    def note(self) -> str:
        [note] = [p for p in self.properties("AWS::SSM::Parameter") if p["Name"].endswith("/experiment")]
        return str(note["Value"])


def variants(template: Mapping[str, Any], mode: str, **given: str) -> tuple[dict[str, float], dict[str, float]]:
    """Production and shadow variants with their weights."""
    named = {"LivePackage": LIVE, "ChallengerPackage": CHALLENGER, **given}
    [config] = Resolved(template, ChallengerMode=mode, **named).properties("AWS::SageMaker::EndpointConfig")
    production, shadow = (
        {variant["VariantName"]: variant["InitialVariantWeight"] for variant in config.get(member, [])}
        for member in ("ProductionVariants", "ShadowProductionVariants")
    )
    return production, shadow


def test_without_an_experiment_there_is_one_variant(template: dict[str, Any]):
    assert variants(template, "off") == ({LIVE_VARIANT: 1}, {})


def test_an_ab_challenger_is_a_second_variant_that_only_those_meet_who_name_it(template: dict[str, Any]):
    assert variants(template, "ab") == ({LIVE_VARIANT: 1, CHALLENGER_VARIANT: 0}, {})


def test_a_shadow_gets_all_that_the_one_production_variant_gets(template: dict[str, Any]):
    assert variants(template, "shadow") == ({LIVE_VARIANT: 1}, {CHALLENGER_VARIANT: 1})


@pytest.mark.parametrize(("mode", "count"), [("off", 1), ("ab", 2), ("shadow", 2)])
def test_a_challenger_has_a_model_that_answers_its_golden_rows_before_it_is_asked_anything(
    template: dict[str, Any], mode: str, count: int
):
    resolved = Resolved(
        template,
        LivePackage=LIVE,
        GoldenDigest="golden of the live",
        ChallengerPackage=CHALLENGER,
        ChallengerGoldenDigest="golden of the other",
        ChallengerMode=mode,
    )
    models = resolved.properties("AWS::SageMaker::Model")
    environments = [model["Containers"][0]["Environment"] for model in models]

    assert (
        environments
        == [
            {"MODEL_PACKAGE_ARN": LIVE, "GOLDEN_SHA256": "golden of the live"},
            {"MODEL_PACKAGE_ARN": CHALLENGER, "GOLDEN_SHA256": "golden of the other"},
        ][:count]
    )


def test_the_api_is_told_of_the_experiment_once_its_variant_is_there(template: dict[str, Any]):
    running = Resolved(
        template,
        LivePackage=LIVE,
        ChallengerPackage=CHALLENGER,
        ChallengerMode="ab",
        ChallengerShare="25",
        ChallengerSince="2026-03-02T10:00:00.000Z",
    )
    noted = json.loads(running.note())

    assert template["Resources"][noted.pop("endpoint")]["Type"] == "AWS::SageMaker::Endpoint"
    assert noted == {
        "mode": "ab",
        "share": 25,
        "challenger": CHALLENGER,
        "live": LIVE,
        "since": "2026-03-02T10:00:00.000Z",
    }
    assert Resolved(template, LivePackage=LIVE).note() == "off"
    assert Resolved(template).note() == "off"


def test_a_change_of_the_variants_goes_without_the_guardrails_that_exclude_it(template: dict[str, Any]):
    [guarded] = Resolved(template, LivePackage=LIVE).properties("AWS::SageMaker::Endpoint")
    [plain] = Resolved(template, LivePackage=LIVE, TrafficShift="unguarded").properties("AWS::SageMaker::Endpoint")

    assert guarded["DeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]
    assert "DeploymentConfig" not in plain


def test_no_challenger_has_a_scaling_target_as_sagemaker_would_then_not_remove_it(template: dict[str, Any]):
    running = Resolved(template, LivePackage=LIVE, ChallengerPackage=CHALLENGER, ChallengerMode="ab")

    [target] = running.properties("AWS::ApplicationAutoScaling::ScalableTarget")

    assert str(target["ResourceId"]).endswith("/variant/live")


@pytest.mark.parametrize("mode", ["ab", "shadow"])
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"ChallengerPackage": CHALLENGER}, "needs LivePackage"),
        ({"LivePackage": LIVE}, "needs ChallengerPackage"),
        ({"LivePackage": LIVE, "ChallengerPackage": LIVE}, "is the live package"),
    ],
)
def test_an_experiment_that_cannot_run_is_refused_before_anything_changes(
    template: dict[str, Any], mode: str, given: dict[str, str], words: str
):
    with pytest.raises(ValueError, match=words):
        checked(template, ChallengerMode=mode, **given)
    checked(template, **{**given, "ChallengerMode": "off"})


@pytest.mark.parametrize("share", ["0", "51"])
def test_a_share_is_at_most_half(template: dict[str, Any], share: str):
    with pytest.raises(ValueError, match="ChallengerShare"):
        checked(template, ChallengerShare=share)
    checked(template, ChallengerShare="50")


def checked(template: dict[str, Any], **given: str) -> None:
    """As CloudFormation checks parameters and rules before it begins."""
    named = [{"Key": name, "Value": value} for name, value in given.items()]
    parameters = engine._resolve_parameters(template, named)
    engine._evaluate_rules(template, parameters, engine._evaluate_conditions(template, parameters))
