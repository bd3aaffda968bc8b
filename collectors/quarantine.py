"""Refused rows: each with its record, field, value and reason, for a file or an object; nothing is dropped silently."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from insights.files import refusal_line
from insights.schema import InvalidInsight


class Refusals:
    """Counts them; without a place to keep them the first one ends the command, before it is lost."""

    def __init__(self) -> None:
        self.count = 0
        self.place = ""

    def add(self, refusal: InvalidInsight) -> None:
        raise refusal

    def close(self) -> None:
        """Afterwards what was added is in its place."""


class QuarantineFile(Refusals):
    """A file of JSON lines that is begun with the first refusal, anew or (an agent's) at its end."""

    def __init__(self, path: Path, *, grows: bool = False) -> None:
        super().__init__()
        self.place = str(path)
        self._path = path
        self._mode = "a" if grows else "w"
        self._file: IO[Any] | None = None

    def add(self, refusal: InvalidInsight) -> None:
        if self._file is None:
            self._file = self._path.open(self._mode, encoding="utf-8")
        self._file.write(refusal_line(refusal))
        self._file.flush()
        self.count += 1

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


@dataclass
class KeptRefusals(Refusals):
    """In memory, for an object that is written when its name is known."""

    lines: list[str] = field(default_factory=list)
    count: int = 0
    place: str = ""

    def add(self, refusal: InvalidInsight) -> None:
        self.lines.append(refusal_line(refusal))
        self.count += 1
