"""What a person types to promote a model: {"kind": "risk", "version": 3}; to go back: {"kind": "risk", "version":
"previous"}; to try one on some devices: {"kind": "risk", "version": 4, "challenger": "ab", "share": 10}; and to end that:
{"kind": "risk", "drop_challenger": true}."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from insights.schema import KINDS, shown
from lambdas.executions import STEP_FUNCTIONS_FIELDS

TRAFFIC_SHIFTS = ("canary", "all-at-once")
PREVIOUS = "previous"
MODES = ("ab", "shadow")
LONGEST_NUMBER = 9  # digits; no package group counts that far
DEFAULT_SHARE_PERCENT, MOST_SHARE_PERCENT = 10, 50
_KNOWN = (
    "kind",
    "version",
    "model_package_arn",
    "reason",
    "requested_by",
    "traffic_shift",
    "challenger",
    "share",
    "drop_challenger",
)


class InvalidPromotion(ValueError):
    """The promotion asks for something that is unknown, missing or not allowed to go live."""

    def __init__(self, field: str, value: object, remedy: str) -> None:
        super().__init__(f"field {field[:80]} has the value {shown(value, 200)}; {remedy}")
        self.field = field


@dataclass(frozen=True, kw_only=True)
class PromotionInput:
    """One of `version` and `package` is set, or neither where what was live before shall come back, or where an experiment
    ends. `challenger` is the mode of an experiment that begins, `share_percent` its part of the devices."""

    kind: str
    version: int | None
    package: str | None
    traffic_shift: str | None
    reason: str
    requested_by: str
    challenger: str | None = None
    share_percent: int = DEFAULT_SHARE_PERCENT
    drops_challenger: bool = False

    @property
    def is_roll_back(self) -> bool:
        return self.version is None and self.package is None and not self.drops_challenger


def parse_promotion_input(given: object) -> PromotionInput:
    if not isinstance(given, Mapping):
        raise InvalidPromotion("input", given, 'write {"kind": "risk", "version": 1}')
    for name in given:
        if name not in _KNOWN and name not in STEP_FUNCTIONS_FIELDS:
            raise InvalidPromotion(str(name), given[name], f"no such field; known are {', '.join(_KNOWN)}")
    kind = given.get("kind")
    if kind not in KINDS:
        raise InvalidPromotion("kind", kind, f"it must be one of {', '.join(KINDS)}")
    drops_challenger = _drops_challenger(given)
    version, package = (None, None) if drops_challenger else _target(given)
    challenger = _challenger(given)
    shift = given.get("traffic_shift")
    if shift is not None and shift not in TRAFFIC_SHIFTS:
        raise InvalidPromotion("traffic_shift", shift, f"it must be one of {', '.join(TRAFFIC_SHIFTS)}, or left out")
    return PromotionInput(
        kind=kind,
        version=version,
        package=package,
        traffic_shift=shift,
        reason=_text(given, "reason"),
        requested_by=_text(given, "requested_by"),
        challenger=challenger,
        share_percent=_share(given, challenger),
        drops_challenger=drops_challenger,
    )


def _drops_challenger(given: Mapping[str, object]) -> bool:
    drops = given.get("drop_challenger")
    if drops is not None and not isinstance(drops, bool):
        raise InvalidPromotion("drop_challenger", drops, "it must be true, or left out")
    if drops:
        for field in ("version", "model_package_arn", "challenger", "share", "traffic_shift"):
            if given.get(field) is not None:
                raise InvalidPromotion(field, given[field], "leave it out where the challenger is dropped")
    return bool(drops)


def _challenger(given: Mapping[str, object]) -> str | None:
    mode = given.get("challenger")
    if mode is None:
        return None
    if not isinstance(mode, str) or mode not in MODES:
        raise InvalidPromotion("challenger", mode, f"it must be one of {', '.join(MODES)}, or left out")
    if given.get("version") == PREVIOUS:
        raise InvalidPromotion("version", PREVIOUS, "name the version that shall be the challenger")
    if given.get("traffic_shift") is not None:
        raise InvalidPromotion(
            "traffic_shift", given["traffic_shift"], "leave it out: a challenger takes over nobody's traffic"
        )
    return mode


def _share(given: Mapping[str, object], challenger: str | None) -> int:
    share = given.get("share")
    if share is None:
        return DEFAULT_SHARE_PERCENT
    if challenger != "ab":
        raise InvalidPromotion("share", share, 'it goes with "challenger": "ab" alone; a shadow sees every request')
    if isinstance(share, float) and share.is_integer():
        share = int(share)
    if not isinstance(share, int) or isinstance(share, bool) or not 1 <= share <= MOST_SHARE_PERCENT:
        raise InvalidPromotion("share", share, f"it is per cent of the devices, from 1 to {MOST_SHARE_PERCENT}")
    return share


def _text(given: Mapping[str, object], field: str) -> str:
    value = given.get(field)
    if value is not None and not isinstance(value, str):
        raise InvalidPromotion(field, value, "it must be text, or left out")
    return value or ""


def _target(given: Mapping[str, object]) -> tuple[int | None, str | None]:
    """A version may be a number, a package's ARN or "previous"; a package's ARN may also stand under its own name."""
    version, package = given.get("version"), given.get("model_package_arn")
    if (version is None) == (package is None):
        raise InvalidPromotion(
            "version",
            version,
            'give exactly one of version (a number, or "previous") and model_package_arn (of a model package)',
        )
    if version == PREVIOUS:
        return None, None
    if isinstance(version, float) and version.is_integer():
        version = int(version)
    if isinstance(version, str) and version.isdecimal() and len(version) <= LONGEST_NUMBER:
        version = int(version)
    if isinstance(version, int) and not isinstance(version, bool) and 1 <= version < 10**LONGEST_NUMBER:
        return version, None
    field, arn = ("version", version) if package is None else ("model_package_arn", package)
    if not isinstance(arn, str) or not arn.startswith("arn:") or ":model-package/" not in arn:
        raise InvalidPromotion(
            field,
            arn,
            'write a version number from 1, "previous", or arn:aws:sagemaker:<region>:<account>:model-package/<group>/<n>',
        )
    return None, arn
