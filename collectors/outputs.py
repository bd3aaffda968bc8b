"""Where insights go: a file of JSON lines, the insights table, or the bucket from which IngestInsights loads them."""

from __future__ import annotations

import gzip
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from collectors.quarantine import KeptRefusals
from insights.files import write_json_lines
from insights.schema import Insight
from lambdas.insight_writer import InsightWriter
from lambdas.objects import uri_of
from lambdas.quarantine import quarantine_key


class Output(Protocol):
    @property
    def place(self) -> str:
        """For people."""

    def write(self, insights: Iterable[Insight]) -> int:
        """Writes all of them, or raises; returns how many they were."""


@dataclass(frozen=True)
class LinesFile:
    """The file is there only when all rows are in it; the same rows make the same bytes."""

    path: Path

    @property
    def place(self) -> str:
        return str(self.path)

    def write(self, insights: Iterable[Insight]) -> int:
        ending = ".unfinished.gz" if self.path.suffix == ".gz" else ".unfinished"
        unfinished = self.path.with_name(f".{self.path.name}{ending}")
        try:
            rows = write_json_lines(unfinished, insights)
            unfinished.replace(self.path)
        finally:
            unfinished.unlink(missing_ok=True)
        return rows


@dataclass(frozen=True)
class GrowingLinesFile:
    """An agent's: each write is whole lines at the end of the file (of a .gz, a gzip member of its own)."""

    path: Path

    @property
    def place(self) -> str:
        return str(self.path)

    def write(self, insights: Iterable[Insight]) -> int:
        lines = [json.dumps(insight.to_json(), allow_nan=False) + "\n" for insight in insights]
        text = "".join(lines).encode()
        with self.path.open("ab") as file:
            file.write(gzip.compress(text, mtime=0) if self.path.suffix == ".gz" else text)
        return len(lines)


@dataclass(frozen=True)
class TableOutput:
    writer: InsightWriter

    @property
    def place(self) -> str:
        return f"table {self.writer.table}"

    def write(self, insights: Iterable[Insight]) -> int:
        return self.writer.write(insights)


@dataclass
class BucketObject:
    """`incoming/<name>-<digest>.jsonl.gz`, what was refused in quarantine/ beside it; the digest is of both, so that the same
    input is the same objects."""

    bucket: str
    name: str
    refusals: KeptRefusals
    s3: Any
    key: str = ""

    @property
    def place(self) -> str:
        return uri_of(self.bucket, self.key) if self.key else f"bucket {self.bucket}"

    def write(self, insights: Iterable[Insight]) -> int:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.jsonl.gz"
            rows = write_json_lines(path, insights)
            refused = "".join(self.refusals.lines).encode()
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
            digest.update(refused)
            self.key = f"incoming/{self.name}-{digest.hexdigest()[:16]}.jsonl.gz"
            if rows:
                with path.open("rb") as file:
                    self.s3.put_object(Bucket=self.bucket, Key=self.key, Body=file)
        if refused:
            at = quarantine_key(self.key)
            self.s3.put_object(Bucket=self.bucket, Key=at, Body=refused, ContentType="application/x-ndjson")
            self.refusals.place = uri_of(self.bucket, at)
        return rows


MakeClient = Callable[[str], Any]
