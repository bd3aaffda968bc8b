"""The page as it is deployed: dashboard/ with the charting library beside it, and the headers it is served with."""

import json
import shutil
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import jsii
from aws_cdk import aws_s3_deployment as s3_deployment

ROOT = Path(__file__).parent.parent
_PAGE = ROOT / "dashboard"
_HEADERS = _PAGE / "headers.json"  # read here and by local/dashboard.py, so that the laptop's page is as restricted
_UPLOT = ROOT / "node_modules" / "uplot"
_UPLOT_FILES = ("dist/uPlot.iife.min.js", "dist/uPlot.min.css", "LICENSE")


class PageNotInstalled(RuntimeError):
    """A file of the page comes from npm and is not there."""


def page_headers(*, connect: list[str]) -> dict[str, str]:
    """`connect`: the origins beside the page's own that it may talk to."""
    headers: dict[str, str] = json.loads(_HEADERS.read_text())
    return {name: value.replace("{connect}", " ".join(connect)) for name, value in headers.items()}


def page_source() -> s3_deployment.ISource:
    return s3_deployment.Source.asset(
        str(_PAGE),
        asset_hash_type=cdk.AssetHashType.OUTPUT,  # the library lies outside the folder and counts too
        bundling=cdk.BundlingOptions(
            image=cdk.DockerImage.from_registry("bundled-without-docker"), local=_CopiedPage()
        ),
    )


@jsii.implements(cdk.ILocalBundling)
class _CopiedPage:
    def try_bundle(self, output_dir: str, options: Any = None, **_: Any) -> bool:
        target = Path(output_dir)
        shutil.copytree(_PAGE, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(_HEADERS.name))
        (target / "uplot").mkdir()
        for name in _UPLOT_FILES:
            if not (_UPLOT / name).is_file():
                raise PageNotInstalled(f"uPlot's {name} is not installed; run: make setup")
            shutil.copyfile(_UPLOT / name, target / "uplot" / Path(name).name)
        return True
