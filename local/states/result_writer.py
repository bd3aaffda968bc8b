"""ResultWriter: what the children of a Map Run answered, as objects below its prefix."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from local.states.integrations import failed
from local.states.map_run import MapRun

MEMBERS = {
    "executionArn": "ExecutionArn",
    "input": "Input",
    "inputDetails": "InputDetails",
    "name": "Name",
    "output": "Output",
    "outputDetails": "OutputDetails",
    "startDate": "StartDate",
    "stateMachineArn": "StateMachineArn",
    "status": "Status",
    "stopDate": "StopDate",
    "error": "Error",
    "cause": "Cause",
}
FILES = {"SUCCEEDED": "SUCCEEDED", "FAILED": "FAILED", "ABORTED": "FAILED", "PENDING": "PENDING"}


def write_results(
    s3: Any, arguments: Mapping[str, Any], run: MapRun, children: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Writes manifest.json and a file per outcome; returns what the state's result is then."""
    bucket, prefix = arguments["Bucket"], str(arguments.get("Prefix", "")).rstrip("/")
    folder = f"{prefix}/{run.arn.rpartition(':')[2]}" if prefix else run.arn.rpartition(":")[2]
    files: dict[str, list[dict[str, Any]]] = {name: [] for name in ("FAILED", "PENDING", "SUCCEEDED")}
    for child in children:
        described = {named: child[name] for name, named in MEMBERS.items() if child.get(name) is not None}
        files[FILES[child["status"]]].append(described)
    listed: dict[str, list[dict[str, Any]]] = {}
    try:
        for outcome, entries in files.items():
            key, text = f"{folder}/{outcome}_0.json", json.dumps(entries).encode()
            listed[outcome] = [{"Key": key, "Size": len(text)}] if entries else []
            if entries:
                s3.put_object(Bucket=bucket, Key=key, Body=text)
        manifest = {"DestinationBucket": bucket, "MapRunArn": run.arn, "ResultFiles": listed}
        s3.put_object(Bucket=bucket, Key=f"{folder}/manifest.json", Body=json.dumps(manifest).encode())
    except ClientError as error:
        raise failed("States.ResultWriterFailed", str(error)) from error
    details = {"Bucket": bucket, "Key": f"{folder}/manifest.json"}
    return {"MapRunArn": run.arn, "ResultWriterDetails": details}
