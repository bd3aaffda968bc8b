"""A bounded share of `make fuzz`: every parser against what parsers stumble over, seeded; and what was found before."""

from __future__ import annotations

import random
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from types import FrameType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import nasty
from tests.fuzz.found import FOUND
from tests.fuzz.target import Target, check
from tests.fuzz.targets import QUICK

CHANGED = 30  # inputs of each target that are small changes of valid ones
BY_NAME = {target.name: target for target in QUICK}
each_target = pytest.mark.parametrize("target", QUICK, ids=[target.name for target in QUICK])


@each_target
def test_valid_input_is_read(target: Target) -> None:
    for seed in target.seeds:
        target.parse(seed)


@each_target
def test_whatever_comes_is_read_or_refused_in_the_parsers_own_words(target: Target) -> None:
    for data in inputs(target):
        check(target, data)


def inputs(target: Target) -> Iterator[bytes]:
    yield from nasty.whole_inputs()
    source = random.Random(target.name)
    for number in range(CHANGED):
        seed = source.choice(target.seeds)
        yield (nasty.changed_json if target.is_json and number % 4 else nasty.changed_bytes)(seed, source)


@pytest.mark.parametrize("name", sorted(FOUND))
def test_what_was_found_once_stays_refused(name: str) -> None:
    for data in FOUND[name]:
        check(BY_NAME[name], data)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(derandomize=True, deadline=None, max_examples=25)
@given(value=VALUES, place=st.integers(0, 1000))
def test_any_value_in_any_place_is_read_or_refused(value: object, place: int) -> None:
    """Hypothesis's values, which nobody here thought of, in the place of one of a valid input's."""
    for target in QUICK:
        if target.is_json:
            seed = target.seeds[place % len(target.seeds)]
            check(target, nasty.with_value(seed, place, value))


@pytest.mark.parametrize("name", ["insight_files", "invocations_json", "invocations_csv", "api_predict", "run_input"])
def test_the_work_grows_with_the_input_and_not_beyond(name: str) -> None:
    """Ten times as much of what it takes or refuses is ten times the work, counted in lines of Python, no more."""
    for small, large in nasty.growing_inputs():
        few, many = steps(BY_NAME[name], small), steps(BY_NAME[name], large)
        assert many <= 25 * few + 20_000, (name, small[:40], few, many)


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_memory_stays_within_a_multiple_of_the_input(name: str) -> None:
    for _, data in nasty.growing_inputs():
        tracemalloc.start()
        try:
            check(BY_NAME[name], data)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak <= 200 * len(data) + 20_000_000, (name, data[:40], peak)


def steps(target: Target, data: bytes) -> int:
    count = 0

    def counted(frame: FrameType, event: str, argument: object) -> Callable[..., object]:
        nonlocal count
        count += event == "line"
        return counted

    before = sys.gettrace()
    sys.settrace(counted)
    try:
        check(target, data)
    finally:
        sys.settrace(before)
    return count
