"""The fast way from plain CSV to feature rows: digits, commas and line ends, each value within its feature's range.

Like window_reader, it leaves whatever is not certain to the thorough way.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from insights.feature_kernels import LARGEST_FLOAT32
from insights.feature_table import FEATURE_NAMES, FEATURES

_PLAIN: Final = b"0123456789.,+-eE\n"
_HEADER: Final = ",".join(FEATURE_NAMES).encode() + b"\n"
_LOWEST: Final = np.array([max(feature.minimum, -LARGEST_FLOAT32) for feature in FEATURES])
_HIGHEST: Final = np.array([min(feature.maximum, LARGEST_FLOAT32) for feature in FEATURES])


def plain_rows(body: bytes, *, most: int) -> npt.NDArray[np.float32] | None:
    """(n, 25) rows, 1 <= n <= most; None where the text is not certainly that."""
    text = body.replace(b"\r\n", b"\n").removeprefix(_HEADER)
    if text.translate(None, _PLAIN):
        return None
    lines = [line.split(b",") for line in text.split(b"\n") if line]
    if not 1 <= len(lines) <= most or any(len(line) != len(FEATURE_NAMES) for line in lines):
        return None
    try:
        cells = [float(cell) if cell else math.nan for line in lines for cell in line]
    except ValueError:
        return None
    rows = np.array(cells).reshape(len(lines), -1)
    if ((rows < _LOWEST) | (rows > _HIGHEST)).any():
        return None
    return rows.astype(np.float32)
