from __future__ import annotations

from dataclasses import dataclass

import pytest

from lambdas.environment import InvalidEnvironment, read_environment


@dataclass(frozen=True)
class Example:
    bucket_name: str
    segments: int = 4
    create_bucket: bool = False


def test_variables_are_read_by_field_name_with_their_types() -> None:
    found = read_environment(Example, {"BUCKET_NAME": "b", "SEGMENTS": "7", "CREATE_BUCKET": "True", "OTHER": "x"})
    assert found == Example(bucket_name="b", segments=7, create_bucket=True)


def test_an_absent_or_blank_optional_variable_has_its_default() -> None:
    assert read_environment(Example, {"BUCKET_NAME": "b", "SEGMENTS": " "}) == Example(bucket_name="b")


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({}, "BUCKET_NAME is missing"),
        ({"BUCKET_NAME": "b", "SEGMENTS": "four"}, "SEGMENTS is 'four'"),
        ({"BUCKET_NAME": "b", "CREATE_BUCKET": "yes"}, "CREATE_BUCKET is 'yes'"),
    ],
)
def test_a_missing_or_unreadable_variable_is_named(variables: dict[str, str], named: str) -> None:
    with pytest.raises(InvalidEnvironment, match=named):
        read_environment(Example, variables)
