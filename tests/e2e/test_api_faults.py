"""The fault matrix of the API's hops, on one deployment: what a caller hears, that the same request afterwards is answered
as if nothing had been, and that nothing is lost, doubled or left. The cells (tests/faults/api_cells.py) are chosen pairwise,
with FAULTS=all each is run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.client import HTTPException
from typing import Any

import pytest

from insights.schema import timestamp_text
from local.api_client import get, post
from local.cloud import LaptopCloud
from local.faults.book import Fault
from local.processes import ProcessIdentity
from tests.e2e.left_behind import processes_of
from tests.e2e.moods import MOODY, MoodyEndpoint, moody_endpoint
from tests.e2e.served_models import ServedModels, ServingOptions
from tests.faults.api_cells import ASKED, COUNTED, JOINED, TRACKED, ApiCell, Heard, Hop, cells_of
from tests.faults.asking import (
    FOLLOWING,
    ROWS,
    Asking,
    answered,
    checked,
    insight,
    now,
    until_answered,
)
from tests.faults.chosen import chosen
from tests.faults.killing import kill_server
from tests.faults.remains import Remains
from tests.faults.taken_away import granted, policies_of
from tests.faults.telling import tell
from tests.faults.verdict import heard, tell_answer, wrongs
from tests.local.watching import patiently

pytestmark = pytest.mark.e2e
RUN = {
    "source": {"kind": "synthetic", "records": 2000, "seed": 2},
    "models": ["risk"],
    "tuning": {"max_jobs": 1, "max_parallel_jobs": 1},
    "promote": False,
}

EVERYBODYS = ("logs:", "xray:")
POLLERS = ("dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams")
CONTAINER: dict[str, Heard] = {
    "slow": (503, "model-unavailable"),
    "shedding": (503, "model-unavailable"),
    "stopped": (503, "model-unavailable"),
    "garbling": (503, "model-failed"),
}
CALLERS = 4
SAME = ("risk_level", "probabilities", "confidence", "contributions", "window_sha256", "as_of")


@pytest.fixture(scope="module")
def serving_options() -> ServingOptions:
    return ServingOptions(kinds=(), images=MOODY, faults=True, wait_scale=0.02, record_calls=False)


@pytest.fixture(scope="module")
def risk(served: ServedModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MoodyEndpoint]:
    with moody_endpoint(served, "risk", tmp_path_factory.mktemp("mood") / "fault") as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def asking(served: ServedModels, risk: MoodyEndpoint) -> Asking:
    return Asking.of(served)


@pytest.fixture(scope="module")
def clean(served: ServedModels, asking: Asking) -> Remains:
    return held(served)


def held(served: ServedModels) -> Remains:
    """All but rows, which are looked at one by one."""
    return replace(Remains.of(served), rows=())


def tried(hops: Sequence[Hop]) -> list[Any]:
    return [pytest.param(cell, id=cell.id) for cell in chosen(cells_of(hops))]


def test_every_hop_of_the_deployed_functions_has_cells(served: ServedModels, asking: Asking) -> None:
    hops = (*ASKED, *TRACKED, *JOINED)
    uncovered = [
        (folder, action, arn)
        for folder in sorted({hop.function for hop in hops})
        for document in policies_of(served.cloud.client("iam"), asking.role(folder)).values()
        for action, arn, _ in granted(document)
        if not action.startswith(EVERYBODYS)
        and action not in POLLERS
        and not (action == COUNTED[0] and COUNTED[1] in arn)
        and not any((hop.function, hop.action) == (folder, action) and hop.resource in arn for hop in hops)
    ]
    mappings = served.cloud.client("lambda").list_event_source_mappings()["EventSourceMappings"]

    assert uncovered == []
    assert folders_in(asking, integrations(served)) == {hop.function for hop in ASKED}
    assert folders_in(asking, [each["FunctionArn"] for each in mappings]) == {hop.function for hop in TRACKED}


def integrations(served: ServedModels) -> list[str]:
    """What the deployed API's methods lead to."""
    api_id = served.deployment["IopsApi.ApiUrl"].split("//")[1].split(".")[0]
    resources = served.cloud.client("apigateway").get_resources(restApiId=api_id, embed=["methods"], limit=500)["items"]
    methods = [method for resource in resources for method in resource.get("resourceMethods", {}).values()]
    return [method.get("methodIntegration", {}).get("uri", "") for method in methods]


