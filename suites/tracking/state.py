"""``tracker.json`` of a run: what each store holds of it. One store's delivery says nothing of another's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..config import run_files
from ..config.private import stored
from .files import write_atomic

FILE = "tracker.json"


def new_state() -> dict[str, Any]:
    """Nothing is known of the run in a store. ``delivered``: the byte of the journal up to which the store holds the
    points. ``best`` and ``matrix``: whether it holds what is made of the whole journal; ``sent``: what it holds of a
    matrix that is not whole there."""
    return {
        "run_id": None,
        "delivered": 0,
        "artifacts": {},
        "ended": None,
        "inputs": False,
        "best": False,
        "matrix": False,
        "sent": {},
    }


def _checked(state: Any) -> dict[str, Any]:
    """A store's state as it was read; a new one where it is damaged, or where an empty run id was believed (first
    version)."""
    fields = new_state()
    if run_files.problem_of(state, run_files.StoreState):
        return fields
    known = {name: state.get(name, value) for name, value in fields.items()}
    if not (isinstance(known["run_id"], str) and known["run_id"]):
        return fields
    for name in ("artifacts", "sent"):
        if not isinstance(known[name], dict):  # first version: names of files alone; they are sent again
            known[name] = {}
    return known


def states(folder: Path) -> tuple[dict[str, dict[str, Any]], str | None]:
    """The states by the stores' addresses, and the address that was used last. Empty where the file is missing or
    damaged: the run is then found by its tag, and a point sent twice is one row."""
    try:
        document = run_files.load(folder / FILE)
    except (OSError, ValueError):
        return {}, None
    if not run_files.problem_of(document, run_files.Tracker):
        return {uri: _checked(state) for uri, state in document["stores"].items()}, document.get("last")
    if not isinstance(document, dict):
        return {}, None
    if isinstance(document.get("uri"), str):  # first version: one store
        uri = stored(document["uri"])
        return {uri: _checked(document)}, uri
    return {}, None


def state_of(folder: Path, uri: str) -> dict[str, Any]:
    """What the store at ``uri`` holds of the run in ``folder``."""
    return states(folder)[0].get(stored(uri), new_state())


def save(folder: Path, uri: str, state: dict[str, Any]) -> None:
    """Write one store's state, the others' as they are."""
    _write(folder, {**states(folder)[0], stored(uri): state}, stored(uri))


def rewind(folder: Path, position: int) -> None:
    """The journal was cut at ``position``: no store counts as holding more of it."""
    known, last = states(folder)
    if any(state["delivered"] > position for state in known.values()):
        for state in known.values():
            state["delivered"] = min(state["delivered"], position)
        _write(folder, known, last)


def _write(folder: Path, known: dict[str, dict[str, Any]], last: str | None) -> None:
    write_atomic(folder / FILE, json.dumps({"schema": 2, "last": last, "stores": known}).encode())
