"""A dashboard's way in: a Cognito user, a token, and requests through API Gateway."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

USERNAME = "operator@example.com"


@dataclass(frozen=True)
class Answer:
    route: str
    status: int
    body: Any
    milliseconds: float

    def as_record(self) -> dict[str, Any]:
        return {
            "route": self.route,
            "status": self.status,
            "body": self.body,
            "milliseconds": round(self.milliseconds, 1),
        }


def sign_in(cognito: Any, *, user_pool_id: str, client_id: str) -> str:
    """Create (or give a new password to) the laptop's one user and return an ID token."""
    password = f"Aa1!{secrets.token_urlsafe(16)}"
    with contextlib.suppress(cognito.exceptions.UsernameExistsException):  # an earlier sign-in on this deployment
        cognito.admin_create_user(UserPoolId=user_pool_id, Username=USERNAME, MessageAction="SUPPRESS")
    cognito.admin_set_user_password(UserPoolId=user_pool_id, Username=USERNAME, Password=password, Permanent=True)
    session = cognito.initiate_auth(
        ClientId=client_id,
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": USERNAME, "PASSWORD": password},
    )
    return str(session["AuthenticationResult"]["IdToken"])


def post(base_url: str, route: str, body: Any, *, token: str | None, timeout_seconds: float = 29.0) -> Answer:
    """POST JSON and time it; an HTTP error is an answer like any other."""
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    url = f"{base_url.rstrip('/')}{route}"
    request = urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers, method="POST")  # noqa: S310 - http on the loopback is the point
    started = time.perf_counter()
    try:
        with urllib.request.urlopen(request, timeout=timeout_seconds) as response:  # noqa: S310
            status, text = response.status, response.read()
    except urllib.error.HTTPError as refused:
        status, text = refused.code, refused.read()
    elapsed = (time.perf_counter() - started) * 1000
    return Answer(route, status, _decoded(text), elapsed)


def _decoded(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.decode(errors="replace")
