"""The container image without Docker: its own Dockerfile built over a Debian base, and what its commands do inside.

No registry of images is needed: `debootstrap` makes the base (Debian's Python of the same minor version stands in for
python:3.13-slim), `buildah` builds the Dockerfile and runs commands in a chroot. Needs root and both tools
(apt-get install buildah debootstrap); PyPI and Debian are reached as usual. Under build/image: base, layers, jobs' folders.
Printed: what was built, the largest packages, and each check with its seconds; ends with 1 where a check failed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.material.table import keep, show
from local.sagemaker.ports import free_port

FOLDER = Path("build/image").resolve()
SUITE, MIRROR = "trixie", "http://deb.debian.org/debian"  # the Dockerfile's Debian, whose Python is 3.13
BASE_PACKAGES = "python3,python3-venv,python-is-python3,ca-certificates"
DOCKERFILE = Path("training_container/Dockerfile")
BASE_TAG = "3.13-debian"
IMAGE = "iops-insights"
# How this machine reaches the package index, as read-only mounts of the build alone; none of it stays in the image.
PACKAGE_INDEX_PATHS = ("/etc/ssl/certs", "/etc/pip.conf", "/etc/xdg/pip")
RECORDS = 10_000
READY_SECONDS = 120


class CheckFailed(RuntimeError):
    """The image does not do what it is for; the message is the check's."""


@dataclass(frozen=True)
class Buildah:
    """buildah with its layers below the folder; chroot isolation needs no namespaces, vfs no overlay file system."""

    folder: Path

    def __call__(self, *arguments: str) -> str:
        return subprocess.run(self.command(*arguments), check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def command(self, *arguments: str) -> list[str]:
        places = ["--root", str(self.folder / "layers"), "--runroot", str(self.folder / "run")]
        return ["buildah", *places, "--storage-driver", "vfs", *arguments]


def main() -> None:
    if missing := [tool for tool in ("buildah", "debootstrap") if shutil.which(tool) is None]:
        sys.exit(f"{' and '.join(missing)} not found; as root: apt-get install buildah debootstrap")
    if os.getuid() != 0:
        sys.exit("a chroot needs root; run this as root, or build the image with Docker")
    os.environ["BUILDAH_ISOLATION"] = "chroot"
    buildah, timed = Buildah(FOLDER), []
    timed.append(timing("base", lambda: make_base(buildah)))
    timed.append(timing("build", lambda: build(buildah)))
    container = buildah("from", IMAGE)
    try:
        sizes = measure(Path(buildah("mount", container)))
        timed += run_checks(buildah, container)
    finally:
        buildah("rm", container)
    show("The image over its base, MB", [sizes["image"]])
    show("Its largest packages, MB", sizes["packages"])
    show("Built and checked", timed)
    keep("image", {**sizes, "steps": timed})


def timing(step: str, work: Callable[[], str]) -> dict[str, Any]:
    started = time.monotonic()
    found = work()
    return {"step": step, "seconds": time.monotonic() - started, "found": found}


def make_base(buildah: Buildah) -> str:
    tree = FOLDER / "base"
    if not (tree / "usr/bin/python").exists():
        shutil.rmtree(tree, ignore_errors=True)
        FOLDER.mkdir(parents=True, exist_ok=True)
        # No cache of packages stays in the base, as in the slim images.
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={BASE_PACKAGES}", SUITE, str(tree), MIRROR],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        for cache in (tree / "var/cache/apt/archives").glob("*.deb"):
            cache.unlink()
    container = buildah("from", "scratch")
    buildah("add", "--quiet", container, str(tree), "/")
    buildah("commit", "--quiet", "--rm", container, f"docker.io/library/python:{BASE_TAG}")
    return f"Debian {SUITE}, Python {python_version(tree)}"


def python_version(tree: Path) -> str:
    told = subprocess.run(["chroot", str(tree), "python", "--version"], check=True, capture_output=True, text=True)
    return told.stdout.split()[-1]


def build(buildah: Buildah) -> str:
    mounts = [f"--volume={path}:{path}:ro" for path in PACKAGE_INDEX_PATHS if Path(path).exists()]
    ignore = f"--ignorefile={DOCKERFILE}.dockerignore"
    arguments = [f"--build-arg=PYTHON={BASE_TAG}", ignore, *mounts, "--tag", IMAGE, "--file", str(DOCKERFILE), "."]
    buildah("build", "--quiet", *arguments)
    return "every step of the Dockerfile"


def measure(tree: Path) -> dict[str, Any]:
    packages = {path.name: megabytes(path) for path in next(tree.glob("opt/venv/lib/python3*/site-packages")).iterdir()}
    largest = sorted(packages, key=lambda name: packages[name], reverse=True)[:10]
    whole, own = megabytes(tree), megabytes(tree / "opt")
    return {
        "image": {"whole": whole, "base": whole - own, "libraries": megabytes(tree / "opt/venv"), "own": own},
        "packages": [{"package": name, "mb": packages[name]} for name in largest],
    }


def megabytes(path: Path) -> float:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file() and not file.is_symlink()]
    return sum(file.stat().st_size for file in files) / 1e6


