"""`python -m local run|up|down|rollback|restore`: what make calls."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from local.options import InvalidOption, RunOptions

if TYPE_CHECKING:
    from local.cloud import LaptopCloud

BUILD = Path("build")
LOOK_SECONDS = 1.0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument("command", choices=("run", "up", "down", "rollback", "restore"))
    command = parser.parse_args(arguments).command
    try:
        if command == "down":
            return down()
        if command == "rollback":
            return rollback()
        if command == "restore":
            return restore()
        return run(RunOptions.from_environment(os.environ), stay_up=command == "up")
    except InvalidOption as refused:
        return _failed(str(refused))


def run(options: RunOptions, *, stay_up: bool) -> int:
    """The main job; with stay_up the cloud then stays until Ctrl-C."""
    # A wrong option is refused before anything slow is imported.
    from botocore.exceptions import BotoCoreError

    from local.cloud import CloudError, LaptopCloud
    from local.dashboard import DashboardFailed
    from local.deploy import DeployFailed
    from local.processes import port_is_taken
    from local.run import RunFailed, summary
    from local.run import run as run_job

    if stay_up and port_is_taken(options.dashboard_port):  # said now and not after the training
        return _failed(f"port {options.dashboard_port} for the page is taken; stop what uses it or set DASHBOARD_PORT")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Also for one that a script's shell started in the background, whose SIGINT is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    cloud = LaptopCloud(BUILD / "cloud")
    try:
        record = run_job(cloud, options, build=BUILD)
        print(summary(record, BUILD), flush=True)
        if stay_up:
            _stay_up(cloud, options, device_id=record.predictions[0]["body"]["device_id"])
    except (RunFailed, DeployFailed, DashboardFailed, CloudError, TimeoutError) as failure:
        return _failed(cloud.why_gone() or str(failure))
    except (BotoCoreError, OSError):
        if gone := cloud.why_gone():
            return _failed(gone)
        raise
    except KeyboardInterrupt:
        return _failed("interrupted; everything was stopped")
    finally:
        cloud.stop()
    return 0


def _stay_up(cloud: LaptopCloud, options: RunOptions, *, device_id: str) -> None:
    """Serve the page, say how to reach everything, with a token that works now, and wait for Ctrl-C."""
    from local.api_client import USERNAME
    from local.dashboard import Dashboard
    from local.run import Deployment, page_config, sign_in_of

    deployment = Deployment.of(cloud)
    sign_in = sign_in_of(cloud, deployment)
    password = sign_in.new_password()
    token = sign_in.user_token(password)
    url = cloud.reachable_url(deployment["IopsApi.ApiUrl"]).rstrip("/")
    page = Dashboard(page_config(cloud, deployment), port=options.dashboard_port)
    print(f"\npage  {page.url}")
    print(f"user  {USERNAME} {password}")
    print(f"API   {url}")
    print(f"AWS   AWS_ENDPOINT_URL={cloud.endpoint_url} AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test")
    print(f"ask   curl -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' \\")
    print(f'           -d \'{{"device_id": "{device_id}"}}\' {url}/api/predict/risk')
    print("staying up; Ctrl-C stops everything", flush=True)
    with contextlib.suppress(KeyboardInterrupt), page:
        wait_while_up(cloud)


def wait_while_up(cloud: LaptopCloud) -> NoReturn:
    """Until Ctrl-C; raises CloudError once the cloud is gone."""
    from local.cloud import CloudError

    while cloud.is_running():
        time.sleep(LOOK_SECONDS)
    raise CloudError("the laptop cloud was stopped from elsewhere")


def down() -> int:
    from local.cloud import LaptopCloud

    LaptopCloud(BUILD / "cloud").stop()
    return 0


def rollback() -> int:
    from local.rollback import RollbackFailed, run_command
    from local.target import NoTarget

    try:
        print(run_command(os.environ, BUILD), flush=True)
    except (NoTarget, RollbackFailed, TimeoutError) as failure:
        return _failed(str(failure))
    except KeyboardInterrupt:
        return _failed("interrupted; the execution goes on, the Step Functions console shows it")
    return 0


def restore() -> int:
    from local.restore import RestoreFailed, run_command
    from local.target import NoTarget

    try:
        print(run_command(os.environ, BUILD), flush=True)
    except (NoTarget, RestoreFailed) as failure:
        return _failed(str(failure))
    except KeyboardInterrupt:
        return _failed("interrupted; the same command goes on where it was")
    return 0


def _failed(sentence: str) -> int:
    print(f"failed: {sentence}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
