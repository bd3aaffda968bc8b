from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from training_container.code_version import code_version

SOURCES = {"insights/a.py": "x = 1\n", "training_container/deep/b.py": "y = 2\n"}


def version(folder: Path, sources: Mapping[str, str]) -> str:
    for name, text in sources.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return code_version(folder)


def test_the_same_sources_have_one_version_wherever_they_lie_and_whatever_lies_beside_them(tmp_path: Path) -> None:
    beside = {"insights/__pycache__/a.pyc": "compiled", "tests/c.py": "z = 3\n"}
    assert version(tmp_path / "one", SOURCES) == version(tmp_path / "two", {**SOURCES, **beside})


@pytest.mark.parametrize(
    "changed",
    [
        {**SOURCES, "insights/a.py": "x = 2\n"},
        {**SOURCES, "insights/c.py": ""},
        {"insights/b.py": "x = 1\n", "training_container/deep/b.py": "y = 2\n"},
        {"insights/a.py": "x = 1\ny", "training_container/deep/b.py": " = 2\n"},
    ],
)
def test_another_text_name_or_file_is_another_version(tmp_path: Path, changed: Mapping[str, str]) -> None:
    assert version(tmp_path / "one", SOURCES) != version(tmp_path / "two", changed)
