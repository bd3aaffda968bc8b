"""One function's share of the API: its routes, who may call them, and every trouble as a problem document."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, CORSConfig, Response
from aws_lambda_powertools.metrics import MetricUnit
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NotConnected

from lambdas.api.bodies import body_of
from lambdas.api.caller import Caller
from lambdas.api.client_limit import ClientLimit
from lambdas.api.problems import PROBLEM_MEDIA_TYPE, InvalidRequest, Problem, StoreUnavailable, UnknownRoute
from lambdas.client_errors import is_throttled

_STORE_RETRY_SECONDS = 2
logger = Logger(child=True)


class Api:
    """`metrics` is the function's own, flushed by its handler; `limit` None leaves the clients uncounted."""

    def __init__(self, *, allowed_origins: str, metrics: Metrics, limit: ClientLimit | None = None) -> None:
        self._app = APIGatewayRestResolver(cors=_cors(allowed_origins))
        self._metrics = metrics
        self._limit = limit
        self.routes: list[tuple[str, str, str | None]] = []
        self._app.exception_handler(Problem)(self._refusal)
        self._app.exception_handler([ClientError, NotConnected, HTTPClientError])(self._store_trouble)
        self._app.exception_handler(Exception)(self._bug)
        self._app.not_found(lambda _: self._refusal(UnknownRoute(f"no {self._event.http_method} {self._event.path}")))

    def route(self, method: str, path: str, answer: Callable[[Caller], object], *, scope: str | None) -> None:
        """`scope` None: anybody may ask."""

        def answered() -> object:
            self._metrics.add_metric(name="Requests", unit=MetricUnit.Count, value=1)
            caller = Caller.of(self._event.raw_event)
            if scope is not None:
                caller.require(scope)
                self.count(caller)
            return answer(caller)

        self._app.route(path, method=method)(answered)
        self.routes.append((method, path, scope))

    def count(self, caller: Caller, requests: int = 1) -> None:
        if self._limit is not None and requests:
            self._limit.take(caller.client_id, requests)

    def resolve(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        return self._app.resolve(event, context)

    @property
    def path(self) -> str:
        return str(self._event.path)

    def body(self) -> object:
        return body_of(self._event)

    def query(self) -> Mapping[str, str]:
        """The query's parameters, each given at most once."""
        many: Mapping[str, Sequence[str]] = self._event.raw_event.get("multiValueQueryStringParameters") or {}
        single: Mapping[str, str] = self._event.raw_event.get("queryStringParameters") or {}
        for name, values in many.items():
            if len(values) > 1:
                raise InvalidRequest(f"the parameter {name} is given {len(values)} times; give it once", field=name)
        return {**single, **{name: values[0] for name, values in many.items() if values}}

    @property
    def _event(self) -> Any:
        return self._app.current_event

    def remaining_seconds(self) -> float:
        return float(self._app.lambda_context.get_remaining_time_in_millis()) / 1000

    def waited_seconds(self) -> float:
        """How long the caller has waited since API Gateway took the request, a cold start included."""
        received_ms = float(self._event.raw_event["requestContext"]["requestTimeEpoch"])
        return max(0.0, time.time() - received_ms / 1000)

    def _refusal(self, problem: Problem) -> Response[str]:
        name = "RequestsFailed" if problem.status >= 500 else "RequestsRefused"
        self._metrics.add_metric(name=name, unit=MetricUnit.Count, value=1)
        logger.warning("refused", extra={"status": problem.status, "detail": problem.detail, "field": problem.field})
        return Response(
            status_code=problem.status,
            content_type=PROBLEM_MEDIA_TYPE,
            body=problem.to_json(self._event.path),
            headers=problem.headers(),
        )

    def _store_trouble(self, error: Exception) -> Response[str]:
        if isinstance(error, ClientError) and not is_throttled(error):
            return self._bug(error)
        logger.error("the store did not answer", exc_info=error)
        seconds = _STORE_RETRY_SECONDS
        return self._refusal(StoreUnavailable(f"ask again in {seconds} s", retry_after_seconds=seconds))

    def _bug(self, error: Exception) -> Response[str]:
        logger.error("unexpected error", exc_info=error)
        return self._refusal(Problem("an unexpected error happened here; it is in the log under this request's id"))


def _cors(allowed_origins: str) -> CORSConfig:
    first, *others = [origin.strip() for origin in allowed_origins.split(",") if origin.strip()]
    return CORSConfig(
        allow_origin=first,
        extra_origins=others,
        allow_headers=["Authorization", "Content-Type"],
        expose_headers=["Retry-After"],
        max_age=600,
    )
