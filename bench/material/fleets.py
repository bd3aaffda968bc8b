"""Synthetic fleets as the workflow's own code engineers them, kept below build/ so that a second bench finds them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import insights
import training_container
from insights.generator import GOOD
from insights.splits import SPLITS
from training_container.engineer import Source, engineer
from training_container.generate import generate_files
from training_container.merge import Choices
from training_container.split_file import Split

KEPT = Path("build/bench/fleets")


def fleet(records: int, seed: int, *, futures: int = 0, split: str = "device") -> Path:
    """The features folder of a generated fleet."""
    folder = KEPT / f"{_code()}-{records}-{seed}-{futures}-{split}"
    if not (folder / "features" / "engineer.json").is_file():
        generate_files(
            records=records, seed=seed, output=folder / "raw", by_hand=False, collector=GOOD, futures=futures
        )
        engineer(Source(folder / "raw"), folder / "features", Choices(split=split))
    return folder / "features"


def splits_of(features: Path) -> dict[str, Split]:
    return {name: Split.read(features / "columnar", name) for name in SPLITS}


def whole(splits: Mapping[str, Split]) -> Split:
    """Every labelled row of a fleet that trained nothing."""
    return Split.concatenate([splits[name] for name in SPLITS])


def _code() -> str:
    """Fleets of other code are other fleets."""
    folders = (Path(str(insights.__file__)).parent, Path(str(training_container.__file__)).parent)
    texts = [path.read_bytes() for folder in folders for path in sorted(folder.glob("*.py"))]  # not evaluation/
    return hashlib.sha256(b"".join(texts)).hexdigest()[:12]
