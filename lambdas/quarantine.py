"""What is no insight, kept beside the reason: JSON lines in an object of its own."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from insights.files import refusal_line
from insights.schema import InvalidInsight
from lambdas.objects import TextUpload, uri_of


def quarantine_key(key: str) -> str:
    """Of what is refused of the object at `key`."""
    return f"quarantine/{key}.jsonl"


class Quarantine:
    """Refused rows as JSON lines; the object is only begun with the first of them, and is there when `stack` closes."""

    def __init__(self, s3: Any, bucket: str, key: str, stack: ExitStack) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._key = key
        self._stack = stack
        self._upload: TextUpload | None = None
        self.refused = 0

    @property
    def uri(self) -> str | None:
        """None while nothing was refused."""
        return uri_of(self._bucket, self._key) if self.refused else None

    def add(self, refusal: InvalidInsight) -> None:
        if self._upload is None:
            self._upload = self._stack.enter_context(
                TextUpload(self._s3, self._bucket, self._key, content_type="application/x-ndjson")
            )
        self._upload.write(refusal_line(refusal))
        self.refused += 1
