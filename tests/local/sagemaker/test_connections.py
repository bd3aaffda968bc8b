"""Kept connections against a server that closes idle ones, as every server does."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from local.sagemaker.connections import Connections


class Impatient(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 0.2  # closes a connection that is idle for longer

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def connections() -> Iterator[Connections]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Impatient)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Connections(server.server_port)
    server.shutdown()
    server.server_close()


def asked(connections: Connections) -> int:
    """One request; the local port of its connection."""
    connection = connections.kept() or connections.fresh(5.0)
    port: int = connection.sock.getsockname()[1]
    connection.request("GET", "/")
    response = connection.getresponse()
    assert response.read() == b"ok"
    connections.keep(connection, is_reusable=not response.will_close)
    return port


def test_a_connection_is_used_again_until_the_server_closes_it(connections: Connections) -> None:
    first = asked(connections)
    assert asked(connections) == first
    deadline = time.monotonic() + 10
    while (kept := connections.kept()) is not None and time.monotonic() < deadline:
        connections.keep(kept, is_reusable=True)
        time.sleep(0.02)
    assert kept is None
    asked(connections)


def test_nothing_is_kept_of_an_instance_that_left(connections: Connections) -> None:
    asked(connections)
    connections.close()
    asked(connections)
    assert connections.kept() is None


def test_where_nobody_listens_no_request_got_through() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Impatient)
    server.server_close()
    with pytest.raises(ConnectionRefusedError):
        Connections(server.server_port).fresh(5.0)
