"""EBS volumes as EC2 describes them, and as insights speak of them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from lambdas.collect_volumes.asking import Asker

# EBS user guide, "Amazon EBS volume types": gp2 bursts from credits; gp3 has what it was provisioned with, and no
# bucket; st1, sc1 and standard are magnetic.
DEVICE_CLASSES: Final[Mapping[str, str]] = {
    "gp2": "ssd-burst",
    "gp3": "ssd",
    "io1": "provisioned",
    "io2": "provisioned",
    "st1": "hdd",
    "sc1": "hdd",
    "standard": "hdd",
}
# The same page: a gp2 volume's baseline reaches its burst of 3,000 IOPS at 1,000 GiB, an st1's 500 MiB/s at 12.5 TiB; an
# sc1 never gets there. A balance that is never spent says nothing, and under a Nitro instance it reads 0.
_GP2_BURST_IOPS: Final = 3000
_ST1_STEADY_GIB: Final = 12_800
# EC2 API reference, DescribeVolumes: 5 to 1,000 a page (500 is what AWS advises).
_PAGE_VOLUMES: Final = 500


@dataclass(frozen=True, kw_only=True)
class Volume:
    """`instance_id` is the one that it is attached to and that its checks are published for, if there is just one."""

    volume_id: str
    volume_type: str
    size_gib: int
    iops: float | None
    is_attached: bool
    instance_id: str | None

    @classmethod
    def from_description(cls, found: Mapping[str, Any]) -> Self:
        """From an entry of DescribeVolumes."""
        attached = [one["InstanceId"] for one in found.get("Attachments", []) if one.get("State") == "attached"]
        return cls(
            volume_id=found["VolumeId"],
            volume_type=found["VolumeType"],
            size_gib=int(found["Size"]),
            iops=float(found["Iops"]) if found.get("Iops") else None,
            is_attached=bool(attached),
            instance_id=attached[0] if attached and not found.get("MultiAttachEnabled") else None,
        )

    @property
    def device_class(self) -> str | None:
        """None for a type that is newer than this table."""
        return DEVICE_CLASSES.get(self.volume_type)

    @property
    def spends_credits(self) -> bool:
        """Whether BurstBalance is published for it and says something."""
        if self.volume_type == "gp2":
            return self.iops is None or self.iops < _GP2_BURST_IOPS
        return self.volume_type == "sc1" or (self.volume_type == "st1" and self.size_gib < _ST1_STEADY_GIB)


def shard_of(volume_id: str, shards: int) -> int:
    """The same in every process and for ever, whatever other volumes there are."""
    return zlib.crc32(volume_id.encode()) % shards


def volumes_of_shard(shard: int, shards: int, *, tag: str, ec2: Any, asker: Asker) -> Iterator[Volume]:
    """Those with the tag (`name`, or `name=value`; all without one). EC2 knows no filter by hash: each shard lists all."""
    request: dict[str, Any] = {"Filters": _filters(tag), "MaxResults": _PAGE_VOLUMES}
    while True:
        page = asker.ask(ec2.describe_volumes, "DescribeVolumes", **request)
        for found in page["Volumes"]:
            if shard_of(found["VolumeId"], shards) == shard:
                yield Volume.from_description(found)
        if not page.get("NextToken"):
            return
        request["NextToken"] = page["NextToken"]


def _filters(tag: str) -> list[dict[str, Any]]:
    if not tag:
        return []
    name, equals, value = tag.partition("=")
    return [{"Name": f"tag:{name}", "Values": [value]}] if equals else [{"Name": "tag-key", "Values": [name]}]
