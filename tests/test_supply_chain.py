"""What is installed is what was locked, by its hash; and its licences are listed."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.licences import licences

ROOT = Path(__file__).resolve().parents[1]
LOCKS = {
    "requirements.lock": "requirements.txt",
    "training_container/requirements.lock": "training_container/requirements.txt",
}
ON_LINUX = sys.platform == "linux" and platform.machine() == "x86_64"


class Locked(NamedTuple):
    requirement: Requirement
    hashes: list[str]

    @property
    def version(self) -> str:
        [one] = self.requirement.specifier
        return one.version if one.operator == "==" else ""


def locked(path: str) -> list[Locked]:
    entries = re.split(r"\n(?=\S)", (ROOT / path).read_text().strip())
    found = []
    for entry in entries:
        what, *hashes = re.split(r"\s*\\?\n\s+--hash=", entry)
        found.append(Locked(Requirement(what.removesuffix("\\").strip()), hashes))
    return found


def required(path: str) -> Iterator[Requirement]:
    """Of a file and of those that it names with -r."""
    for line in (ROOT / path).read_text().splitlines():
        text = line.partition("#")[0].strip()
        if text.startswith("-r "):
            yield from required(text.removeprefix("-r "))
        elif text:
            yield Requirement(text)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_one_version_and_its_hashes(lock: str) -> None:
    found = locked(lock)
    assert len(found) > 20
    for one in found:
        assert one.version, one.requirement
        assert one.hashes, one.requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", text) for text in one.hashes), one.requirement


@pytest.mark.parametrize(("lock", "source"), LOCKS.items())
def test_a_lock_holds_what_its_requirements_pin(lock: str, source: str) -> None:
    """`make lock` was forgotten where this fails."""
    versions = {canonicalize_name(one.requirement.name): one.version for one in locked(lock)}
    pinned = {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in required(source)}
    assert {name: versions.get(name) for name in pinned} == pinned


def test_the_locks_and_the_constraints_name_the_same_versions() -> None:
    constraints = {
        canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in required("constraints.txt")
    }
    for lock in LOCKS:
        for one in locked(lock):
            name = canonicalize_name(one.requirement.name)
            # What only other platforms need was never installed where the constraints were written.
            assert one.version == constraints.get(name, one.version), name
            assert name in constraints or one.requirement.marker is not None, name


def test_what_is_installed_here_is_what_is_locked() -> None:
    for one in locked("requirements.lock"):
        if one.requirement.marker is None or one.requirement.marker.evaluate():
            assert metadata.version(one.requirement.name) == one.version, one.requirement.name


def test_setup_and_image_install_by_hash() -> None:
    for path in ("Makefile", "training_container/Dockerfile"):
        installed = set(re.findall(r"pip (?:--python \S+ )?install .*-r \S+", (ROOT / path).read_text()))
        by_hash = {command for command in installed if "--require-hashes" in command and command.endswith(".lock")}
        assert by_hash, path
        # The fuzzer is nobody's set-up: its one package is pinned by version.
        assert all(command.endswith("tests/fuzz/requirements.txt") for command in installed - by_hash), path


def test_every_npm_package_has_the_hash_of_its_tarball() -> None:
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    fetched = {name: one for name, one in packages.items() if name}
    assert {"node_modules/aws-cdk", "node_modules/uplot"} <= set(fetched)
    assert [name for name, one in fetched.items() if not one.get("integrity", "").startswith("sha512-")] == []
    assert "npm-cli.js ci " in (ROOT / "Makefile").read_text()


def test_the_cdk_of_the_environment_is_the_pinned_one() -> None:
    pinned = json.loads((ROOT / "package.json").read_text())["devDependencies"]["aws-cdk"]
    cdk = Path(sys.executable).parent / "cdk"
    said = subprocess.run([cdk, "--version"], check=True, capture_output=True, text=True, env={}).stdout
    assert said.split()[0] == pinned


@pytest.mark.skipif(not ON_LINUX, reason="the list is that of the image's platform, whose packages are installed there")
def test_the_list_of_licences_is_what_make_licences_writes() -> None:
    written = (ROOT / "docs" / "licences.md").read_text()
    assert written == licences()
    assert "unknown" not in written
    # A copyleft licence may be fine for a tool; nothing that is shipped or linked has one without a decision.
    assert re.findall(r"\| [\w.-]*GPL[\w.-]* ", written) == []
