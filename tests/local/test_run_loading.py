"""The file of `make run` on its way into the table."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from local.run import Deployment, RunFailed, load_insights

DEPLOYMENT = Deployment({"IopsData": {"BucketName": "bucket"}, "IopsTraining": {"IngestInsightsName": "ingest"}})


class Cloud:
    """One whose function answers as told; what was asked of it, and with which configuration."""

    def __init__(self, answer: dict[str, Any], *, fails: bool = False) -> None:
        self.answer, self.fails = answer, fails
        self.config: Any = None
        self.uploaded: list[tuple[str, str]] = []
        self.invoked: list[dict[str, Any]] = []

    def client(self, service: str, *, config: Any = None) -> Cloud:
        self.config = config or self.config
        return self

    def upload_file(self, path: str, bucket: str, key: str) -> None:
        self.uploaded.append((bucket, key))

    def invoke(self, **request: Any) -> dict[str, Any]:
        self.invoked.append(request)
        error = {"FunctionError": "Unhandled"} if self.fails else {}
        return {"Payload": io.BytesIO(json.dumps(self.answer).encode()), **error}


def load(cloud: Any) -> str:
    return load_insights(cloud, DEPLOYMENT, Path("somewhere/fleet.jsonl.gz"))


def test_a_file_is_loaded_by_one_call_that_waits_as_long_as_a_function_may_run():
    cloud = Cloud({"rows": 12, "refused": 0})

    assert load(cloud) == "12 insights loaded"
    assert cloud.uploaded == [("bucket", "incoming/fleet.jsonl.gz")]
    assert [json.loads(call["Payload"]) for call in cloud.invoked] == [
        {"bucket": "bucket", "key": "incoming/fleet.jsonl.gz"}
    ]
    assert cloud.config.read_timeout > 900
    assert cloud.config.retries == {"total_max_attempts": 1}


def test_a_file_that_cannot_be_loaded_ends_the_run_with_the_functions_own_sentence():
    with pytest.raises(RunFailed, match=r"fleet.jsonl.gz could not be loaded: no such object"):
        load(Cloud({"errorMessage": "no such object"}, fails=True))