def folders_in(asking: Asking, texts: list[str]) -> set[str]:
    """The functions whose ARNs are in them."""
    return {
        folder
        for folder, function in asking.functions.items()
        if any(function["FunctionArn"] in text for text in texts)
    }


@pytest.mark.parametrize("cell", tried(ASKED))
def test_a_caller_hears_what_is_documented_and_asks_again_with_success(
    served: ServedModels, asking: Asking, clean: Remains, cell: ApiCell
) -> None:
    since = now()
    with asking.meeting(cell) as struck:
        met = asking.ask(cell.hop.ask)
        strikes = struck()
    again = until_answered(lambda: asking.ask(cell.hop.ask))
    wrong = wrongs(asking, since, cell, (met, again))
    after = held(served)
    told = heard(met)
    kept = told == cell.heard and again.status == 200 and wrong == [] and after == clean
    tell_answer(cell, met, strikes, kept=kept)

    assert strikes > 0
    assert told == cell.heard, met.body
    checked(cell.hop.ask, again)
    assert wrong == []
    assert after == clean


@pytest.mark.parametrize("mood", CONTAINER)
def test_a_container_that_is_ill_is_told_of_and_answers_when_it_is_well(
    served: ServedModels, risk: MoodyEndpoint, asking: Asking, clean: Remains, mood: str
) -> None:
    since = now()
    with risk.ill(mood):
        met = asking.ask("predict")
    again = patiently(lambda: answer if (answer := asking.ask("predict")).status == 200 else None, seconds=60)
    told, after = heard(met), patiently(lambda: found if (found := held(served)) == clean else None)
    stored = asking.stored(asking.device_id, since)
    kept = told == CONTAINER[mood] and again is not None and after == clean and stored == answered(again)
    tell(f"container-{mood}", "container", status=met.status, error=told[1] if told else "", cause=met.body["detail"],
         struck=1, kept=kept)  # fmt: skip

    assert told == CONTAINER[mood], met.body
    assert stored == [checked("predict", again)]
    assert after == clean


