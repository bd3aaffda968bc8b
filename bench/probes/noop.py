"""The least that a function behind the gateway can do; the bench deploys it alone."""

from typing import Any


def handler(event: Any, context: Any) -> dict[str, Any]:
    return {"statusCode": 200, "body": "{}"}
