"""The client against a server of this process that answers what it is told to."""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FILE = Path(__file__).parents[2] / "clients" / "python" / "iops_client.py"


@pytest.fixture(scope="module")
def iops() -> ModuleType:
    """The file as users have it: by itself."""
    spec = importlib.util.spec_from_file_location("iops_client", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@dataclass
class Server:
    """Answers in turn, the last one for ever; remembers what it was asked."""

    answers: list[tuple[int, dict[str, str], Any]] = field(default_factory=list)
    asked: list[tuple[str, str, str | None, bytes]] = field(default_factory=list)
    url: str = ""

    def next_answer(self) -> tuple[int, dict[str, str], Any]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def server() -> Iterator[Server]:
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            told.asked.append((self.command, self.path, self.headers.get("Authorization"), body))
            status, headers, value = told.next_answer()
            text = json.dumps(value).encode()
            self.send_response(status)
            for name, content in {
                "Content-Type": "application/json",
                "Content-Length": str(len(text)),
                **headers,
            }.items():
                self.send_header(name, content)
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = answer  # noqa: N815 - the names that the server calls

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        told.url = f"http://127.0.0.1:{listening.server_port}"
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        yield told
        listening.shutdown()


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def client(iops: ModuleType, server: Server, waits: list[float]) -> Any:
    return iops.IopsClient(server.url, lambda: "a-token", sleep=waits.append)


def test_a_prediction_is_asked_for_with_the_token(client: Any, server: Server) -> None:
    server.answers = [(200, {}, {"risk_level": "low"})]
    assert client.predict("risk", device_id="é") == {"risk_level": "low"}
    method, path, authorization, body = server.asked[0]
    assert (method, path, authorization) == ("POST", "/api/predict/risk", "Bearer a-token")
    assert json.loads(body) == {"device_id": "é"}


def test_pages_are_followed_to_the_end(client: Any, server: Server) -> None:
    server.answers = [(200, {}, {"insights": [1, 2], "next": "t"}), (200, {}, {"insights": [3], "next": None})]
    assert list(client.insights("a/b", from_="2026-03-02T10:00:00Z")) == [1, 2, 3]
    assert server.asked[1][1] == "/api/insights?device_id=a%2Fb&from=2026-03-02T10%3A00%3A00Z&next=t"


def test_what_passes_is_asked_again_after_the_time_that_the_api_names(
    client: Any, server: Server, waits: list[float]
) -> None:
    busy = (503, {"Retry-After": "2"}, {"title": "busy"})
    server.answers = [busy, busy, (200, {}, {"models": []})]
    assert client.models() == []
    assert len(waits) == 2
    assert all(2 <= wait <= 4 for wait in waits)


@pytest.mark.parametrize(
    ("status", "retry_after", "asked"), [(400, None, 1), (404, None, 1), (500, None, 1), (503, "1", 4), (429, "300", 1)]
)
def test_what_does_not_pass_is_raised_as_its_problem(
    iops: ModuleType, client: Any, server: Server, status: int, retry_after: str | None, asked: int
) -> None:
    headers = {"Content-Type": "application/problem+json"} | ({"Retry-After": retry_after} if retry_after else {})
    server.answers = [(status, headers, {"title": "no", "detail": "because", "field": "device_id"})]
    with pytest.raises(iops.ApiProblem, match="no: because") as refused:
        client.give_feedback({"device_id": "a", "prediction_id": "b"}, risk_level="high")
    assert (refused.value.status, refused.value.problem["field"], len(server.asked)) == (status, "device_id", asked)


def test_a_server_that_is_gone_is_asked_again_and_then_given_up(iops: ModuleType, waits: list[float]) -> None:
    client = iops.IopsClient("http://127.0.0.1:9", lambda: "a", retries=2, sleep=waits.append)
    with pytest.raises(OSError, match="refused"):
        client.models()
    assert len(waits) == 2


def test_a_services_token_is_asked_for_once_while_it_lasts(iops: ModuleType, server: Server) -> None:
    server.answers = [(200, {}, {"access_token": "t", "expires_in": 3600})]
    tokens = iops.ServiceTokens(server.url, "id", "secret")
    assert (tokens(), tokens()) == ("t", "t")
    assert [entry[:3] for entry in server.asked] == [("POST", "/oauth2/token", "Basic aWQ6c2VjcmV0")]
