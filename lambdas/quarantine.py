"""Where refused rows go in the bucket: one object of JSON lines beside what was loaded, begun with the first of them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from insights.files import refusal_line
from insights.schema import InvalidInsight
from lambdas.objects import TextUpload


def quarantine_key(key: str) -> str:
    """Of the refused rows of the object at `key`."""
    return f"quarantine/{key}.jsonl"


class QuarantineObject:
    """It exists only after the stack's block ended without an error, and only if a row was refused."""

    def __init__(self, s3: Any, bucket: str, key: str, stack: ExitStack) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._stack = stack
        self._upload: TextUpload | None = None
        self.key = key
        self.refused = 0

    def add(self, refusal: InvalidInsight) -> None:
        if self._upload is None:
            self._upload = self._stack.enter_context(
                TextUpload(self._s3, self._bucket, self.key, content_type="application/x-ndjson")
            )
        self._upload.write(refusal_line(refusal))
        self.refused += 1
