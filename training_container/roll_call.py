"""Who is there: every host of a training says so to the first one, and goes on saying so until it is done.

XGBoost's tracker and collective tell that something broke, but not which host never came, died or hangs (measured: "The other
end is likely closed"; "Poll timeout"). So the hosts keep one connection each to the first, and a beat on it; what ends a
training then has a name. Nothing else goes this way but where the tracker listens.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from training_container.errors import LostHost

CONNECT_RETRY_SECONDS: Final = 0.2
Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long what is waited for; a beat is sent ten times within the silence that is borne."""

    arrival_seconds: float = 900.0
    silence_seconds: float = 120.0
    grace_seconds: float = 10.0
    """Between knowing that a host is lost and ending a process that hangs in the collective because of it."""


class Line:
    """A connection that carries JSON lines."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.heard = time.monotonic()
        self._buffer = b""
        self._sending = threading.Lock()

    def say(self, message: Message) -> None:
        with self._sending, contextlib.suppress(OSError):  # a line that broke is found by whoever listens
            self.connection.sendall(json.dumps(message).encode() + b"\n")

    def listen(self) -> list[dict[str, Any]] | None:
        """What has arrived, once there is something to read; None at the end of the line."""
        try:
            data = self.connection.recv(65_536)
        except TimeoutError:
            raise
        except OSError:
            return None
        if not data:
            return None
        self.heard = time.monotonic()
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [json.loads(line) for line in lines]


class RollCall:
    """One host's end of it. `lines` are the first host's to all the others, or another's to the first."""

    def __init__(self, host: str, lines: Mapping[str, Line], patience: Patience) -> None:
        self._host = host
        self._lines = dict(lines)
        self._patience = patience
        self._lost = threading.Event()
        self._over = threading.Event()
        self._sentence = ""
        self.is_stopping = False
        """Another host left because it was stopped, as all are when the job is."""

    @classmethod
    def lead(cls, hosts: Sequence[str], address: tuple[str, int], patience: Patience) -> Self:
        """Wait for every other host; LostHost names those that did not come."""
        lines: dict[str, Line] = {}
        deadline = time.monotonic() + patience.arrival_seconds
        with socket.create_server(address, backlog=len(hosts)) as server:
            while missing := [host for host in hosts[1:] if host not in lines]:
                server.settimeout(max(deadline - time.monotonic(), 0.001))
                try:
                    line = Line(server.accept()[0])
                    line.connection.settimeout(max(deadline - time.monotonic(), 0.001))
                    lines[str(_first(line)["host"])] = line
                except TimeoutError:
                    raise cls(hosts[0], lines, patience).ended(
                        f"{', '.join(missing)} did not come to the training within {patience.arrival_seconds:g} s; "
                        "its log says why, or its instance did not start"
                    ) from None
                except (LookupError, ValueError):
                    continue  # nobody of ours
        return cls(hosts[0], lines, patience)

    @classmethod
    def join(cls, host: str, first: str, address: tuple[str, int], patience: Patience) -> Self:
        """Say that `host` is here; LostHost where the first one cannot be reached."""
        deadline = time.monotonic() + patience.arrival_seconds
        while True:
            try:
                line = Line(socket.create_connection(address, timeout=patience.silence_seconds))
                break
            except OSError as error:
                if time.monotonic() >= deadline:
                    raise LostHost(
                        f"{host} did not reach {first} at {address[0]}:{address[1]} within "
                        f"{patience.arrival_seconds:g} s: {error}"
                    ) from error
                time.sleep(CONNECT_RETRY_SECONDS)
        line.say({"host": host})
        return cls(host, {first: line}, patience)

    def open(self, message: Message) -> None:
        """From the first host to all that came: it begins."""
        for line in self._lines.values():
            line.say(message)

    def opened(self) -> dict[str, Any]:
        """What the first host said; LostHost where it gave up waiting for another, or is gone."""
        (first, line), *_ = self._lines.items()
        line.connection.settimeout(self._patience.arrival_seconds)
        try:
            message = _first(line)
        except (LookupError, ValueError, TimeoutError) as error:
            raise LostHost(f"{first}, which leads the training, was lost before it began") from error
        if "lost" in message:
            raise LostHost(str(message["lost"]))
        return message

    def watch(self, end_process: Callable[[str], None]) -> None:
        """From now on in a thread. `end_process` is called where the main thread does not come back by itself."""
        threading.Thread(target=self._watch, args=(end_process,), daemon=True, name="roll-call").start()

    def loss(self, wait_seconds: float | None = None) -> LostHost | None:
        """Which host is known to be lost, now or within the seconds; whoever asks ends the process itself."""
        if not self._lost.wait(self._patience.grace_seconds if wait_seconds is None else wait_seconds):
            return None
        self._over.set()
        return LostHost(self._sentence)

    def done(self) -> None:
        """This host needs no other any more."""
        self._leave({"done": True})

    def ended(self, reason: str, *, is_stopped: bool = False) -> LostHost:
        """Tell all why this host leaves before the end."""
        self._leave({"lost": reason, "is_stopped": is_stopped})
        return LostHost(reason)

    def _leave(self, message: Message) -> None:
        self._over.set()
        for line in list(self._lines.values()):  # the watching thread takes out those that are done
            line.say(message)
            with contextlib.suppress(OSError):
                line.connection.shutdown(socket.SHUT_WR)

    def _watch(self, end_process: Callable[[str], None]) -> None:
        beat_seconds = self._patience.silence_seconds / 10
        beaten = 0.0
        while self._lines and not self._over.is_set():
            if time.monotonic() - beaten >= beat_seconds:
                beaten = time.monotonic()
                for line in self._lines.values():
                    line.say({})
            sentence = self._listen(beat_seconds)
            if sentence and not self._over.is_set():  # a host that is done itself misses nobody
                self._sentence = sentence
                self._lost.set()
                for line in self._lines.values():
                    line.say({"lost": sentence, "is_stopped": self.is_stopping})
                if not self._over.wait(self._patience.grace_seconds):
                    end_process(sentence)
                return

    def _listen(self, seconds: float) -> str:
        """Empty, or why the training cannot go on."""
        by_socket = {line.connection: host for host, line in self._lines.items()}
        for connection in select.select(list(by_socket), [], [], seconds)[0]:
            host = by_socket[connection]
            messages = self._lines[host].listen()
            if messages is None:
                return (
                    f"{host} was lost: its process ended without a word (killed, or out of memory), or its machine did"
                )
            for message in messages:
                if "lost" in message:
                    self.is_stopping = bool(message.get("is_stopped"))
                    return str(message["lost"])
                if "done" in message:
                    del self._lines[host]
                    break
        silent = self._patience.silence_seconds
        for host, line in self._lines.items():
            if time.monotonic() - line.heard > silent:
                return f"{host} has been silent for {silent:g} s: its process hangs, or its machine or network is gone"
        return ""


def _first(line: Line) -> dict[str, Any]:
    """The first message that is no beat, waited for until the connection's timeout; LookupError at the end of the line."""
    while True:
        messages = line.listen()
        if messages is None:
            raise LookupError("the line ended")
        if spoken := [message for message in messages if message]:
            return spoken[0]
