"""A closed-loop HTTP client in a process of its own: prebuilt bytes, one request a connection at a time, exact latencies.

Reads one JSON object of Load's fields on stdin and writes Outcome's fields on stdout. Its own cost stands beside what it
measured (`client_cpu_us`), since it runs on the same cores.
"""

from __future__ import annotations

import json
import re
import select
import socket
import subprocess
import sys
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from pathlib import Path

RECEIVED_BYTES = 65_536  # a larger buffer would be mapped and unmapped for every answer
LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)
MARK = b'"contributions":[{'


@dataclass(frozen=True, kw_only=True)
class Load:
    """`marks` is how often MARK must stand in every answer; after a 503 a connection pauses before it asks again."""

    port: int
    content_type: str
    body: str
    concurrency: int
    seconds: float
    marks: int = 0
    pause_seconds: float = 0.0


@dataclass(kw_only=True)
class Outcome:
    """Latencies are of answers with 200; `lost` counts connections that ended or spoke no HTTP."""

    statuses: dict[str, int]
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    client_cpu_us: float
    unmarked: int
    lost: int
    server_cpu_us: float = 0.0


def applied(load: Load) -> Outcome:
    """The load, applied by a process of its own."""
    command = [sys.executable, "-m", "bench.material.load"]
    done = subprocess.run(command, input=json.dumps(asdict(load)).encode(), stdout=subprocess.PIPE, check=True)
    return Outcome(**json.loads(done.stdout))


@dataclass
class _Caller:
    connection: socket.socket
    sent: float = 0.0
    received: bytes = b""


@dataclass
class _Client:
    load: Load
    request: bytes
    callers: dict[int, _Caller] = field(default_factory=dict)
    paused: deque[tuple[float, int]] = field(default_factory=deque)
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[bytes] = field(default_factory=Counter)
    unmarked: int = 0
    lost: int = 0

    def run(self) -> Outcome:
        poll = select.epoll()
        for _ in range(self.load.concurrency):
            connection = socket.create_connection(("127.0.0.1", self.load.port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.callers[connection.fileno()] = _Caller(connection)
            poll.register(connection.fileno(), select.EPOLLIN)
        cpu, begin = time.process_time(), time.perf_counter()
        end = begin + self.load.seconds
        for number in self.callers:
            self._send(number)
        while self.callers and (now := time.perf_counter()) < end:
            for number, _ in poll.poll(min(end - now, 0.005 if self.paused else 1.0)):
                self._readable(number)
            while self.paused and self.paused[0][0] <= time.perf_counter():
                self._send(self.paused.popleft()[1])
        return self._outcome(time.perf_counter() - begin, time.process_time() - cpu)

    def _send(self, number: int) -> None:
        caller = self.callers[number]
        caller.sent = time.perf_counter()
        caller.connection.sendall(self.request)

    def _readable(self, number: int) -> None:
        """The answer's parts as they come; what every request costs here, the server's cores lack."""
        caller = self.callers[number]
        try:
            received = caller.connection.recv(RECEIVED_BYTES)
        except OSError:
            received = b""
        if not received:
            self.lost += 1
            self.callers.pop(number).connection.close()
            return
        if caller.received:
            received = caller.received + received
        if not _is_whole(received):
            caller.received = received
            return
        now = time.perf_counter()
        caller.received = b""
        status = received[9:12]
        self.statuses[status] += 1
        if status == b"200":
            self.latencies.append(now - caller.sent)
            if self.load.marks and received.count(MARK) != self.load.marks:
                self.unmarked += 1
        elif self.load.pause_seconds:
            self.paused.append((now + self.load.pause_seconds, number))
            return
        caller.sent = now
        caller.connection.sendall(self.request)

    def _outcome(self, elapsed: float, cpu: float) -> Outcome:
        ordered, answers = sorted(self.latencies), sum(self.statuses.values())
        return Outcome(
            statuses={status.decode("latin-1"): count for status, count in self.statuses.items()},
            requests_per_second=len(ordered) / elapsed,
            p50_ms=_quantile(ordered, 0.5),
            p99_ms=_quantile(ordered, 0.99),
            client_cpu_us=1e6 * cpu / max(1, answers),
            unmarked=self.unmarked,
            lost=self.lost,
        )


def _is_whole(answer: bytes) -> bool:
    """Whether all of Content-Length's bytes are there."""
    head = answer.find(b"\r\n\r\n")
    found = LENGTH.search(answer, 0, head) if head > 0 else None
    return found is not None and len(answer) >= head + 4 + int(found[1])


def _quantile(ordered: list[float], share: float) -> float:
    return 1e3 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def main() -> None:
    load = Load(**json.load(sys.stdin))
    body = Path(load.body).read_bytes()
    head = f"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: {load.content_type}\r\n"
    request = head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body
    json.dump(asdict(_Client(load, request).run()), sys.stdout)


if __name__ == "__main__":
    main()
