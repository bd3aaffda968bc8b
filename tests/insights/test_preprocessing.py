import json
import math

import numpy as np
import pytest

from insights.feature_table import FEATURE_NAMES
from insights.preprocessing import Preprocessing, feature_statistics


def rows(*first: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Rows whose first feature has these values, whose last is always missing, and whose others are 7."""
    values = np.full((len(first), 25), 7.0)
    values[:, 0] = first
    values[:, -1] = math.nan
    return values


def test_medians_fill_gaps_and_scales_are_of_the_filled_rows() -> None:
    fitted = Preprocessing.fit(rows(1.0, math.nan, 3.0, 8.0))
    assert fitted.median[[0, 1, 24]].tolist() == [3.0, 7.0, 0.0]
    assert fitted.mean[0] == 3.75  # 1, 3, 3, 8
    assert fitted.deviation[[0, 1]].tolist() == pytest.approx([math.sqrt(26.75 / 4), 1.0])
    scaled = fitted.transform(rows(math.nan, 3.75))
    assert scaled[:, 0].tolist() == pytest.approx([-0.75 / math.sqrt(26.75 / 4), 0.0])
    assert not np.isnan(scaled).any()
    assert (scaled[:, 1:] == 0).all()


def test_it_survives_json_and_refuses_another_feature_table() -> None:
    fitted = Preprocessing.fit(rows(1.0, 2.0))
    stored = json.loads(json.dumps(fitted.to_json()))
    again = Preprocessing.from_json(stored)
    np.testing.assert_array_equal(again.transform(rows(5.0)), fitted.transform(rows(5.0)))
    with pytest.raises(ValueError, match="another feature table"):
        Preprocessing.from_json(stored | {"feature_names": list(reversed(FEATURE_NAMES))})


def test_statistics_count_what_is_missing_and_describe_the_rest() -> None:
    described = feature_statistics(rows(1.0, math.nan, 3.0, 8.0))
    assert list(described) == list(FEATURE_NAMES)
    assert described["read_iops"] | {"p50": 3.0, "count": 3, "missing": 1, "mean": 4.0} == described["read_iops"]
    assert described["read_iops"]["std"] == pytest.approx(math.sqrt(26 / 3))  # of 1, 3 and 8
    assert (described["read_iops"]["minimum"], described["read_iops"]["maximum"]) == (1.0, 8.0)
    assert described["efficiency_ratio"]["count"] == 0
    assert described["efficiency_ratio"]["mean"] is None
    json.dumps(described, allow_nan=False)


def test_no_rows_a_wrong_shape_and_infinity_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^no training rows: medians and scales need at least one$"):
        Preprocessing.fit(np.empty((0, 25)))
    with pytest.raises(ValueError, match=r"\(2, 24\)"):
        Preprocessing.fit(np.zeros((2, 24)))
    with pytest.raises(ValueError, match="read_iops is infinite"):
        feature_statistics(rows(math.inf))
    infinite = np.zeros((2, 25))
    infinite[:, 1:4] = math.inf
    with pytest.raises(ValueError, match="feature write_iops is infinite"):
        feature_statistics(infinite)
    assert feature_statistics(np.empty((0, 25)))["read_iops"]["count"] == 0
