"""Kept-alive HTTP connections to one serving instance."""

from __future__ import annotations

import contextlib
import http.client
import select
import threading
from collections import deque

from local.settings import HOST


class Connections:
    """Those that are idle; the newest is used first, so that superfluous ones age and are closed by the server."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: deque[http.client.HTTPConnection] = deque()
        self._is_closed = False
        self._lock = threading.Lock()

    def kept(self) -> http.client.HTTPConnection | None:
        """An idle connection that the server has not closed, as far as one can see from here."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if is_open(connection):
                return connection
            connection.close()

    def fresh(self, timeout_seconds: float) -> http.client.HTTPConnection:
        """A connected one; ConnectionRefusedError where nobody listens, so that no request can have got through."""
        connection = http.client.HTTPConnection(HOST, self._port, timeout=timeout_seconds)
        connection.connect()
        return connection

    def keep(self, connection: http.client.HTTPConnection, *, is_reusable: bool) -> None:
        """Take a connection back whose answer has been read to its end."""
        with self._lock:
            if is_reusable and not self._is_closed:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        with self._lock:
            self._is_closed, idle, self._idle = True, self._idle, deque()
        for connection in idle:
            connection.close()


def is_open(connection: http.client.HTTPConnection) -> bool:
    """An idle connection has nothing to read unless the server closed it (or spoke out of turn)."""
    if connection.sock is None:
        return False
    with contextlib.suppress(OSError, ValueError):
        poll = select.poll()  # not select(): the server's process may hold descriptors beyond its 1024
        poll.register(connection.sock, select.POLLIN)
        return not poll.poll(0)
    return False