@pytest.mark.parametrize("what", ["garbage", "denied", "missing"])
def test_a_token_that_is_none_or_not_enough_reaches_no_function(asking: Asking, what: str) -> None:
    tokens = {
        "garbage": asking.token[: len(asking.token) // 2],
        "denied": asking.token_of(("iops/read",)),
        "missing": None,
    }
    since = now()
    met = post(asking.url, "/api/predict/risk", {"device_id": asking.device_id}, token=tokens[what])
    kept = heard(met) == (401, "unauthorized") and asking.stored(asking.device_id, since) == []
    tell(f"authorizer-{what}", "authorizer", status=met.status, error="unauthorized", cause=met.body["detail"],
         struck=1, kept=kept)  # fmt: skip

    assert heard(met) == (401, "unauthorized")
    assert asking.stored(asking.device_id, since) == []
    checked("predict", until_answered(lambda: asking.ask("predict")))


@pytest.mark.parametrize("cell", tried(TRACKED))
def test_the_fleet_catches_up_when_its_stream_meets_a_fault(
    served: ServedModels, asking: Asking, clean: Remains, cell: ApiCell
) -> None:
    with asking.meeting(cell) as struck:
        answer = checked("predict", until_answered(lambda: asking.ask("predict")))
        strikes = patiently(lambda: struck() >= (3 if cell.lasts and cell.what != "denied" else 1) and struck())
    shown = patiently(lambda: risk_of(asking) == answer["prediction_id"], seconds=30)
    tell(cell.id, cell.group, status="CAUGHT UP", error="", cause="", struck=int(strikes), kept=bool(shown))

    assert strikes
    assert shown
    assert asking.device(asking.device_id)["as_of"] == answer["as_of"]
    assert held(served) == clean


def risk_of(asking: Asking) -> str:
    return str((asking.device(asking.device_id).get("risk") or {}).get("prediction_id"))


@pytest.mark.parametrize("cell", tried(JOINED))
def test_an_outcome_is_joined_once_by_the_run_that_follows_a_fault(
    served: ServedModels, asking: Asking, clean: Remains, cell: ApiCell
) -> None:
    device, since = cell.id, now()
    asking.store(device, ROWS)
    predicted = until_answered(lambda: asking.predict(device))
    checked("predict", predicted)
    asking.store(device, FOLLOWING, after=ROWS)
    with asking.meeting(cell) as struck:
        met = asking.invoke("join_outcomes")
        strikes = struck()
    again = asking.invoke("join_outcomes")
    (joined,) = asking.stored(device, since)
    labelled = get(asking.url, "/api/insights", token=asking.token, device_id=device).body["insights"][ROWS - 1]
    kept = (joined.get("outcome") or {}).get("risk_level") == labelled["risk_level"] == "low"
    status = "FAILED" if met["error"] else "SUCCEEDED"
    tell(cell.id, cell.group, status=status, error=met["error"], cause=met["cause"], struck=strikes, kept=kept)

    assert strikes > 0
    assert again["error"] == ""
    assert labelled["timestamp"] == timestamp_text(insight(device, ROWS - 1).timestamp)
    assert (labelled["risk_level"], labelled["label_source"]) == ("low", "auto")
    assert joined == {**predicted.body, "outcome": joined["outcome"]}
    assert joined["outcome"]["risk_level"] == "low"
    assert held(served) == clean


def test_a_cloud_that_is_killed_in_the_middle_leaves_nothing_and_the_next_one_ends_as_a_clean_one(
    served: ServedModels, asking: Asking, clean: Remains, deploy_to: Callable[[LaptopCloud], ServedModels]
) -> None:
    """The last test: nothing of the deployment is left. The laptop cloud keeps its state in memory, so that what was stored
    is gone by design."""
    cloud, before = served.cloud, checked("predict", until_answered(lambda: asking.ask("predict")))
    states = served.cloud.client("stepfunctions")
    states.start_execution(stateMachineArn=served.deployment["IopsTraining.TrainModelsArn"], input=json.dumps(RUN))
    assert patiently(lambda: Remains.of(served).running_jobs, seconds=60)
    processes = [ProcessIdentity.of(pid) for pid in processes_of(cloud.settings.state_dir)]
    refusals = killed_while_asked(asking)
    why = cloud.why_gone()
    cloud.start()
    alive = [process for process in processes if process and process.is_alive()]
    stacks = cloud.client("cloudformation").list_stacks()["StackSummaries"]
    again = deploy_to(cloud)
    again.make_live("risk")
    fresh = Asking.of(again)
    answer = checked("predict", fresh.ask("predict"))
    after, stored = held(again), fresh.stored(fresh.device_id, "2026-01-01T00:00:00Z")
    kept = alive == stacks == [] and after == clean and stored == [answer]
    tell("cloud-restarted", "cloud", status=0, error=",".join(refusals), cause=why, struck=1, kept=kept)

    assert len(refusals) == CALLERS + 1
    assert why is not None
    assert alive == []
    assert stacks == []
    assert stored == [answer]
    assert {name: answer[name] for name in SAME} == {name: before[name] for name in SAME}
    assert after == clean


def killed_while_asked(asking: Asking) -> list[str]:
    """What the callers met whose requests were in flight when the server was killed, and one that asked afterwards."""
    name = asking.functions["predict"]["FunctionName"]
    asking.book.arm(
        [Fault(id="held", where="call", name="dynamodb:PutItem", what="times_out", caller=f"/{name} ", times=CALLERS)]
    )
    with ThreadPoolExecutor(CALLERS) as callers:
        asked = [callers.submit(asking.ask, "predict") for _ in range(CALLERS)]
        assert patiently(lambda: asking.book.struck("held"))
        kill_server(asking.served.cloud)
        asked.append(callers.submit(asking.ask, "predict"))
        found = [call.exception() for call in asked]
    return [type(error).__name__ for error in found if isinstance(error, OSError | HTTPException)]
