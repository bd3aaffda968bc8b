"""Carries what containers print to CloudWatch Logs, with the rights of their role as in AWS; the file stays as well."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.sagemaker.clients import Clients

logger = logging.getLogger("iops.sagemaker")
BATCH_EVENTS = 10_000
BATCH_BYTES = 1_000_000  # PutLogEvents takes 1,048,576 bytes, of which each event costs 26 more than its text
EVENT_BYTES = 250_000
EVENT_OVERHEAD = 26


@dataclass
class LogTail:
    """One container's log file and how far it has been sent."""

    path: Path
    group: str
    stream: str
    role_arn: str
    client: Any = None
    offset: int = 0
    is_refused: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class LogShipper:
    def __init__(self, clients: Clients, flush_seconds: float) -> None:
        self._clients = clients
        self._flush_seconds = flush_seconds
        self._tails: list[LogTail] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def attach(self, path: Path, *, group: str, stream: str, role_arn: str) -> LogTail:
        tail = LogTail(path, group, stream, role_arn)
        with self._lock:
            self._tails.append(tail)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True, name="sagemaker-logs")
                self._thread.start()
        return tail

    def detach(self, tail: LogTail) -> None:
        """Send the rest; when this returns, CloudWatch Logs has everything that the container printed."""
        with self._lock:
            if tail in self._tails:
                self._tails.remove(tail)
        self._send(tail, to_the_end=True)

    def close(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self._flush_seconds):
            with self._lock:
                tails = list(self._tails)
            for tail in tails:
                self._send(tail, to_the_end=False)

    def _send(self, tail: LogTail, *, to_the_end: bool) -> None:
        """Send whole lines, at the end the last one without its newline too. A failure is tried again next time."""
        with tail.lock:
            if tail.is_refused:
                return
            try:
                data = self._unsent(tail)
                length = len(data) if to_the_end else data.rfind(b"\n") + 1
                if length:
                    self._put(tail, data[:length])
                    tail.offset += length
            except Exception as error:
                # AWS leaves the job alone as well when its role may not write logs: they are missing, nothing else.
                tail.is_refused = "AccessDenied" in str(error)
                logger.warning("logs of %s are not sent to %s: %s", tail.stream, tail.group, error)

    def _unsent(self, tail: LogTail) -> bytes:
        if not tail.path.exists():
            return b""
        with tail.path.open("rb") as file:
            file.seek(tail.offset)
            return file.read()

    def _put(self, tail: LogTail, data: bytes) -> None:
        if tail.client is None:
            client = self._clients.for_role("logs", tail.role_arn)
            _create(client.create_log_group, client, logGroupName=tail.group)
            found = client.describe_log_streams(logGroupName=tail.group, logStreamNamePrefix=tail.stream)
            if not found["logStreams"]:
                _create(client.create_log_stream, client, logGroupName=tail.group, logStreamName=tail.stream)
            tail.client = client
        for batch in batches(data, int(time.time() * 1000)):
            tail.client.put_log_events(logGroupName=tail.group, logStreamName=tail.stream, logEvents=batch)


def _create(call: Any, client: Any, **names: str) -> None:
    try:
        call(**names)
    except client.exceptions.ResourceAlreadyExistsException:
        return


def batches(data: bytes, timestamp_ms: int) -> Iterator[list[dict[str, Any]]]:
    """Lines as log events, in lists that PutLogEvents accepts; empty lines are no events."""
    batch: list[dict[str, Any]] = []
    size = 0
    for line in data.splitlines():
        text = line[:EVENT_BYTES]
        if not text.strip():
            continue
        if batch and (len(batch) == BATCH_EVENTS or size + len(text) + EVENT_OVERHEAD > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append({"timestamp": timestamp_ms, "message": text.decode("utf-8", "replace")})
        size += len(text) + EVENT_OVERHEAD
    if batch:
        yield batch
