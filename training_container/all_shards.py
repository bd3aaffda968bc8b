"""The shards of every instance as one table: complete, each device once, read by ranges of devices out of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from training_container.device_rows import DeviceRows, Records, ranges
from training_container.errors import UnusableInput
from training_container.feature_shard import FeatureShard


class Chunk(NamedTuple):
    """Rows of whole devices; `device` and their class codes are places among the whole's."""

    records: Records
    device: npt.NDArray[np.int32]
    first_row: int


@dataclass(frozen=True, slots=True)
class Whole:
    """All shards as one: devices in the order of their ids, with their rows and worst levels."""

    devices: tuple[str, ...]
    rows: npt.NDArray[np.int64]
    worst: npt.NDArray[np.int8]
    device_classes: tuple[str, ...]
    shards: Sequence[tuple[DeviceRows, npt.NDArray[np.int32]]]

    @classmethod
    def of(cls, shards: Sequence[FeatureShard]) -> Whole:
        """UnusableInput where a device is in two shards: neither had all of its rows."""
        found: dict[str, tuple[int, int]] = {}
        for shard in shards:
            made = shard.summary
            for device, rows, worst in zip(made.devices, made.rows, made.worst, strict=True):
                if device in found:
                    raise UnusableInput(
                        f"the objects of two instances hold rows of device {device!r}, whose features need all of them; "
                        "let the export regroup it, or engineer with one instance"
                    )
                found[device] = rows, worst
        devices = tuple(sorted(found))
        counted = np.array([found[device] for device in devices], np.int64).reshape(-1, 2)
        classes = tuple(sorted({name for shard in shards for name in shard.summary.device_classes}))
        places = [
            np.array([*map(classes.index, shard.summary.device_classes), -1], np.int32)  # -1, unknown, is the last
            for shard in shards
        ]
        sources = [(shard.device_rows(), place) for shard, place in zip(shards, places, strict=True)]
        return cls(devices, counted[:, 0], counted[:, 1].astype(np.int8), classes, sources)

    def chunks(self) -> Iterator[Chunk]:
        """One range of devices after the other, out of all shards; only its rows are in memory."""
        place = {device: code for code, device in enumerate(self.devices)}
        first_row = 0
        for first, last in ranges(zip(self.devices, self.rows.tolist(), strict=True)):
            records, codes = [], []
            for source, classes in self.shards:
                names, rows, counts = source.read(first, last)
                rows["device_class"] = classes[rows["device_class"]]
                records.append(rows)
                codes.append(np.repeat(np.array([place[name] for name in names], np.int32), counts))
            device = np.concatenate(codes)
            order = np.argsort(device, kind="stable")
            yield Chunk(np.concatenate(records)[order], device[order], first_row)
            first_row += len(device)


def check_complete(shards: Sequence[FeatureShard], folder: Path) -> None:
    """Every object of the export was read by one instance, and its shard is here."""
    made = [shard.summary for shard in shards]
    if not made:
        raise UnusableInput(f"{folder} holds no shard of features; run engineer on each instance first")
    if [one.shard for one in made] != list(range(made[0].shards)) or {one.shards for one in made} != {len(made)}:
        there = ", ".join(f"{one.shard} of {one.shards}" for one in made)
        raise UnusableInput(f"{folder} holds the shards {there}; each of one job must be there once")
    if len({(one.manifest, one.hindsight) for one in made}) > 1:
        raise UnusableInput(f"the shards in {folder} are of different exports; run engineer again")
    names = [name for one in made for name in one.objects]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UnusableInput(f"two instances have read {twice}; each object belongs to one (ShardedByS3Key)")
    read = sum(sum(one.objects.values()) for one in made)
    if read != made[0].manifest_rows:
        raise UnusableInput(f"the instances have read {read} insights, but the export has {made[0].manifest_rows}")
