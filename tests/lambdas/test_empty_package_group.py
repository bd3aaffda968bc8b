from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambdas.empty_package_group import handler as adapter
from lambdas.empty_package_group.empty_package_group import empty_package_group


class Registry:
    """Package groups in memory, two versions a page."""

    def __init__(self, **groups: list[str]) -> None:
        self.groups = groups

    def get_paginator(self, operation: str) -> Registry:
        assert operation == "list_model_packages"
        return self

    def paginate(self, *, ModelPackageGroupName: str) -> list[dict[str, Any]]:
        if ModelPackageGroupName not in self.groups:
            message = f"ModelPackageGroup {ModelPackageGroupName} does not exist"
            raise ClientError({"Error": {"Code": "ValidationException", "Message": message}}, "ListModelPackages")
        versions = list(self.groups[ModelPackageGroupName])
        return [
            {"ModelPackageSummaryList": [{"ModelPackageArn": arn} for arn in versions[start : start + 2]]}
            for start in range(0, len(versions), 2)
        ]

    def delete_model_package(self, *, ModelPackageName: str) -> None:
        for versions in self.groups.values():
            if ModelPackageName in versions:
                versions.remove(ModelPackageName)


def test_every_version_of_the_group_and_of_no_other_is_deleted():
    registry = Registry(risk=["risk/1", "risk/2", "risk/3"], performance=["performance/1"])

    assert empty_package_group("risk", sagemaker=registry) == 3
    assert registry.groups == {"risk": [], "performance": ["performance/1"]}


def test_a_group_that_is_gone_is_empty():
    assert empty_package_group("risk", sagemaker=Registry()) == 0


def test_any_other_refusal_is_not_hidden():
    class Denying(Registry):
        def paginate(self, *, ModelPackageGroupName: str) -> list[dict[str, Any]]:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "ListModelPackages")

    with pytest.raises(ClientError):
        empty_package_group("risk", sagemaker=Denying())


@pytest.fixture
def answers() -> Any:
    """What CloudFormation was told: a real server behind the ResponseURL."""
    told: list[dict[str, Any]] = []

    class Told(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Told)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield told, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("request_type", "error", "status"),
    [("Create", None, "SUCCESS"), ("Delete", None, "SUCCESS"), ("Delete", RuntimeError("throttled"), "FAILED")],
)
def test_cloudformation_is_always_answered(
    answers: Any, monkeypatch: pytest.MonkeyPatch, request_type: str, error: Exception | None, status: str
):
    told, url = answers
    emptied: list[str] = []

    def empty(group: str) -> int:
        emptied.append(group)
        if error is not None:
            raise error
        return 2

    monkeypatch.setattr(adapter, "empty_package_group", empty)
    event = {
        "RequestType": request_type,
        "ResponseURL": url,
        "StackId": "stack",
        "RequestId": "request",
        "LogicalResourceId": "ContentsOfRisk",
        "ResourceProperties": {"ModelPackageGroupName": "iops-risk"},
    }

    adapter.handler.__wrapped__(event, None)

    [answer] = told
    assert (answer["Status"], answer["StackId"], answer["RequestId"]) == (status, "stack", "request")
    assert emptied == (["iops-risk"] if request_type == "Delete" else [])
    assert ("throttled" in answer["Reason"]) is (status == "FAILED")
