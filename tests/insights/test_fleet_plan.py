from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from insights.fleet_plan import (
    CLASSES,
    KINDS,
    Incident,
    Kind,
    _is_free,
    _starts,
    class_of,
    course_of,
    onset_rates,
    plan,
    unrecorded_rows,
)

DEVICES = 156
FAILING = KINDS[0]
CHECKPOINTS = KINDS[5]
QUICK = Kind("quick", 0.1, (9, 9), (1, 1), (4, 4), (3.0, 3.0), 1.0)


def plans(count: int = 12) -> Iterator[Sequence[Sequence[Incident]]]:
    for seed in range(count):
        yield plan(range(DEVICES), np.random.default_rng(seed))


def recorded(incidents: Sequence[Incident], kind: Kind) -> int:
    """Rows 13 to 66, which the labels of a device's recorded part are about."""
    return sum(sum(13 <= place < 67 for place in range(i.start, i.start + i.rows)) for i in incidents if i.kind == kind)


def test_devices_are_of_the_classes_in_their_shares_from_the_first_on() -> None:
    """The fractions of 0, 0.618, 1.236, 1.854, 2.472, 3.090 by the shares 30, 30, 25 and 15%."""
    assert [class_of(number).name for number in range(6)] == ["nvme", "provisioned", "nvme", "hdd", "ssd-burst", "nvme"]
    found = Counter(class_of(number).name for number in range(1_000))
    assert found == pytest.approx({"nvme": 300, "ssd-burst": 300, "provisioned": 250, "hdd": 150}, abs=5)


def test_each_kind_gets_its_share_of_the_recorded_rows() -> None:
    """Less than 16 rows may be lacking, and one incident adds at most the 54 that are recorded."""
    for incidents in plans():
        for kind in KINDS:
            lacking = kind.share * DEVICES * 54 - sum(recorded(of_one, kind) for of_one in incidents)
            assert -38 <= lacking < 16, kind.name


def test_incidents_of_a_device_are_of_its_class_and_at_least_six_calm_rows_apart() -> None:
    gaps = set()
    for incidents in plans():
        for number, of_one in enumerate(incidents):
            ordered = sorted(of_one, key=lambda incident: incident.start)
            gaps |= {later.start - earlier.start - earlier.rows for earlier, later in itertools.pairwise(ordered)}
            for incident in of_one:
                assert class_of(number).name in incident.kind.classes
                assert incident.kind.rows[0] <= incident.rows <= incident.kind.rows[1]
    assert min(gaps) == 6


def test_critical_incidents_meet_on_no_device_while_others_are_free() -> None:
    for incidents in plans():
        for of_one in incidents:
            assert sum(incident.kind.errors > 0 for incident in of_one) <= 1


def test_lengths_of_a_kind_reach_both_of_its_ends() -> None:
    lengths = {i.rows for incidents in plans() for of_one in incidents for i in of_one if i.kind == FAILING}
    assert (min(lengths), max(lengths)) == FAILING.rows


@pytest.mark.parametrize(
    ("rows", "first", "last"), [(10, -5, 58), (11, -6, 58), (63, -32, 32), (64, 0, 0), (65, -1, 0), (90, -26, 0)]
)
def test_half_of_an_incident_may_lie_outside_and_a_long_one_covers_every_row(rows: int, first: int, last: int) -> None:
    assert (_starts(rows)[0], _starts(rows)[-1]) == (first, last)


def test_there_is_room_six_rows_from_another_incident_and_not_five() -> None:
    others = [Incident(FAILING, 20, 10)]
    assert _is_free([], 25, 3)
    assert [start for start in range(50) if _is_free(others, start, 4)] == [*range(11), *range(36, 50)]


def test_a_fifth_of_all_rows_is_unrecorded_more_on_some_devices_than_on_others() -> None:
    rows = unrecorded_rows(2_000, np.random.default_rng(1))
    assert len(rows) == 2_000
    assert np.mean(rows) == pytest.approx(0.2 * 64, abs=0.05)
    assert (min(rows), max(rows)) == pytest.approx((0.05 * 64, 0.35 * 64), abs=1)
    assert np.mean(np.array(rows) < 8) == pytest.approx(0.25, abs=0.05)


def test_a_course_is_drawn_from_its_kinds_ranges_and_one_in_twelve_is_sudden() -> None:
    random = np.random.default_rng(1)
    courses = [course_of(Incident(FAILING, 0, 30), random) for _ in range(4_000)]
    slow = [course for course in courses if course.build_up != 2]
    assert 1 - len(slow) / len(courses) == pytest.approx(0.08, abs=0.012)
    assert {course.build_up for course in slow} == {13, 14, 15, 16, 17}
    assert {course.recovery for course in courses} == {7, 8, 9, 10}
    peaks = [course.peak for course in courses]
    assert (min(peaks), max(peaks)) == pytest.approx((2.6, 3.6), abs=0.01)
    assert {course.period for course in courses} == {1}
    assert {course_of(Incident(QUICK, 0, 9), random).build_up for _ in range(200)} == {1}


def test_checkpoints_come_every_three_to_five_rows() -> None:
    random = np.random.default_rng(1)
    periods = Counter(course_of(Incident(CHECKPOINTS, 0, 90), random).period for _ in range(3_000))
    assert dict(periods) == pytest.approx({3: 1_000, 4: 1_000, 5: 1_000}, abs=90)


def test_incidents_begin_as_often_as_the_schedules_shares_say() -> None:
    """A kind's share of the rows of its classes, over its mean length, per calm row: by hand for two classes."""
    nvme = 1 - (0.036 / 0.45 + 0.0275 + 0.066 + 0.284)
    assert onset_rates("nvme") == pytest.approx(
        [0.08 / 33 / nvme, 0.0275 / 37 / nvme, 0, 0, 0.066 / 59 / nvme, 0.284 / 135 / nvme]
    )
    provisioned = 1 - (0.0275 + 0.05 / 0.25 + 0.066 + 0.284)
    assert onset_rates("provisioned") == pytest.approx(
        [0, 0.0275 / 37 / provisioned, 0, 0.2 / 59 / provisioned, 0.066 / 59 / provisioned, 0.284 / 135 / provisioned]
    )


def test_the_classes_are_four_and_share_the_fleet() -> None:
    assert sum(device_class.share for device_class in CLASSES) == pytest.approx(1)
    assert [device_class.provisioned for device_class in CLASSES] == [False, True, True, False]
