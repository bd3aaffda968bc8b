"""A stub of the sign-in and the API, for the page's states that the real ones cannot be brought into quickly.

It answers by the API's contract and checks what a server would check of the page: PKCE (S256), state, redirect, tokens.
`python -m tests.dashboard.stub_api [DEVICES]` serves the page against it for work on the page.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import html
import json
import re
import secrets
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.dashboard.stub_fleet import MODEL_ARN, WATCHED, Device, fleet

CLIENT_ID = "page-client"
SCOPES = {"openid", "iops/predict", "iops/feedback", "iops/read"}
PROBLEM = "application/problem+json"
HISTORY_ROWS = 40


class Refused(Exception):
    def __init__(
        self, status: int, title: str, detail: str, *, field: str | None = None, retry_after: int | None = None
    ):
        super().__init__(detail)
        self.status, self.retry_after = status, retry_after
        self.body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        if field:
            self.body["field"] = field


@dataclass
class StubState:
    """What the tests turn and look at. A fault is called with (method, path, body) and may raise Refused or wait."""

    devices: list[Device]
    faults: list[Callable[[str, str, Any], None]] = field(default_factory=list)
    token_seconds: int = 3600
    access_tokens: set[str] = field(default_factory=set)
    refresh_tokens: set[str] = field(default_factory=set)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    predictions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    answers: list[tuple[str, str, int]] = field(default_factory=list)
    origins: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    counter: int = 0
    drift: dict[str, Any] = field(default_factory=lambda: dict(WATCHED))
    changed_devices: dict[str, dict[str, Any]] = field(default_factory=dict)

    def device(self, device_id: str) -> Device:
        for device in self.devices:
            if device.device_id == device_id:
                return device
        raise Refused(
            404,
            "No insight of this device is stored",
            f"no insight of the device {device_id!r} is stored; check the id, or send its insights",
            field="device_id",
        )

    def predict(self, kind: str, device: Device, insight: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            self.counter += 1
            made = device.prediction(kind, insight, self.counter)
            self.predictions.setdefault(device.device_id, []).insert(0, made)
        return made

    def add_history(
        self, devices: list[Device], *, kinds: tuple[str, ...] = ("risk", "performance"), until: int = 1
    ) -> None:
        """Predictions of the past HISTORY_ROWS intervals, the newest `until` left out."""
        for device in devices:
            for back in range(HISTORY_ROWS, until - 1, -1):
                for kind in kinds:
                    self.predict(kind, device, device.insight(back))

    def newest(self, device_id: str, kind: str) -> dict[str, Any] | None:
        return next((p for p in self.predictions.get(device_id, []) if p["kind"] == kind), None)


class StubApi:
    """Listens on 127.0.0.1 while the block lasts."""

    def __init__(self, state: StubState) -> None:
        self.state = state
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> StubApi:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def devices_page(state: StubState, query: dict[str, str]) -> dict[str, Any]:
    limit, start = int(query.get("limit", 200)), int(query.get("next", 0))
    entries = [_device_entry(state, device) for device in state.devices[start : start + limit]]
    more = start + limit < len(state.devices)
    return {"devices": entries, "next": str(start + limit) if more else None}


def _device_entry(state: StubState, device: Device) -> dict[str, Any]:
    insight = device.insight(0)
    names = (
        "device_id",
        "device_class",
        "workload_type",
        "read_iops",
        "write_iops",
        "avg_latency_ms",
        "p99_latency_ms",
        "queue_depth",
        "latency_slo_ms",
    )
    risk, performance = (state.newest(device.device_id, kind) for kind in ("risk", "performance"))
    kept = ("confidence", "as_of", "predicted_at", "prediction_id")
    entry = {
        **{name: insight[name] for name in names},
        "as_of": insight["timestamp"],
        "risk": risk and {name: risk[name] for name in ("risk_level", *kept)},
        "performance": performance and {name: performance[name] for name in ("performance_score", "interval", *kept)},
    }
    return {**entry, **state.changed_devices.get(device.device_id, {})}


def insights_page(state: StubState, query: dict[str, str]) -> dict[str, Any]:
    try:
        device = state.device(query["device_id"])
    except Refused:
        return {"insights": [], "next": None}
    return {"insights": device.insights(int(query.get("limit", 288))), "next": None}


def predictions_page(state: StubState, query: dict[str, str]) -> dict[str, Any]:
    found = [p for p in state.predictions.get(query["device_id"], []) if p["as_of"] >= query.get("from", "")]
    limit, start = int(query.get("limit", 50)), int(query.get("next", 0))
    more = start + limit < len(found)
    return {"predictions": found[start : start + limit], "next": str(start + limit) if more else None}


def predict(state: StubState, kind: str, body: dict[str, Any]) -> dict[str, Any]:
    if "items" not in body:
        device = state.device(body["device_id"])
        return state.predict(kind, device, device.insight(0))
    if not 1 <= len(body["items"]) <= 100:
        raise Refused(400, "The request is not valid", "items: give 1 to 100", field="items")
    results = []
    for item in body["items"]:
        try:
            results.append({"status": 200, "prediction": predict(state, kind, item)})
        except Refused as refused:
            results.append({"status": refused.status, "problem": refused.body})
    return {"results": results}


def give_feedback(state: StubState, body: dict[str, Any]) -> dict[str, Any]:
    for prediction in state.predictions.get(body["device_id"], []):
        if prediction["prediction_id"] == body["prediction_id"]:
            given = {
                name: body.get(name)
                for name in ("device_id", "prediction_id", "risk_level", "performance_score", "comment")
            }
            prediction["feedback"] = {**given, "given_by": "operator", "given_at": prediction["predicted_at"]}
            return dict(prediction["feedback"])
    raise Refused(404, "No such prediction", "the prediction is not stored, or has expired", field="prediction_id")


def models(state: StubState) -> dict[str, Any]:
    metrics = {
        "risk": {
            "accuracy": 0.934,
            "balanced_accuracy": 0.842,
            "macro_f1": 0.871,
            "recall_critical": 0.912,
            "log_loss": 0.231,
            "expected_calibration_error": 0.021,
            "persistence_macro_f1": 0.803,
            "rows": 2104.0,
            "devices": 31.0,
        },
        "performance": {
            "rmse": 5.82,
            "mae": 3.91,
            "r2": 0.882,
            "persistence_rmse": 8.77,
            "interval_coverage": 0.903,
            "interval_width": 17.4,
            "rows": 2104.0,
            "devices": 31.0,
        },
    }
    reasons = {
        "risk": [
            "accuracy 0.934 >= 0.900: passed",
            "recall of critical 0.912 >= 0.800 (on 54 rows): passed",
            "macro-F1 0.871 > persistence 0.803: passed",
            "no live model to compare with: passed",
        ],
        "performance": [
            "RMSE 5.820 <= 10.000: passed",
            "RMSE 5.820 < persistence 8.770: passed",
            "interval coverage 0.903 (0.887 to 0.918) meets 0.88 to 0.92: passed",
        ],
    }
    return {
        "models": [
            {
                "kind": kind, "status": "live", "endpoint_name": f"iops-{kind}-predictor", "instances": 1, "version": 3,
                "model_package_arn": MODEL_ARN.format(kind=kind), "created_at": "2026-03-02T09:12:44.000Z",
                "metrics": metrics[kind], "gate": {"passed": True, "reasons": reasons[kind]}, "drift": state.drift[kind],
            }
            for kind in ("risk", "performance")
        ]
    }  # fmt: skip


def answer_api(state: StubState, method: str, path: str, query: dict[str, str], body: Any) -> dict[str, Any]:
    routes: dict[tuple[str, str], Callable[[], dict[str, Any]]] = {
        ("GET", "/api/devices"): lambda: devices_page(state, query),
        ("GET", "/api/insights"): lambda: insights_page(state, query),
        ("GET", "/api/predictions"): lambda: predictions_page(state, query),
        ("POST", "/api/predict/risk"): lambda: predict(state, "risk", body),
        ("POST", "/api/predict/performance"): lambda: predict(state, "performance", body),
        ("POST", "/api/feedback"): lambda: give_feedback(state, body),
        ("GET", "/api/models"): lambda: models(state),
    }
    if (method, path) not in routes:
        raise Refused(404, "There is nothing at this address", f"no {method} {path}")
    return routes[method, path]()


def _handler(state: StubState) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_OPTIONS(self) -> None:
            self._send(204, b"", "text/plain")

        def do_GET(self) -> None:
            self._handle("GET")

        def do_POST(self) -> None:
            self._handle("POST")

        def _handle(self, method: str) -> None:
            address = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(address.query).items()}
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            if address.path == "/oauth2/authorize":
                self._send(200, _login_page(query).encode(), "text/html")
            elif address.path == "/login":
                self._redirect(_signed_in(state, {name: values[0] for name, values in parse_qs(text).items()}))
            elif address.path == "/logout":
                self._redirect(query["logout_uri"])
            elif address.path == "/oauth2/token":
                status, answer = _tokens(state, {name: values[0] for name, values in parse_qs(text).items()})
                self._send(status, json.dumps(answer).encode(), "application/json")
            else:
                self._api(method, address.path, query, json.loads(text) if text else None)

        def _api(self, method: str, path: str, query: dict[str, str], body: Any) -> None:
            state.requests.append((method, path, body))
            try:
                if (self.headers.get("Authorization") or "").removeprefix("Bearer ") not in state.access_tokens:
                    raise Refused(401, "Unauthorized", "UNAUTHORIZED")
                for fault in state.faults:
                    fault(method, path, body)
                answer = json.dumps(answer_api(state, method, path, query, body)).encode()
                state.answers.append((method, path, 200))
                self._send(200, answer, "application/json")
            except Refused as refused:
                state.answers.append((method, path, refused.status))
                more = {} if refused.retry_after is None else {"Retry-After": str(refused.retry_after)}
                self._send(refused.status, json.dumps(refused.body).encode(), PROBLEM, more)

        def _redirect(self, url: str) -> None:
            self._send(302, b"", "text/plain", {"Location": url})

        def _send(self, status: int, body: bytes, kind: str, more: dict[str, str] | None = None) -> None:
            self.send_response(status)
            headers = {"Content-Type": kind, "Content-Length": str(len(body)), **(more or {})}
            if self.headers.get("Origin") in state.origins:
                headers |= {
                    "Access-Control-Allow-Origin": self.headers["Origin"],
                    "Access-Control-Allow-Headers": "Authorization,Content-Type",
                    "Access-Control-Expose-Headers": "Retry-After",
                }
            for name, value in headers.items():
                self.send_header(name, value)
            with contextlib.suppress(ConnectionError):  # the tab was closed or has gone elsewhere
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    return Handler


def _login_page(query: dict[str, str]) -> str:
    hidden = (f'<input type="hidden" name="{html.escape(n)}" value="{html.escape(v)}">' for n, v in query.items())
    fields = '<input name="username"><input name="password" type="password"><button>Sign in</button>'
    return f'<form method="post" action="/login">{"".join(hidden)}{fields}</form>'


def _signed_in(state: StubState, form: dict[str, str]) -> str:
    page = form["redirect_uri"]
    assert form["client_id"] == CLIENT_ID
    assert form["response_type"] == "code"
    assert form["code_challenge_method"] == "S256"
    assert set(form["scope"].split()) <= SCOPES
    assert urlsplit(page)._replace(path="", query="").geturl() in state.origins
    if form["password"] != "right":
        refusal = {"error": "access_denied", "error_description": "wrong password", "state": form["state"]}
        return f"{page}?{urlencode(refusal)}"
    code = secrets.token_urlsafe(8)
    state.codes[code] = form
    return f"{page}?{urlencode({'code': code, 'state': form['state']})}"


def _tokens(state: StubState, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
    if form["grant_type"] == "refresh_token":
        if form["refresh_token"] not in state.refresh_tokens:
            return 400, {"error": "invalid_grant"}
        return 200, _issued(state)
    asked = state.codes.pop(form["code"], None)
    if asked is None or asked["redirect_uri"] != form["redirect_uri"] or form["client_id"] != CLIENT_ID:
        return 400, {"error": "invalid_grant"}
    if not re.fullmatch(r"[A-Za-z0-9._~-]{43,128}", form["code_verifier"]):  # RFC 7636, 4.1
        return 400, {"error": "invalid_grant", "error_description": "not a code_verifier"}
    digest = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
    if digest != asked["code_challenge"]:
        return 400, {"error": "invalid_grant", "error_description": "PKCE verification failed"}
    return 200, tokens(state)


def tokens(state: StubState) -> dict[str, Any]:
    """What a sign-in that went well answers."""
    refresh = secrets.token_urlsafe(8)
    state.refresh_tokens.add(refresh)
    return {**_issued(state), "refresh_token": refresh}


def _issued(state: StubState) -> dict[str, Any]:
    token = secrets.token_urlsafe(16)
    state.access_tokens.add(token)
    return {"access_token": token, "token_type": "Bearer", "expires_in": state.token_seconds}


def endpoint_down(kind: str, retry_after: int = 30) -> Callable[[str, str, Any], None]:
    def fault(method: str, path: str, body: Any) -> None:
        if path == f"/api/predict/{kind}":
            detail = f"the endpoint iops-{kind}-predictor is down; ask again in {retry_after} s"
            raise Refused(503, "The model cannot answer at the moment", detail, retry_after=retry_after)

    return fault


def endpoints_resting(returns_in: int) -> Callable[[str, str, Any], None]:
    """As the API answers outside the serving hours."""

    def fault(method: str, path: str, body: Any) -> None:
        if path.startswith("/api/predict/"):
            detail = "the endpoints rest outside Mon-Fri 06:00-20:00 UTC and return at 2026-11-25T06:00Z"
            raise Refused(503, "The endpoints rest outside their serving hours", detail, retry_after=returns_in)

    return fault


def held(until: threading.Event) -> Callable[[str, str, Any], None]:
    """No answer before the test allows it."""

    def fault(method: str, path: str, body: Any) -> None:
        until.wait(60)

    return fault


def main() -> None:
    from local.dashboard import Dashboard, PageConfig

    state = StubState(fleet(int(sys.argv[1]) if len(sys.argv) > 1 else 40))
    state.add_history(state.devices[:12])
    with StubApi(state) as stub, Dashboard(PageConfig(stub.url, stub.url, CLIENT_ID), port=0) as page:
        state.origins.add(page.url.rstrip("/"))
        print(f"{page.url}  (any name, password: right)", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()
