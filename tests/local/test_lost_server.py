from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import local.__main__ as commands
import local.run
from local.cloud import CloudError, LaptopCloud
from local.deploy import DeployFailed
from local.options import RunOptions
from local.processes import free_port
from tests.faults.killing import kill_server


def ask(cloud: LaptopCloud) -> None:
    cloud.client("s3").list_buckets()


def deploy(cloud: LaptopCloud) -> None:
    raise DeployFailed("connect ECONNREFUSED 127.0.0.1")


@pytest.mark.parametrize("then", [ask, deploy, commands.wait_while_up])
def test_a_run_whose_server_is_killed_says_so_and_what_to_do(
    then: Callable[[LaptopCloud], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):
    def run(cloud: LaptopCloud, *_: object, **__: object) -> Any:
        cloud.start()
        kill_server(cloud)
        then(cloud)

    monkeypatch.setattr(local.run, "run", run)
    monkeypatch.setattr(commands, "BUILD", tmp_path)
    monkeypatch.setenv("CLOUD_PORT", str(free_port()))
    status = commands.run(RunOptions.from_environment({}), stay_up=False)
    told = capfd.readouterr().err

    assert status == 1
    assert told.startswith("failed: the laptop cloud ended meanwhile, and with it all that it held")
    assert f"(log: {tmp_path}/cloud/server.log); start again" in told
    assert "Traceback" not in told


def test_a_server_that_runs_or_was_stopped_is_not_gone(tmp_path: Path):
    cloud = LaptopCloud(tmp_path / "cloud", port=0)
    with cloud:
        running = cloud.why_gone()

    assert running is None
    assert cloud.why_gone() is None


def test_staying_up_ends_when_the_cloud_is_stopped_from_elsewhere(tmp_path: Path):
    with LaptopCloud(tmp_path / "cloud", port=0) as cloud:
        LaptopCloud(tmp_path / "cloud", port=cloud.settings.port).stop()
        with pytest.raises(CloudError, match="stopped from elsewhere"):
            commands.wait_while_up(cloud)
