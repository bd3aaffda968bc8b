"""What each device lost with each variant, kept between the judge's looks, so that each object is read once.

It stands per object of outcomes: one that was written again, with outcomes that were not known before, replaces what it had
counted for. Each prediction is expected in one object.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from insights.experiments import CHALLENGER, LIVE, Arm
from insights.experiments import variant_of as assigned
from lambdas.objects import ObjectMissing, json_bytes, put_text, read_json_object

_OUTCOME: Final[Mapping[str, str]] = {"risk": "risk_level", "performance": "performance_score"}
# Per device the number of outcomes and the sum of their losses.
Sums = dict[str, list[float]]


@dataclass(frozen=True, kw_only=True)
class Running:
    """The experiment that is judged, from its note."""

    kind: str
    live: str
    challenger: str
    share_percent: float
    since: str

    def package_of(self, variant: str) -> str:
        return self.challenger if variant == CHALLENGER else self.live

    def sums(self, lines: Iterable[bytes]) -> dict[str, Sums]:
        """By variant. Only what a device's own variant answered, as the package that it is, since the beginning: what met
        another one while functions learnt of the experiment, or while another model was live, is left out."""
        found: dict[str, Sums] = {LIVE: {}, CHALLENGER: {}}
        for prediction in map(json.loads, filter(bytes.strip, lines)):
            loss = loss_of(prediction, self.kind)
            if loss is None or str(prediction["predicted_at"]) < self.since:
                continue
            device = str(prediction["device_id"])
            variant = assigned(device, challenger=self.challenger, share_percent=self.share_percent)
            if (prediction.get("variant"), prediction.get("model_version")) == (variant, self.package_of(variant)):
                known = found[variant].setdefault(device, [0, 0.0])
                known[0] += 1
                known[1] += loss
        return found


def loss_of(prediction: Mapping[str, Any], kind: str) -> float | None:
    """None for another kind, or where nobody knows what happened; an operator's word counts before the telemetry's."""
    if prediction.get("kind") != kind:
        return None
    name = _OUTCOME[kind]
    happened = next(
        (
            told[name]
            for source in ("feedback", "outcome")
            if (told := prediction.get(source) or {}).get(name) is not None
        ),
        None,
    )
    if happened is None:
        return None
    if kind == "risk":
        return float(prediction[name] != happened)
    return (float(prediction[name]) - float(happened)) ** 2


@dataclass
class Tally:
    """`objects`: key -> (ETag, sums by variant)."""

    objects: dict[str, tuple[str, dict[str, Sums]]] = field(default_factory=dict)

    @classmethod
    def read(cls, s3: Any, bucket: str, key: str) -> Tally:
        try:
            given = read_json_object(s3, bucket, key, remedy="it is made anew")
        except ObjectMissing:
            return cls()
        return cls({name: (entry["etag"], entry["sums"]) for name, entry in given["objects"].items()})

    def add(self, s3: Any, bucket: str, prefix: str, running: Running) -> int:
        """Reads what is new below `prefix`; the number of objects."""
        new = [(key, etag) for key, etag in _outcomes(s3, bucket, prefix) if self.objects.get(key, ("",))[0] != etag]
        for key, etag in new:
            lines = s3.get_object(Bucket=bucket, Key=key)["Body"].iter_lines()
            self.objects[key] = (etag, running.sums(lines))
        return len(new)

    def write(self, s3: Any, bucket: str, key: str) -> None:
        objects = {name: {"etag": etag, "sums": sums} for name, (etag, sums) in self.objects.items()}
        put_text(s3, bucket, key, json_bytes({"format": 1, "objects": objects}))

    def arms(self) -> dict[str, Arm]:
        totals: dict[str, Sums] = {LIVE: defaultdict(lambda: [0, 0.0]), CHALLENGER: defaultdict(lambda: [0, 0.0])}
        for _, sums in self.objects.values():
            for variant, devices in sums.items():
                for device, (count, loss) in devices.items():
                    totals[variant][device][0] += count
                    totals[variant][device][1] += loss
        return {
            variant: Arm.of([loss / count for count, loss in devices.values()]) for variant, devices in totals.items()
        }


def _outcomes(s3: Any, bucket: str, prefix: str) -> Iterator[tuple[str, str]]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            if entry["Key"].endswith(".jsonl"):
                yield entry["Key"], entry["ETag"]
