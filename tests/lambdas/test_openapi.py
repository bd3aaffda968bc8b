"""The description of the API is the code's: not stale, valid, its examples of its schemas, its routes those that exist."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from insights.schema import Insight
from lambdas.api.openapi import document, text
from lambdas.api.routes import ROUTES
from stacks.api.routes import ROUTES as DEPLOYED
from stacks.api.sign_in import RESOURCE_SERVER, SCOPES

KEPT = Path(__file__).parents[2] / "docs" / "openapi.json"


def test_the_kept_document_is_that_of_the_code() -> None:
    assert KEPT.read_text(encoding="utf-8") == text(), "write it again: make openapi"


def test_it_is_valid_openapi_3_1() -> None:
    validate(document())
    assert document()["openapi"].startswith("3.1")


def test_the_deployed_routes_are_the_tables() -> None:
    assert [tuple(route) for route in DEPLOYED] == [
        (route.method, route.path, route.function, route.scope) for route in ROUTES
    ]


def test_the_demanded_scopes_are_those_of_the_resource_server() -> None:
    assert {route.scope for route in ROUTES} - {None} == set(SCOPES)
    demanded = [
        scope for path in document()["paths"].values() for operation in path.values() for scope in wanted(operation)
    ]
    assert set(demanded) == {f"{RESOURCE_SERVER}/{scope}" for scope in SCOPES}


def wanted(operation: dict[str, Any]) -> list[str]:
    return [scope for requirement in operation["security"] for scope in requirement["accessToken"]]


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": document()["components"]})


def shown() -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Place, schema and value of every example."""
    for path, operations in document()["paths"].items():
        for operation in operations.values():
            bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
            for content in (content for body in bodies for content in body.get("content", {}).values()):
                examples = dict(content.get("examples", {}))
                if "example" in content:
                    examples["example"] = {"value": content["example"]}
                for name, example in examples.items():
                    yield f"{path} {name}", content["schema"], example["value"]


@pytest.mark.parametrize(("place", "schema", "value"), [pytest.param(*entry, id=entry[0]) for entry in shown()])
def test_an_example_is_of_its_schema(place: str, schema: dict[str, Any], value: Any) -> None:
    assert [error.message for error in validator(schema).iter_errors(value)] == []


def test_every_operation_shows_what_it_answers() -> None:
    operations = [op for path in document()["paths"].values() for op in path.values()]
    without = [
        op["operationId"]
        for op in operations
        if "examples" not in op["responses"]["200"]["content"]["application/json"]
    ]
    assert without == ["openapi"]


@pytest.mark.parametrize(
    "change",
    [
        {"read_iops": -1},
        {"read_iops": None},
        {"p99_latency_ms": 1e9},
        {"p99_latency_ms": 1e-13},
        {"p99_latency_ms": 0},
        {"interval_seconds": 0},
        {"device_id": " "},
        {"device_id": "\u3000"},
        {"device_id": "a\x00b"},
        {"device_id": "a b"},
        {"timestamp": "2026-03-02T11:00:00"},
        {"timestamp": "2026-03-02T11:00:00+05:30"},
        {"timestamp": "2026-02-30T11:00:00Z"},
        {"alert": None},
        {"workload_type": "quiet"},
        {"colour": "red"},
    ],
)
def test_the_schema_of_an_insight_says_what_the_code_does(change: dict[str, Any]) -> None:
    given = json.loads((Path(__file__).parent / "events" / "insight.json").read_text()) | change
    try:
        Insight.from_json(given)
        is_accepted = True
    except ValueError:
        is_accepted = False
    assert validator({"$ref": "#/components/schemas/GivenInsight"}).is_valid(given) == is_accepted


@pytest.mark.parametrize("function", sorted({route.function for route in ROUTES}))
def test_every_route_of_a_function_is_answered_by_its_handler(function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(f"lambdas.{function}.handler")
    for name in (
        "INSIGHTS_TABLE_NAME",
        "PREDICTIONS_TABLE_NAME",
        "DEVICES_TABLE_NAME",
        "REQUESTS_TABLE_NAME",
        "BUCKET_NAME",
        "RISK_ENDPOINT_NAME",
        "PERFORMANCE_ENDPOINT_NAME",
        "RISK_LIVE_PACKAGE_PARAMETER",
        "PERFORMANCE_LIVE_PACKAGE_PARAMETER",
        "RISK_EXPERIMENT_PARAMETER",
        "PERFORMANCE_EXPERIMENT_PARAMETER",
    ):
        monkeypatch.setenv(name, name.lower())
    monkeypatch.setenv("ALLOWED_ORIGINS", "http://localhost:3000")
    monkeypatch.setenv("CLIENT_REQUESTS_PER_MINUTE", "1000")
    monkeypatch.setattr(module, "hurried_client", lambda *_, **__: None)
    module.api.cache_clear()
    answered = module.api().routes
    module.api.cache_clear()
    assert answered == [(route.method, route.path, route.scope) for route in ROUTES if route.function == function]
