"""Devices whose rows stand in several objects, brought together, so that each device is in one object.

A scan leaves none but a device that fills an invocation alone; a point-in-time export leaves those that its data files
were cut in. Objects that share a device are replaced by new ones: all of these are written, then a note that names what
they replace, then that is removed. Whoever is killed before the note leaves what the next attempt removes; after it,
what the next attempt finishes.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from insights.schema import Insight
from lambdas.export_insights.batches import BatchLimits, BatchNames, Rows, remove_batches_from, write_batch
from lambdas.export_insights.whole_devices import WholeDevices
from lambdas.objects import ObjectMissing, json_bytes, put_text, read_json_object
from lambdas.write_manifest.parts import Export, IncompleteExport, PartSummary, read_parts

LIMITS = BatchLimits(rows=50_000, size_bytes=48 * 1024 * 1024, device_bytes=1 << 40)
# Of the objects that hang together by shared devices; their rows are in memory at once, three times as large.
MOST_BYTES = 512 * 1024 * 1024


class DevicesScattered(RuntimeError):
    """So many devices stand in several objects that one function cannot bring them together."""

    def __init__(self, size_bytes: int, device: str) -> None:
        super().__init__(
            f"{size_bytes} bytes of the export hang together by devices such as {device}, whose rows stand in several "
            f"objects, and {MOST_BYTES} can be brought together; "
            'start again with {"plan": {"export": "scan"}}, whose segments hold whole devices'
        )


def whole_device_parts(export: Export) -> tuple[list[PartSummary], int]:
    """The summaries, with every device in one object; and how many devices had to be brought together for that."""
    note_key = f"{export.own_prefix}regrouped.json"
    note = _note(export, note_key)
    if note is None:
        remove_batches_from(export.s3, export.bucket, _names(export), 0)
        parts = read_parts(export)
        scattered = scattered_devices(parts)
        if not scattered:
            return parts, 0
        note = _regroup(export, parts, scattered)
        put_text(export.s3, export.bucket, note_key, json_bytes(note))
    for replaced in note["replaced"]:
        _remove(export, replaced)
    parts = read_parts(export)
    if left := scattered_devices(parts):
        raise IncompleteExport(f"device {min(left)} stands in several objects after they were brought together")
    return parts, int(note["devices"])


def scattered_devices(parts: Iterable[PartSummary]) -> dict[str, list[int]]:
    """Per device that stands in several objects the places of their summaries."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, part in enumerate(parts):
        for device in part.devices:
            places[device].append(place)
    return {device: found for device, found in places.items() if len(found) > 1}


def connected(scattered: Mapping[str, Sequence[int]]) -> list[list[int]]:
    """Groups of places that hang together by shared devices, each in order."""
    root: dict[int, int] = {}

    def find(place: int) -> int:
        while root.setdefault(place, place) != place:
            root[place] = root[root[place]]
            place = root[place]
        return place

    for places in scattered.values():
        first = min(map(find, places))
        for place in places:
            root[find(place)] = first
    groups: dict[int, list[int]] = defaultdict(list)
    for place in sorted(root):
        groups[find(place)].append(place)
    return [groups[first] for first in sorted(groups)]


def _regroup(export: Export, parts: Sequence[PartSummary], scattered: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    names, numbers = _names(export), iter(range(100_000))

    def write(batch: Rows) -> None:
        write_batch(export.s3, export.bucket, names, next(numbers), batch)

    replaced: list[PartSummary] = []
    for group in connected(scattered):
        together = [parts[place] for place in group]
        size_bytes = sum(part.batch.bytes for part in together if part.batch)
        if size_bytes > MOST_BYTES:
            raise DevicesScattered(size_bytes, min(set(together[0].devices) & scattered.keys()))
        _write_together(export, together, write)
        replaced += together
    return {
        "devices": len(scattered),
        "replaced": [
            {
                "summary": part.summary_key,
                "batch": part.batch.key if part.batch else None,
                "csv": part.csv.key if part.csv else None,
                "quarantined": part.quarantined,
            }
            for part in replaced
        ],
    }


def _write_together(export: Export, parts: Sequence[PartSummary], write: Callable[[Rows], None]) -> None:
    """Devices in the order of their ids, rows in that of their times: the same whatever order they were found in."""
    rows: dict[str, list[str]] = defaultdict(list)
    for part in parts:
        for line in _lines(export, part):
            rows[json.loads(line)["device_id"]].append(line)
    # Which rows had brought their labels is known of all together, and only their sum counts.
    labelled = [sum(part.labelled_by_source for part in parts)]

    def write_counted(batch: Rows) -> None:
        batch.labelled_by_source = labelled.pop() if labelled else 0
        write(batch)

    devices = WholeDevices(write_counted, LIMITS, None)
    for device in sorted(rows):
        for line in sorted(rows.pop(device)):
            devices.add(Insight.from_json(json.loads(line)))
    devices.end(None)


def _lines(export: Export, part: PartSummary) -> Iterator[str]:
    if part.batch:
        for line in export.read(part.batch.key).decode().splitlines():
            if line not in {"[", "]", ""}:
                yield line.removesuffix(",")


def _remove(export: Export, replaced: Mapping[str, Any]) -> None:
    """What a quarantine object is named in stays, without its rows."""
    for name in ("csv", "batch"):
        if replaced[name]:
            export.delete(replaced[name])
    if not replaced["quarantined"]:
        export.delete(replaced["summary"])
        return
    summary = json.loads(export.read(replaced["summary"]))
    without: dict[str, Any] = {
        "key": None,
        "rows": 0,
        "bytes": 0,
        "sha256": None,
        "etag": None,
        "csv": None,
        "devices": [],
    }
    without |= {"counts": dict.fromkeys(summary["counts"], 0), "labelled_by_source": 0, "newest_at": None}
    put_text(export.s3, export.bucket, replaced["summary"], json_bytes(summary | without))


def _note(export: Export, key: str) -> dict[str, Any] | None:
    try:
        return read_json_object(export.s3, export.bucket, key, remedy="")
    except ObjectMissing:
        return None


def _names(export: Export) -> BatchNames:
    return BatchNames(export.run_id, export.raw_prefix, None)