def run_checks(buildah: Buildah, container: str) -> list[dict[str, Any]]:
    """The container's commands as a job or an endpoint starts them, /opt/ml outside the image as SageMaker's volumes are."""
    ml = FOLDER / "ml"
    shutil.rmtree(ml, ignore_errors=True)
    ml.mkdir()
    inside = Inside(buildah, container, ml)
    return [
        timing("no build tools", inside.lacks_build_tools),
        timing("generate", lambda: inside.command("generate", "--records", str(RECORDS), "--output", "/opt/ml/raw")),
        timing(
            "engineer", lambda: inside.command("engineer", "--input", "/opt/ml/raw", "--output", "/opt/ml/features")
        ),
        timing("train", inside.train),
        timing("serve", inside.serve),
        timing("compiled once", inside.compiles_nothing),
    ]


@dataclass(frozen=True)
class Inside:
    buildah: Buildah
    container: str
    ml: Path

    def arguments(self, *command: str, environment: Sequence[str] = ()) -> list[str]:
        given = [f"--env={assignment}" for assignment in environment]
        mount = f"--volume={self.ml}:/opt/ml:rw"
        return self.buildah.command("run", "--isolation=chroot", mount, *given, self.container, "--", *command)

    def run(self, *command: str) -> str:
        ended = subprocess.run(self.arguments(*command), check=False, capture_output=True, text=True)
        if ended.returncode:
            raise CheckFailed(f"{' '.join(command)} ended with {ended.returncode}: {ended.stderr.strip()[-600:]}")
        return ended.stdout.strip()

    def command(self, *arguments: str) -> str:
        told = self.run("python", "-m", "training_container", *arguments).splitlines()
        return next((line for line in reversed(told) if "=" in line), "done")

    def lacks_build_tools(self) -> str:
        """None came with the libraries; what the base has is the base's."""
        found = self.run("sh", "-c", "ls /opt/venv/bin; command -v gcc cc make || true").split()
        if tools := {"pip", "pip3", "gcc", "cc", "make"} & {Path(name).name for name in found}:
            raise CheckFailed(f"the image holds {', '.join(sorted(tools))}")
        return "no pip in the environment, no compiler"

    def train(self) -> str:
        """By SageMaker's contract: channels and hyperparameters below /opt/ml, `train` alone as the command."""
        for name in ("train", "validation", "calibration"):
            channel = self.ml / "input/data" / name
            channel.mkdir(parents=True)
            shutil.copy(self.ml / f"features/columnar/{name}.npz", channel)
        config = self.ml / "input/config"
        config.mkdir(parents=True)
        (config / "hyperparameters.json").write_text(json.dumps({"kind": "risk", "num_round": "50", "seed": "7"}))
        return self.command("train")

    def serve(self) -> str:
        port = free_port()
        with self.started("python", "-m", "training_container", "serve", "--port", str(port)) as server:
            await_green(f"http://127.0.0.1:{port}/ping", server)
            golden = json.loads((self.ml / "model/golden.json").read_text())
            rows = "\n".join(",".join("" if x is None else repr(x) for x in row) for row in golden["rows"])
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/invocations", rows.encode(), {"Content-Type": "text/csv"}
            )
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - the loopback address above
                answers = json.load(answer)
        return f"/ping green, {len(answers['predictions'])} golden rows answered"

    def compiles_nothing(self) -> str:
        """The kernels that the build compiled are those that a command takes, whatever the CPU that built them."""
        listing = ("sh", "-c", "find /opt/program/.numba -type f | sort | xargs sha256sum")
        before = self.run(*listing)
        self.run("python", "-c", "from insights import features; features.warm_up()")
        if self.run(*listing) != before:
            raise CheckFailed("a command compiled kernels again; the build's cache was not taken")
        return f"{len(before.splitlines())} files of machine code, unchanged"

    @contextmanager
    def started(self, *command: str) -> Iterator[subprocess.Popen[bytes]]:
        server = subprocess.Popen(self.arguments(*command), start_new_session=True)
        try:
            yield server
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(timeout=30)


def await_green(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310 - the caller's loopback address
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    raise CheckFailed(f"{address} was not green within {READY_SECONDS} s")
