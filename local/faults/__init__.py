"""Faults on purpose, for tests and `make faults` alone: what a throttled service, a killed worker or a full disk does to
the workflows and the API is tried here, at the place where AWS would do it.

A cloud that was made with `faults=True` reads the faults that are armed (local.faults.book) at each call, and notes the
ones that struck.
"""

from __future__ import annotations

from local.settings import CloudSettings


def register(settings: CloudSettings) -> None:
    """Put the injector before every service, function, job and task; the last registration of the server's start."""
    from local.faults import front_door, functions, jobs, tasks
    from local.faults.book import Book

    book = Book(settings.state_dir)
    front_door.register(book)
    functions.register(book)
    jobs.register(book)
    tasks.register(book, settings.state_dir)
