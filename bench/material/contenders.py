"""The servers that `serving` compares, each with as many processes as there are cores, on one model."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.material.served import Served
from bench.material.servers import free_port, own_server, server

LOGS = Path("build/bench/logs")
OURS_WINDOW, OURS_CSV, NOOP, USUAL, FASTAPI = "ours, JSON window", "ours, CSV", "no-op", "usual design", "plain FastAPI"

NGINX = """
worker_processes auto; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 2048; }}
http {{
  access_log off; client_max_body_size 20m; client_body_buffer_size 2m;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream gunicorn {{ server unix:{socket}; }}
  server {{
    listen 127.0.0.1:{port} backlog=2048; keepalive_requests 1000000;
    location / {{ proxy_pass http://gunicorn; proxy_set_header Host $http_host; proxy_redirect off; }}
  }}
}}
"""


@dataclass(frozen=True)
class Contender:
    """`form` is the kind of body that it takes; `explains`: every answer holds the contributions of every row."""

    name: str
    port: int
    form: str
    explains: bool = False

    @property
    def content_type(self) -> str:
        return "text/csv" if self.form == "csv" else "application/json"


@contextlib.contextmanager
def contenders(material: Served) -> Iterator[list[Contender]]:
    """All of them, running; an idle one costs the others nothing."""
    workers = os.cpu_count() or 1
    environment = {"BENCH_MODEL": str(material.model / "model.ubj")}
    with contextlib.ExitStack() as running:
        own_port, _ = running.enter_context(own_server(material.model, workers=workers, log=LOGS / "ours.log"))
        noop_port, fastapi_port = free_port(), free_port()
        noop = [sys.executable, "-m", "bench.material.noop_server", str(noop_port), str(workers)]
        running.enter_context(server(noop, port=noop_port, log=LOGS / "noop.log", environment={}))
        fastapi = [
            sys.executable,
            "-m",
            "uvicorn",
            "bench.material.plain_fastapi:application",
            "--log-level",
            "warning",
        ]
        fastapi += ["--port", str(fastapi_port), "--workers", str(workers), "--no-access-log"]
        running.enter_context(server(fastapi, port=fastapi_port, log=LOGS / "fastapi.log", environment=environment))
        usual_port = running.enter_context(_usual_design(workers, environment))
        yield [
            Contender(OURS_WINDOW, own_port, "window", explains=True),
            Contender(OURS_CSV, own_port, "csv", explains=True),
            Contender(NOOP, noop_port, "window"),
            Contender(USUAL, usual_port, "csv"),
            Contender(FASTAPI, fastapi_port, "named"),
        ]


def nginx() -> str | None:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def _usual_design(workers: int, environment: dict[str, str]) -> Iterator[int]:
    """gunicorn behind nginx; by itself, which spares it a hop, where there is no nginx."""
    gunicorn = [sys.executable, "-m", "gunicorn", "--worker-class", "gevent", "--workers", str(workers)]
    gunicorn += ["bench.material.usual_design:application", "--log-level", "warning"]
    port, front = free_port(), nginx()
    if front is None:
        command = [*gunicorn, "--bind", f"127.0.0.1:{port}"]
        with server(command, port=port, log=LOGS / "usual.log", environment=environment):
            yield port
        return
    folder = (LOGS / "nginx").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    inner, configuration = folder / "gunicorn.sock", folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, socket=inner, port=port))
    with contextlib.ExitStack() as running:
        # the socket of a process that answers to nginx only: the /ping through nginx says when both are there
        command = ["/bin/sh", "-c", f'"$@" & exec {front} -e stderr -c {configuration}', "sh", *gunicorn]
        command += ["--bind", f"unix:{inner}"]
        running.enter_context(server(command, port=port, log=LOGS / "usual.log", environment=environment))
        yield port
