from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.conftest import Assembly

Templates = Mapping[str, dict[str, Any]]
OPEN = {"/api/health", "/api/openapi.json"}


def properties(template: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    return [r["Properties"] for r in template["Resources"].values() if r["Type"] == kind]


def path_of(template: Mapping[str, Any], resource: Any) -> str:
    """The address of a gateway resource, from its parents' parts."""
    if "Ref" not in resource:
        return ""
    own = template["Resources"][resource["Ref"]]["Properties"]
    return f"{path_of(template, own['ParentId'])}/{own['PathPart']}"


def methods(template: Mapping[str, Any], *verbs: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for method in properties(template, "AWS::ApiGateway::Method"):
        if method["HttpMethod"] in verbs:
            yield path_of(template, method["ResourceId"]), method


@pytest.fixture
def api(templates: Templates) -> dict[str, Any]:
    return templates["IopsApi"]


def test_every_route_demands_one_scope_of_an_access_token_but_the_open_ones(api: dict[str, Any]) -> None:
    found = dict(methods(api, "GET", "POST"))
    assert {path for path, method in found.items() if method["AuthorizationType"] == "NONE"} == OPEN
    guarded = {path: method for path, method in found.items() if path not in OPEN}
    assert {method["AuthorizationType"] for method in guarded.values()} == {"COGNITO_USER_POOLS"}
    assert {path: method["AuthorizationScopes"] for path, method in guarded.items()} == {
        "/api/predict/risk": ["iops/predict"],
        "/api/predict/performance": ["iops/predict"],
        "/api/devices": ["iops/read"],
        "/api/insights": ["iops/read"],
        "/api/predictions": ["iops/read"],
        "/api/models": ["iops/read"],
        "/api/feedback": ["iops/feedback"],
    }


def test_other_methods_reach_no_function(api: dict[str, Any]) -> None:
    found = list(methods(api, "ANY"))
    assert len(found) == 9
    assert {method["Integration"]["Type"] for _, method in found} == {"MOCK"}


def clients(template: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    public, confidential = sorted(
        properties(template, "AWS::Cognito::UserPoolClient"), key=lambda client: client["GenerateSecret"]
    )
    return public, confidential


def test_the_page_signs_in_by_code_without_a_secret_and_returns_to_the_allowed_origins(
    synthesise: Callable[..., Assembly],
) -> None:
    template = synthesise(stage="dev", allowed_origins="https://a.example,https://b.example").templates["IopsApi"]
    public, _ = clients(template)
    assert public["GenerateSecret"] is False
    assert public["AllowedOAuthFlows"] == ["code"]
    assert public["CallbackURLs"] == public["LogoutURLs"] == ["https://a.example/", "https://b.example/"]
    assert public["AllowedOAuthScopes"][0] == "openid"
    assert len(public["AllowedOAuthScopes"]) == 4


def test_a_service_has_a_secret_and_no_way_in_but_its_own(api: dict[str, Any]) -> None:
    _, confidential = clients(api)
    assert confidential["GenerateSecret"] is True
    assert confidential["AllowedOAuthFlows"] == ["client_credentials"]
    assert len(confidential["AllowedOAuthScopes"]) == 3


def test_no_answer_allows_every_origin(synthesise: Callable[..., Assembly]) -> None:
    for stage in ("dev", "prod", "local"):
        template = synthesise(stage=stage).templates["IopsApi"]
        headers = [
            response["ResponseParameters"]["gatewayresponse.header.Access-Control-Allow-Origin"]
            for response in properties(template, "AWS::ApiGateway::GatewayResponse")
        ]
        assert set(headers) == {"'http://localhost:3000'"}
        for _, method in methods(template, "OPTIONS"):
            assert "'*'" not in json.dumps(method)
    assert synthesise(stage="dev", allowed_origins="*").returncode != 0


def test_a_gateways_own_answer_is_a_problem_with_its_status(api: dict[str, Any]) -> None:
    for response in properties(api, "AWS::ApiGateway::GatewayResponse"):
        problem = json.loads(response["ResponseTemplates"]["application/json"])
        assert str(problem["status"]) == response["StatusCode"]
        assert problem["type"].startswith("urn:iops-insights:problem:")


def test_functions_of_the_api_end_before_the_gateway_gives_up(api: dict[str, Any]) -> None:
    answering = {
        function["Handler"].split(".")[1]: function["Timeout"]
        for function in properties(api, "AWS::Lambda::Function")
        if str(function["Handler"]).startswith("lambdas.") and "track_devices" not in function["Handler"]
    }
    assert set(answering) == {"predict", "read_fleet", "give_feedback", "describe_models"}
    assert max(answering.values()) < 29


def test_the_devices_table_follows_both_streams_with_partial_failures(api: dict[str, Any]) -> None:
    mappings = properties(api, "AWS::Lambda::EventSourceMapping")
    assert len({json.dumps(mapping["EventSourceArn"]) for mapping in mappings}) == 2
    for mapping in mappings:
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert mapping["BisectBatchOnFunctionError"] is True
        assert mapping["MaximumRetryAttempts"] > 0


def test_a_request_is_traced_through_the_gateway_and_whatever_function_it_meets(templates: Templates) -> None:
    (stage,) = properties(templates["IopsApi"], "AWS::ApiGateway::Stage")
    ours = [
        function
        for template in templates.values()
        for function in properties(template, "AWS::Lambda::Function")
        if str(function["Handler"]).startswith("lambdas.")
    ]
    assert stage["TracingEnabled"] is True
    assert {function["TracingConfig"]["Mode"] for function in ours} == {"Active"}


def test_the_models_route_reads_the_two_newest_watches_and_no_other_object(api: dict[str, Any]) -> None:
    statements = [
        statement
        for policy in properties(api, "AWS::IAM::Policy")
        for statement in policy["PolicyDocument"]["Statement"]
        if "s3:" in str(statement["Action"])
    ]
    assert [statement["Action"] for statement in statements] == ["s3:GetObject"]
    ends = [parts["Fn::Join"][1][-1] for parts in statements[0]["Resource"]]
    assert sorted(end[end.index("/") :] for end in ends) == [
        "/monitoring/performance/latest.json",
        "/monitoring/risk/latest.json",
    ]
