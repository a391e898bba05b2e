"""Where a run stands: told by the run, shown by a board in the same process or, through a small file in the run's
folder, in another one. Training waits for neither.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

FILE = "progress.json"  # in the folder of a run that a worker process trains; gone when the run ends
EVERY = 0.5  # seconds between two looks of the thread that writes it


@dataclass
class Progress:
    """``experience`` (from 0) of ``experiences``, ``stage`` by name, ``epoch`` (from 0) of ``epochs``; the last and the
    best value of ``metric``; ``share`` of the run's training that lies behind."""

    experience: int = 0
    experiences: int = 0
    stage: str = ""
    epoch: int = 0
    epochs: int = 0
    metric: str = ""
    last: float | None = None
    best: float | None = None
    loss: float | None = None
    share: float = 0.0
    left: float | None = None  # seconds of this run, where they can be told

    def measured(self, metric: str, value: float, higher_is_better: bool) -> None:
        """A value of the main metric; another metric than before begins anew."""
        best = self.best if self.metric == metric else None
        self.metric, self.last = metric, value
        better = best is None or (value > best if higher_is_better else value < best)
        self.best = value if better else best

    def text(self) -> str:
        """``experience 2 of 5, train, epoch 3 of 10; accuracy 0.4120, best 0.5130; 62 %``."""
        parts = []
        if self.experiences:
            at = [f"experience {self.experience + 1} of {self.experiences}"] if self.experiences > 1 else []
            at += [self.stage] if self.stage else []
            at += [f"epoch {self.epoch + 1} of {self.epochs}"] if self.epochs else []
            parts.append(", ".join(at))
        if self.last is not None:
            parts.append(f"{self.metric} {self.last:.4f}, best {self.best:.4f}")
        elif self.loss is not None:
            parts.append(f"loss {self.loss:.3f}")
        parts += [f"{100 * self.share:.0f} %"] if self.experiences else []
        return "; ".join(part for part in parts if part)


class Clock:
    """Seconds to the end by the share of the training that this session has done."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.begun: tuple[float, float] | None = None  # time and share when training went on

    def left(self, share: float) -> float | None:
        """None until a fiftieth of the run has been timed."""
        now = self.clock()
        if self.begun is None:
            self.begun = (now, share)
        since, before = self.begun
        done = share - before
        return (now - since) * (1 - share) / done if done >= 0.02 else None


@contextmanager
def written(progress: Progress, folder: Path) -> Iterator[None]:
    """Write ``progress`` to a file in ``folder`` from a thread of its own, where it has changed, until the end."""
    over, path = threading.Event(), folder / FILE
    part = path.with_name(f".{FILE}.{os.getpid()}.part")

    def write() -> None:
        before = ""
        while not over.wait(EVERY):
            text = json.dumps(asdict(progress))
            if text != before:
                with suppress(OSError):  # nobody's run fails for it
                    part.write_text(text)
                    os.replace(part, path)
                before = text

    thread = threading.Thread(target=write, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for file in (part, path):
            with suppress(OSError):
                file.unlink(missing_ok=True)


def read(folder: Path) -> Progress | None:
    """What a worker has written last; None where there is nothing, or nothing that can be read."""
    with suppress(OSError, ValueError, TypeError):
        document: Any = json.loads((folder / FILE).read_text())
        if isinstance(document, dict):
            return Progress(
                **{field.name: document[field.name] for field in fields(Progress) if field.name in document}
            )
    return None
