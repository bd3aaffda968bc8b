"""The body of a request as parsed JSON. API Gateway validates too, the laptop cloud does not."""

from __future__ import annotations

import json
from typing import Final, NoReturn

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from lambdas.api.problems import BodyTooLarge, InvalidRequest, UnsupportedMediaType

# API Gateway takes 10 MB; a hundred items of twelve insights each are 500 KiB.
LARGEST_BODY_BYTES: Final = 1024 * 1024


def body_of(event: APIGatewayProxyEvent) -> object:
    try:
        text = event.decoded_body
    except ValueError as error:  # neither base64 nor UTF-8
        raise InvalidRequest("the body is not UTF-8 text", field="body") from error
    return read_body(text or "", event.headers.get("Content-Type"))


def read_body(body: str, content_type: str | None) -> object:
    if content_type and not _is_json(content_type):
        raise UnsupportedMediaType(
            f"Content-Type is {content_type[:80]!r}; send application/json in UTF-8", field="Content-Type"
        )
    if len(body.encode("utf-8", "surrogatepass")) > LARGEST_BODY_BYTES:
        raise BodyTooLarge(f"the body has more than {LARGEST_BODY_BYTES} bytes, the most that is taken; send less")
    if "\ufffd" in body:
        # The gateway hands text over as text: bytes that are no UTF-8 arrive as this replacement character.
        raise InvalidRequest("the body is not UTF-8 text", field="body")
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"the body is not JSON ({error})", field="body") from error


def _is_json(content_type: str) -> bool:
    media_type, *parameters = [part.strip().lower() for part in content_type.split(";")]
    charsets = [
        part.partition("=")[2].strip('" ') for part in parameters if part.partition("=")[0].strip() == "charset"
    ]
    is_utf8 = all(charset in ("utf-8", "utf8", "us-ascii") for charset in charsets)
    return is_utf8 and (media_type == "application/json" or media_type.endswith("+json"))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number; write null for an unknown value")
