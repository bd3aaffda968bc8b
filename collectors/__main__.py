"""`python -m collectors <source> ...`: insights of a source into a file, the table or the bucket.

Exit codes: 0 every row is written, 1 not every row is (the sentence says why), 2 a wrong argument, 3 rows were refused and
are in quarantine; the others are written.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from collectors.agent import DiskWatch, Machine, NoDisks
from collectors.arguments import parser
from collectors.delivery import Delivery
from collectors.device_facts import DeviceFacts
from collectors.fio_logs import log_records
from collectors.fio_report import report_records
from collectors.mapping import ColumnMapping, InvalidMapping, read_mapping
from collectors.outputs import BucketObject, GrowingLinesFile, LinesFile, Output, TableOutput
from collectors.quarantine import KeptRefusals, QuarantineFile, Refusals
from collectors.sysstat import iostat_records, sadf_records
from collectors.tables import PyarrowMissing, table_records
from insights.consistency import consistent, inconsistency
from insights.files import RawRecord, UnreadableFile, open_text
from insights.schema import Insight, InvalidInsight
from lambdas.clients import client
from lambdas.insight_writer import InsightWriter
from lambdas.throttling import TableThrottled

WRITTEN, FAILED, REFUSED = 0, 1, 3
Records = Iterator[RawRecord | InvalidInsight]
FAILURES = (UnreadableFile, InvalidInsight, InvalidMapping, PyarrowMissing, NoDisks, TableThrottled, OSError)


def main(arguments: Sequence[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    try:
        return watch(given) if given.source == "diskstats" else convert(given)
    except FAILURES as failure:
        print(f"failed: {failure}", file=sys.stderr, flush=True)
    except (ClientError, BotoCoreError) as failure:
        print(f"failed: AWS refused or did not answer: {failure}", file=sys.stderr, flush=True)
    return FAILED


def convert(given: argparse.Namespace) -> int:
    """Files to insights, once."""
    output, refusals = _destination(given)
    rows = output.write(consistent(_insights(_records(given), refusals), on_invalid=refusals.add))
    refusals.close()
    refused = f", {refusals.count} refused (see {refusals.place})" if refusals.count else ""
    print(f"{rows} insights written to {output.place}{refused}", flush=True)
    return REFUSED if refusals.count else WRITTEN


def watch(given: argparse.Namespace) -> int:
    """This machine's disks until SIGTERM or Ctrl-C; what the last complete interval held is written before it ends."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    machine = Machine()
    watched = given.devices or machine.disks()
    output, refusals = _destination(given)
    delivery = Delivery(output, say=lambda text: print(text, file=sys.stderr, flush=True))
    for absent in sorted(set(watched) - machine.read().devices.keys()):
        print(
            f"{absent} is not in {machine.proc_diskstats} now; it has rows from when it comes",
            file=sys.stderr,
            flush=True,
        )
    print(f"watching {', '.join(watched)} every {given.interval:g} s", flush=True)
    watching = DiskWatch(
        machine=machine, facts=_facts(given), interval_seconds=given.interval, devices=given.devices or None
    )
    count = None if given.seconds is None else max(1, round(given.seconds / given.interval))
    for rows in watching.intervals(stop, count=count):
        delivery.add([row for row in rows if _is_sound(row, refusals)])
    delivery.end()
    refusals.close()
    refused = f", {refusals.count} refused ({refusals.place})" if refusals.count else ""
    lost = f", {delivery.given_up} NOT written" if delivery.given_up else ""
    print(f"{delivery.written} insights written to {output.place}{refused}{lost}", flush=True)
    if delivery.given_up:
        return FAILED
    return REFUSED if refusals.count else WRITTEN


def _is_sound(row: Insight, refusals: Refusals) -> bool:
    refusal = inconsistency(row)
    if refusal is not None:
        refusals.add(refusal)
    return refusal is None


def _insights(records: Records, refusals: Refusals) -> Iterator[Insight]:
    for record in records:
        try:
            if isinstance(record, InvalidInsight):
                raise record
            insight = Insight.from_json(record.value, record=record.name)
        except InvalidInsight as refusal:
            refusals.add(refusal)
        else:
            yield insight


def _records(given: argparse.Namespace) -> Records:
    facts = _facts(given) if given.source != "files" else None
    for path in given.files:
        if facts is None:
            mapping = read_mapping(given.mapping) if given.mapping else ColumnMapping()
            yield from table_records(path, mapping)
        elif given.source == "iostat":
            yield from iostat_records(_text(path), source=str(path), facts=facts, interval_seconds=given.interval)
        elif given.source == "sar":
            yield from sadf_records(_text(path), source=str(path), facts=facts)
        elif path.suffix != ".log":
            yield from report_records(_text(path), source=str(path), facts=facts)
    if facts is not None and given.source == "fio":
        logs = [path for path in given.files if path.suffix == ".log"]
        yield from log_records(logs, facts=facts, interval_seconds=given.interval, start=given.start)


def _text(path: Path) -> str:
    if str(path) == "-":
        return sys.stdin.read()
    with open_text(path) as stream:
        return stream.read()


def _facts(given: argparse.Namespace) -> DeviceFacts:
    return DeviceFacts(
        host=given.host,
        device_class=given.device_class,
        latency_slo_ms=given.latency_slo_ms,
        provisioned_iops=given.provisioned_iops,
    )


def _destination(given: argparse.Namespace) -> tuple[Output, Refusals]:
    """Where rows go, and where those that are refused."""
    if given.bucket:
        kept = KeptRefusals()
        return BucketObject(given.bucket, given.source, kept, client("s3")), kept
    is_agent = given.source == "diskstats"
    refusals = QuarantineFile(given.quarantine, grows=is_agent) if given.quarantine else None
    if given.table:
        output: Output = TableOutput(InsightWriter(given.table, client("dynamodb")))
    else:
        output = GrowingLinesFile(given.output) if is_agent else LinesFile(given.output)
    return output, refusals or (_Told() if is_agent else Refusals())


class _Told(Refusals):
    """An agent without a quarantine goes on, and says each refusal."""

    place = "said above"

    def add(self, refusal: InvalidInsight) -> None:
        self.count += 1
        print(f"refused: {refusal}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
