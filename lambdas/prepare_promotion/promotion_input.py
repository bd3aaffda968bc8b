"""What a person types to promote a model: {"kind": "risk", "version": 3}."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

KINDS = ("risk", "performance")
_KNOWN = ("kind", "version", "model_package_arn", "reason")
# Said to Step Functions, not to this app: the console's prefilled comment, and the link to a starting execution.
_IGNORED = frozenset({"Comment", "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"})


class InvalidPromotion(ValueError):
    """The promotion asks for something that is unknown, missing or not allowed to go live."""

    def __init__(self, field: str, value: object, remedy: str) -> None:
        super().__init__(f"field {field} has the value {value!r}; {remedy}")
        self.field = field


@dataclass(frozen=True, kw_only=True)
class PromotionInput:
    """Exactly one of `version` and `package` is set."""

    kind: str
    version: int | None
    package: str | None
    reason: str


def parse_promotion_input(given: object) -> PromotionInput:
    if not isinstance(given, Mapping):
        raise InvalidPromotion("input", given, 'write {"kind": "risk", "version": 1}')
    for name in given:
        if name not in _KNOWN and name not in _IGNORED:
            raise InvalidPromotion(str(name), given[name], f"no such field; known are {', '.join(_KNOWN)}")
    kind = given.get("kind")
    if kind not in KINDS:
        raise InvalidPromotion("kind", kind, f"it must be one of {', '.join(KINDS)}")
    version, package = _target(given)
    reason = given.get("reason")
    if reason is not None and not isinstance(reason, str):
        raise InvalidPromotion("reason", reason, "it must be text, or left out")
    return PromotionInput(kind=kind, version=version, package=package, reason=reason or "")


def _target(given: Mapping[str, object]) -> tuple[int | None, str | None]:
    """A version may be a number or a package's ARN; a package's ARN may also stand under its own name."""
    version, package = given.get("version"), given.get("model_package_arn")
    if (version is None) == (package is None):
        raise InvalidPromotion(
            "version", version, "give exactly one of version (a number) and model_package_arn (of a model package)"
        )
    if isinstance(version, float) and version.is_integer():
        version = int(version)
    if isinstance(version, str) and version.isdecimal():
        version = int(version)
    if isinstance(version, int) and not isinstance(version, bool) and version >= 1:
        return version, None
    field, arn = ("version", version) if package is None else ("model_package_arn", package)
    if not isinstance(arn, str) or not arn.startswith("arn:") or ":model-package/" not in arn:
        raise InvalidPromotion(
            field,
            arn,
            "write a version number from 1, or arn:aws:sagemaker:<region>:<account>:model-package/<group>/<n>",
        )
    return None, arn
