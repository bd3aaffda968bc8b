from __future__ import annotations

import zlib
from pathlib import Path

from local.faults.book import Book, Fault
from local.faults.front_door import halved, refusal
from tests.faults.api_cells import ASKED, JOINED, TRACKED
from tests.faults.api_cells import cells_of as api_cells_of
from tests.faults.cells import Cell, Deployed, Place, cells_of, places_of, rounds
from tests.faults.chosen import pairwise


def test_a_fault_strikes_where_it_is_meant_to_after_what_it_lets_pass_and_as_often_as_asked(tmp_path: Path):
    book = Book(tmp_path)
    book.arm(
        [Fault(id="slow", where="call", name="s3:PutObject", what="throttled", caller="KeepSplits", skip=1, times=2)]
    )

    elsewhere = book.take("call", "s3:PutObject", caller="RecordPromotion")
    met = [book.take("call", "s3:PutObject", caller="a-role KeepSplits") is not None for _ in range(4)]

    assert elsewhere is None
    assert met == [False, True, True, False]
    assert book.struck("slow") == 2


def test_nothing_strikes_when_nothing_is_armed(tmp_path: Path):
    assert Book(tmp_path).take("function", "prepare_run") is None


def test_a_refusal_speaks_its_services_protocol():
    assert refusal("s3", 503, "SlowDown", "slow")[2] == b"<Error><Code>SlowDown</Code><Message>slow</Message></Error>"
    assert refusal("dynamodb", 400, "Busy", "slow")[1]["x-amzn-errortype"] == "Busy"


def test_half_an_answer_keeps_the_checksum_of_the_whole():
    whole = b'{"Items": []}'
    headers = {"Content-Length": "13", "x-amz-crc32": str(zlib.crc32(whole))}

    assert halved((200, headers, whole)) == (200, {"x-amz-crc32": str(zlib.crc32(whole))}, b'{"Item')


def test_the_chosen_cells_meet_every_task_of_a_definition_and_every_fault_of_its_group():
    call = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:s3:putObject"}
    job = {"Type": "Task", "Resource": "arn:aws:states:::sagemaker:createProcessingJob.sync"}
    invoke = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": {"FunctionName": "arn:f"}}
    inner = {"States": {"EngineerFeatures": job, "Wait": {"Type": "Wait"}}}
    definition = {"States": {"Keep": call, "Each": {"Type": "Map", "ItemProcessor": inner}, "Judge": invoke}}

    places = places_of("Machine", definition, {"arn:f": Deployed("judge_model", "judge")})
    chosen = [(cell.place.task, cell.what) for cell in pairwise(cells_of(places))]

    assert [(place.task, place.begins_at, place.action, place.job, place.function) for place in places] == [
        ("Keep", "Keep", "s3:PutObject", "", ""),
        ("EngineerFeatures", "Each", "sagemaker:CreateProcessingJob", "engineer", ""),
        ("Judge", "Judge", "", "", "judge_model"),
    ]
    assert sorted(chosen) == [
        *(("EngineerFeatures", what) for what in ("crashes", "denied", "disk_full", "lost", "throttled", "times_out")),
        *(("Judge", what) for what in ("crashes", "denied", "garbage", "throttled", "times_out", "twice")),
        *(("Keep", what) for what in ("crashes", "denied", "throttled", "times_out", "twice")),
    ]


def test_a_round_meets_one_fault_a_place_and_one_of_a_function_that_places_share():
    places = [
        Place(machine="Machine", task="First", function="describe_failure"),
        Place(machine="Machine", task="Second", function="describe_failure"),
        Place(machine="Machine", task="Keep", action="s3:PutObject"),
    ]
    cells = [Cell(place=place, what=what) for place in places for what in ("throttled", "twice")]

    made = [[(cell.place.task, cell.what) for cell in round_] for round_ in rounds(cells)]

    assert made == [
        [("First", "throttled"), ("Keep", "throttled")],
        [("First", "twice"), ("Keep", "twice")],
        [("Second", "throttled")],
        [("Second", "twice")],
    ]


def test_a_missing_permission_is_refused_however_often_and_to_one_caller_alone(tmp_path: Path):
    book = Book(tmp_path)
    place = Place(machine="Machine", task="Judge", function="judge_model", role_session="judge")
    book.arm(Cell(place=place, what="denied").faults())

    met = [book.take("call", "s3:GetObject", caller="arn:aws:sts::1:assumed-role/R/judge  ") for _ in range(3)]
    other = book.take("call", "s3:GetObject", caller="arn:aws:sts::1:assumed-role/R/judge-2  ")

    assert [fault is not None and fault.what for fault in met] == ["denied"] * 3
    assert other is None


def test_each_cell_of_the_api_has_a_name_of_its_own_and_a_fault_or_a_permission_to_take():
    cells = [cell for hops in (ASKED, TRACKED, JOINED) for cell in api_cells_of(hops)]
    armed = {cell.id: cell.faults("IopsApi-Function") for cell in cells}

    assert len(armed) == len(cells)
    assert [cell.id for cell in cells if (cell.what == "denied") == bool(armed[cell.id])] == []
    assert [cell.id for cell in cells if cell.what == "denied" and not cell.hop.action] == []


def test_the_chosen_cells_of_the_api_meet_every_hop_and_every_fault_of_each_function():
    cells = api_cells_of((*ASKED, *TRACKED, *JOINED))
    chosen = pairwise(cells)

    assert {cell.hop.id for cell in chosen} == {cell.hop.id for cell in cells}
    assert {(cell.group, cell.what) for cell in chosen} == {(cell.group, cell.what) for cell in cells}
    assert len(chosen) < len(cells) / 2
    assert chosen == pairwise(cells)


def test_a_call_of_the_api_is_known_by_the_function_that_makes_it_and_what_it_is_about():
    cells = {cell.id: cell for cell in api_cells_of(ASKED)}
    (fault,) = cells["read_fleet-Query-insights-throttled"].faults("IopsApi-Fleet")
    asked = "POST / {'TableName': 'IopsData-InsightsTable1'}"

    assert fault.fits("call", "dynamodb:Query", caller="arn:role/IopsApi-Fleet  ", holding=asked)
    assert not fault.fits("call", "dynamodb:Query", caller="arn:role/IopsApi-Predict  ", holding=asked)
    assert not fault.fits("call", "dynamodb:Query", caller="arn:role/IopsApi-Fleet  ", holding="PredictionsTable")
