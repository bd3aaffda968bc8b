"""Volumes of an instance with metrics as EBS publishes them, collected by the deployed function in its own role."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.e2e.served_models import ServedModels

PERIOD = timedelta(minutes=5)
BUSY: Mapping[str, float] = {
    "VolumeReadOps": 30_000,
    "VolumeWriteOps": 15_000,
    "VolumeReadBytes": 30_000 * 4096,
    "VolumeWriteBytes": 15_000 * 8192,
    "VolumeTotalReadTime": 30,
    "VolumeTotalWriteTime": 45,
    "VolumeQueueLength": 0.25,
}


@dataclass(frozen=True)
class CollectedVolume:
    """A gp3 volume that was just made; `last` is the start of the last period that was over then."""

    served: ServedModels
    volume_id: str
    instance_id: str
    last: datetime

    @classmethod
    def of(cls, served: ServedModels) -> CollectedVolume:
        ec2 = served.cloud.client("ec2")
        [instance] = ec2.run_instances(ImageId="ami-1", MinCount=1, MaxCount=1)["Instances"]
        described = ec2.describe_instances(InstanceIds=[instance["InstanceId"]])["Reservations"][0]["Instances"][0]
        volume_id = described["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
        ec2.create_tags(Resources=[volume_id], Tags=[{"Key": "iops-insights", "Value": ""}])
        now = datetime.now(UTC)
        last = now - timedelta(seconds=now.timestamp() % PERIOD.total_seconds()) - PERIOD
        return cls(served, volume_id, instance["InstanceId"], last)

    def put(self, back: int, points: Mapping[str, float], *, of_instance: bool = False) -> None:
        """Of the period that lies so many before the last one."""
        dimensions = [{"Name": "VolumeId", "Value": self.volume_id}]
        if of_instance:
            dimensions.append({"Name": "InstanceId", "Value": self.instance_id})
        data = [
            {"MetricName": name, "Dimensions": dimensions, "Value": value, "Timestamp": self.last - back * PERIOD}
            for name, value in points.items()
        ]
        self.served.cloud.client("cloudwatch").put_metric_data(Namespace="AWS/EBS", MetricData=data)

    def collect(self) -> dict[str, Any]:
        called = self.served.cloud.client("lambda").invoke(
            FunctionName=self.served.deployment["IopsCollectors.CollectVolumesName"],
            Payload=json.dumps({"shard": 0, "shards": 1}),
        )
        answer: dict[str, Any] = json.loads(called["Payload"].read())
        assert "FunctionError" not in called, answer
        return answer

    def rows(self) -> dict[int, dict[str, Any]]:
        """By how many periods they lie before the last one."""
        found = self.served.cloud.client("dynamodb").query(
            TableName=self.served.deployment["IopsData.InsightsTableName"],
            KeyConditionExpression="device_id = :device",
            ExpressionAttributeValues={":device": {"S": self.volume_id}},
        )["Items"]
        return {(self.last + PERIOD - datetime.fromisoformat(row["timestamp"]["S"])) // PERIOD: row for row in found}

    def quarantined(self) -> list[dict[str, Any]]:
        s3, bucket = self.served.cloud.client("s3"), self.served.deployment["IopsData.BucketName"]
        listed = s3.list_objects_v2(Bucket=bucket, Prefix="quarantine/ebs/").get("Contents", [])
        bodies = [s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read().decode() for entry in listed]
        return [json.loads(line) for body in bodies for line in body.splitlines()]
