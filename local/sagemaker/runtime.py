"""InvokeEndpoint: to a variant by weight, to its next instance, to another one when that died meanwhile."""

from __future__ import annotations

import http.client
import random
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from local.sagemaker.errors import InvocationError
from local.sagemaker.fleet import Fleet, ServingInstance, VariantFleet
from local.sagemaker.service import Service
from local.sagemaker.store import Record, Scope
from local.sagemaker.telemetry import Exchange, Invocation

MOST_BODY_BYTES = 6_291_456
TARGET_VARIANT = "x-amzn-sagemaker-target-variant"
CUSTOM_ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
INFERENCE_ID = "x-amzn-sagemaker-inference-id"
PASSED_ON = ("content-type", "accept", CUSTOM_ATTRIBUTES, INFERENCE_ID)
"""SageMaker passes no other header to the container."""
DEFAULT_TYPE = "application/octet-stream"
TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency metrics for "
    "each container in Amazon CloudWatch, resolve the issue, and try again."
)
MOST_BROKEN = 2
"""Instances that may die over one request before it is given up."""

_shadow_threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="sagemaker-shadow")


class Answer(NamedTuple):
    """What a container answered; status 0 when it did not in time."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    model_us: float


class Asked(NamedTuple):
    """Whom a request went to and what came back; None: no instance was there."""

    fleet: Fleet
    variant: VariantFleet
    answer: Answer | None


def invoke(
    service: Service, scope: Scope, endpoint_name: str, headers: Mapping[str, str], body: bytes
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the model's answer; raises InvocationError for everything else."""
    started = time.perf_counter()
    record = service.store.find("Endpoint", scope, endpoint_name)
    if record is None:
        raise _no_endpoint(scope, endpoint_name)
    if len(body) > MOST_BODY_BYTES:
        raise InvocationError("ValidationError", 413, f"HTTP content length exceeded {MOST_BODY_BYTES} bytes.")
    own = {name: headers[name] for name in PASSED_ON if name in headers}
    fleet, variant, answer = _asked(service, record, headers.get(TARGET_VARIANT), own, body)
    if answer is None:
        service.endpoints.telemetry.count(variant, Invocation(503, None, None))
        message = "A transient exception occurred while retrieving variant instances. Please try again later."
        raise InvocationError("ServiceUnavailable", 503, message)
    overhead_us = (time.perf_counter() - started) * 1e6 - answer.model_us
    service.endpoints.telemetry.count(variant, Invocation(answer.status or 500, answer.model_us, overhead_us))
    if not 200 <= answer.status < 300:
        raise _model_error(record, answer)
    _capture(service, fleet, variant, own, body, answer)
    kind = answer.headers.get("content-type", DEFAULT_TYPE)
    returned = {"Content-Type": kind, "x-Amzn-Invoked-Production-Variant": variant.name}
    if CUSTOM_ATTRIBUTES in answer.headers:
        returned["X-Amzn-SageMaker-Custom-Attributes"] = answer.headers[CUSTOM_ATTRIBUTES]
    return 200, returned, answer.body


def _no_endpoint(scope: Scope, name: str) -> InvocationError:
    return InvocationError("ValidationError", 400, f"Endpoint {name} of account {scope.account} not found.")


def _asked(service: Service, record: Record, target: str | None, headers: Mapping[str, str], body: bytes) -> Asked:
    """Ask the fleet that serves; one that was replaced between being chosen and being asked is asked no more."""
    live = service.endpoints.live(record)
    while True:
        fleet = live.pick()
        if fleet is None:
            raise _no_endpoint(record.scope, record.name)
        variant = _variant(fleet, record, target)
        answer = _ask(service, variant, headers, body)
        if answer is not None or live.serves_with(fleet):
            break
    for shadow in fleet.shadows.values():
        if random.random() * variant.weight < shadow.weight:  # its part of the production variant's weight
            _shadow_threads.submit(_shadow, service, fleet, shadow, headers, body)
    return Asked(fleet, variant, answer)


