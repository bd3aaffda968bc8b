"""One process a core that answers on one listening socket: forked when the model is warm, replaced when it dies, drained."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import time
from types import FrameType
from typing import Final, NoReturn

import uvloop

from training_container.errors import Stopped
from training_container.serving.acceptor import NOBODY, Acceptor, Shares
from training_container.serving.http_connection import Site
from training_container.serving.messages import Handler

DRAIN_SECONDS: Final = 20.0  # SageMaker kills 30 s after SIGTERM
LAST_REQUEST_SECONDS: Final = 0.2  # for what is on its way on an open connection when draining begins
RESTART_PAUSE_SECONDS: Final = 0.5
BACKLOG: Final = 2_048
STOPPING: Final = (signal.SIGTERM, signal.SIGINT)

logger = logging.getLogger("iops.serve")


def listen(host: str, port: int) -> socket.socket:
    """A bound listening socket; its connections send small answers at once (TCP_NODELAY is inherited from it)."""
    listener = socket.create_server((host, port), backlog=BACKLOG, reuse_port=False)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setblocking(False)
    return listener


def answer_until_stopped(handler: Handler, listener: socket.socket, *, workers: int) -> NoReturn:
    """Returns by Stopped only, after SIGTERM or SIGINT, when what was asked until then has been answered."""
    gc.collect()
    gc.freeze()  # the model is shared by the workers instead of copied at their first collection
    if workers == 1:
        uvloop.run(_answer(handler, listener, Shares(1), 0))
    else:
        _Supervisor(handler, listener, workers).run()
    raise Stopped


async def _answer(
    handler: Handler, listener: socket.socket, shares: Shares, slot: int, lifeline: int | None = None
) -> None:
    loop = asyncio.get_running_loop()
    if lifeline is not None:
        loop.add_reader(lifeline, os._exit, 1)  # readable when the supervisor has ended
    stopping = asyncio.Event()
    for number in STOPPING:
        loop.add_signal_handler(number, stopping.set)
    site = Site(handler, loop)
    acceptor = Acceptor(site, listener, shares, slot)
    await stopping.wait()
    acceptor.close()
    await _drained(site)


async def _drained(site: Site) -> None:
    site.is_draining = True
    deadline = time.monotonic() + DRAIN_SECONDS
    await asyncio.sleep(LAST_REQUEST_SECONDS)
    site.drain()
    while site.connections and time.monotonic() < deadline:
        await asyncio.sleep(0.02)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped


class _Supervisor:
    """The first process: it answers nothing, and its workers end with it, however it ends."""

    def __init__(self, handler: Handler, listener: socket.socket, count: int) -> None:
        self._handler = handler
        self._listener = listener
        self._shares = Shares(count)
        self._free_slots = list(range(count))
        self._slots: dict[int, int] = {}  # by pid
        self._lifeline, self._held = os.pipe()  # workers read the end of this process from it

    def run(self) -> None:
        """Returns after SIGTERM or SIGINT, when the workers have ended."""
        for number in STOPPING:
            signal.signal(number, _stop)
        try:
            while True:
                while self._free_slots:
                    self._fork(self._free_slots.pop())
                pid, status = os.wait()
                self._ended(pid)
                logger.error("worker %d ended with %d and is replaced", pid, os.waitstatus_to_exitcode(status))
                time.sleep(RESTART_PAUSE_SECONDS)
        except Stopped:
            self._end()

    def _ended(self, pid: int) -> None:
        slot = self._slots.pop(pid, None)
        if slot is not None:
            self._shares.set(slot, NOBODY)
            self._free_slots.append(slot)

    def _fork(self, slot: int) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # one that comes now would be handled twice
        pid = os.fork()
        if pid == 0:
            self._work(slot)
        self._slots[pid] = slot
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)

    def _work(self, slot: int) -> NoReturn:
        code = 1
        try:
            os.close(self._held)
            for number in STOPPING:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
            uvloop.run(_answer(self._handler, self._listener, self._shares, slot, self._lifeline))
            code = 0
        except BaseException:
            logger.exception("a worker failed")
        finally:
            os._exit(code)

    def _end(self) -> None:
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + DRAIN_SECONDS + 1.0
        while self._slots and time.monotonic() < deadline:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            self._ended(pid)
            time.sleep(0.01)
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._slots:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
