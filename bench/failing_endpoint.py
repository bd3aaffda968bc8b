"""How soon callers hear of an endpoint that fails, through the laptop's API Gateway: the first one by a cold function, which
has never asked it, then warm ones, then those whom the circuit answers.

The risk endpoint is asked about one device and about ITEMS (10) while it is slow (20 s), sheds, throttles, dies and garbles
(tests/e2e/images/moody.py, tests/e2e/throttling.py). ROUNDS (5) fresh functions of each; medians, and the longest of all.
"""

from __future__ import annotations

import itertools
import os
import statistics
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.material.table import keep, show
from bench.material.tuned import silent
from local.api_client import get
from local.cloud import LaptopCloud
from local.deploy import App, deploy
from local.run import Deployment, load_insights, sign_in_of
from tests.e2e.api_refusals import Api
from tests.e2e.moods import FAULTS, MOODY, MoodyEndpoint, moody_endpoint
from tests.e2e.served_models import ServedModels, train_models
from tests.local.watching import patiently

CALLS = ("cold", "warm", "warm", "circuit", "circuit")
"""Three failures open the circuit."""


def main() -> None:
    rounds, items = int(os.environ.get("ROUNDS", "5")), int(os.environ.get("ITEMS", "10"))
    with tempfile.TemporaryDirectory() as folder, deployed(Path(folder)) as (api, devices, endpoint):
        one = {"device_id": devices[0]}
        many = {"items": [{"device_id": device} for device in itertools.islice(itertools.cycle(devices), items)]}
        rows = [
            measured(api, endpoint, fault, what, body, rounds)
            for fault in FAULTS
            for what, body in (("one device", one), (f"{items} items", many))
        ]
    show(f"Milliseconds to the 503, medians of {rounds} rounds", rows)
    keep("failing_endpoint", {"rounds": rounds, "items": items, "answers": rows})


@contextmanager
def deployed(folder: Path) -> Iterator[tuple[Api, list[str], MoodyEndpoint]]:
    """A deployment with the moody endpoint, and the devices that it knows."""
    with silent():
        models = train_models(folder / "trained")
    with LaptopCloud(folder / "cloud", port=0, wait_scale=0.02, images=MOODY) as cloud:
        deploy(cloud, app=App(context=("stage=local", "client_requests_per_minute=1000000")))
        deployment = Deployment.of(cloud)
        served = ServedModels(cloud, deployment, models)
        with moody_endpoint(served, "risk", folder / "fault") as endpoint:
            load_insights(cloud, deployment, folder / "trained" / "raw" / "training-data.json")
            sign_in = sign_in_of(cloud, deployment)
            url, token = cloud.reachable_url(deployment["IopsApi.ApiUrl"]), sign_in.service_token()
            # The streams are a moment behind.
            found = patiently(lambda: get(url, "/api/devices", token=token).body["devices"], seconds=60)
            devices = [device["device_id"] for device in found]
            yield Api(served, url, token, sign_in.service_token, devices[0]), devices, endpoint


def measured(
    api: Api, endpoint: MoodyEndpoint, fault: str, what: str, body: Mapping[str, Any], rounds: int
) -> dict[str, Any]:
    times: dict[str, list[float]] = {call: [] for call in CALLS}
    for number in range(rounds):
        fresh = {"AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": endpoint.url, "FRESH": f"{fault} {what} {number}"}
        with api.function("predict", **fresh), endpoint.ill(fault):
            for call in CALLS:
                answer = api.predict(body)
                if answer.status != 503 or "Retry-After" not in answer.headers:
                    raise RuntimeError(f"{fault}, {what}: answered {answer.status}: {answer.body}")
                times[call].append(answer.milliseconds)
    medians = {call: statistics.median(found) for call, found in times.items()}
    return {"endpoint": fault, "asked about": what, **medians, "longest": max(itertools.chain(*times.values()))}