def _variant(fleet: Fleet, record: Record, target: str | None) -> VariantFleet:
    if target is not None:
        if target not in fleet.variants:
            message = f"Variant {target} was not found for Endpoint {record.name}."
            raise InvocationError("ValidationError", 400, message)
        return fleet.variants[target]
    variants = list(fleet.variants.values())
    weights = [variant.weight for variant in variants]
    return random.choices(variants, weights if any(weights) else None)[0]


def _ask(service: Service, variant: VariantFleet, headers: Mapping[str, str], body: bytes) -> Answer | None:
    """The answer of an instance, of another one where the first died; None when none is left.

    A request that broke off may have been computed: it is asked again because a prediction changes nothing, so that
    twice is once. Not without end, as it may itself be what killed the instances.
    """
    tried: list[ServingInstance] = []
    broken = 0
    while broken < MOST_BROKEN:
        with variant.lease(tried) as instance:
            if instance is None:
                return None
            tried.append(instance)
            started = time.perf_counter()
            try:
                return _post(instance, headers, body, service.settings.invocation_timeout_seconds, started)
            except TimeoutError:
                return Answer(0, {}, TIMED_OUT.encode(), (time.perf_counter() - started) * 1e6)
            except ConnectionRefusedError:
                continue  # it is dead already and has not seen the request
            except (OSError, http.client.HTTPException):
                broken += 1
    return None


def _post(
    instance: ServingInstance, headers: Mapping[str, str], body: bytes, timeout_seconds: float, started: float
) -> Answer:
    """Over a kept connection; the server may close that at the very moment of the request, hence a fresh one then."""
    kept = instance.connections.kept()
    if kept is None:
        return _exchange(instance, instance.connections.fresh(timeout_seconds), headers, body, started)
    try:
        return _exchange(instance, kept, headers, body, started)
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException) as broken:
        try:
            connection = instance.connections.fresh(timeout_seconds)
        except ConnectionRefusedError:
            raise broken from None  # not idle but dead, and it may have seen the request
        return _exchange(instance, connection, headers, body, started)


def _exchange(
    instance: ServingInstance,
    connection: http.client.HTTPConnection,
    headers: Mapping[str, str],
    body: bytes,
    started: float,
) -> Answer:
    try:
        connection.request("POST", "/invocations", body=body, headers=dict(headers))
        response = connection.getresponse()
        answer = response.read()
    except BaseException:
        connection.close()
        raise
    lowered = {name.lower(): value for name, value in response.getheaders()}
    instance.connections.keep(connection, is_reusable=not response.will_close)
    return Answer(response.status, lowered, answer, (time.perf_counter() - started) * 1e6)


def _shadow(service: Service, fleet: Fleet, shadow: VariantFleet, headers: Mapping[str, str], body: bytes) -> None:
    """The same request to the shadow variant; its answer is counted and captured, and nobody gets it."""
    answer = _ask(service, shadow, headers, body)
    if answer is not None:
        service.endpoints.telemetry.count(shadow, Invocation(answer.status or 500, answer.model_us, None))
        if 200 <= answer.status < 300:
            _capture(service, fleet, shadow, headers, body, answer)


def _capture(
    service: Service, fleet: Fleet, variant: VariantFleet, headers: Mapping[str, str], body: bytes, answer: Answer
) -> None:
    exchange = Exchange(
        headers.get("content-type", DEFAULT_TYPE),
        body,
        answer.headers.get("content-type", DEFAULT_TYPE),
        answer.body,
        headers.get(INFERENCE_ID),
    )
    service.endpoints.telemetry.capture(variant, fleet.capture, exchange)


def _model_error(record: Record, answer: Answer) -> InvocationError:
    side = "client" if 400 <= answer.status < 500 else "server"
    text = answer.body.decode("utf-8", "replace")
    account, region = record.scope
    group = f"/aws/sagemaker/Endpoints/{record.name}"
    return InvocationError(
        "ModelError",
        424,
        f'Received {side} error ({answer.status}) from primary with message "{text}". See '
        f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logEventViewer:group={group} "
        f"in account {account} for more information.",
        OriginalStatusCode=answer.status,
        OriginalMessage=text,
        LogStreamArn=f"arn:aws:logs:{region}:{account}:log-group:{group}",
    )
