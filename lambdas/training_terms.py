"""What a training may be of and started by: the terms that PrepareRun checks and DecideRetraining writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from insights.schema import KINDS
from lambdas.environment import InvalidEnvironment

TRIGGERS: Final = ("request", "schedule", "drift")
"""Why a run was started; whoever starts one by hand has requested it."""
KINDS_OF_MODEL_TYPE: Final[Mapping[str, tuple[str, ...]]] = {
    "both": KINDS,
    "risk": ("risk",),
    "performance": ("performance",),
}
"""By the deployment's setting `model_type`."""


def check_model_type(value: str) -> None:
    if value not in KINDS_OF_MODEL_TYPE:
        raise InvalidEnvironment("MODEL_TYPE", f"is {value!r}, none of {', '.join(KINDS_OF_MODEL_TYPE)}")
