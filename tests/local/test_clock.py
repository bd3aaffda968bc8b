import pytest

from local.clock import Clock


@pytest.mark.parametrize("scale", [1.0, 0.1, 0.04, 0.02, 0.01])
def test_every_moment_has_one_minute_and_its_middle_has_the_same(scale: float) -> None:
    clock = Clock(scale)
    for moment in (0.0, 1_795_000_000.0, 1_795_000_000.37, 1_795_000_005.999):
        minute = clock.minute_of(moment)
        assert clock.minute_of(clock.middle_of(minute)) == minute
        assert clock.minute_of(round(clock.middle_of(minute), 6)) == minute
        assert 0 < clock.seconds_until_next_minute(moment) <= 60 * scale + 1e-6


def test_a_minute_takes_six_seconds_at_a_tenth() -> None:
    clock = Clock(0.1)
    assert [clock.minute_of(moment) for moment in (0, 5.9, 6, 11.9, 12)] == [0, 0, 1, 1, 2]
    assert (clock.real(300), clock.aws(6)) == (30, 60)
    assert clock.last_edge(13.0, 60) == 12.0


@pytest.mark.parametrize("scale", [0.0, -1.0, 1.5])
def test_time_neither_stands_still_nor_races(scale: float) -> None:
    with pytest.raises(ValueError, match="wait_scale"):
        Clock(scale)
