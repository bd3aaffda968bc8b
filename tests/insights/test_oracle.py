from pathlib import Path

import numpy as np
import pytest

from insights.generator import Cohort, generate_cohorts
from insights.label_rule import CRITICAL, LOW
from insights.labels import persistence
from insights.oracle import Foretold, HiddenState, foretell


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    [cohort] = generate_cohorts(10_000, 7)
    return cohort


def state(**known: object) -> HiddenState:
    """A calm NVMe device in the middle of its day, but for what is known."""
    calm = {
        "device_class": np.zeros(1, np.int32),
        "calm": np.full(1, 0.38),
        "swing": np.full(1, 0.03),
        "load": np.full((1, 6), 0.4),
        "kind": np.full(1, -1, np.int32),
        "until": np.full(1, -1),
        "peak": np.zeros(1),
        "quiet": np.zeros(1, np.int64),
        **{name: np.zeros(1, np.int64) for name in ("since", "build_up", "recovery", "period")},
    }
    return HiddenState(**{**calm, **{name: np.array([value]) for name, value in known.items()}})  # type: ignore[arg-type]


def test_the_oracle_is_better_than_persistence_and_not_perfect(cohort: Cohort) -> None:
    labelled = cohort.columns.risk >= 0
    level, score = cohort.foretold.of(cohort.columns)
    right = (level == cohort.columns.risk)[labelled].mean()
    naive = (persistence(cohort.columns)[0] == cohort.columns.risk)[labelled].mean()
    assert naive + 0.03 < right < 0.995
    errors = (score - cohort.columns.score)[labelled]
    assert np.sqrt(np.mean(errors**2)) < 4
    assert abs(np.mean(errors)) < 0.5


def test_what_it_foretells_follows_from_the_state_alone(cohort: Cohort) -> None:
    """Calm after a recent recovery stays low; a saturated device far from its end stays critical, one at its end not."""
    row = cohort.columns.take(np.array([0]))
    saturation = {"kind": 1, "build_up": 15, "recovery": 8, "peak": 8.0, "period": 1, "quiet": 10_000}
    calm = foretell(row, state(), seed=[1])
    peak = foretell(row, state(**saturation, since=20), seed=[1])
    ending = foretell(row, state(**saturation, since=40, until=1), seed=[1])
    assert (calm.risk[0], peak.risk[0]) == (LOW, CRITICAL)
    assert ending.risk[0] == LOW
    assert calm.score[0] > 85
    assert peak.score[0] < 40


def test_the_same_seed_foretells_the_same(cohort: Cohort) -> None:
    [again] = generate_cohorts(10_000, 7)
    np.testing.assert_array_equal(again.foretold.risk, cohort.foretold.risk)
    np.testing.assert_array_equal(again.foretold.score, cohort.foretold.score)


def test_more_futures_change_little(cohort: Cohort) -> None:
    """200 futures are enough: the modal level of rows that differ is a toss-up."""
    [other] = generate_cohorts(10_000, 7, futures=400)
    assert (other.foretold.risk == cohort.foretold.risk).mean() > 0.99


def test_a_file_keeps_it_and_rows_it_does_not_know_get_nothing(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "oracle.npz"
    some = np.arange(0, 10_000, 3)
    Foretold.concatenate([Foretold.nothing(), cohort.foretold.take(some)]).write(path)
    risk, score = Foretold.read(path).of(cohort.columns)
    np.testing.assert_array_equal(risk[some], cohort.foretold.risk[some])
    np.testing.assert_allclose(score[some], cohort.foretold.score[some], rtol=1e-6)
    others = np.setdiff1d(np.arange(10_000), some)
    assert (risk[others] == -1).all()
    assert np.isnan(score[others]).all()
