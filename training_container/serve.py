"""serve: the inference server, one process a core, one model, one thread a prediction."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import NoReturn

from insights.features import warm_up
from training_container.predictor import Predictor
from training_container.rehearsal import rehearse
from training_container.serving.answers import answers_of
from training_container.serving.application import Application
from training_container.serving.work_queue import MAXIMUM_WAITING
from training_container.serving.workers import answer_until_stopped, listen

logger = logging.getLogger("iops.serve")


def serve(model: Path, *, host: str, port: int, model_version: str, workers: int) -> NoReturn:
    """Load, check the golden rows, and answer until SIGTERM, which lets running requests end."""
    predictor = Predictor.load(model)
    warm_up()
    answers = answers_of(predictor)
    mismatch = predictor.golden_mismatch(model, answers)
    if mismatch:
        logger.error("/ping stays red: %s", mismatch)
    else:
        digest = os.environ.get("GOLDEN_SHA256", "")
        rehearse(answers, model, most_at_once=MAXIMUM_WAITING, golden_sha256=digest)
    application = Application(answers, model_version=model_version, mismatch=mismatch)
    answer_until_stopped(application, listen(host, port), workers=workers)
