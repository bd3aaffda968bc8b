"""`make restore TABLE=insights AT=...`: rows of a table as they were at a moment, put back into the table.

DynamoDB restores into a new table only, which the stacks do not know. So its rows are copied into the table that they
do know, which keeps its name, streams and permissions, and the copy is removed when all of them are there.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.options import InvalidOption
from local.target import MakeClient, find_cloud, stack_output, target_of

TABLES: Mapping[str, str] = {"insights": "InsightsTableName", "predictions": "PredictionsTableName"}
"""The output of IopsData by the table's short name. Devices' states follow from these two by their streams."""
WRITERS = 16
ROWS_AT_ONCE = 1_000
RESTORE_SECONDS = 6 * 3600  # "up to several hours" for large tables (DynamoDB developer guide, point-in-time recovery)
Say = Callable[[str], None]


class RestoreFailed(RuntimeError):
    """Nothing was restored, or not everything; the message is the one clear sentence."""


@dataclass(frozen=True, kw_only=True)
class RestoreOptions:
    """moment: None is the newest that DynamoDB can restore. source: a table restored already, instead of a moment.
    overwrite: rows that are in the table get their old content too; otherwise only missing ones come back."""

    table: str
    moment: datetime | None = None
    source: str = ""
    overwrite: bool = False
    target: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> RestoreOptions:
        table, overwrite = environment.get("TABLE", ""), environment.get("OVERWRITE") or "false"
        if table not in TABLES:
            raise InvalidOption("TABLE", table, f"give one of {', '.join(TABLES)}")
        if overwrite not in ("true", "false"):
            raise InvalidOption("OVERWRITE", overwrite, "give true or false")
        moment, source = environment.get("AT", ""), environment.get("FROM", "")
        if moment and source:
            raise InvalidOption("AT", moment, "FROM names a table that is restored already; leave one of them out")
        return cls(
            table=table,
            moment=_moment(moment) if moment else None,
            source=source,
            overwrite=overwrite == "true",
            target=target_of(environment),
        )


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidOption("AT", text, "give a moment with its zone, such as 2026-11-24T10:00:00Z")
    return moment.astimezone(UTC)


def run_command(environment: Mapping[str, str], build: Path) -> str:
    """The whole command; the sentence that says what it did. Raises InvalidOption, NoTarget, RestoreFailed."""
    options = RestoreOptions.from_environment(environment)
    where, client = find_cloud(options.target, environment, build)
    print(f"restoring rows of the {options.table} table on {where}", flush=True)
    return restore(options, client, say=lambda text: print(f"  {text}", flush=True))


def restore(options: RestoreOptions, client: MakeClient, *, say: Say) -> str:
    """Restore beside, copy back, remove the copy. The same command again goes on with a copy that is there."""
    dynamodb = client("dynamodb")
    table = stack_output(client("cloudformation"), "IopsData", TABLES[options.table])
    source = options.source or _restored(dynamodb, table, options.moment, say)
    keys = [entry["AttributeName"] for entry in dynamodb.describe_table(TableName=table)["Table"]["KeySchema"]]
    counts = _copied(dynamodb, source, table, keys, overwrite=options.overwrite, say=say)
    done = f"{counts['written']} rows put back, {counts['kept']} were there already and kept as they are"
    if options.source:
        return f"{table}: {done}; {source} is left for you to remove"
    dynamodb.delete_table(TableName=source)
    return f"{table}: {done}; the copy {source} is removed"


def _restored(dynamodb: Any, table: str, moment: datetime | None, say: Say) -> str:
    """The name of the restored copy, once it can be read."""
    from botocore.exceptions import ClientError

    copy = f"{table}-{moment:%Y%m%dT%H%M%SZ}" if moment else f"{table}-latest"
    when = {"RestoreDateTime": moment} if moment else {"UseLatestRestorableTime": True}
    try:
        dynamodb.restore_table_to_point_in_time(SourceTableName=table, TargetTableName=copy, **when)
        say(f"DynamoDB restores {table} {'as of ' + moment.isoformat() if moment else 'as it was lately'} into {copy}")
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("TableAlreadyExistsException", "TableInUseException"):
            raise RestoreFailed(f"{table} cannot be restored: {error}") from error
        say(f"going on with {copy}, which an earlier restore left")
    deadline = time.monotonic() + RESTORE_SECONDS
    while (status := dynamodb.describe_table(TableName=copy)["Table"]["TableStatus"]) != "ACTIVE":
        if time.monotonic() > deadline:
            raise RestoreFailed(
                f"{copy} is still {status} after {RESTORE_SECONDS // 3600} hours; look into the console"
            )
        time.sleep(5)
    return copy


def _copied(dynamodb: Any, source: str, table: str, keys: list[str], *, overwrite: bool, say: Say) -> Counter[str]:
    """How many rows were written, and how many kept: a row that is there may be newer than its copy."""
    counts: Counter[str] = Counter()
    counting = threading.Lock()
    refused = dynamodb.exceptions.ConditionalCheckFailedException
    condition = {} if overwrite else {"ConditionExpression": f"attribute_not_exists({keys[0]})"}

    def put(row: Mapping[str, Any]) -> None:
        try:
            dynamodb.put_item(TableName=table, Item=row, **condition)
            what = "written"
        except refused:
            what = "kept"
        with counting:
            counts[what] += 1

    with ThreadPoolExecutor(WRITERS) as writers:
        for rows in _pages(dynamodb, source):
            list(writers.map(put, rows))
            say(f"{counts.total()} rows")
    return counts


def _pages(dynamodb: Any, table: str) -> Iterator[list[dict[str, Any]]]:
    for page in dynamodb.get_paginator("scan").paginate(TableName=table, PaginationConfig={"PageSize": ROWS_AT_ONCE}):
        yield page["Items"]
