"""Two ways to start a container process with the same outcome: forked from the zygote, or an interpreter of its own."""

from __future__ import annotations

import itertools
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.containers.container import Container, Start

logger = logging.getLogger("iops.containers")
ZYGOTE_START_SECONDS = 120.0
FORKING_IS_SAFE = sys.platform == "linux"
"""After imports; elsewhere system libraries may not be forked, and each process imports for itself."""


class _LongLivedThread(ThreadPoolExecutor):
    """Linux sends PR_SET_PDEATHSIG when the *thread* that started a process ends, so one thread starts them all."""

    def __init__(self, name: str) -> None:
        super().__init__(max_workers=1, thread_name_prefix=name)


class PlainLauncher:
    """A Python interpreter per container, which imports everything itself."""

    def __init__(self) -> None:
        self._thread = _LongLivedThread("launcher")

    def start(self, start: Start) -> Container:
        return self._thread.submit(self._start, start).result()

    def _start(self, start: Start) -> Container:
        own = (sys.executable, "-m", "local.containers.entrypoint", str(os.getpid()), start.module, *start.arguments)
        with start.log.open("ab") as log:
            process = subprocess.Popen(
                start.command or own,
                cwd=start.directory,
                env={**start.environment, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        container = Container(process.pid)
        threading.Thread(
            target=lambda: container.ended(process.wait()), daemon=True, name=f"container-{process.pid}"
        ).start()
        return container

    def close(self) -> None:
        self._thread.shutdown(wait=False)


@dataclass
class _Zygote:
    """One zygote process as the server sees it."""

    process: subprocess.Popen[bytes]
    channel: socket.socket
    ready: threading.Event = field(default_factory=threading.Event)
    started: dict[str, Future[Container]] = field(default_factory=dict)
    running: dict[str, Container] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    is_lost: bool = False


class ZygoteLost(RuntimeError):
    """The zygote ended before it answered."""


class ZygoteLauncher:
    """`imports`, as local.containers.zygote has them, happen once in `directory` under `environment`, by an interpreter
    with `options`; the zygote's own output goes into `log`."""

    def __init__(
        self,
        *,
        imports: tuple[str, ...],
        directory: Path,
        log: Path,
        environment: Mapping[str, str],
        options: tuple[str, ...] = (),
        on_zygote: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._command = (sys.executable, *options, "-m", "local.containers.zygote")
        self._imports = imports
        self._directory = directory
        self._log = log
        self._environment = environment
        self._on_zygote = on_zygote
        self._thread = _LongLivedThread("zygote")
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._current: _Zygote | None = None

    @property
    def zygote_pid(self) -> int | None:
        return self._current.process.pid if self._current else None

    def warm_up(self) -> None:
        self._zygote()

    def start(self, start: Start) -> Container:
        """Fork a container; a zygote that is lost on the way is replaced once."""
        try:
            return self._start(start)
        except (ZygoteLost, OSError) as error:
            logger.warning("the zygote was lost (%s); starting another", error)
            return self._start(start)

    def _start(self, start: Start) -> Container:
        zygote = self._zygote()
        if not zygote.ready.wait(ZYGOTE_START_SECONDS) or zygote.is_lost:
            raise ZygoteLost("it did not finish its imports")
        number = str(next(self._numbers))
        answer: Future[Container] = Future()
        request = {
            "id": number,
            "module": start.module,
            "arguments": list(start.arguments),
            "environment": dict(start.environment),
            "log": str(start.log.resolve()),
            "directory": str(start.directory.resolve()),
            "streams": len(start.streams),
        }
        with zygote.lock:
            zygote.started[number] = answer
            if zygote.is_lost:
                raise ZygoteLost("it ended")
            line = json.dumps(request).encode() + b"\n"
            sent = socket.send_fds(zygote.channel, [line], start.streams) if start.streams else 0
            zygote.channel.sendall(line[sent:])
        return answer.result(timeout=ZYGOTE_START_SECONDS)

    def _zygote(self) -> _Zygote:
        with self._lock:
            if self._current is None or self._current.is_lost:
                self._current = self._thread.submit(self._spawn).result()
            return self._current

    def _spawn(self) -> _Zygote:
        ours, theirs = socket.socketpair()
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as output:
            process = subprocess.Popen(
                [*self._command, str(theirs.fileno()), *self._imports],
                cwd=self._directory,
                env={**self._environment, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        theirs.close()
        zygote = _Zygote(process, ours)
        self._on_zygote(process.pid)
        threading.Thread(target=self._listen, args=(zygote,), daemon=True, name="zygote-reader").start()
        return zygote

    def _listen(self, zygote: _Zygote) -> None:
        buffered = zygote.channel.makefile("rb")
        try:
            for line in buffered:
                self._heard(zygote, json.loads(line))
        except (OSError, ValueError) as error:
            logger.warning("the zygote's channel broke: %s", error)
        finally:
            self._lost(zygote)

    def _heard(self, zygote: _Zygote, message: dict[str, Any]) -> None:
        if "ready" in message:
            for name, reason in message["not_imported"].items():
                logger.info("the zygote could not import %s (%s); containers do it themselves", name, reason)
            if message["threads"] > 1:
                logger.warning("the zygote has %d threads, of which its forks keep one", message["threads"])
            zygote.ready.set()
        elif "started" in message:
            container = Container(message["pid"])
            with zygote.lock:
                zygote.running[message["started"]] = container
                answer = zygote.started.pop(message["started"])
            answer.set_result(container)
        elif "exited" in message:
            with zygote.lock:
                ended = zygote.running.pop(message["exited"])
            ended.ended(message["code"])

    def _lost(self, zygote: _Zygote) -> None:
        """Its containers die with it (PR_SET_PDEATHSIG); make sure, and let nobody wait for them."""
        with zygote.lock:
            zygote.is_lost = True
            waiting, running = list(zygote.started.values()), list(zygote.running.values())
            zygote.started.clear()
            zygote.running.clear()
        zygote.ready.set()
        zygote.channel.close()
        zygote.process.wait()
        for answer in waiting:
            answer.set_exception(ZygoteLost("it ended"))
        for container in running:
            container.falls_with_its_instance = True
            container.kill()
            container.ended(-9)

    def close(self) -> None:
        with self._lock:
            zygote, self._current = self._current, None
        if zygote is not None:
            try:
                zygote.channel.shutdown(socket.SHUT_RDWR)
                zygote.process.wait(timeout=5)
            except OSError:
                logger.debug("the zygote's channel was closed already")
            except subprocess.TimeoutExpired:
                zygote.process.kill()
        self._thread.shutdown(wait=False)
