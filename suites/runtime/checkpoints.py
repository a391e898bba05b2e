"""Checkpoints of a run: state_dicts alone, written atomically, the last two kept, checked by sha256 when read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..config import run_files
from ..config.errors import Fault
from ..config.killpoints import reach
from ..tracking.files import write_atomic

KEEP = 2
BEFORE = "falling back to the one before"


class Checkpoints:
    """The folder ``checkpoint/`` of a run: ``<number>.pt`` with ``<number>.json`` (its sha256) beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob(".*.part"):
            stale.unlink()

    def numbers(self) -> list[int]:
        return sorted(int(path.stem) for path in self.folder.glob("*.json") if path.stem.isdigit())

    def save(self, state: dict[str, Any]) -> Path:
        """Write ``state`` as the newest checkpoint and drop all but the last two."""
        import torch  # here: what lists runs reads none

        number = (self.numbers() or [0])[-1] + 1
        path = self.folder / f"{number}.pt"
        temporary = self.folder / f".{number}.pt.part"
        try:
            with temporary.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            digest = hashlib.sha256(temporary.read_bytes()).hexdigest()
            reach("checkpoint_before_rename")
            os.replace(temporary, path)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
            temporary.unlink(missing_ok=True)
            raise Fault.run_failed(
                f"cannot write the checkpoint: {error}",
                str(self.folder),
                "free some space (the last whole checkpoint is intact), then: suites resume last",
            ) from error
        reach("checkpoint_after_rename")
        write_atomic(self.folder / f"{number}.json", json.dumps({"sha256": digest}).encode())
        for old in self.numbers()[:-KEEP]:
            (self.folder / f"{old}.json").unlink(missing_ok=True)
            (self.folder / f"{old}.pt").unlink(missing_ok=True)
        return path

    def load(self, warn: Callable[[str], None]) -> dict[str, Any] | None:
        """The newest checkpoint that is whole; None where there is none. ``warn`` is called with what is damaged."""
        newest = self.newest(warn)
        return newest[0] if newest else None

    def newest(self, warn: Callable[[str], None]) -> tuple[dict[str, Any], str] | None:
        """As :meth:`load`, with the checkpoint's sha256."""
        import torch

        for number in reversed(self.numbers()):
            path = self.folder / f"{number}.pt"
            try:
                digest = str(run_files.read(self.folder / f"{number}.json", run_files.Sidecar)["sha256"])
                data = path.read_bytes()
            except (OSError, Fault) as error:
                warn(f"checkpoint {number} cannot be read ({error}); {BEFORE}")
                continue
            if hashlib.sha256(data).hexdigest() != digest:
                warn(f"checkpoint {number} has not the checksum written beside it; {BEFORE}")
                continue
            try:
                state = torch.load(path, weights_only=True, map_location="cpu")
            except Exception:  # its text advises to allow what we never allow
                warn(f"checkpoint {number} holds more than tensors, numbers and text, and is refused; {BEFORE}")
                continue
            if problem := run_files.problem_of(state, run_files.CheckpointState):
                warn(f"checkpoint {number} is no state of a run ({problem}); {BEFORE}")
                continue
            return state, digest
        return None
