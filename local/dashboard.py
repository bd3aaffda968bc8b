"""Serves the dashboard on the laptop with the headers that CloudFront sets in AWS; config.json is made, not stored."""

from __future__ import annotations

import contextlib
import json
import mimetypes
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit

from local.options import DEFAULT_DASHBOARD_PORT
from local.settings import HOST, REPOSITORY

# Where the page's addresses lie on disk: the same two folders that the deployment bundles for AWS.
FOLDERS: Final = {"/uplot/": REPOSITORY / "node_modules" / "uplot" / "dist", "/": REPOSITORY / "dashboard"}
HEADERS_FILE = REPOSITORY / "dashboard" / "headers.json"
SCOPES = ("openid", "iops/predict", "iops/feedback", "iops/read")


class DashboardFailed(RuntimeError):
    """The page cannot be served; the message says why and what to do."""


@dataclass(frozen=True)
class PageConfig:
    """What the page must know of its deployment."""

    api_url: str
    sign_in_url: str
    client_id: str
    scopes: tuple[str, ...] = SCOPES

    def to_json(self) -> str:
        return json.dumps({**vars(self), "scopes": list(self.scopes)})

    def headers(self) -> dict[str, str]:
        """The page may talk to this API and this sign-in, and to nobody else."""
        origins = dict.fromkeys(_origin(url) for url in (self.api_url, self.sign_in_url))
        named: Mapping[str, str] = json.loads(HEADERS_FILE.read_text())
        return {name: value.replace("{connect}", " ".join(origins)) for name, value in named.items()}


def page_origin(port: int) -> str:
    """The origin that the API must allow and to which the sign-in may send people back."""
    return f"http://{HOST}:{port}"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


class Dashboard:
    """The page on 127.0.0.1:`port` while the block lasts; port 0 takes a free one."""

    def __init__(self, config: PageConfig, *, port: int = DEFAULT_DASHBOARD_PORT) -> None:
        self._server = _bound(_handler(config), port)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True, name="dashboard")

    @property
    def url(self) -> str:
        return f"{page_origin(self._server.server_address[1])}/"

    def __enter__(self) -> Dashboard:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _bound(handler: type[BaseHTTPRequestHandler], port: int) -> ThreadingHTTPServer:
    try:
        server = ThreadingHTTPServer((HOST, port), handler)
    except OSError as error:
        raise DashboardFailed(
            f"port {port} on {HOST} is taken; stop that process or set DASHBOARD_PORT to a free port"
        ) from error
    server.daemon_threads = True
    return server


def page_file(path: str) -> Path | None:
    """The file behind an address of the page; None for everything else on this disk."""
    asked = "/index.html" if path == "/" else path
    prefix, folder = next((prefix, folder) for prefix, folder in FOLDERS.items() if asked.startswith(prefix))
    found = (folder / asked.removeprefix(prefix)).resolve()
    is_page = found.is_relative_to(folder.resolve()) and found.is_file() and found != HEADERS_FILE
    return found if is_page else None


def _handler(config: PageConfig) -> type[BaseHTTPRequestHandler]:
    headers = {**config.headers(), "Cache-Control": "no-cache"}

    class Page(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path == "/config.json":
                self._answer(HTTPStatus.OK, "application/json", config.to_json().encode())
            elif found := page_file(path):
                kind = mimetypes.guess_type(found.name)[0] or "application/octet-stream"
                self._answer(HTTPStatus.OK, kind, found.read_bytes())
            else:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"not found\n")

        def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name, value)
            with contextlib.suppress(ConnectionError):  # the tab was closed or has gone elsewhere
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            """A terminal that shows a training run is no place for an access log."""

    return Page
