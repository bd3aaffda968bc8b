"""An experiment at the endpoint: each device meets its variant, and who has nothing to do with it notices nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from insights.experiments import variant_of
from insights.schema import Insight
from lambdas.api.problems import ModelDown, ModelUnavailable
from lambdas.clients import session
from lambdas.parameters import ParameterUnread, parameter_value
from lambdas.predict.experiment import FRESH_SECONDS, RETRY_SECONDS, USABLE_SECONDS, Experiment, ExperimentNote
from tests.lambdas.predicting import PREDICTION, MakeInsight, Model, asked

CHALLENGER = "arn:aws:sagemaker:us-east-1:123456789012:model-package/iops-risk/4"
PACKAGES = {"live": CHALLENGER[:-1] + "3", "challenger": CHALLENGER}


def note(mode: str = "ab", share: float = 50) -> str:
    return json.dumps({"mode": mode, "share": share, "challenger": CHALLENGER, "live": PACKAGES["live"], "since": ""})


class Variants(Model):
    """Each variant answers as its own package; those that are `gone` or `down` as SageMaker says it of them."""

    def __init__(self, *, gone: tuple[str, ...] = (), down: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.gone, self.down = gone, down
        self.lock = threading.Lock()

    def invoke_endpoint(self, **request: Any) -> dict[str, Any]:
        variant = request.get("TargetVariant", "live")
        with self.lock:
            if request.get("TargetVariant") in self.gone:
                raise error("ValidationError", f"Variant {variant} was not found for Endpoint iops-risk-predictor.")
            if variant in self.down:
                raise error("ServiceUnavailable", "no instance")
            instances = json.loads(request["Body"])["instances"]
            self.answer = json.dumps(
                {"predictions": [PREDICTION] * len(instances), "model_version": PACKAGES[variant]}
            ).encode()
            return {**super().invoke_endpoint(**request), "InvokedProductionVariant": variant}

    def targets(self) -> list[str | None]:
        return [request.get("TargetVariant") for request in self.requests]


def error(code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "InvokeEndpoint")


def own(make_insight: MakeInsight, device: str) -> dict[str, Any]:
    return {"insights": [make_insight(device, n).to_json() for n in range(4)]}


def device_of(variant: str, *, start: int = 0) -> str:
    names = (f"device-{number}" for number in range(start, start + 1000))
    return next(name for name in names if variant_of(name, challenger=CHALLENGER, share_percent=50) == variant)


@pytest.mark.parametrize("variant", ["live", "challenger"])
def test_a_device_meets_its_variant_and_its_prediction_says_which_model_that_was(
    cloud: Any, make_insight: MakeInsight, variant: str
) -> None:
    model = Variants()
    for _ in range(3):
        answer = asked(cloud, own(make_insight, device_of(variant)), model, note=note())
        assert (answer["variant"], answer["model_version"]) == (variant, PACKAGES[variant])
    assert model.targets() == [variant] * 3


@pytest.mark.parametrize("text", ["off", note(mode="shadow")])
def test_without_an_ab_experiment_no_variant_is_named(cloud: Any, stored: list[Insight], text: str) -> None:
    model = Variants()
    asked(cloud, {"device_id": "nvme-1"}, model, note=text)
    assert "TargetVariant" not in model.requests[0]


def items_of_both(make_insight: MakeInsight) -> tuple[list[str], list[dict[str, Any]]]:
    devices = [f"device-{number}" for number in range(12)]
    expected = [variant_of(device, challenger=CHALLENGER, share_percent=50) for device in devices]
    assert len(set(expected)) == 2
    return expected, [own(make_insight, device) for device in devices]


def test_items_are_one_call_to_each_variant_and_come_back_in_their_places(
    cloud: Any, make_insight: MakeInsight
) -> None:
    expected, items = items_of_both(make_insight)
    model = Variants()
    results = asked(cloud, {"items": items}, model, note=note())["results"]
    assert [result["prediction"]["device_id"] for result in results] == [f"device-{n}" for n in range(12)]
    assert [result["prediction"]["variant"] for result in results] == expected
    assert sorted(model.targets(), key=str) == ["challenger", "live"]


def test_a_challenger_that_is_down_fails_its_own_items_alone(cloud: Any, make_insight: MakeInsight) -> None:
    expected, items = items_of_both(make_insight)
    results = asked(cloud, {"items": items}, Variants(down=("challenger",)), note=note())["results"]
    assert [result["status"] for result in results] == [200 if v == "live" else 503 for v in expected]


def test_where_no_variant_answers_the_request_fails(cloud: Any, make_insight: MakeInsight) -> None:
    _, items = items_of_both(make_insight)
    with pytest.raises(ModelDown):
        asked(cloud, {"items": items}, Variants(down=("live", "challenger")), note=note())


def test_a_variant_that_has_just_gone_is_asked_for_no_more(cloud: Any, make_insight: MakeInsight) -> None:
    model = Variants(gone=("challenger",))
    answer = asked(cloud, own(make_insight, device_of("challenger")), model, note=note())
    assert (answer["variant"], answer["model_version"]) == ("live", PACKAGES["live"])
    assert model.targets() == [None]


def test_a_missing_endpoint_is_still_no_model(cloud: Any, make_insight: MakeInsight) -> None:
    model = Model(error=error("ValidationError", "Endpoint iops-risk-predictor of account 1 not found."))
    with pytest.raises(ModelUnavailable, match="no model is live"):
        asked(cloud, own(make_insight, device_of("challenger")), model, note=note())
    assert len(model.requests) == 2


class Notes:
    """What reading gives, in order, and the time."""

    def __init__(self, *given: str | Exception) -> None:
        self.given = list(given)
        self.now = 1000.0
        self.reads = 0
        self.note = ExperimentNote(self.read, clock=lambda: self.now)

    def read(self) -> str:
        self.reads += 1
        found = self.given.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def known(self, *, after: float = 0.0) -> Experiment | None:
        """What a request goes by that comes so much later; then whatever it began to read has been read."""
        self.now += after
        experiment = self.note.begin()()
        if self.note._pending is not None:
            self.note._pending.result()
        return experiment


RUNNING = Experiment(challenger=CHALLENGER, share_percent=50)


def test_the_note_is_read_at_the_first_request_and_then_once_a_minute() -> None:
    notes = Notes(note(), "off")
    assert [notes.known() for _ in range(3)] == [RUNNING] * 3
    assert notes.known(after=FRESH_SECONDS - 1) == RUNNING
    assert notes.reads == 1
    # The request that finds it due does not wait for it.
    assert notes.known(after=1) == RUNNING
    assert notes.reads == 2
    assert notes.known() is None


def test_a_process_that_rested_waits_for_what_is_true_now() -> None:
    notes = Notes(note(), "off")
    notes.known()
    assert notes.known(after=USABLE_SECONDS) is None


@pytest.mark.parametrize("trouble", [ParameterUnread("SSM is down"), "no json", "[]", '{"mode": "ab"}'])
def test_a_note_that_cannot_be_read_changes_nothing(trouble: str | Exception) -> None:
    running, unknown = Notes(note(), trouble), Notes(trouble, note())
    running.known()
    running.known(after=FRESH_SECONDS)
    assert running.known() == RUNNING
    assert unknown.known() is None
    assert unknown.known(after=RETRY_SECONDS) is None
    assert unknown.known() == RUNNING


def test_the_share_of_the_devices_is_the_one_asked_for_and_salted_by_the_challenger() -> None:
    devices = [f"device-{number}" for number in range(20_000)]

    def challenged(package: str, share: float) -> set[str]:
        return {d for d in devices if variant_of(d, challenger=package, share_percent=share) == "challenger"}

    tenth, half = challenged(CHALLENGER, 10), challenged(CHALLENGER, 50)
    # 4.7 standard deviations of a binomial count
    assert 1800 <= len(tenth) <= 2200
    assert tenth <= half
    assert 850 <= len(tenth & challenged(PACKAGES["live"], 50)) <= 1150


def test_reading_a_parameter_names_what_went_wrong(monkeypatch: pytest.MonkeyPatch, ssm_server: Callable[..., str]):
    session.cache_clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", ssm_server({"/iops-insights/risk/experiment": "off"}))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert parameter_value("/iops-insights/risk/experiment") == "off"
    with pytest.raises(ParameterUnread, match=r"SSM answered 400 for /nobody: .*ParameterNotFound"):
        parameter_value("/nobody")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", "http://127.0.0.1:9")
    with pytest.raises(ParameterUnread, match="was not read"):
        parameter_value("/iops-insights/risk/experiment")


@pytest.fixture
def ssm_server() -> Any:
    """SSM's GetParameter on a port of its own; refuses what is not signed for it."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    servers = []

    def serve(values: dict[str, str]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked_for = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                is_signed = "/us-east-1/ssm/aws4_request" in self.headers.get("Authorization", "")
                value = values.get(asked_for["Name"])
                is_found = is_signed and value is not None and self.headers["X-Amz-Target"] == "AmazonSSM.GetParameter"
                answer = {"Parameter": {"Value": value}} if is_found else {"__type": "ParameterNotFound"}
                body = json.dumps(answer).encode()
                self.send_response(200 if is_found else 400)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()
