"""What the functions of the workflows share about executions: names of their runs, and fields of their inputs."""

from __future__ import annotations

import hashlib
from typing import Final

RUN_ID_CHARACTERS: Final = 12
STEP_FUNCTIONS_FIELDS: Final = frozenset({"Comment", "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"})
"""Of an input, said to Step Functions and not to this app: the console's prefilled comment, and the link to a starting
execution."""


def run_id_of(execution_arn: str, part: object) -> str:
    """The same for the same execution and part. Short enough for a tuning job's name (32 characters), which an
    execution's own UUID is not."""
    return hashlib.sha256(f"{execution_arn}#{part}".encode()).hexdigest()[:RUN_ID_CHARACTERS]
