"""HTTP/1.1 for the two routes of an inference container: httptools parses, uvloop moves the bytes.

It spares the layers of a general server, one task a request and one queue of messages a direction; what is left beside a
prediction is the no-op's time in the bench `serving`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

import httptools

from training_container.serving.messages import Answer, Handler, Request, json_answer
from training_container.serving.work_queue import WorkQueue, shed

MAXIMUM_BODY_BYTES: Final = 6 * 1024 * 1024  # InvokeEndpoint's own limit
MAXIMUM_DISCARDED_BYTES: Final = 64 * 1024 * 1024  # read past the limit, so that the refusal can be read by its caller
MAXIMUM_HEAD_BYTES: Final = 65_536
MAXIMUM_PIPELINED: Final = 8
MAXIMUM_CONNECTIONS: Final = 1_000  # of one worker
SILENT_SECONDS: Final = 75.0  # longer than the 60 s that InvokeEndpoint waits

_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class Site:
    """What the connections of one worker share."""

    def __init__(self, handler: Handler, loop: asyncio.AbstractEventLoop) -> None:
        self.handler = handler
        self.queue = WorkQueue(loop.call_soon)
        self.connections: set[Connection] = set()
        self.is_draining = False
        self.now = loop.time()
        self.date = b""
        self._loop = loop
        self.tick()

    def tick(self) -> None:
        """Once a second: the Date header's text, and an end to connections on which nothing happens."""
        self.now = self._loop.time()
        self.date = f"date: {formatdate(usegmt=True)}\r\n".encode()
        for connection in list(self.connections):
            connection.close_if_silent_since(self.now - SILENT_SECONDS)
        self._loop.call_later(1.0, self.tick)

    def drain(self) -> None:
        """Answers say from now on that the connection ends with them; those that wait for nothing end now."""
        self.is_draining = True
        for connection in list(self.connections):
            connection.close_if_idle()


class Connection(asyncio.Protocol):
    """One caller; its requests are answered in order, one at a time."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._parser = httptools.HttpRequestParser(self)
        self._pending: deque[tuple[Request | Answer, bool]] = deque()
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # set before anything is received
        self._is_receiving = self._is_busy = self._is_paused = self._keeps_alive = False
        self._heard = site.now
        self._unfinished_head = 0
        self.is_gone = False

    # What the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's is no subclass of asyncio's
        if len(self._site.connections) >= MAXIMUM_CONNECTIONS:
            self._write(shed(f"{MAXIMUM_CONNECTIONS} connections are open"), keeps_alive=False)
        self._site.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_gone = True
        self._pending.clear()
        self._site.connections.discard(self)

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        self._proceed()

    def data_received(self, data: bytes) -> None:
        self._heard = self._site.now
        self._unfinished_head += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(501, "the connection cannot be upgraded; speak HTTP/1.1")
        except httptools.HttpParserError as error:
            self._refuse(400, f"that is no HTTP/1.1: {error}")
        if self._unfinished_head > MAXIMUM_HEAD_BYTES:
            self._refuse(431, f"the headers exceed {MAXIMUM_HEAD_BYTES} bytes")
        self._proceed()

    # What the parser says

    def on_message_begin(self) -> None:
        self._is_receiving = True
        self._url = b""
        self._content_type = b""
        self._expects_continue = False
        self._body: list[bytes] = []
        self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        size = len(name)
        if size == 12 and name.lower() == b"content-type":
            self._content_type = value
        elif size == 6 and name.lower() == b"expect":
            self._expects_continue = value.lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        if self._expects_continue:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, part: bytes) -> None:
        self._unfinished_head = 0
        self._body_bytes += len(part)
        if self._body_bytes <= MAXIMUM_BODY_BYTES:
            self._body.append(part)
        elif self._body_bytes > MAXIMUM_DISCARDED_BYTES:
            self._transport.abort()

    def on_message_complete(self) -> None:
        self._is_receiving = False
        self._unfinished_head = 0
        asked: Request | Answer
        if self._body_bytes > MAXIMUM_BODY_BYTES:
            asked = json_answer(
                413, {"error": f"the body exceeds {MAXIMUM_BODY_BYTES} bytes; send fewer rows a request"}
            )
        else:
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            kind = self._content_type.partition(b";")[0].strip().lower().decode("latin-1")
            path = self._url.partition(b"?")[0].decode("latin-1")
            asked = Request(self._parser.get_method().decode("latin-1"), path, kind, body)
        self._body = []
        self._pending.append((asked, self._parser.should_keep_alive()))
        if len(self._pending) > MAXIMUM_PIPELINED:
            self._transport.pause_reading()

    # What the queue says

    def answer(self, answer: Answer) -> None:
        self._is_busy = False
        self._write(answer, keeps_alive=self._keeps_alive)
        self._proceed()

    def close_if_idle(self) -> None:
        if not self._is_busy and not self._pending and not self._is_receiving:
            self._transport.close()

    def close_if_silent_since(self, moment: float) -> None:
        """Also one in the middle of a request whose rest does not come."""
        if not self._is_busy and not self._pending and self._heard <= moment:
            self._transport.close()

    def _proceed(self) -> None:
        """Begin what was asked, until something has to wait."""
        while self._pending and not self._is_busy and not self._is_paused and not self.is_gone:
            asked, self._keeps_alive = self._pending.popleft()
            if len(self._pending) == MAXIMUM_PIPELINED:
                self._transport.resume_reading()
            given = asked if isinstance(asked, Answer) else self._site.handler(asked)
            if isinstance(given, Answer):
                self._write(given, keeps_alive=self._keeps_alive)
            else:
                self._is_busy = True
                self._site.queue.put(given, self)

    def _refuse(self, status: int, reason: str) -> None:
        """The rest of what was sent cannot be understood."""
        self._write(json_answer(status, {"error": reason}), keeps_alive=False)

    def _write(self, answer: Answer, *, keeps_alive: bool) -> None:
        if self.is_gone or self._transport.is_closing():
            return
        ends = not keeps_alive or self._site.is_draining
        self._transport.write(
            b"%bcontent-type: application/json\r\ncontent-length: %d\r\n%b%b%b\r\n%b"
            % (
                _STATUS_LINES[answer.status],
                len(answer.body),
                self._site.date,
                answer.headers,
                b"connection: close\r\n" if ends else b"",
                answer.body,
            )
        )
        if ends:
            self._pending.clear()
            self._transport.close()
