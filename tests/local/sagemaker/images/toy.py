"""An image that does what a test tells it: trains a parabola, serves an echo, copies files, fails, dies or does not stop."""

import contextlib
import json
import os
import signal
import sys
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(os.environ.get("SAGEMAKER_ROOT", "/opt/ml"))


def fail(sentence: str, code: int) -> None:
    (ROOT / "output").mkdir(exist_ok=True)
    (ROOT / "output" / "failure").write_text(sentence)
    sys.exit(code)


def meet(folder: Path, count: int) -> None:
    """Return when `count` processes are here at once."""
    (folder / str(os.getpid())).touch()
    deadline = time.monotonic() + 30
    while len(list(folder.iterdir())) < count:
        if time.monotonic() > deadline:
            fail("the others did not come", 3)
        time.sleep(0.01)


def is_first(folder: Path) -> bool:
    """Nobody has been here before."""
    try:
        (folder / "was-here").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def train() -> None:
    given = json.loads((ROOT / "input/config/hyperparameters.json").read_text())
    host = json.loads((ROOT / "input/config/resourceconfig.json").read_text())["current_host"]
    behaviour = given.get("behaviour", "train")
    print(f"{behaviour} begins on {host} with OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']}")
    if behaviour == "refuse":
        (ROOT / "output/data").mkdir(parents=True, exist_ok=True)
        (ROOT / "output/data/why.txt").write_text("kept")
        fail("column x of train.csv is not a number", 2)
    if behaviour == "crash":
        raise RuntimeError("a bug")
    if behaviour == "be killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "be killed once" and is_first(Path(given["folder"])):
        (ROOT / "model/half.json").write_text("unfinished")
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "fail above 4" and float(given["x"]) > 4:
        fail("x is above 4", 1)
    if behaviour == "meet":
        meet(Path(given["folder"]), int(given["count"]))
    (ROOT / f"model/{host}.json").write_text(json.dumps({"x": given.get("x"), "files": seen(ROOT / "input/data")}))
    if behaviour in ("sleep", "be stubborn"):
        wait_for_sigterm(given.get("ready"), ignore=behaviour == "be stubborn")
    x = float(given.get("x", 1))
    print("loss=99.0;")
    print(f"loss={(x - 3) ** 2};", flush=True)


def wait_for_sigterm(ready: str | None, *, ignore: bool) -> None:
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    if ready:
        Path(ready).touch()
    while ignore or not stopped:
        time.sleep(0.02)


def seen(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def process(arguments: list[str]) -> None:
    config = json.loads((ROOT / "config/processingjobconfig.json").read_text())
    hosts = json.loads((ROOT / "config/resourceconfig.json").read_text())
    if arguments[:1] == ["refuse"]:
        if hosts["current_host"] not in arguments[1:] and len(arguments) > 1:
            wait_for_sigterm(None, ignore=False)
            sys.exit(143)
        (ROOT / "processing/output/out/half.txt").write_text("unfinished")
        (ROOT / "output/message").write_text("there are no rows")
        fail(f"{config['ProcessingJobName']} has no rows", 2)
    if arguments[:1] == ["sleep"]:
        wait_for_sigterm(arguments[1], ignore=False)
        sys.exit(143)
    if arguments[:1] == ["lose"]:
        if hosts["current_host"] == arguments[1]:
            os.kill(os.getpid(), signal.SIGKILL)
        wait_for_sigterm(None, ignore=False)
        fail("stopped", 143)
    report = {"hosts": hosts, "arguments": arguments, "color": os.environ.get("COLOR")}
    report["files"] = seen(ROOT / "processing/input")
    (ROOT / f"processing/output/out/{hosts['current_host']}.json").write_text(json.dumps(report))
    (ROOT / "output/message").write_text("all well")


def wait_for(file: Path) -> None:
    """Say beside the file that somebody waits for it, and wait."""
    file.with_name(f"{file.name}-{uuid.uuid4().hex}.waiting").touch()
    while not file.exists():
        time.sleep(0.02)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept
    disable_nagle_algorithm = True  # headers and body are two writes; on a kept connection the second would wait 40 ms

    def do_GET(self) -> None:
        is_red = os.environ.get("TOY_PING") == "red"
        self.answer(503 if is_red else 200, b"", "text/plain")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if body == b"die":
            os._exit(9)
        if body == b"sleep":
            time.sleep(30.0)
        if body.startswith(b"until "):
            wait_for(Path(body.removeprefix(b"until ").decode()))
        if body.startswith(b"status "):
            self.answer(int(body.split()[1]), b'{"error":"as asked"}', "application/json")
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        told = {
            "pid": os.getpid(),
            "caller": self.client_address[1],
            "version": os.environ.get("VERSION"),
            "model": seen(ROOT / "model"),
            "body": body.decode(),
            "headers": headers,
        }
        self.answer(200, json.dumps(told).encode(), "application/json")

    def answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Amzn-SageMaker-Custom-Attributes", "from the container")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, text: str, *values: object) -> None:
        print(text % values, flush=True)


def serve() -> None:
    if os.environ.get("TOY_SERVE") == "end":
        sys.exit("no model here")
    address = (os.environ["BIND_HOST"], int(os.environ["SAGEMAKER_BIND_TO_PORT"]))
    server = ThreadingHTTPServer(address, Handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.closing(server):
        server.serve_forever()


if __name__ == "__main__":
    command, *rest = sys.argv[1:]
    {"train": train, "serve": serve, "process": lambda: process(rest)}[command]()
