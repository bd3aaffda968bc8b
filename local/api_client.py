"""A dashboard's and a service's way in: a Cognito user, access tokens with scopes, and requests through API Gateway."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import secrets
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

USERNAME = "operator@example.com"
SCOPES = ("iops/predict", "iops/feedback", "iops/read")


@dataclass(frozen=True)
class Answer:
    route: str
    status: int
    body: Any
    milliseconds: float
    headers: Mapping[str, str] = field(default_factory=dict)

    def as_record(self) -> dict[str, Any]:
        return {
            "route": self.route,
            "status": self.status,
            "body": self.body,
            "milliseconds": round(self.milliseconds, 1),
        }


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """Where people and services of one deployment get their tokens; `url` is the hosted sign-in's, reachable."""

    cognito: Any
    url: str
    user_pool_id: str
    dashboard_client_id: str
    service_client_id: str

    def new_password(self) -> str:
        """Of the laptop's one user, who is made at the first call."""
        password = f"Aa1!{secrets.token_urlsafe(16)}"
        with contextlib.suppress(self.cognito.exceptions.UsernameExistsException):
            self.cognito.admin_create_user(UserPoolId=self.user_pool_id, Username=USERNAME, MessageAction="SUPPRESS")
        self.cognito.admin_set_user_password(
            UserPoolId=self.user_pool_id, Username=USERNAME, Password=password, Permanent=True
        )
        return password

    def user_token(self, password: str, scopes: tuple[str, ...] = SCOPES) -> str:
        """An access token as the page gets it: authorization code with PKCE (RFC 7636) through the hosted sign-in."""
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        page = self._dashboard_page()
        form = {
            "client_id": self.dashboard_client_id,
            "redirect_uri": page,
            "response_type": "code",
            "scope": " ".join(("openid", *scopes)),
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "username": USERNAME,
            "password": password,
        }
        status, headers, text = _posted(f"{self.url}/login", form)
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(headers.get("Location", "")).query)
        if "code" not in query:
            raise RuntimeError(f"the sign-in page answered {status} and gave no code: {text[:200]!r}")
        return self._token(
            {
                "grant_type": "authorization_code",
                "client_id": self.dashboard_client_id,
                "code": query["code"][0],
                "redirect_uri": page,
                "code_verifier": verifier,
            }
        )

    def service_token(self, scopes: tuple[str, ...] = SCOPES) -> str:
        """An access token of the confidential client (client credentials)."""
        client = self.cognito.describe_user_pool_client(UserPoolId=self.user_pool_id, ClientId=self.service_client_id)[
            "UserPoolClient"
        ]
        return self._token(
            {
                "grant_type": "client_credentials",
                "client_id": self.service_client_id,
                "client_secret": client["ClientSecret"],
                "scope": " ".join(scopes),
            }
        )

    def _dashboard_page(self) -> str:
        client = self.cognito.describe_user_pool_client(
            UserPoolId=self.user_pool_id, ClientId=self.dashboard_client_id
        )["UserPoolClient"]
        return str(client["CallbackURLs"][0])

    def _token(self, form: Mapping[str, str]) -> str:
        status, _, text = _posted(f"{self.url}/oauth2/token", form)
        if status != 200:
            raise RuntimeError(f"the token endpoint answered {status}: {text[:200]!r}")
        return str(json.loads(text)["access_token"])


def post(base_url: str, route: str, body: Any, *, token: str | None, timeout_seconds: float = 29.0) -> Answer:
    """POST JSON and time it; an HTTP error is an answer like any other."""
    return send(base_url, route, json.dumps(body).encode(), token=token, timeout_seconds=timeout_seconds)


def get(base_url: str, route: str, *, token: str | None, **query: object) -> Answer:
    """GET and time it."""
    asked = f"?{urllib.parse.urlencode(query)}" if query else ""
    return send(base_url, f"{route}{asked}", None, token=token)


def send(
    base_url: str,
    route: str,
    body: bytes | None,
    *,
    token: str | None,
    method: str | None = None,
    content_type: str = "application/json",
    timeout_seconds: float = 29.0,
) -> Answer:
    headers = {"Content-Type": content_type} if body is not None else {}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    url = f"{base_url.rstrip('/')}{route}"
    request = urllib.request.Request(  # noqa: S310 - http on the loopback is the point
        url, data=body, headers=headers, method=method or ("GET" if body is None else "POST")
    )
    started = time.perf_counter()
    try:
        with urllib.request.urlopen(request, timeout=timeout_seconds) as response:  # noqa: S310
            status, told, text = response.status, response.headers, response.read()
    except urllib.error.HTTPError as refused:
        status, told, text = refused.code, refused.headers, refused.read()
    elapsed = (time.perf_counter() - started) * 1000
    return Answer(route, status, _decoded(text), elapsed, dict(told.items()))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _posted(url: str, form: Mapping[str, str]) -> tuple[int, Message, bytes]:
    opener = urllib.request.build_opener(_NoRedirect)
    data = urllib.parse.urlencode(form).encode()
    try:
        with opener.open(url, data=data, timeout=10) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as other:
        return other.code, other.headers, other.read()


def _decoded(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.decode(errors="replace")
