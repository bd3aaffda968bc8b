"""A client of the IOPS Insights API: standard library alone, Python 3.11 or newer. Copy this file.

client = IopsClient("https://<id>.execute-api.<region>.amazonaws.com/v1", ServiceTokens(sign_in_url, client_id, secret))
print(client.predict("risk", device_id="array-1/nvme0")["explanation"])
"""

from __future__ import annotations

import base64
import json
import random
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
Kind = Literal["risk", "performance"]
ASK_AGAIN = (429, 502, 503, 504)


class ApiProblem(Exception):
    """What the API refused; `problem` is its RFC 9457 document."""

    def __init__(self, status: int, problem: Json, retry_after_seconds: float | None) -> None:
        super().__init__(f"{status} {problem.get('title', '')}: {problem.get('detail', '')}")
        self.status, self.problem, self.retry_after_seconds = status, problem, retry_after_seconds


@dataclass
class ServiceTokens:
    """Access tokens by client credentials, each used until a minute before it ends."""

    sign_in_url: str
    client_id: str
    client_secret: str
    _token: str = ""
    _until: float = 0.0

    def __call__(self) -> str:
        if time.monotonic() > self._until:
            pair = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
            headers = {"Authorization": f"Basic {pair}", "Content-Type": "application/x-www-form-urlencoded"}
            url = f"{self.sign_in_url}/oauth2/token"
            request = urllib.request.Request(url, b"grant_type=client_credentials", headers)  # noqa: S310
            with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - the caller's own address
                granted = json.load(response)
            self._token, self._until = granted["access_token"], time.monotonic() + granted["expires_in"] - 60
        return self._token


@dataclass
class IopsClient:
    """Requests are asked again up to `retries` times: all of them may be repeated without harm."""

    url: str
    token: Callable[[], str]
    retries: int = 3
    timeout_seconds: float = 30.0
    longest_wait_seconds: float = 30.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    def predict(self, kind: Kind, *, device_id: str | None = None, insights: Sequence[Json] | None = None) -> Json:
        """The prediction about a stored device, or about a device's own rows."""
        body: Json = {"device_id": device_id} if insights is None else {"insights": list(insights)}
        return self._ask("POST", f"/api/predict/{kind}", body=body)

    def predict_items(self, kind: Kind, items: Sequence[Json]) -> list[Json]:
        """Up to 100 of these at once: per item a status, and a prediction or a problem."""
        results: list[Json] = self._ask("POST", f"/api/predict/{kind}", body={"items": list(items)})["results"]
        return results

    def devices(self) -> Iterator[Json]:
        return self._pages("/api/devices", "devices", {"limit": 1000})

    def insights(self, device_id: str, **query: Any) -> Iterator[Json]:
        """Query: from_, to, limit (of a page); without from_ the newest page alone."""
        return self._pages("/api/insights", "insights", {"device_id": device_id, **query})

    def predictions(self, device_id: str, **query: Any) -> Iterator[Json]:
        """Query: kind, from_, to, limit (of a page); newest first."""
        return self._pages("/api/predictions", "predictions", {"device_id": device_id, **query})

    def give_feedback(self, prediction: Json, **outcome: Any) -> Json:
        """Outcome: risk_level, performance_score, comment."""
        names = {name: prediction[name] for name in ("device_id", "prediction_id")}
        return self._ask("POST", "/api/feedback", body={**names, **outcome})

    def models(self) -> list[Json]:
        models: list[Json] = self._ask("GET", "/api/models")["models"]
        return models

    def _pages(self, path: str, name: str, query: Mapping[str, Any]) -> Iterator[Json]:
        asked = {key.rstrip("_"): value for key, value in query.items() if value is not None}
        while True:
            page = self._ask("GET", f"{path}?{urllib.parse.urlencode(asked)}")
            yield from page[name]
            if page["next"] is None:
                return
            asked["next"] = page["next"]

    def _ask(self, method: str, path: str, *, body: Json | None = None) -> Json:
        for attempt in range(self.retries + 1):
            wait = random.uniform(0, 0.5 * 2**attempt)
            try:
                return self._send(method, path, body)
            except ApiProblem as refused:
                wait = wait if refused.retry_after_seconds is None else refused.retry_after_seconds + wait
                if refused.status not in ASK_AGAIN or attempt == self.retries or wait > self.longest_wait_seconds:
                    raise
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                if attempt == self.retries:
                    raise
            self.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _send(self, method: str, path: str, body: Json | None) -> Json:
        headers = {"Authorization": f"Bearer {self.token()}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url.rstrip('/')}{path}", data, headers, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_seconds) as response:  # noqa: S310
                answer: Json = json.load(response)
                return answer
        except urllib.error.HTTPError as refused:
            text, seconds = refused.read(), refused.headers.get("Retry-After")
            problem = json.loads(text) if "json" in refused.headers.get("Content-Type", "") else {"detail": str(text)}
            raise ApiProblem(refused.code, problem, float(seconds) if seconds else None) from None
