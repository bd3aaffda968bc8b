"""The opaque text by which a list goes on: the last key that was given, bound to the question it belongs to.

It is not signed, as nothing can be gained by forging one: it only moves the beginning within what the caller may read
anyway. What is no token of this question is refused.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping

from lambdas.api.problems import InvalidRequest

_LONGEST_CHARACTERS = 1024
_LONGEST_KEY = 256


def question(route: str, query: Mapping[str, str]) -> str:
    """A short digest of what is asked, whatever the page and its size."""
    asked = sorted((name, value) for name, value in query.items() if name not in ("next", "limit"))
    return hashlib.sha256(json.dumps([route, asked]).encode()).hexdigest()[:16]


def token_of(last_key: str, *, asked: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([asked, last_key]).encode()).decode().rstrip("=")


def last_key_of(query: Mapping[str, str], *, asked: str) -> str | None:
    """The key after which to go on; None for the first page."""
    token = query.get("next")
    if token is None:
        return None
    try:
        if len(token) > _LONGEST_CHARACTERS:
            raise ValueError(token[:20])
        padded = (token + "=" * (-len(token) % 4)).encode("ascii")
        of, last_key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if of != asked or not isinstance(last_key, str) or not 1 <= len(last_key) <= _LONGEST_KEY:
            raise ValueError(last_key)
        if token_of(last_key, asked=asked) != token:
            raise ValueError(token)
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidRequest(
            "next: it is no text that this question was answered with; leave it out to begin again", field="next"
        ) from error
    return last_key
