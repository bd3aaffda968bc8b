"""The hosts of one training as a group: XGBoost's own collective between them, the roll call around it.

The first host (by name) runs the tracker in its process and has rank 0. Every method is to be called by all hosts in the same
order. One host alone is a group too, which needs neither.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
from xgboost import collective
from xgboost.core import XGBoostError
from xgboost.tracker import RabitTracker

from training_container.errors import LostHost, Stopped, UnusableInput
from training_container.roll_call import Patience, RollCall
from training_container.sagemaker_contract import Hosts

PORT: Final = 9099  # of the roll call on the first host; the tracker's own is chosen by its system and told there
COLLECTIVE_SECONDS: Final = 3_600
"""XGBoost's own time-out of one operation: a last resort, as the roll call finds who hangs long before. Its default of 300 s
would end a training in which one host is slow."""

Array = npt.NDArray[Any]


class Group(Protocol):
    @property
    def rank(self) -> int: ...

    @property
    def size(self) -> int: ...

    def total(self, number: int) -> int:
        """Of all hosts' numbers."""

    def gathered(self, rows: Array) -> Array:
        """Every host's rows in the order of ranks, at rank 0; elsewhere none."""

    def told(self, rows: Array) -> Array:
        """What rank 0 says, everywhere."""


@dataclass(frozen=True, slots=True)
class Alone:
    rank: int = 0
    size: int = 1

    def total(self, number: int) -> int:
        return number

    def gathered(self, rows: Array) -> Array:
        return rows

    def told(self, rows: Array) -> Array:
        return rows


@dataclass(frozen=True, slots=True)
class Together:
    rank: int
    size: int

    def total(self, number: int) -> int:
        return int(collective.allreduce(np.array([number], np.int64), collective.Op.SUM)[0])

    def gathered(self, rows: Array) -> Array:
        """A host's rows pass through every other host, one host's at a time."""
        parts = []
        for root in range(self.size):
            part = collective.broadcast(rows if root == self.rank else None, root)
            if self.rank == 0:
                parts.append(part)
        return np.concatenate(parts) if parts else rows[:0]

    def told(self, rows: Array) -> Array:
        said: Array = collective.broadcast(rows if self.rank == 0 else None, 0)
        return said


ALONE: Final = Alone()


@contextmanager
def joined(hosts: Hosts, end_process: Callable[[str], None]) -> Iterator[Group]:
    """All hosts as one group, from when the last has come until each has left.

    LostHost, naming the host, where one does not come, is lost, hangs or refuses; `end_process` is for a process that hangs
    in the collective because of that.
    """
    if len(hosts.names) == 1:
        yield ALONE
        return
    address, patience = _address(hosts, os.environ), _patience(os.environ)
    tracker = None
    if hosts.rank == 0:
        roll_call = RollCall.lead(hosts.names, address, patience)
        tracker = RabitTracker(
            n_workers=len(hosts.names),
            host_ip=_own_ip(hosts.current, address),
            sortby="task",
            timeout=COLLECTIVE_SECONDS,
        )
        tracker.start()
        arguments = tracker.worker_args()
        roll_call.open(arguments)
    else:
        roll_call = RollCall.join(hosts.current, hosts.names[0], address, patience)
        arguments = roll_call.opened()
    roll_call.watch(end_process)
    with _explained(roll_call, hosts.current):
        collective.init(**arguments, dmlc_task_id=f"{hosts.rank:05d}", dmlc_timeout=COLLECTIVE_SECONDS)
        yield Together(collective.get_rank(), collective.get_world_size())
        # Without an error only: after one, the collective would wait here for hosts that are gone.
        collective.finalize()
        if tracker is not None:
            tracker.wait_for(COLLECTIVE_SECONDS)
    roll_call.done()


@contextmanager
def _explained(roll_call: RollCall, host: str) -> Iterator[None]:
    """What ends this host's part is told to the others, and what ended the others' is what ends this one's."""
    try:
        yield
    except XGBoostError as error:
        lost = roll_call.loss()
        sentence = f"the collective of the hosts broke, and none of them is known to be lost: {_short(error)}"
        raise lost or roll_call.ended(f"{host}: {sentence}") from error
    except Stopped:
        lost = roll_call.loss(1.0)  # SageMaker stops the other hosts when one has failed: then that is the reason
        if lost and not roll_call.is_stopping:
            raise lost from None
        roll_call.ended(f"{host} was stopped", is_stopped=True)
        raise
    except UnusableInput as refused:
        roll_call.ended(f"{host} refused: {refused}")
        raise
    except LostHost:
        raise
    except Exception as bug:
        roll_call.ended(f"{host} failed by a bug: {type(bug).__name__}: {bug}; its log has the trace")
        raise


def _address(hosts: Hosts, environment: Mapping[str, str]) -> tuple[str, int]:
    """Where the roll call is held: on the first host, which SageMaker's DNS knows by its name.

    `TRAINING_ROLL_CALL` (address:port) takes its place where several hosts share one machine.
    """
    given = environment.get("TRAINING_ROLL_CALL", "")
    if not given:
        return ("" if hosts.rank == 0 else hosts.names[0], PORT)
    name, _, port = given.rpartition(":")
    if not name or not port.isdecimal():
        raise UnusableInput(f"TRAINING_ROLL_CALL is {given!r}; give address:port, or leave it out")
    return name, int(port)


def _own_ip(host: str, address: tuple[str, int]) -> str:
    return socket.gethostbyname(address[0] or host)


def _patience(environment: Mapping[str, str]) -> Patience:
    """The defaults, or the seconds that `TRAINING_ARRIVAL_SECONDS` and `TRAINING_SILENCE_SECONDS` give."""
    given = {}
    for name in ("arrival_seconds", "silence_seconds"):
        text = environment.get(f"TRAINING_{name.upper()}", "")
        if text:
            if not text.replace(".", "", 1).isdecimal() or float(text) <= 0:
                raise UnusableInput(f"TRAINING_{name.upper()} is {text!r}; give seconds above 0, or leave it out")
            given[name] = float(text)
    return Patience(**given)


def _short(error: Exception) -> str:
    """XGBoost's own words without its stack trace."""
    return " ".join(str(error).partition("Stack trace")[0].split())
