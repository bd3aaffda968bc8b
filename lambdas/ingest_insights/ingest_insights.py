"""A file of insights becomes rows of the table; what is no insight goes to quarantine with the reason."""

from __future__ import annotations

import gzip
import io
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TextIO, cast

from botocore.exceptions import ClientError

from insights.consistency import consistent
from insights.files import UnreadableFile, parse_insights
from lambdas.client_errors import is_missing_object
from lambdas.clients import client
from lambdas.insight_writer import InsightWriter
from lambdas.objects import ObjectMissing, uri_of
from lambdas.quarantine import Quarantine, quarantine_key
from lambdas.throttling import Backoff

_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class IngestEnvironment:
    insights_table_name: str


def ingest_insights(
    *, bucket: str, key: str, table: str, s3: Any = None, dynamodb: Any = None, backoff: Backoff | None = None
) -> dict[str, Any]:
    """Writes every valid row; a repeat writes the same rows over themselves."""
    s3 = s3 or client("s3")
    writer = InsightWriter(table, dynamodb or client("dynamodb"), backoff or Backoff())
    with ExitStack() as stack:
        quarantine = Quarantine(s3, bucket, quarantine_key(key), stack)
        text = stack.enter_context(_open_text(s3, bucket, key))
        try:
            parsed = parse_insights(text, source=uri_of(bucket, key), on_invalid=quarantine.add)
            rows = writer.write(consistent(parsed, on_invalid=quarantine.add))
        except gzip.BadGzipFile as error:
            raise UnreadableFile(uri_of(bucket, key), str(error)) from error
    return {
        "key": key,
        "rows": rows,
        "refused": quarantine.refused,
        "quarantine": quarantine.uri,
    }


def _open_text(s3: Any, bucket: str, key: str) -> TextIO:
    """The object as text, gunzipped where its first bytes say so, never wholly in memory."""
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"]
    except ClientError as error:
        if not is_missing_object(error):
            raise
        raise ObjectMissing(bucket, key, "give the key of an object that holds insights") from error
    stream: Any = io.BufferedReader(body, buffer_size=1024 * 1024)
    if stream.peek(2)[:2] == _GZIP_MAGIC:
        stream = gzip.GzipFile(fileobj=stream)
    return cast(TextIO, io.TextIOWrapper(stream, encoding="utf-8-sig", newline=""))
