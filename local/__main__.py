"""`python -m local run|up|down`: what make calls."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from local.options import InvalidOption, RunOptions

BUILD = Path("build")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument("command", choices=("run", "up", "down"))
    command = parser.parse_args(arguments).command
    if command == "down":
        return down()
    try:
        options = RunOptions.from_environment(os.environ)
    except InvalidOption as refused:
        return _failed(str(refused))
    return run(options, stay_up=command == "up")


def run(options: RunOptions, *, stay_up: bool) -> int:
    """The main job; with stay_up the cloud then stays until Ctrl-C."""
    from local.cloud import (
        CloudError,
        LaptopCloud,
    )  # a wrong option is refused before anything slow is imported
    from local.deploy import DeployFailed
    from local.run import RunFailed, summary
    from local.run import run as run_job

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    cloud = LaptopCloud(BUILD / "cloud")
    try:
        record = run_job(cloud, options, build=BUILD)
        print(summary(record, BUILD), flush=True)
        if stay_up:
            _stay_up(cloud)
    except (RunFailed, DeployFailed, CloudError, TimeoutError) as failure:
        return _failed(str(failure))
    except KeyboardInterrupt:
        return _failed("interrupted; everything was stopped")
    finally:
        cloud.stop()
    return 0


def _stay_up(cloud: object) -> None:
    print("\nstaying up; Ctrl-C stops everything", flush=True)
    signal.pause()


def down() -> int:
    from local.cloud import LaptopCloud

    LaptopCloud(BUILD / "cloud").stop()
    return 0


def _failed(sentence: str) -> int:
    print(f"failed: {sentence}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
