"""The licence of everything that runs: `python -m tests.licences docs/licences.md` writes the list from what is installed.

As it would be on Linux x86-64 with Python 3.13, the image's and the Lambdas' platform, whatever this machine is.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PLATFORM = {
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "os_name": "posix",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "python_version": "3.13",
    "python_full_version": "3.13.9",
    "extra": "",
}
CLASSIFIER = "License :: OSI Approved :: "
TITLE = """# Licences

What runs in the image, the Lambdas, the browser and on a laptop, with what it needs itself; tools of tests and lint are left
out. Written by `make licences` from the packages' own metadata; a test fails when it is out of date. Several, with a comma
between them, are what a package lists: some are a choice, some hold for parts. The image stands on the base that
`training_container/Dockerfile` names: Python (PSF-2.0) and Debian's packages, whose licences are in
`/usr/share/doc/*/copyright` there. Lambda's runtime brings boto3 (Apache-2.0) along.
"""


def main(target: str) -> None:
    Path(target).write_text(licences())


def licences() -> str:
    groups = {
        "Image": python_packages(_requirements(ROOT / "training_container" / "requirements.txt")),
        "Lambdas": python_packages(_requirements(ROOT / "lambdas" / "requirements.txt")),
        "Page": npm_packages("dependencies"),
        "Laptop and deployment": [*python_packages(_for_the_laptop()), *npm_packages("devDependencies")],
    }
    return TITLE + "".join(_table(name, rows) for name, rows in groups.items())


def _table(name: str, rows: Iterable[tuple[str, str, str]]) -> str:
    lines = [f"| {package} | {version} | {licence} |" for package, version, licence in sorted(set(rows))]
    return f"\n## {name}\n\n| package | version | licence |\n|---|---|---|\n" + "\n".join(lines) + "\n"


def python_packages(requirements: Iterable[Requirement]) -> list[tuple[str, str, str]]:
    """These and, transitively, what they need on the platform."""
    found: dict[str, metadata.Distribution] = {}
    waiting = [one for one in requirements if _applies(one)]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name not in found:
            found[name] = metadata.distribution(requirement.name)
            needed = map(Requirement, found[name].requires or [])
            waiting += [one for one in needed if _applies(one, requirement.extras)]
    return [(name, one.version, licence_of(one)) for name, one in found.items()]


def _applies(requirement: Requirement, extras: Iterable[str] = ()) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**PLATFORM, "extra": extra}) for extra in ("", *extras))


def licence_of(one: metadata.Distribution) -> str:
    """The SPDX expression where there is one; else the classifiers', else the first line that the field says."""
    told = dict(one.metadata.items())
    if "License-Expression" in told:
        return told["License-Expression"]
    classifiers = one.metadata.get_all("Classifier") or []
    named = [text.removeprefix(CLASSIFIER) for text in classifiers if text.startswith(CLASSIFIER)]
    said = told.get("License", "").strip().partition("\n")[0]
    return ", ".join(named) or said or "unknown"


def _requirements(path: Path) -> Iterator[Requirement]:
    for line in path.read_text().splitlines():
        text = line.partition("#")[0].strip()
        if text and not text.startswith("-"):
            yield Requirement(text)


def _for_the_laptop() -> list[Requirement]:
    """The sections of requirements.txt before those of the tests."""
    text = (ROOT / "requirements.txt").read_text()
    sections = re.split(r"^# (.+)$", text, flags=re.MULTILINE)
    wanted = dict(zip(sections[1::2], sections[2::2], strict=True))
    lines = [
        line.partition("#")[0].strip() for name in ("deploy", "laptop cloud") for line in wanted[name].splitlines()
    ]
    return [Requirement(line) for line in lines if line]


def npm_packages(kind: str) -> list[tuple[str, str, str]]:
    names = json.loads((ROOT / "package.json").read_text())[kind]
    found = [json.loads((ROOT / "node_modules" / name / "package.json").read_text()) for name in names]
    return [(one["name"], one["version"], one["license"]) for one in found]


if __name__ == "__main__":
    main(sys.argv[1])
