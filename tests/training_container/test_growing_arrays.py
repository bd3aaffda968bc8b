from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training_container.growing_arrays import GrowingArrays


def test_what_was_appended_in_parts_is_read_as_one(tmp_path: Path):
    grown, whole = GrowingArrays(tmp_path), np.arange(60, dtype=np.float32).reshape(20, 3)
    for part in np.split(whole, [0, 7, 8]):
        grown.append("rows", part)
    grown.append("none", np.empty(0, np.int8))
    np.testing.assert_array_equal(grown.read("rows"), whole)
    assert grown.read("rows").dtype == np.float32
    assert (grown.read("none").shape, grown.read("none").dtype) == ((0,), np.int8)


@pytest.mark.parametrize("other", [np.zeros((2, 3)), np.zeros((2, 4), np.float32)])
def test_rows_of_another_type_or_width_are_refused(tmp_path: Path, other: np.ndarray):
    grown = GrowingArrays(tmp_path)
    grown.append("rows", np.zeros((1, 3), np.float32))
    with pytest.raises(ValueError, match="rows grows by rows of"):
        grown.append("rows", other)
