"""EmptyPackageGroup: adapter between CloudFormation's custom resources and `empty_package_group`."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.empty_package_group.empty_package_group import empty_package_group

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Every event is answered, also a failed one: CloudFormation would wait an hour for silence."""
    group = event["ResourceProperties"]["ModelPackageGroupName"]
    status, reason = "SUCCESS", ""
    try:
        if event["RequestType"] == "Delete":
            logger.info("package group emptied", extra={"group": group, "deleted": empty_package_group(group)})
    except Exception as error:
        logger.exception("the package group could not be emptied")
        status, reason = "FAILED", f"{group} could not be emptied: {error}"
    answer(event, status=status, reason=reason, physical_id=f"contents-of-{group}")


def answer(event: dict[str, Any], *, status: str, reason: str, physical_id: str) -> None:
    body = {
        "Status": status,
        "Reason": reason,
        "PhysicalResourceId": physical_id,
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    # The URL is signed for an empty content type (Custom resource response objects).
    request = urllib.request.Request(  # noqa: S310 (CloudFormation's own URL)
        event["ResponseURL"], data=json.dumps(body).encode(), method="PUT", headers={"Content-Type": ""}
    )
    with urllib.request.urlopen(request, timeout=30):  # noqa: S310
        pass
