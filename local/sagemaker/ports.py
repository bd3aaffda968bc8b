"""Ports for serving containers, each given out once until the range has been gone through."""

from __future__ import annotations

import itertools
import random
import socket
import threading

from local.settings import HOST

FIRST, LAST = 18_000, 32_000
"""Below the range from which systems take ports for outgoing connections: between this choice and the moment at which
the container listens, a client's connection must not land on the same number."""

_lock = threading.Lock()
_start = random.randrange(FIRST, LAST)
_candidates = itertools.cycle([*range(_start, LAST), *range(FIRST, _start)])


def free_port() -> int:
    with _lock:
        for port in itertools.islice(_candidates, LAST - FIRST):
            if _is_free(port):
                return port
    raise OSError(f"no free port on {HOST} between {FIRST} and {LAST}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
