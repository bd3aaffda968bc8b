from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from insights.experiments import variant_of
from lambdas.judge_experiment import handler as adapter
from lambdas.judge_experiment.judge_experiment import JudgeEnvironment, judge_experiment

GROUP = "arn:aws:sagemaker:us-east-1:123456789012:model-package/iops-risk"
PACKAGES = {"live": f"{GROUP}/1", "challenger": f"{GROUP}/2"}
BEGAN = datetime(2026, 3, 2, 10, tzinfo=UTC)
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:PromoteModel"
VARIABLES = {
    "BUCKET_NAME": "iops-bucket",
    "RISK_EXPERIMENT_PARAMETER": "/risk",
    "PERFORMANCE_EXPERIMENT_PARAMETER": "/performance",
    "PROMOTE_MODEL_ARN": MACHINE,
}
ENVIRONMENT = JudgeEnvironment(**{name.lower(): value for name, value in VARIABLES.items()})
OUTCOMES = "monitoring/risk/outcomes/"
DEVICES = [f"device-{number}" for number in range(400)]


def note(mode: str = "ab") -> str:
    since = "2026-03-02T10:00:00.000Z"
    return json.dumps({"mode": mode, "share": 50, "since": since, **PACKAGES})


class Machines:
    """Step Functions, which takes a name once."""

    def __init__(self) -> None:
        self.started: dict[str, Any] = {}

    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> dict[str, str]:
        assert stateMachineArn == MACHINE
        assert len(name) <= 80
        if name in self.started:
            raise ClientError({"Error": {"Code": "ExecutionAlreadyExists"}}, "StartExecution")
        self.started[name] = json.loads(input)
        return {"executionArn": f"arn:{name}"}


@pytest.fixture
def machines() -> Machines:
    return Machines()


def judged(
    cloud: Any, machines: Machines, *, days: float, text: str | None = None, kind: str = "risk"
) -> dict[str, Any]:
    return judge_experiment(
        kind=kind,
        outcomes_uri=f"s3://iops-bucket/{OUTCOMES}",
        environment=ENVIRONMENT,
        now=BEGAN + timedelta(days=days),
        read_note=lambda name: note() if text is None else text,
        s3=cloud.s3,
        stepfunctions=machines,
    )


def met(device: str) -> str:
    return variant_of(device, challenger=PACKAGES["challenger"], share_percent=50)


def prediction(device: str, *, is_right: bool, **members: Any) -> dict[str, Any]:
    variant = met(device)
    return {
        "device_id": device,
        "kind": "risk",
        "predicted_at": "2026-03-03T00:00:00.000Z",
        "variant": variant,
        "model_version": PACKAGES[variant],
        "risk_level": "low",
        "outcome": {"risk_level": "low" if is_right else "high"},
        **members,
    }


def write(cloud: Any, name: str, predictions: list[dict[str, Any]]) -> None:
    cloud.put(f"{OUTCOMES}{name}.jsonl", "".join(json.dumps(line) + "\n" for line in predictions).encode())


def day(wrong: dict[str, int], rows: int = 10) -> list[dict[str, Any]]:
    """Every device asked `rows` times, of which so many were wrong with its variant, give or take one by device."""
    return [
        prediction(device, is_right=row >= wrong[met(device)] + number % 2)
        for number, device in enumerate(DEVICES)
        for row in range(rows)
    ]


def test_a_better_challenger_is_promoted_once_a_day_at_most(cloud: Any, machines: Machines) -> None:
    write(cloud, "1", day({"live": 4, "challenger": 1}))
    found = judged(cloud, machines, days=7)
    assert (found["decision"], found["execution"]) == ("promote", "arn:experiment-risk-2-promote-20260309")
    [request] = machines.started.values()
    assert request == {
        "kind": "risk",
        "model_package_arn": PACKAGES["challenger"],
        "reason": found["reason"],
        "requested_by": "the stopping rule of the experiment (docs/experiments.md)",
    }
    assert judged(cloud, machines, days=7.2)["execution"] is None
    assert judged(cloud, machines, days=8)["execution"] == "arn:experiment-risk-2-promote-20260310"


