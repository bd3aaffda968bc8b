"""What engineer asks of an export's manifest: who labelled its rows, and what lies in which object."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from insights.formats import MANIFEST_FORMAT, NewerFormat, check_format
from training_container.errors import UnusableInput
from training_container.sagemaker_contract import read_json

MANIFEST: Final = "manifest.json"


@dataclass(frozen=True, slots=True)
class ExportManifest:
    content: Mapping[str, Any]
    sha256: str

    @classmethod
    def find(cls, *folders: Path) -> Self | None:
        """Of the first folder that has one; a source of plain files has none."""
        for folder in folders:
            path = folder / MANIFEST
            if path.is_file():
                content = read_json(path)
                if not isinstance(content, dict):
                    raise UnusableInput(f"{path} is no manifest (an object); export again, or leave it out")
                try:
                    check_format(content, str(path), newest=MANIFEST_FORMAT)
                except NewerFormat as newer:
                    raise UnusableInput(str(newer)) from newer
                return cls(content, hashlib.sha256(path.read_bytes()).hexdigest())
        return None

    @property
    def is_labelled_by_source(self) -> bool | None:
        """None where it does not say. It knows labels that came later from those that came with their rows."""
        labelled = self.content.get("labelled_by_source")
        return None if labelled is None else bool(labelled)

    @property
    def rows(self) -> int:
        return int(self.content.get("rows", 0))

    def check_shard(self, objects: Mapping[str, int], devices: Collection[str]) -> None:
        """UnusableInput unless these objects, read by one instance of several, hold all rows of their devices."""
        crossing = self.content.get("devices_in_several_objects")
        if crossing is None:
            raise UnusableInput(
                "the manifest does not say that each object holds whole devices (devices_in_several_objects), which "
                "several instances need; export again, or engineer with one instance"
            )
        named = {str(found["device_id"] if isinstance(found, dict) else found) for found in _listed(crossing)}
        if (isinstance(crossing, int) and crossing > 0) or (named & set(devices)):
            which = f"device {min(named & set(devices))!r}" if named else f"{crossing} devices"
            raise UnusableInput(
                f"the manifest has {which} in several objects, of which this instance may hold some only; "
                "let the export regroup them, or engineer with one instance"
            )
        said = {entry["key"].rpartition("/")[2]: entry["rows"] for entry in self.content.get("objects", [])}
        for name, rows in objects.items():
            if said.get(name.rpartition("/")[2], rows) != rows:
                raise UnusableInput(f"{name} holds {rows} insights, but the manifest has {said[name]}; export again")


def _listed(crossing: Any) -> list[Any]:
    return crossing if isinstance(crossing, list) else []
