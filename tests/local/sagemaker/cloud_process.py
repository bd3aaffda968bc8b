"""The laptop cloud's server with the tests' images and short times; conftest.py runs it as a process."""

import dataclasses
import logging
import os
import sys
from pathlib import Path

from local import server
from local.sagemaker import api
from local.sagemaker.settings import Settings

TOY = Path(__file__).resolve().parent / "images" / "toy.py"

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    settings = dataclasses.replace(
        Settings.from_environment(os.environ),
        images={"iops-insights:laptop": "training_container", "toy:1": str(TOY)},
        job_stop_grace_seconds=1.0,
        endpoint_stop_grace_seconds=5.0,
        startup_health_check_seconds=1.5,
        invocation_timeout_seconds=1.0,
        log_flush_seconds=0.2,
        capture_flush_seconds=0.3,
        alarm_poll_seconds=0.05,
    )
    api.configure(settings)
    sys.exit(server.main())