def test_a_worse_challenger_is_dropped_at_once(cloud: Any, machines: Machines) -> None:
    write(cloud, "1", day({"live": 1, "challenger": 4}))
    assert judged(cloud, machines, days=1)["decision"] == "drop"
    [request] = machines.started.values()
    assert (request["kind"], request["drop_challenger"]) == ("risk", True)


def test_an_experiment_that_is_not_decided_goes_on(cloud: Any, machines: Machines) -> None:
    write(cloud, "1", day({"live": 3, "challenger": 3}))
    found = judged(cloud, machines, days=3)
    assert (found["decision"], found["execution"], machines.started) == ("continue", None, {})
    assert sum(variant["devices"] for variant in found["variants"].values()) == len(DEVICES)


def on(date: str, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**line, "predicted_at": f"{date}T00:00:00.000Z"} for line in lines]


def losses(found: dict[str, Any]) -> list[float]:
    return [variant["mean_loss"] for variant in found["variants"].values()]


def test_of_each_day_counts_what_was_told_of_most_predictions(cloud: Any, machines: Machines) -> None:
    """4 or 5 of 5 were wrong on the 3rd, then it is known that they were of 10; a day later of 10 of the 4th too."""
    few, all_of_it = (day({"live": 4, "challenger": 4}, rows=rows) for rows in (5, 10))
    write(cloud, "1", on("2026-03-03", few))
    first = losses(judged(cloud, machines, days=1))
    assert losses(judged(cloud, machines, days=1.1)) == first
    write(cloud, "1", on("2026-03-03", all_of_it))
    second = losses(judged(cloud, machines, days=2))
    assert first == pytest.approx([2 * loss for loss in second])
    # The next look begins within the 3rd, of which it tells a part.
    right = on("2026-03-04", [prediction(device, is_right=True) for device in DEVICES] * 10)
    write(cloud, "1", [*on("2026-03-03", few), *right])
    assert losses(judged(cloud, machines, days=3)) == pytest.approx([loss / 2 for loss in second])


@pytest.mark.parametrize(
    "members",
    [
        {"kind": "performance"},
        {"outcome": None},
        {"outcome": {"performance_score": 3}},
        {"predicted_at": "2026-03-02T09:59:59.999Z"},
        {"variant": None},
        {"model_version": f"{GROUP}/7"},
    ],
)
def test_what_tells_nothing_of_a_variant_is_left_out(cloud: Any, machines: Machines, members: dict[str, Any]) -> None:
    write(cloud, "1", [prediction(device, is_right=True, **members) for device in DEVICES])
    found = judged(cloud, machines, days=3)
    assert [variant["devices"] for variant in found["variants"].values()] == [0, 0]
    assert [variant["mean_loss"] for variant in found["variants"].values()] == [None, None]


def test_an_operators_word_counts_before_the_telemetrys(cloud: Any, machines: Machines) -> None:
    told = [prediction(device, is_right=True, feedback={"risk_level": "high"}) for device in DEVICES]
    write(cloud, "1", told)
    assert judged(cloud, machines, days=3)["variants"]["live"]["mean_loss"] == 1


def test_a_scores_loss_is_its_squared_error(cloud: Any, machines: Machines) -> None:
    told = [
        prediction(device, is_right=True, kind="performance", performance_score=70, outcome={"performance_score": 73})
        for device in DEVICES
    ]
    write(cloud, "1", told)
    assert judged(cloud, machines, days=3, kind="performance")["variants"]["live"]["mean_loss"] == 9


@pytest.mark.parametrize(
    ("text", "words"), [("off", "no experiment runs"), (note("shadow"), "a shadow answers nobody")]
)
def test_without_an_ab_experiment_there_is_nothing_to_judge(
    cloud: Any, machines: Machines, text: str, words: str
) -> None:
    found = judged(cloud, machines, days=3, text=text)
    assert (found["decision"], machines.started) == (None, {})
    assert words in found["reason"]


def test_the_handler_reads_the_note(cloud: Any, event: Any, context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    adapter.environment.cache_clear()
    monkeypatch.setattr(adapter, "parameter_value", {"/risk": "off"}.__getitem__)
    assert adapter.handler(event("judge_experiment"), context)["reason"] == "no experiment runs"
