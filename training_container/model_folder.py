"""The model as a folder: trees, calibration, feature table and golden rows, so that serving needs nothing else."""

from __future__ import annotations

import json
import platform
import sys
import tarfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from insights.feature_table import FEATURE_NAMES, FEATURE_TABLE_HASH
from insights.formats import check_format
from insights.preprocessing import Preprocessing
from insights.schema import shown
from training_container.errors import UnusableInput

FORMAT = 1
TREES, SPREAD_TREES, DESCRIPTION, GOLDEN, PREPROCESSING = (
    "model.ubj",
    "spread.ubj",
    "model.json",
    "golden.json",
    "preprocessing.json",
)


def package_versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("xgboost-cpu", "xgboost", "numpy", "scikit-learn", "numba"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # of xgboost and xgboost-cpu one is installed
    return found


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
    package_versions: Mapping[str, str] = field(default_factory=package_versions)
    format: int = FORMAT

    def write(self, folder: Path) -> None:
        (folder / DESCRIPTION).write_text(json.dumps(asdict(self), indent=1, allow_nan=False) + "\n")

    @classmethod
    def read(cls, folder: Path) -> ModelDescription:
        """UnusableInput for a folder that is no model, a damaged one, or one of another feature table than this code's."""
        try:
            values = json.loads((folder / DESCRIPTION).read_text())
        except (OSError, ValueError, RecursionError) as error:
            raise UnusableInput(f"{folder} holds no model: {DESCRIPTION} cannot be read ({error})") from error
        if not isinstance(values, dict):
            raise UnusableInput(f"{folder}: {DESCRIPTION} holds no object; train again")
        if values.get("format") != FORMAT:
            raise UnusableInput(
                f"{folder}: model format {shown(values.get('format'))}, "
                f"this code reads {FORMAT}; train again, or serve it with the image that trained it"
            )
        damage = _damage(values)
        if damage:
            raise UnusableInput(f"{folder}: {DESCRIPTION} is damaged, {damage}; train again")
        difference = table_difference(values["feature_names"], values["feature_table_hash"])
        if difference:
            raise UnusableInput(
                f"{folder}: the model was trained on another feature table, {difference}; "
                "serve it with the image that trained it, or train again"
            )
        return cls(**{**values, "classes": tuple(values["classes"]), "feature_names": tuple(values["feature_names"])})


def table_difference(names: Sequence[str], table_hash: str) -> str:
    """Empty where a model's feature table is this code's, else the first feature that differs."""
    for position, (found, expected) in enumerate(zip_longest(names, FEATURE_NAMES), start=1):
        if found != expected:
            return (
                f"feature {position} is {(found or 'missing')[:80]} in the model and {expected or 'none'} in this code"
            )
    if table_hash != FEATURE_TABLE_HASH:
        return (
            "of the same names but other definitions (units, ranges, meanings or window): its hash is "
            f"{shown(table_hash)}, this code's is {FEATURE_TABLE_HASH!r}"
        )
    return ""


def _damage(values: Mapping[str, Any]) -> str:
    """Empty, or what is wrong with the first field that is missing, unknown or no value of its type."""
    unknown = values.keys() - _FIELDS.keys()
    if unknown:
        return f"{min(unknown)[:80]} is no field of it"
    for name, (rule, holds) in _FIELDS.items():
        if name not in values:
            return f"{name} is missing"
        if not holds(values[name]):
            return f"{name} is {_as_json(values[name])}, it must be {rule}"
    needed = "temperature" if values["kind"] == "risk" else "conformal_quantile"
    return f"{needed} is null, a {values['kind']} model needs it" if values[needed] is None else ""


def _as_json(value: Any) -> str:
    try:
        return json.dumps(value)[:80]
    except RecursionError:
        return shown(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is_count(value: Any) -> bool:
    return _is_number(value) and value == int(value) and value >= 0


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _is_range(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 2:
        return False
    return value == [None, None] or (all(map(_is_number, value)) and value[0] <= value[1])


def _is_ranges(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_range, value.values()))


_FIELDS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "format": ("a count", _is_count),
    "kind": ("risk or performance", lambda value: value in ("risk", "performance")),
    "classes": ("a list of names, at least one", lambda value: _is_texts(value) and len(value) > 0),
    "best_iteration": ("a count", _is_count),
    "hyperparameters": ("an object", lambda value: isinstance(value, dict)),
    "training_rows": ("a count", _is_count),
    "calibration_rows": ("a count", _is_count),
    "feature_names": ("a list of names", _is_texts),
    "feature_table_hash": ("a text", lambda value: isinstance(value, str)),
    "training_ranges": ("[smallest, largest] or [null, null] of each feature", _is_ranges),
    "package_versions": ("an object", lambda value: isinstance(value, dict)),
    "temperature": ("a number above 0, or null", lambda value: value is None or (_is_number(value) and value > 0)),
    "conformal_quantile": (
        "a number of 0 or more, or null",
        lambda value: value is None or (_is_number(value) and value >= 0),
    ),
}


def write_golden(
    folder: Path, kind: str, rows: npt.NDArray[np.float32], predictions: Sequence[Mapping[str, Any]]
) -> None:
    """Rows with null for NaN, and what the model answered to them, without the reasons."""
    values = [[None if np.isnan(value) else float(value) for value in row] for row in rows]
    golden = {
        "format": FORMAT,
        "kind": kind,
        "feature_names": FEATURE_NAMES,
        "rows": values,
        "predictions": [{k: v for k, v in p.items() if k != "contributions"} for p in predictions],
    }
    (folder / GOLDEN).write_text(json.dumps(golden, allow_nan=False) + "\n")


# What a JSON file raises that is no JSON, too deep, or of another shape than its reader takes.
_NOT_THAT = (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)


def read_golden(folder: Path) -> tuple[npt.NDArray[np.float32], list[dict[str, Any]]]:
    """The rows, (n, 25), and what the model answered to each at training; UnusableInput where that is not what is there."""
    try:
        golden = json.loads((folder / GOLDEN).read_text())
        check_format(golden, GOLDEN)
        rows = np.array([[np.nan if v is None else v for v in row] for row in golden["rows"]], np.float32)
        predictions, names = list(golden["predictions"]), tuple(golden["feature_names"])
    except _NOT_THAT as error:
        raise UnusableInput(f"{folder}: {GOLDEN} cannot be read ({shown(error, 300)}); train again") from error
    if names != FEATURE_NAMES or rows.shape != (len(rows), len(FEATURE_NAMES)) or len(rows) == 0:
        raise UnusableInput(
            f"{folder}: {GOLDEN} holds rows of the shape {rows.shape}; at least one of {len(FEATURE_NAMES)} features in the "
            "table's order is needed, train again"
        )
    if len(predictions) != len(rows) or not all(isinstance(answer, dict) for answer in predictions):
        raise UnusableInput(f"{folder}: {GOLDEN} has not one answer for each of its {len(rows)} rows; train again")
    return rows, predictions


def read_preprocessing(folder: Path) -> Preprocessing:
    """Medians and scales of the model's training rows, for consumers that need complete numbers."""
    try:
        values = json.loads((folder / PREPROCESSING).read_text())
        check_format(values, PREPROCESSING)
        return Preprocessing.from_json(values)
    except _NOT_THAT as error:
        raise UnusableInput(f"{folder}: {PREPROCESSING} cannot be read ({shown(error, 300)}); train again") from error


def extracted(model: Path, into: Path) -> Path:
    """The model folder itself, or the model.tar.gz given (or found in the folder given) extracted."""
    archive = model / "model.tar.gz" if model.is_dir() else model
    if not archive.is_file():
        return model
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(into, filter="data")
    except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError, zlib.error) as error:
        raise UnusableInput(f"{archive} is no archive of a model ({shown(error, 300)}); train again") from error
    return into
