"""The process from which containers are forked: `python -m local.containers.zygote <socket fd> <module>...`, where
`<package>.*` stands for all modules of a package.

Importing xgboost, numba and scikit-learn takes seconds. This process does it once and only imports: no kernel runs and no
OpenMP region is entered here, since their threads would not survive a fork. One JSON object per line each way; the
descriptors of a container's streams come along with its line.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import itertools
import json
import os
import pkgutil
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from local.containers.entrypoint import die_with_parent, run_module

MOST_DESCRIPTORS = 16
"""That one reading of the channel may bring. A line has three at most, and a reading ends behind those of a line."""


def main(arguments: Sequence[str]) -> int:
    channel = socket.socket(fileno=int(arguments[0]))
    die_with_parent(os.getppid())
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    failed = import_slow_modules(arguments[1:])
    gc.freeze()  # what was imported is shared with every container instead of copied at its first collection
    zygote = Zygote(channel, wake_read)
    zygote.say({"ready": True, "not_imported": failed, "threads": thread_count()})
    return zygote.serve()


def import_slow_modules(names: Iterable[str]) -> dict[str, str]:
    """Import modules, of `<package>.*` every one; what fails is told, and left to the container."""
    failed: dict[str, str] = {}
    modules = (modules_of(name.removesuffix(".*")) if name.endswith(".*") else [name] for name in names)
    for name in itertools.chain.from_iterable(modules):
        try:
            importlib.import_module(name)
        except Exception as error:
            failed[name] = str(error)
    return failed


def modules_of(package: str) -> list[str]:
    """A package's modules without its __main__, which is what a container runs."""
    try:
        found = importlib.import_module(package)
    except Exception:
        return [package]
    paths = getattr(found, "__path__", None)
    if paths is None:
        return [package]
    modules = (info.name for info in pkgutil.walk_packages(paths, f"{package}."))
    return [package, *(name for name in modules if not name.endswith(".__main__"))]


def thread_count() -> int:
    """Threads that a fork would lose; libraries start some at import."""
    with contextlib.suppress(OSError):
        return len(os.listdir("/proc/self/task"))
    return threading.active_count()


class Zygote:
    def __init__(self, channel: socket.socket, wake_read: int) -> None:
        self._channel = channel
        self._wake_read = wake_read
        self._ids: dict[int, str] = {}
        self._buffer = b""
        self._descriptors: list[int] = []
        """Of streams whose container has not started yet, in the order of the lines."""

    def say(self, message: Mapping[str, Any]) -> None:
        self._channel.sendall(json.dumps(message).encode() + b"\n")

    def serve(self) -> int:
        """Fork and reap until the server closes the channel; then take every container along."""
        import select

        watched: list[Any] = [self._channel, self._wake_read]
        while True:
            readable, _, _ = select.select(watched, [], [])
            if self._wake_read in readable:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_read, 4096)
            if self._channel in readable:
                data, descriptors, _, _ = socket.recv_fds(self._channel, 65536, MOST_DESCRIPTORS)
                if not data:
                    return self._end()
                self._descriptors += descriptors
                self._buffer += data
                *lines, self._buffer = self._buffer.split(b"\n")
                for line in lines:
                    self._start(json.loads(line))
            self._reap()

    def _start(self, request: Mapping[str, Any]) -> None:
        zygote_pid, count = os.getpid(), request["streams"]
        streams, self._descriptors = self._descriptors[:count], self._descriptors[count:]
        pid = os.fork()
        if pid == 0:
            become_container(
                request, zygote_pid, streams, [self._channel.fileno(), self._wake_read, *self._descriptors]
            )
        for descriptor in streams:
            os.close(descriptor)
        self._ids[pid] = request["id"]
        self.say({"started": request["id"], "pid": pid})

    def _reap(self) -> None:
        while self._ids:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.say({"exited": self._ids.pop(pid), "code": os.waitstatus_to_exitcode(status)})

    def _end(self) -> int:
        for pid in self._ids:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        return 0


def become_container(
    request: Mapping[str, Any], zygote_pid: int, streams: Sequence[int], descriptors: Iterable[int]
) -> None:
    """Never returns: the child of a fork, with nothing left of the zygote, also not its `descriptors`, but its imports."""
    code = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL if number != signal.SIGINT else signal.default_int_handler)
        die_with_parent(zygote_pid)
        use_streams(streams or streams_into(request["log"]))
        for descriptor in descriptors:
            os.close(descriptor)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["directory"])
        reseed()
        code = run_module(request["module"], request["arguments"])
        finish()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def streams_into(log: str) -> Sequence[int]:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    return os.open(os.devnull, os.O_RDONLY), output, output


def use_streams(streams: Sequence[int]) -> None:
    """Standard input, output and error."""
    for target, source in enumerate(streams):
        os.dup2(source, target)
    for source in set(streams):
        os.close(source)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def reseed() -> None:
    """Forks share numpy's global generator; `random` reseeds itself."""
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()


def finish() -> None:
    """What an interpreter does at its end and os._exit leaves out."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
