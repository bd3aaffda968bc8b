"""Where a model is good and where it is not: the test rows by device class and by workload."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from insights.schema import WORKLOAD_TYPES
from training_container.split_file import Split

Mask = npt.NDArray[np.bool_]


def slices(test: Split, judge: Callable[[Mask], Mapping[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """`judge(mask)` of every slice that has rows, with its counts; "unknown" where the source did not say."""
    return {
        dimension: {
            name: {"rows": int(rows.sum()), "devices": len(np.unique(test.device[rows])), **judge(rows)}
            for name, rows in parts
        }
        for dimension, parts in (
            ("device_class", _parts(test.device_class, test.device_classes.tolist())),
            ("workload_type", _parts(test.workload, list(WORKLOAD_TYPES))),
        )
    }


def _parts(codes: npt.NDArray[Any], names: list[str]) -> Iterator[tuple[str, Mask]]:
    for code in np.unique(codes).tolist():
        yield names[code] if code >= 0 else "unknown", codes == code
