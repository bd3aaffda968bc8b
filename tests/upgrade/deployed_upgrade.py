"""`make upgrade-test FROM=<git ref>`: an earlier version deployed, used, and upgraded to this one on one laptop cloud.

The cloud is today's on both sides, as AWS is; so is the image of the jobs and endpoints, of which the laptop has one. No part
of `make test` (two whole deployments, and a checkout of the earlier version); tests/upgrade's other modules are.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.api_client import get, post
from local.cloud import LaptopCloud
from local.deploy import App, deploy
from local.run import Deployment, load_insights, sign_in_of
from local.settings import REPOSITORY
from tests.e2e.served_models import KINDS, ServedModels
from tests.upgrade.test_previous_release import PREVIOUS
from training_container.model_folder import extracted

FROM = os.environ.get("FROM", "3d844ae")
DEVICE = "run-09/alpha"  # of data/measured.jsonl.gz


@pytest.fixture(scope="module")
def earlier() -> Iterator[Path]:
    """A checkout of the earlier version."""
    folder = REPOSITORY / "build" / "upgrade" / FROM.replace("/", "-")
    _git("worktree", "add", "--force", "--detach", str(folder), FROM)
    yield folder
    _git("worktree", "remove", "--force", str(folder))


def _git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=REPOSITORY, check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def upgraded(earlier: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the earlier version left, and the deployment of today's over it."""
    root = tmp_path_factory.mktemp("upgrade")
    folders = {kind: extracted(PREVIOUS / f"{kind}.tar.gz", root / kind) for kind in KINDS}
    with LaptopCloud(root / "cloud", port=0) as cloud:
        deploy(cloud, app=App(directory=earlier))
        served = ServedModels(cloud, Deployment.of(cloud), folders)
        load_insights(cloud, served.deployment, REPOSITORY / "data" / "measured.jsonl.gz")
        first = served.make_live("risk")
        left: dict[str, Any] = {"replaced": first, "live": {kind: served.make_live(kind) for kind in KINDS}}
        left["golden"] = {kind: served.invoke(kind) for kind in KINDS}
        left["predicted"] = asked(cloud, served.deployment, "risk")
        left["configurations"] = {kind: served.endpoint(kind)["EndpointConfigName"] for kind in KINDS}
        left["users"] = served.deployment["IopsApi.UserPoolId"]
        deploy(cloud)
        left["served"] = ServedModels(cloud, Deployment.of(cloud), folders)
        yield left


def token_of(cloud: LaptopCloud, deployment: Deployment) -> str:
    sign_in = sign_in_of(cloud, deployment)
    return sign_in.user_token(sign_in.new_password())


def asked(cloud: LaptopCloud, deployment: Deployment, kind: str) -> dict[str, Any]:
    url = cloud.reachable_url(deployment["IopsApi.ApiUrl"])
    for _ in range(5):  # a cold start on a busy machine
        answer = post(url, f"/api/predict/{kind}", {"device_id": DEVICE}, token=token_of(cloud, deployment))
        if answer.status != 503:
            break
    assert answer.status == 200, answer.body
    body: dict[str, Any] = dict(answer.body)
    return body


def test_what_was_live_stays_live_and_answers_the_same(upgraded: dict[str, Any]) -> None:
    served: ServedModels = upgraded["served"]
    for kind in KINDS:
        assert served.live_package(kind) == upgraded["live"][kind]
        assert served.endpoint(kind)["EndpointStatus"] == "InService"
        assert served.invoke(kind) == upgraded["golden"][kind]


def test_an_earlier_prediction_is_shown_and_takes_feedback(upgraded: dict[str, Any]) -> None:
    served: ServedModels = upgraded["served"]
    assert served.deployment["IopsApi.UserPoolId"] == upgraded["users"]
    url = served.cloud.reachable_url(served.deployment["IopsApi.ApiUrl"])
    token = token_of(served.cloud, served.deployment)
    shown = get(url, "/api/predictions", token=token, device_id=DEVICE, limit=200)
    assert upgraded["predicted"]["prediction_id"] in [one["prediction_id"] for one in shown.body["predictions"]]
    feedback = {"device_id": DEVICE, "prediction_id": upgraded["predicted"]["prediction_id"], "risk_level": "low"}
    assert post(url, "/api/feedback", feedback, token=token).status == 200


def test_todays_version_predicts_from_the_rows_that_were_there(upgraded: dict[str, Any]) -> None:
    served: ServedModels = upgraded["served"]
    for kind in KINDS:
        found = asked(served.cloud, served.deployment, kind)
        assert found["model_version"] == upgraded["live"][kind]
        assert found["device_id"] == DEVICE


def test_the_way_back_leads_over_the_upgrade(upgraded: dict[str, Any]) -> None:
    """By the promotion records of the earlier version."""
    served: ServedModels = upgraded["served"]
    execution = served.execute("PromoteModel", {"kind": "risk", "version": "previous", "reason": "a test"})
    assert execution.status == "SUCCEEDED", execution.cause
    assert served.live_package("risk") == upgraded["replaced"]
