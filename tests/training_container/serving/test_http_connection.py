"""The HTTP side on a real loop and real sockets, with a handler that answers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import uvloop

from training_container.serving.http_connection import MAXIMUM_BODY_BYTES, MAXIMUM_HEAD_BYTES, Connection, Site
from training_container.serving.messages import Answer, Request, Work

Scenario = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def echo(request: Request) -> Answer | Work:
    """GET is answered at once, everything else by way of the queue."""
    text = f"{request.method} {request.path} {request.content_type} {len(request.body)}".encode()
    return Answer(200, text) if request.method == "GET" else _later(text)


def _later(text: bytes) -> Work:
    yield
    return Answer(200, text)


def talk(scenario: Scenario, *, draining: bool = False) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        site = Site(echo, loop)
        site.is_draining = draining
        server = await loop.create_server(lambda: Connection(site), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            await asyncio.wait_for(scenario(reader, writer), timeout=30)
        finally:
            writer.close()
            server.close()

    uvloop.run(main())


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], str]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in head[1:] if line)
    body = await reader.readexactly(int(headers["content-length"]))
    return int(head[0].split(" ")[1]), headers, body.decode()


def post(body: bytes, further: str = "") -> bytes:
    head = f"POST /invocations?x=1 HTTP/1.1\r\nHost: h\r\nContent-Type: Text/CSV; charset=utf-8\r\n{further}"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


def test_a_request_is_read_with_its_path_type_and_body_and_the_connection_stays_open():
    async def scenario(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for size in (3, 0, 100_000):
            writer.write(post(b"x" * size))
            status, headers, body = await answer_of(reader)
            assert (status, body) == (200, f"POST /invocations text/csv {size}")
            assert headers["content-type"] == "application/json"
            assert headers["date"].endswith("GMT")

    talk(scenario)


def test_a_request_that_comes_byte_by_byte_is_one_request():
    async def scenario(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in post(b"abc"):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        assert (await answer_of(reader))[2] == "POST /invocations text/csv 3"

    talk(scenario)


def test_a_chunked_body_is_put_together():
    async def scenario(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        )
        assert (await answer_of(reader))[2] == "POST /p  5"

    talk(scenario)


def test_pipelined_requests_are_answered_in_their_order_even_if_a_later_one_is_quicker():
    async def scenario(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((post(b"abc") + b"GET /ping HTTP/1.1\r\nHost: h\r\n\r\n") * 50)
        found = [(await answer_of(reader))[2] for _ in range(100)]
        assert found == ["POST /invocations text/csv 3", "GET /ping  0"] * 50

    talk(scenario)


def test_who_waits_for_permission_to_send_gets_it():
    async def scenario(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, _, body = post(b"abc", "Expect: 100-continue\r\n").partition(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert (await answer_of(reader))[2] == "POST /invocations text/csv 3"

    talk(scenario)


def test_a_body_beyond_the_limit_is_refused_when_it_has_been_read_and_the_next_request_is_answered():
    async def scenario(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(post(b"x" * (MAXIMUM_BODY_BYTES + 1)) + post(b"x" * MAXIMUM_BODY_BYTES))
        assert (await answer_of(reader))[0] == 413
        assert (await answer_of(reader))[2] == f"POST /invocations text/csv {MAXIMUM_BODY_BYTES}"

    talk(scenario)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"no http at all\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: many\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nHost: h\r\nLong: " + b"x" * (MAXIMUM_HEAD_BYTES + 1), 431),
    ],
    ids=["no HTTP", "a length that is no number", "an upgrade", "endless headers"],
)
def test_what_cannot_be_understood_is_refused_once_and_the_connection_ends(sent: bytes, status: int):
    async def scenario(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        answered, headers, _ = await answer_of(reader)
        assert (answered, headers["connection"]) == (status, "close")
        assert await reader.read() == b""

    talk(scenario)


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"])
def test_a_caller_that_wants_the_connection_to_end_gets_its_answer_and_the_end(sent: bytes):
    async def scenario(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        assert (await answer_of(reader))[0] == 200
        assert await reader.read() == b""

    talk(scenario)


def test_a_draining_server_answers_what_is_asked_and_ends_the_connection():
    async def scenario(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(post(b"abc"))
        status, headers, _ = await answer_of(reader)
        assert (status, headers["connection"]) == (200, "close")
        assert await reader.read() == b""

    talk(scenario, draining=True)
