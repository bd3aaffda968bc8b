"""A change set sees a resource come or go by its condition.

MiniStack 1.5.33 compares the resources of both templates whatever their conditions say, so an update that changes a
parameter alone, and with it a condition, is "no changes" to `cdk deploy --parameters`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Resolve = Callable[..., dict[str, Any]]


def register() -> None:
    from ministack.services.cloudformation import changesets

    changesets._resolve_props_for_diff = without_absent(changesets._resolve_props_for_diff)


def without_absent(resolve: Resolve) -> Resolve:
    """_resolve_props_for_diff(template, params, ...) without the resources whose condition is false."""

    def present(template: dict[str, Any], params: dict[str, Any], *rest: Any) -> dict[str, Any]:
        from ministack.services.cloudformation.engine import _evaluate_conditions

        resolved = resolve(template, params, *rest)
        if not resolved:
            return resolved
        conditions = _evaluate_conditions(template, params)
        resources = {
            name: resource
            for name, resource in resolved["Resources"].items()
            if conditions.get(resource.get("Condition"), True)
        }
        return {**resolved, "Resources": resources}

    return present
