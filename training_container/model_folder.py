"""The model as a folder: trees, calibration, feature table and golden rows, so that serving needs nothing else."""

from __future__ import annotations

import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from insights.feature_table import FEATURE_NAMES, FEATURE_TABLE_HASH
from insights.preprocessing import Preprocessing
from training_container.errors import UnusableInput

FORMAT = 1
TREES, SPREAD_TREES, DESCRIPTION, GOLDEN, PREPROCESSING = (
    "model.ubj",
    "spread.ubj",
    "model.json",
    "golden.json",
    "preprocessing.json",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """model.json. temperature is set for risk, conformal_quantile for performance."""

    kind: str
    classes: tuple[str, ...]
    best_iteration: int
    hyperparameters: Mapping[str, Any]
    training_rows: int
    calibration_rows: int
    training_ranges: Mapping[str, Sequence[float | None]]
    temperature: float | None = None
    conformal_quantile: float | None = None
    feature_names: tuple[str, ...] = FEATURE_NAMES
    feature_table_hash: str = FEATURE_TABLE_HASH
    format: int = FORMAT

    def write(self, folder: Path) -> None:
        values = {**asdict(self), "package_versions": package_versions()}
        (folder / DESCRIPTION).write_text(json.dumps(values, indent=1, allow_nan=False) + "\n")

    @classmethod
    def read(cls, folder: Path) -> ModelDescription:
        """Raises UnusableInput for a folder that is no model or whose feature table is not this code's."""
        try:
            values = json.loads((folder / DESCRIPTION).read_text())
        except (OSError, ValueError) as error:
            raise UnusableInput(f"{folder} holds no model: {DESCRIPTION} cannot be read ({error})") from error
        if values.get("format") != FORMAT:
            raise UnusableInput(
                f"{folder}: model format {values.get('format')!r}, this code reads {FORMAT}; train again"
            )
        if values.get("feature_table_hash") != FEATURE_TABLE_HASH:
            raise UnusableInput(
                f"{folder}: the model was trained on another feature table ({values.get('feature_table_hash')!r}) than "
                f"this code computes ({FEATURE_TABLE_HASH}); serve it with the image that trained it, or train again"
            )
        values.pop("package_versions", None)
        return cls(**{**values, "classes": tuple(values["classes"]), "feature_names": tuple(values["feature_names"])})


def package_versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("xgboost-cpu", "xgboost", "numpy", "scikit-learn"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # of xgboost and xgboost-cpu one is installed
    return found


def write_golden(
    folder: Path, kind: str, rows: npt.NDArray[np.float32], predictions: Sequence[Mapping[str, Any]]
) -> None:
    """Rows with null for NaN, and what the model answered to them, without the reasons."""
    values = [[None if np.isnan(value) else float(value) for value in row] for row in rows]
    golden = {
        "kind": kind,
        "feature_names": FEATURE_NAMES,
        "rows": values,
        "predictions": [{k: v for k, v in p.items() if k != "contributions"} for p in predictions],
    }
    (folder / GOLDEN).write_text(json.dumps(golden, allow_nan=False) + "\n")


def read_golden(folder: Path) -> tuple[npt.NDArray[np.float32], list[dict[str, Any]]]:
    try:
        golden = json.loads((folder / GOLDEN).read_text())
        rows = [[np.nan if value is None else value for value in row] for row in golden["rows"]]
        return np.array(rows, np.float32), golden["predictions"]
    except (OSError, ValueError, KeyError) as error:
        raise UnusableInput(f"{folder}: {GOLDEN} cannot be read ({error}); train again") from error


def read_preprocessing(folder: Path) -> Preprocessing:
    """Medians and scales of the model's training rows, for consumers that need complete numbers."""
    try:
        return Preprocessing.from_json(json.loads((folder / PREPROCESSING).read_text()))
    except (OSError, ValueError, KeyError) as error:
        raise UnusableInput(f"{folder}: {PREPROCESSING} cannot be read ({error}); train again") from error


def extracted(model: Path, into: Path) -> Path:
    """The model folder itself, or the model.tar.gz given (or found in the folder given) extracted."""
    archive = model / "model.tar.gz" if model.is_dir() else model
    if not archive.is_file():
        return model
    with tarfile.open(archive) as tar:
        tar.extractall(into, filter="data")
    return into
