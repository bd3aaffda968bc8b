"""build/report/index.html: what one run did, with each model's evaluation report beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import jinja2

if TYPE_CHECKING:
    from local.cloud import LaptopCloud
    from local.run import RunRecord

TEMPLATE = Path(__file__).with_name("report.html.j2")


def write_report(cloud: LaptopCloud, record: RunRecord, folder: Path) -> Path:
    """Write the page and download the models' reports; a run that failed early gets the page it has."""
    folder.mkdir(parents=True, exist_ok=True)
    reports = {
        kind: _download(cloud, model.get("report"), folder / f"{kind}.html") for kind, model in record.models.items()
    }
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string(TEMPLATE.read_text()).render(
        record=record, reports=reports, steps=_bars(record.steps)
    )
    path = folder / "index.html"
    path.write_text(page)
    return path


def _download(cloud: LaptopCloud, uri: str | None, path: Path) -> str | None:
    path.unlink(missing_ok=True)
    if not uri:
        return None
    location = urlsplit(uri)
    cloud.client("s3").download_file(location.netloc, location.path.lstrip("/"), str(path))
    return path.name


def _bars(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    longest = max((step["seconds"] for step in steps), default=1.0) or 1.0
    return [{**step, "percent": 100 * step["seconds"] / longest} for step in steps]
