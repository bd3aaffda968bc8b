"""What a caller heard, and whether what is stored afterwards is what was asked and answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from local.api_client import Answer
from tests.faults.api_cells import ApiCell, Heard
from tests.faults.asking import ITEMS, Asking, answered, complaints, promised
from tests.faults.telling import tell

ASKED_FOR = {"predict": 1, "items": ITEMS}


def heard(answer: Answer) -> Heard:
    """The problem's status and name, if it is as every problem is; None for an answer."""
    if answer.status == 200:
        return None
    assert complaints("Problem", answer) == []
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert ("Retry-After" in answer.headers) == (answer.status in (429, 503))
    return answer.status, answer.body["type"].rpartition(":")[2]


def wrongs(asking: Asking, since: str, cell: ApiCell, answers: Sequence[Answer]) -> list[str]:
    """Each promised prediction is there as it was answered, and none that nobody asked for; feedback stands with its
    prediction and as its row's label."""
    found = wrong_predictions(
        asking.stored(asking.device_id, since), answers, ASKED_FOR.get(cell.hop.ask, 0) * (cell.deliveries + 1)
    )
    return found + (wrong_feedback(asking, answers[-1]) if cell.hop.ask == "feedback" else [])


def wrong_predictions(stored: Sequence[dict[str, Any]], answers: Sequence[Answer], most: int) -> list[str]:
    by_id = {each["prediction_id"]: each for each in stored}
    said = [prediction for answer in answers for prediction in promised(answer)]
    wrong = [f"lost: {each['prediction_id']}" for each in said if by_id.get(each["prediction_id"]) != each]
    if len(stored) > most:
        wrong.append(f"{len(stored)} predictions are stored, {most} were asked for")
    return wrong


def wrong_feedback(asking: Asking, given: Answer) -> list[str]:
    device_id = asking.told["device_id"]
    (prediction,) = asking.stored(device_id, asking.told["predicted_at"])
    feedback, newest = prediction.get("feedback"), asking.newest_insight(device_id)
    label = (newest["risk_level"], newest["label_source"])
    wrong = [] if feedback == given.body else [f"the feedback is {feedback}"]
    return wrong if label == ("high", "operator") else [*wrong, f"the row's label is {label}"]


def tell_answer(cell: ApiCell, met: Answer, struck: int, *, kept: bool) -> None:
    """What the caller saw; of an answer, its warnings."""
    is_refused = met.status != 200
    error = met.body["type"].rpartition(":")[2] if is_refused else ""
    cause = met.body["detail"] if is_refused else [each["warnings"] for each in answered(met)[:1]]
    tell(cell.id, cell.group, status=met.status, error=error, cause=cause, struck=struck, kept=kept)
