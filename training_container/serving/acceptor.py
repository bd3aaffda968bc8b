"""New connections, shared out evenly among the workers that listen on one socket.

Left to themselves, one worker takes all that come at once, and a caller's connections stay where they were taken.
"""

from __future__ import annotations

import asyncio
import mmap
import socket
from typing import Final

from training_container.serving.http_connection import Connection, Site

YIELD_SECONDS: Final = 0.001  # how long one waits for a worker with fewer connections, which may be computing
NOBODY: Final = 2**62


class Shares:
    """How many connections each worker has, in memory that forked processes share; NOBODY for one that is dead."""

    def __init__(self, workers: int) -> None:
        self._counts = memoryview(mmap.mmap(-1, 8 * workers)).cast("q")
        for slot in range(workers):
            self._counts[slot] = NOBODY

    def set(self, slot: int, count: int) -> None:
        self._counts[slot] = count

    def fewest(self) -> int:
        return min(self._counts)


class Acceptor:
    """Takes one connection at a time and lets a worker with fewer of them go first, for a moment."""

    def __init__(self, site: Site, listener: socket.socket, shares: Shares, slot: int) -> None:
        self._site = site
        self._listener = listener
        self._shares = shares
        self._slot = slot
        self._loop = asyncio.get_running_loop()
        self._arriving: set[asyncio.Task[object]] = set()
        self._is_open = True
        self._note()
        self._watch()

    def close(self) -> None:
        self._is_open = False
        self._loop.remove_reader(self._listener)

    def _watch(self) -> None:
        if self._is_open:
            self._loop.add_reader(self._listener, self._ready)

    def _ready(self) -> None:
        if self._shares.fewest() < self._note():
            self._loop.remove_reader(self._listener)
            self._loop.call_later(YIELD_SECONDS, self._after_yielding)
        else:
            self._accept()

    def _after_yielding(self) -> None:
        self._accept()
        self._watch()

    def _accept(self) -> None:
        try:
            accepted, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # another worker was faster, or the caller left
            return
        opening = self._loop.connect_accepted_socket(lambda: Connection(self._site), accepted)
        task = self._loop.create_task(opening)
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)
        self._note()

    def _note(self) -> int:
        count = len(self._site.connections) + len(self._arriving)
        self._shares.set(self._slot, count)
        return count
