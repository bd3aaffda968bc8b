"""What each device lost with each variant by day, kept between the judge's looks.

A look is given the outcomes of some last days, which overlap with those of the look before: of each day stays what was told
of most predictions, as outcomes come in late and the first day of a look may be a part of it. So any look may be repeated.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from insights.experiments import CHALLENGER, LIVE, Arm
from insights.experiments import variant_of as assigned
from insights.formats import check_format
from insights.happened import OUTCOME_OF, happened_to
from insights.schema import ITEM_FORMAT
from lambdas.objects import ObjectMissing, json_bytes, listed, put_text, read_json_object

_DATE: Final = len("2026-03-02")
# Per device the number of outcomes and the sum of their losses; of a day, by variant.
Sums = dict[str, list[float]]
Day = dict[str, Sums]


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

    def by_day(self, lines: Iterable[bytes]) -> dict[str, Day]:
        """Only what a device's own variant answered, as the package that it is, since the beginning: what met
        another one while functions learnt of the experiment, or while another model was live, is left out."""
        found: dict[str, Day] = {}
        for prediction in map(json.loads, filter(bytes.strip, lines)):
            check_format(prediction, "a stored prediction", field=ITEM_FORMAT)
            loss = loss_of(prediction, self.kind)
            if loss is None or str(prediction["predicted_at"]) < self.since:
                continue
            device = str(prediction["device_id"])
            variant = assigned(device, challenger=self.challenger, share_percent=self.share_percent)
            if (prediction.get("variant"), prediction.get("model_version")) == (variant, self.package_of(variant)):
                day = found.setdefault(str(prediction["predicted_at"])[:_DATE], {LIVE: {}, CHALLENGER: {}})
                known = day[variant].setdefault(device, [0, 0.0])
                known[0] += 1
                known[1] += loss
        return found


def loss_of(prediction: Mapping[str, Any], kind: str) -> float | None:
    """None for another kind, or where nobody knows what happened."""
    if prediction.get("kind") != kind:
        return None
    happened = happened_to(prediction)
    if happened is None:
        return None
    said = prediction[OUTCOME_OF[kind]]
    return float(said != happened) if kind == "risk" else (float(said) - float(happened)) ** 2


@dataclass
class Tally:
    """By day of the predictions (UTC)."""

    days: dict[str, Day] = field(default_factory=dict)

    @classmethod
    def read(cls, s3: Any, bucket: str, key: str) -> Tally:
        try:
            return cls(read_json_object(s3, bucket, key, remedy="it is made anew")["days"])
        except ObjectMissing:
            return cls()

    def take(self, found: Mapping[str, Day]) -> None:
        self.days |= {day: sums for day, sums in found.items() if _count(sums) >= _count(self.days.get(day, {}))}

    def write(self, s3: Any, bucket: str, key: str) -> None:
        put_text(s3, bucket, key, json_bytes({"format": 1, "days": self.days}))

    def arms(self) -> dict[str, Arm]:
        totals: Day = {LIVE: {}, CHALLENGER: {}}
        for day in self.days.values():
            for variant, devices in day.items():
                for device, (count, loss) in devices.items():
                    total = totals[variant].setdefault(device, [0, 0.0])
                    total[0] += count
                    total[1] += loss
        return {
            variant: Arm.of([loss / count for count, loss in devices.values()]) for variant, devices in totals.items()
        }


def outcome_lines(s3: Any, bucket: str, prefix: str) -> Iterator[bytes]:
    for key, _ in listed(s3, bucket, prefix):
        if key.endswith(".jsonl"):
            yield from s3.get_object(Bucket=bucket, Key=key)["Body"].iter_lines()


def _count(day: Mapping[str, Sums]) -> float:
    return sum(count for devices in day.values() for count, _ in devices.values())
