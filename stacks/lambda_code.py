"""The one bundle of every Lambda: lambdas/, insights/ and the libraries of lambdas/requirements.txt at its root."""

import json
import py_compile
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import jsii
from aws_cdk import aws_lambda as lambda_

ROOT = Path(__file__).parent.parent
_PACKAGES = ("lambdas", "insights")


class UnbundledLibrary(RuntimeError):
    """A library of lambdas/requirements.txt is not installed here as it must be deployed."""


def lambda_code() -> lambda_.Code:
    """The bundle as an asset; its hash is that of the sources, so the same sources deploy the same bundle.

    A Code belongs to one stack; CDK bundles once however many stacks ask for the same sources.
    """
    return lambda_.Code.from_asset(
        str(ROOT),
        # Folders that are not listed are neither hashed nor copied.
        exclude=["/*", *(f"!/{package}" for package in _PACKAGES), "__pycache__", "*.pyc"],
        ignore_mode=cdk.IgnoreMode.GIT,
        asset_hash_type=cdk.AssetHashType.SOURCE,
        bundling=cdk.BundlingOptions(
            image=cdk.DockerImage.from_registry("bundled-without-docker"),
            local=_CopiedSources(),
        ),
    )


@jsii.implements(cdk.ILocalBundling)
class _CopiedSources:
    """Copies sources and installed libraries, so that synthesis needs neither Docker nor a package index."""

    def try_bundle(self, output_dir: str, options: Any = None, **_: Any) -> bool:
        write_bundle(Path(output_dir))
        return True


def write_bundle(target: Path) -> None:
    for package in _PACKAGES:
        shutil.copytree(ROOT / package, target / package, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    for requirement in _requirements(ROOT / "lambdas" / "requirements.txt"):
        copy_library(requirement, target)
    compile_imported(target)


def _requirements(path: Path) -> list[str]:
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


def copy_library(requirement: str, target: Path) -> None:
    """Copies an installed pure-Python library and what it needs, in the version that `requirement` pins."""
    name, _, pinned = (part.strip() for part in requirement.partition("=="))
    try:
        library = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        raise UnbundledLibrary(f"{requirement} is not installed; run: pip install -r requirements.txt") from None
    if pinned and library.version != pinned:
        raise UnbundledLibrary(
            f"{name} {library.version} is installed, {pinned} is pinned; run: pip install -r requirements.txt"
        )
    # One bundle serves arm64 in AWS and whatever the laptop is: compiled code would fit only one of them. A library
    # that is published as compiled wheels but works without (its files then hold no .so) is fine.
    files = [file for file in library.files or [] if ".." not in file.parts and "__pycache__" not in file.parts]
    if compiled := [str(file) for file in files if file.suffix in (".so", ".pyd", ".dylib")]:
        raise UnbundledLibrary(f"{name} holds compiled code ({compiled[0]}) that fits one platform only")
    for file in files:
        destination = target / file
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(file.locate()), destination)
    for needed in library.requires or []:
        if "extra ==" not in needed:
            copy_library(re.split(r"[\s;<>=!~\[(]", needed, maxsplit=1)[0], target)


_IMPORT_HANDLERS = """
import importlib, json, pathlib, sys
root = pathlib.Path.cwd()
for path in sorted(root.glob("lambdas/*/handler.py")):
    importlib.import_module(f"lambdas.{path.parent.name}.handler")
files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
print(json.dumps(sorted({file for file in files if file and pathlib.Path(file).is_relative_to(root)})))
"""


def compile_imported(bundle: Path) -> None:
    """Bytecode beside each module of the bundle that importing some handler loads, a third of all: a cold function has
    nowhere to keep its own, and compiling them takes it over 100 ms (bench cold_lambda).

    It is this interpreter's. A runtime of another Python version passes over it and compiles, which costs that time
    again: `cdk deploy` under the runtime's version (stacks.functions) brings the bytecode that fits.
    """
    listed = subprocess.run(
        [sys.executable, "-B", "-c", _IMPORT_HANDLERS], cwd=bundle, capture_output=True, text=True, check=True
    )
    for file in json.loads(listed.stdout.splitlines()[-1]):
        # Unchecked: unpacking the zip gives the sources new times, by which Python would take the bytecode for stale.
        py_compile.compile(
            file,
            dfile=str(Path(file).relative_to(bundle.resolve())),
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
