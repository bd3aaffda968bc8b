from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from training_container.errors import UnusableInput
from training_container.model_folder import GOLDEN, write_golden
from training_container.rehearsal import rehearse

ROWS = np.arange(100, dtype=np.float32).reshape(4, 25)
Answers = Callable[[npt.NDArray[np.float32]], Sequence[Mapping[str, Any]]]


def answer(row: npt.NDArray[np.float32]) -> dict[str, Any]:
    return {"risk_level": "low", "probabilities": {"low": float(row[0]) / 100}, "confidence": 0.5}


def right(rows: npt.NDArray[np.float32]) -> list[dict[str, Any]]:
    return [answer(row) for row in rows]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_golden(tmp_path, "risk", ROWS, right(ROWS))
    return tmp_path


MOST = 24


def refusal(answers: Answers, folder: Path, **options: str) -> str:
    with pytest.raises(UnusableInput) as refused:
        rehearse(answers, folder, most_at_once=MOST, **options)
    return str(refused.value)


def test_a_right_and_quick_model_is_crowded_by_as_many_as_the_server_lets_in_and_passes(folder: Path) -> None:
    lock, inside, crowd = threading.Lock(), 0, threading.Event()

    def answers(rows: npt.NDArray[np.float32]) -> list[dict[str, Any]]:
        nonlocal inside
        with lock:
            inside += 1
            if inside == MOST:
                crowd.set()
        crowd.wait(0.1)  # nobody leaves early, so that all who may come are seen together
        with lock:
            inside -= 1
        return right(rows)

    rehearse(answers, folder, most_at_once=MOST)
    assert crowd.is_set()


def test_a_model_that_is_right_alone_and_wrong_among_others_is_refused(folder: Path) -> None:
    inside = threading.Semaphore(1)

    def answers(rows: npt.NDArray[np.float32]) -> list[dict[str, Any]]:
        is_alone = inside.acquire(blocking=False)
        time.sleep(0.01)
        if not is_alone:
            return [{**answer(rows[0]), "confidence": 0.75}]
        inside.release()
        return right(rows)

    assert "off by 0.25" in refusal(answers, folder)


def test_a_missing_number_is_as_wrong_as_another_one(folder: Path) -> None:
    assert "off by inf" in refusal(lambda rows: [{"risk_level": "low"} for _ in rows], folder)


def test_a_slow_model_is_refused_with_its_time_and_the_limit(folder: Path) -> None:
    def answers(rows: npt.NDArray[np.float32]) -> list[dict[str, Any]]:
        time.sleep(0.6)
        return right(rows)

    said = refusal(answers, folder)
    assert "ms an answer" in said
    assert "500 ms is the limit" in said


def test_a_model_whose_golden_file_is_not_that_of_its_evaluation_is_refused(folder: Path) -> None:
    own = hashlib.sha256((folder / GOLDEN).read_bytes()).hexdigest()
    rehearse(right, folder, most_at_once=MOST, golden_sha256=own)
    assert "another model than was evaluated" in refusal(right, folder, golden_sha256="0" * 64)


def test_what_the_model_raises_ends_the_rehearsal(folder: Path) -> None:
    def answers(rows: npt.NDArray[np.float32]) -> list[dict[str, Any]]:
        raise MemoryError("no room for 8 callers")

    with pytest.raises(MemoryError):
        rehearse(answers, folder, most_at_once=MOST)
