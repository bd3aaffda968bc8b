"""What stands before the laptop's SageMaker runtime and throttles one endpoint's requests while it is told to, as AWS does
above the account's limits."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


class ThrottlingProxy:
    """Listens on 127.0.0.1 while the block lasts; passes everything on to `endpoint_url` but what `is_throttling` refuses."""

    def __init__(self, endpoint_url: str, *, endpoint_name: str) -> None:
        self.is_throttling, self.throttled_path = False, f"/endpoints/{endpoint_name}/invocations"
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, urlsplit(endpoint_url).netloc))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> ThrottlingProxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(proxy: ThrottlingProxy, behind: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if (
                proxy.is_throttling and self.path == proxy.throttled_path
            ):  # AWS's REST-JSON protocol: the error's name is a header
                self._answer(400, {"x-amzn-ErrorType": "ThrottlingException"}, json.dumps({"message": "Rate exceeded"}))
                return
            connection = http.client.HTTPConnection(behind, timeout=29)
            connection.request("POST", self.path, body, dict(self.headers.items()))
            passed = connection.getresponse()
            kept = {
                name: value for name, value in passed.getheaders() if name.lower().startswith(("x-amz", "content-t"))
            }
            self._answer(passed.status, kept, passed.read().decode())
            connection.close()

        def _answer(self, status: int, headers: dict[str, str], body: str) -> None:
            text = body.encode()
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                **headers,
                "Content-Length": str(len(text)),
            }.items():
                self.send_header(name, value)
            with contextlib.suppress(ConnectionError):  # the function has given up meanwhile
                self.end_headers()
                self.wfile.write(text)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    return Handler
