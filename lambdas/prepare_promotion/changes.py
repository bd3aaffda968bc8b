"""What a promotion, or the beginning or end of an experiment, changes of the endpoint stack's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from insights.experiments import CHALLENGER, LIVE
from insights.schema import timestamp_text
from lambdas.prepare_promotion.promotion_input import InvalidPromotion, PromotionInput

OFF: Final = "off"
# An experiment that begins or ends changes the endpoint's variants, which deployment guardrails exclude
# (stacks/endpoint_stack.py); so does taking it back.
_UNGUARDED: Final = "unguarded"


@dataclass(frozen=True, kw_only=True)
class Golden:
    """The golden predictions stored with a package; the digest is what its container holds its own against."""

    uri: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class Change:
    """`verify` says which variant must answer as which package; `failed_as` begins the sentence about a failure."""

    action: str
    target_package: str
    live_after: str
    parameters: Mapping[str, str]
    verify: Mapping[str, str]
    failed_as: str
    shift_back: str
    experiment: Mapping[str, Any] | None = None
    ends_experiment_first: bool = False

    def back(self, present: Mapping[str, str]) -> dict[str, str]:
        former = {name: present[name] for name in self.parameters}
        return {**former, **({"TrafficShift": self.shift_back} if "TrafficShift" in former else {})}


def promote(present: Mapping[str, str], target: str, golden: Golden, *, shift: str, now: datetime) -> Change:
    """Of a model that is live already nothing changes: another way of shifting traffic alone would be an update of an
    endpoint to its own configuration, which SageMaker refuses. A challenger that goes live ends its experiment first, so
    that the endpoint has one variant before and after and the deployment its guardrails. Where another model goes live the
    experiment begins anew: what was known compared the challenger with the model before."""
    is_challenger = is_running(present) and present["ChallengerPackage"] == target
    parameters = {"LivePackage": target}
    if present.get("LivePackage") != target:
        parameters |= {"GoldenDigest": golden.digest, "TrafficShift": shift}
        if is_running(present) and not is_challenger:
            parameters["ChallengerSince"] = timestamp_text(now)
    return Change(
        action="promote",
        target_package=target,
        live_after=target,
        parameters=parameters,
        verify=_verified(LIVE, target, golden.uri),
        failed_as=f"{target} was not promoted",
        # What is taken back goes at once: its callers are already with the wrong model.
        shift_back="all-at-once",
        ends_experiment_first=is_challenger,
    )


def check_start(present: Mapping[str, str], target: str) -> None:
    if not present.get("LivePackage"):
        raise InvalidPromotion("challenger", target, "no model is live that it could challenge; promote it instead")
    if present["LivePackage"] == target:
        raise InvalidPromotion("challenger", target, "it is live already; name another version")
    if is_running(present):
        raise InvalidPromotion(
            "challenger",
            target,
            f"{present['ChallengerPackage']} is the challenger ({present['ChallengerMode']}); end that experiment first "
            'with "drop_challenger": true, or promote it',
        )


def start_experiment(
    wanted: PromotionInput, target: str, golden: Golden, *, live: str, live_golden_uri: str, now: datetime
) -> Change:
    """A shadow answers nobody, so nobody can ask it for its golden rows: its container does, before it is healthy."""
    mode, share = str(wanted.challenger), wanted.share_percent
    since = timestamp_text(now)
    is_ab = mode == "ab"
    return Change(
        action="start_experiment",
        target_package=target,
        live_after=live,
        parameters={
            "ChallengerPackage": target,
            "ChallengerMode": mode,
            "ChallengerShare": str(share),
            "ChallengerGoldenDigest": golden.digest,
            "ChallengerSince": since,
            "TrafficShift": _UNGUARDED,
        },
        verify=_verified(CHALLENGER, target, golden.uri) if is_ab else _verified(LIVE, live, live_golden_uri),
        failed_as=f"the experiment with {target} did not begin",
        shift_back=_UNGUARDED,
        experiment={
            "challenger": target,
            "mode": mode,
            "share_percent": share if is_ab else None,
            "since": since,
        },
    )


def check_end(present: Mapping[str, str]) -> None:
    if not is_running(present):
        raise InvalidPromotion("drop_challenger", True, "no experiment runs, so there is no challenger to drop")


def end_experiment(present: Mapping[str, str], live_golden_uri: str) -> Change:
    live, challenger, mode = present["LivePackage"], present["ChallengerPackage"], present["ChallengerMode"]
    share = present.get("ChallengerShare", "")
    return Change(
        action="end_experiment",
        target_package=live,
        live_after=live,
        parameters={
            "ChallengerPackage": "",
            "ChallengerMode": OFF,
            "ChallengerGoldenDigest": "",
            "ChallengerSince": "",
            "TrafficShift": _UNGUARDED,
        },
        verify=_verified(LIVE, live, live_golden_uri),
        failed_as=f"the experiment with {challenger} did not end",
        shift_back=_UNGUARDED,
        experiment={
            "challenger": challenger,
            "mode": mode,
            "share_percent": int(float(share)) if mode == "ab" and share else None,
            "since": present.get("ChallengerSince") or None,
        },
    )


def is_running(present: Mapping[str, str]) -> bool:
    return present.get("ChallengerMode", OFF) not in ("", OFF)


def _verified(variant: str, package: str, golden_uri: str) -> dict[str, str]:
    return {"variant": variant, "package": package, "golden_uri": golden_uri}
