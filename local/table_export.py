"""ExportTableToPointInTime with data: MiniStack 1.5.33 answers the request and writes nothing.

Items stand in the files as they do in AWS: by partitions, in the order of their keys within one, and cut wherever a
file is full, so that the rows of a partition key may go on in another file.
"""

from __future__ import annotations

import base64
import contextvars
import copy
import gzip
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from local.settings import CloudSettings, credentials

PARTITIONS = 2
FILES_OF_A_PARTITION = 2
Item = Mapping[str, Any]
Respond = Callable[[dict[str, Any]], Any]


def register(settings: CloudSettings) -> None:
    from ministack.services import dynamodb
    from ministack.services.cloudformation import provisioners

    exports = Exports(settings.endpoint_url)
    dynamodb._export_table_to_point_in_time = exports.starting(dynamodb._export_table_to_point_in_time)
    dynamodb._describe_export = exports.described(dynamodb._describe_export)
    handlers = provisioners._RESOURCE_HANDLERS["AWS::DynamoDB::Table"]
    handlers["create"] = with_recovery(handlers["create"])


def with_recovery(create: Callable[..., Any]) -> Callable[..., Any]:
    """A stack's table has the point-in-time recovery of its template, which MiniStack leaves off."""

    def created(logical_id: str, properties: Mapping[str, Any], stack_name: str) -> Any:
        from ministack.services import dynamodb

        made = create(logical_id, properties, stack_name)
        wanted = (properties.get("PointInTimeRecoverySpecification") or {}).get("PointInTimeRecoveryEnabled", False)
        dynamodb._pitr_settings[made[0]] = str(wanted).lower() == "true"
        return made

    return created


class Exports:
    def __init__(self, endpoint_url: str) -> None:
        self._endpoint_url = endpoint_url
        self._writing: dict[str, threading.Thread] = {}

    def starting(self, original: Respond) -> Respond:
        """The items as they are at the request; ExportTime, if it is given, is not gone back to."""

        def start(request: dict[str, Any]) -> Any:
            from ministack.core.responses import error_response_json
            from ministack.services import dynamodb

            name = str(request.get("TableArn", "")).rpartition("/")[2]
            if name in dynamodb._tables and not dynamodb._pitr_settings.get(name, False):
                return error_response_json(
                    "PointInTimeRecoveryUnavailableException",
                    f"Point in time recovery is not enabled for table '{name}'",
                    400,
                )
            answer = original(request)
            status, _, body = answer
            if status == 200:
                self._write(json.loads(body)["ExportDescription"]["ExportArn"], name)
            return answer

        return start

    def described(self, original: Respond) -> Respond:
        """In progress until every file is there."""

        def describe(request: dict[str, Any]) -> Any:
            from ministack.core.responses import json_response
            from ministack.services import dynamodb

            arn = request.get("ExportArn", "")
            description = dynamodb._exports.get(arn)
            if description is None:
                return original(request)
            if description["ExportStatus"] == "IN_PROGRESS" and not self._writing[arn].is_alive():
                description.update(ExportStatus="COMPLETED", EndTime=time.time())
            return json_response({"ExportDescription": description})

        return describe

    def _write(self, arn: str, table: str) -> None:
        """A repeated request with the same token has been answered with the export that it started."""
        from ministack.services import dynamodb

        if arn in self._writing:
            return
        description = dynamodb._exports[arn]
        description.setdefault("ExportTime", description["StartTime"])
        stored = dynamodb._tables[table]
        items = [copy.deepcopy(item) for rows in stored["items"].values() for item in rows.values()]
        keys = [entry["AttributeName"] for entry in stored["KeySchema"]]
        thread = threading.Thread(
            target=contextvars.copy_context().run, args=(self._write_files, description, items, keys), daemon=True
        )
        self._writing[arn] = thread
        thread.start()

    def _write_files(self, description: dict[str, Any], items: list[Item], keys: list[str]) -> None:
        import boto3

        s3 = boto3.client("s3", endpoint_url=self._endpoint_url, **credentials())
        bucket, prefix = description["S3Bucket"], description.get("S3Prefix", "").rstrip("/")
        folder = f"{prefix}/" if prefix else ""
        folder += f"AWSDynamoDB/{description['ExportArn'].rpartition('/')[2]}"
        entries = []
        for number, file in enumerate(files_of(items, keys)):
            body = gzip.compress("".join(json.dumps({"Item": item}) + "\n" for item in file).encode(), mtime=0)
            key = f"{folder}/data/{hashlib.sha256(f'{folder}{number}'.encode()).hexdigest()[:26]}.json.gz"
            etag = s3.put_object(Bucket=bucket, Key=key, Body=body)["ETag"].strip('"')
            md5 = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
            entries.append({"itemCount": len(file), "md5Checksum": md5, "etag": etag, "dataFileS3Key": key})
        listed = "".join(json.dumps(entry) + "\n" for entry in entries)
        s3.put_object(Bucket=bucket, Key=f"{folder}/manifest-files.json", Body=listed.encode())
        summary = {
            "version": "2020-06-30",
            "exportArn": description["ExportArn"],
            "tableArn": description["TableArn"],
            "s3Bucket": bucket,
            "s3Prefix": prefix or None,
            "manifestFilesS3Key": f"{folder}/manifest-files.json",
            "itemCount": len(items),
            "outputFormat": "DYNAMODB_JSON",
            "exportType": "FULL_EXPORT",
        }
        manifest = f"{folder}/manifest-summary.json"
        s3.put_object(Bucket=bucket, Key=manifest, Body=json.dumps(summary).encode())
        description.update(ItemCount=len(items), BilledSizeBytes=len(json.dumps(items)), ExportManifest=manifest)


def files_of(items: list[Item], keys: list[str]) -> Iterator[list[Item]]:
    """Items by the hash of their partition key, then by their sort key; a cut falls where the file is full."""
    hashed: dict[int, list[tuple[str, str, Item]]] = {number: [] for number in range(PARTITIONS)}
    for item in items:
        partition, *sort = (next(iter(item[key].values())) for key in keys)
        digest = hashlib.sha256(str(partition).encode()).hexdigest()
        hashed[int(digest, 16) % PARTITIONS].append((digest, str(sort), item))
    for entries in hashed.values():
        ordered = [item for _, _, item in sorted(entries, key=lambda entry: entry[:2])]
        size = max(-(-len(ordered) // FILES_OF_A_PARTITION), 1)
        for start in range(0, max(len(ordered), 1), size):
            yield ordered[start : start + size]
