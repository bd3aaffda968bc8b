"""SageMaker's containers: out of time, killed once they have written something, gone with their instance just then, or on
a disk that is full."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from local.containers.container import Container, Start
from local.faults.book import Book, What
from local.sagemaker.containers import Containers
from local.sagemaker.jobs import Execution

IN_ITS_CONTAINER: Final[tuple[What, ...]] = ("disk_full", "crashes", "lost")
ENTRY: Final = str(Path(__file__).parent / "faulty_container.py")


def register(book: Book) -> None:
    setattr(Containers, "start", with_faulty_entry(book, Containers.start))  # noqa: B010 - a method is replaced
    setattr(Execution, "run", with_short_runtime(book, Execution.run))  # noqa: B010


def with_faulty_entry(book: Book, start: Callable[..., Container]) -> Callable[..., Container]:
    def started(containers: Containers, wanted: Start) -> Container:
        fault = book.take("job", _name(wanted), whats=IN_ITS_CONTAINER, holding=" ".join(wanted.arguments))
        if fault is None:
            return start(containers, wanted)
        environment = {**wanted.environment, "FAULT": fault.what}
        arguments = (wanted.module, *wanted.arguments)
        container = start(containers, replace(wanted, module=ENTRY, arguments=arguments, environment=environment))
        container.falls_with_its_instance = fault.what == "lost"
        return container

    return started


def with_short_runtime(book: Book, run: Callable[..., None]) -> Callable[..., None]:
    def ran(execution: Execution, *, max_runtime_seconds: float) -> None:
        first: Any = execution.instances[0].start
        name, arguments = _name(first), " ".join(first.arguments)
        fault = book.take("job", name, whats=["times_out"], holding=arguments)
        run(execution, max_runtime_seconds=0.0 if fault else max_runtime_seconds)

    return ran


def _name(start: Start) -> str:
    return start.arguments[0] if start.arguments else ""
