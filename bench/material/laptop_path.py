"""The laptop's API with a live risk model and two functions added to it: one that does nothing, and predict timed inside."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.material.tuned import silent
from local.cloud import LaptopCloud
from local.deploy import App, deploy
from local.processes import free_port
from local.run import Deployment, load_insights, sign_in_of
from local.settings import HOST
from tests.e2e.served_models import ServedModels, train_models

KIND = "risk"
PROBES = Path(__file__).parent.parent / "probes"
STARTS_WITHIN_SECONDS = 60
UNLIMITED = "client_requests_per_minute=10000000"  # one client asks for all that is measured


@dataclass(frozen=True)
class LaptopPath:
    served: ServedModels
    device_id: str
    token: str
    api_path: str
    """Of the API's stage on the laptop's port."""
    container_port: int

    @property
    def cloud(self) -> LaptopCloud:
        return self.served.cloud


class Connection:
    """POST over one kept connection, as a dashboard or an SDK sends."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=30)
        self.text = b""
        """The last answer's body."""

    def post(self, path: str, body: str, headers: Mapping[str, str]) -> tuple[float, http.client.HTTPResponse]:
        """Milliseconds to the whole answer, which was 200."""
        started = time.perf_counter()
        self._connection.request("POST", path, body, {"Content-Type": "application/json", **headers})
        answer = self._connection.getresponse()
        self.text = answer.read()
        elapsed = 1000 * (time.perf_counter() - started)
        if answer.status != 200:
            raise RuntimeError(f"POST {path} answered {answer.status}: {self.text[:500]!r}")
        return elapsed, answer


@contextmanager
def laptop_path(folder: Path) -> Iterator[LaptopPath]:
    """Deploys on a free port; trains, registers and promotes a small model; loads the fleet that it was trained on."""
    with silent():
        models = train_models(folder / "trained")
    with LaptopCloud(folder / "cloud", port=0) as cloud:
        deploy(cloud, app=App(context=("stage=local", UNLIMITED)))
        deployment = Deployment.of(cloud)
        served = ServedModels(cloud, deployment, models)
        served.make_live(KIND)
        fleet = folder / "trained" / "raw" / "training-data.json"
        load_insights(cloud, deployment, fleet)
        url = urllib.parse.urlsplit(cloud.reachable_url(deployment["IopsApi.ApiUrl"]))
        add_probes(served, api_id=api_of(deployment))
        with container(models[KIND]) as port:
            yield LaptopPath(
                served=served,
                device_id=json.loads(fleet.read_text())[-1]["device_id"],
                token=sign_in_of(cloud, deployment).service_token(),
                api_path=url.path.rstrip("/"),
                container_port=port,
            )


def api_of(deployment: Deployment) -> str:
    found = re.match(r"https://([a-z0-9]+)\.", deployment["IopsApi.ApiUrl"])
    if found is None:
        raise RuntimeError(f"no API id in {deployment['IopsApi.ApiUrl']}")
    return found[1]


def add_probes(served: ServedModels, *, api_id: str) -> None:
    """POST /noop and POST /timed behind the API's own authorizer."""
    gateway, functions = served.cloud.client("apigateway"), served.cloud.client("lambda")
    resources = gateway.get_resources(restApiId=api_id, limit=500)["items"]
    root = next(resource["id"] for resource in resources if resource["path"] == "/")
    predict = predict_function(functions)
    bundle = urllib.request.urlopen(predict["Code"]["Location"], timeout=30).read()  # noqa: S310 - the laptop cloud's
    configuration = predict["Configuration"]
    for name, module, code in (
        ("noop", "noop", with_probe(None, "noop")),
        ("timed", "timed_predict", with_probe(bundle, "timed_predict")),
    ):
        arn = functions.create_function(
            FunctionName=f"bench-{name}",
            Runtime=configuration["Runtime"],
            Role=configuration["Role"],
            Handler=f"{module}.handler",
            Code={"ZipFile": code},
            Timeout=configuration["Timeout"],
            MemorySize=configuration["MemorySize"],
            Environment=configuration["Environment"],
        )["FunctionArn"]
        resource = gateway.create_resource(restApiId=api_id, parentId=root, pathPart=name)["id"]
        gateway.put_method(
            restApiId=api_id,
            resourceId=resource,
            httpMethod="POST",
            authorizationType="COGNITO_USER_POOLS",
            authorizerId=gateway.get_authorizers(restApiId=api_id)["items"][0]["id"],
        )
        gateway.put_integration(
            restApiId=api_id,
            resourceId=resource,
            httpMethod="POST",
            type="AWS_PROXY",
            integrationHttpMethod="POST",
            uri=f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations",
        )
    gateway.create_deployment(restApiId=api_id, stageName="v1")


def predict_function(functions: Any) -> dict[str, Any]:
    pages = functions.get_paginator("list_functions").paginate()
    name = next(
        function["FunctionName"]
        for page in pages
        for function in page["Functions"]
        if function["Handler"] == "lambdas.predict.handler.handler"
    )
    found: dict[str, Any] = functions.get_function(FunctionName=name)
    return found


def with_probe(bundle: bytes | None, module: str) -> bytes:
    """A zip of the probe alone, or of the deployed bundle and the probe at its root."""
    archive = io.BytesIO(bundle or b"")
    archive.seek(0, io.SEEK_END)
    with zipfile.ZipFile(archive, "a" if bundle else "w", zipfile.ZIP_DEFLATED) as target:
        target.write(PROBES / f"{module}.py", f"{module}.py")
    return archive.getvalue()


@contextmanager
def container(model: Path) -> Iterator[int]:
    """The port of a serving container of the model."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "training_container", "serve", "--model", str(model), "--port", str(port)],
        env={**os.environ, "BIND_HOST": HOST, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        await_ping(process, port)
        yield port
    finally:
        process.terminate()
        process.wait()


def await_ping(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/ping", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the container did not answer /ping within {STARTS_WITHIN_SECONDS} s")
