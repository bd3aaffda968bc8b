from __future__ import annotations

from pathlib import Path

import pytest

from tests.once import once


def test_the_first_that_asks_makes_it_and_the_others_find_it(tmp_path_factory: pytest.TempPathFactory):
    asked: list[Path] = []

    def make(folder: Path) -> None:
        asked.append(folder)
        (folder / "made").write_text("by the first")

    found = [once(tmp_path_factory, "a-thing", make) for _ in range(2)]

    assert [(folder / "made").read_text() for folder in found] == ["by the first"] * 2
    assert len(asked) == 1


def test_what_failed_is_made_again_by_the_next(tmp_path_factory: pytest.TempPathFactory):
    def fail(folder: Path) -> None:
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        once(tmp_path_factory, "a-failing-thing", fail)

    assert list(once(tmp_path_factory, "a-failing-thing", lambda folder: None).iterdir()) == []
