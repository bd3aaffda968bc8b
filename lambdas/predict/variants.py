"""The windows of one request, each asked of the variant that its device meets; two variants are asked side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from lambdas.api.problems import Problem
from lambdas.predict.model_endpoint import ModelAnswer

Ask = Callable[[str | None, Sequence[str]], ModelAnswer]
_beside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="variant")


class Told(NamedTuple):
    """One window's prediction, the package that made it and the variant that answered."""

    prediction: dict[str, Any]
    model_version: str
    variant: str | None


def told_by_variants(ask: Ask, variants: Sequence[str | None], instances: Sequence[str]) -> list[Told | Problem]:
    """In the order given. A variant in trouble fails its own windows; where none answered the first problem is raised."""
    groups: dict[str | None, list[int]] = {}
    for place, variant in enumerate(variants):
        groups.setdefault(variant, []).append(place)

    def told_of(variant: str | None) -> list[Told] | Problem:
        try:
            answer = ask(variant, [instances[place] for place in groups[variant]])
        except Problem as problem:
            return problem
        return [Told(prediction, answer.model_version, answer.variant) for prediction in answer.predictions]

    first, *others = groups
    pending = {variant: _beside.submit(told_of, variant) for variant in others}
    found = {first: told_of(first), **{variant: future.result() for variant, future in pending.items()}}
    problems = [outcome for outcome in found.values() if isinstance(outcome, Problem)]
    if len(problems) == len(groups):
        raise problems[0]
    in_place: dict[int, Told | Problem] = {}
    for variant, places in groups.items():
        outcome = found[variant]
        in_place.update(zip(places, [outcome] * len(places) if isinstance(outcome, Problem) else outcome, strict=True))
    return [in_place[place] for place in range(len(instances))]
