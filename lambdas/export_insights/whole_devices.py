"""Rows in the order of their devices become batches that no device crosses, whatever the pages that they came in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from insights.schema import Insight, InvalidInsight
from lambdas.export_insights.batches import BatchLimits, Rows, fits
from lambdas.labels import LABELLED_BY

Position = dict[str, Any] | None
"""From where a source goes on; None is its beginning."""


class WholeDevices:
    """Batches end between devices alone, so they depend on the rows and the limits, never on pages or time.

    `written_to` is the position behind the last batch: who goes on there repeats nothing and cuts nothing. A device
    that is above its own limit is cut, and its rows stand in several batches (write_manifest brings them together).
    """

    def __init__(
        self, write: Callable[[Rows], None], limits: BatchLimits, start: Position, *, first_alone: bool = False
    ) -> None:
        self._write = write
        self._limits = limits
        self._first_alone = first_alone
        self._batch = Rows()
        self._device = ""
        self._open = Rows()
        self._opened_at = start
        self.written_to = start
        self.has_written = False

    @property
    def is_empty(self) -> bool:
        return not self._batch and not self._open

    def take(self, device: str, plain: dict[str, Any], position: Callable[[], Position]) -> None:
        """A row; `position` is that before it, asked for where a device begins or is cut."""
        self._go_on_with(device, position)
        try:
            self._open.add(Insight.from_item(plain), is_labelled_later=LABELLED_BY in plain)
        except InvalidInsight as refusal:
            self._open.refuse(plain, str(refusal))

    def add(self, insight: Insight) -> None:
        """A row that is an insight already, of a source without positions."""
        self._go_on_with(insight.device_id, lambda: None)
        self._open.add(insight, is_labelled_later=True)

    def end(self, position: Position, *, last_alone: bool = False) -> None:
        """The source has no further row; `last_alone` gives the last device a batch of its own."""
        if last_alone:
            self._end_batch(position)
        self._end_device(position)
        self._end_batch(position)

    def end_between(self, position: Position, device: str) -> Position:
        """The end of an invocation at `position`, where `device` may go on: the position to go on from.

        What is not in a batch yet is read again, so that batches do not depend on when this was. Without any batch so
        far, what is whole is written; without anything whole, what there is.
        """
        if self.has_written and not self.is_empty:
            return self.written_to
        if device != self._device:
            self._end_device(position)
        if self._batch:
            self._end_batch(position)
        elif self._open:
            self._cut(position)
        else:
            self.written_to = position
        return self.written_to

    def _go_on_with(self, device: str, position: Callable[[], Position]) -> None:
        if device != self._device:
            self._begin(device, position())
        elif self._open.bytes_gathered >= self._limits.device_bytes:
            self._cut(position())

    def _end_device(self, position: Position) -> None:
        if self._open:
            self._begin("", position)

    def _end_batch(self, position: Position) -> None:
        """Writes every whole device; the open one stays."""
        if self._batch:
            self._flush(self._opened_at if self._open else position)

    def _begin(self, device: str, position: Position) -> None:
        if self._open:
            if self._batch and not fits(self._batch, self._open, self._limits):
                self._flush(self._opened_at)
            self._batch = self._batch.with_rows(self._open)
            if self._first_alone:
                self._first_alone = False
                self._flush(position)
        self._device, self._open, self._opened_at = device, Rows(), position

    def _cut(self, position: Position) -> None:
        self._end_batch(position)
        self._batch, self._open = self._open, Rows()
        self._opened_at = position
        self._flush(position)

    def _flush(self, position: Position) -> None:
        self._write(self._batch)
        self._batch = Rows()
        self.written_to = position
        self.has_written = True
