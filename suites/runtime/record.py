"""What a run writes while it goes on: its journal, how long its steps take, its log; and what of the journal MLflow
may have."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..config.errors import Fault
from ..config.private import LogFormatter
from ..tracking.journal import Journal, cut

if TYPE_CHECKING:
    from ..tracking.delivery import Delivery

PER_STEP = "cost/seconds_per_step"


class Record:
    """The journal of the run in ``folder``. MLflow (``delivery``) gets what checkpoints cover.

    ``seconds`` and ``steps`` are the measured training time and the steps in it, over all resumptions.
    """

    def __init__(self, folder: Path, delivery: Delivery | None) -> None:
        self.folder, self.delivery = folder, delivery
        self.seconds, self.steps = 0.0, 0
        self._clock, self._stepped = (time.perf_counter(), 0), False
        self.log = logging.getLogger(f"holdfast.run.{folder.name}.{secrets.token_hex(2)}")
        handler = logging.FileHandler(folder / "log.txt")
        handler.setFormatter(LogFormatter("%(asctime)s %(levelname)s %(message)s"))
        self.log.addHandler(handler)
        self.log.setLevel(logging.INFO)
        self.log.propagate = False

    def cut(self, position: int) -> None:
        """Shorten the journal to what the checkpoint covers, before it is opened. Raises Fault where it is shorter."""
        try:
            cut(self._path, position)
        except ValueError as error:
            next_step = f"remove the run: suites runs remove {self.folder}"
            raise Fault.data(str(error), str(self.folder), next_step) from error
        if self.delivery is not None:
            self.delivery.rewind(position)

    def open(self) -> None:
        self.journal = Journal(self._path)

    @property
    def _path(self) -> Path:
        return self.folder / "journal.jsonl"

    def start_clock(self, step: int) -> None:
        """Time from here on is training time, from ``step`` on."""
        self._clock = (time.perf_counter(), step)

    def iteration(self, values: Mapping[str, float], step: int) -> None:
        """Points of a training step, with the seconds a step since the last ones."""
        now, (since, before) = time.perf_counter(), self._clock
        if step > before:
            values = {**values, PER_STEP: (now - since) / (step - before)}
            self.seconds, self.steps = self.seconds + now - since, self.steps + step - before
        self._clock = (now, step)
        for name, value in values.items():
            self.journal.append(name, value, step, "iteration")

    def epoch(self, values: Mapping[str, float], step: int) -> None:
        """Points after an epoch, at the training step that it ended with."""
        for name, value in values.items():
            self.journal.append(name, value, step, "iteration")

    def experience(self, values: Mapping[str, float], number: int) -> None:
        """Points of experience ``number``."""
        for name, value in values.items():
            self.journal.append(name, value, number, "experience")

    def stepped(self) -> None:
        """A training step was made: what is sent may begin, beside the next ones."""
        if self.delivery is not None and not self._stepped:
            self._stepped = True
            self.delivery.begin()

    def cover(self, position: int) -> None:
        """A checkpoint covers the journal up to this byte: it may be delivered."""
        if self.delivery is not None:
            self.delivery.cover(position)

    def forget(self) -> None:
        """Close the log of a run that did not begin."""
        for handler in self.log.handlers:
            handler.close()

    def close(self) -> None:
        self.journal.close()
        for handler in self.log.handlers:
            handler.close()
