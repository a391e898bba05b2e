"""A strategy of Avalanche as bytes and back. Data, streams and the trainer are named, not copied: they are there when
it is read, and a checkpoint stays as small as the strategy's own state.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

Reference = tuple[str, int]


class References:
    """What a pickle only names: the trainer, the benchmark, its training stream, experiences and their rows."""

    def __init__(self, trainer: Any, benchmark: Any) -> None:
        self.things: dict[Reference, Any] = {("trainer", 0): trainer}
        if benchmark is not None:
            self.things |= {("benchmark", 0): benchmark, ("stream", 0): benchmark.train_stream}
            self.things |= {("experience", k): one for k, one in enumerate(benchmark.train_stream)}
            self.things |= {("rows", k): rows for k, rows in enumerate(benchmark.rows)}
        self.names = {id(thing): name for name, thing in self.things.items()}


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, references: References) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.references = references

    def persistent_id(self, thing: Any) -> Reference | None:
        return self.references.names.get(id(thing))


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, references: References) -> None:
        super().__init__(file)
        self.references = references

    def persistent_load(self, name: Reference) -> Any:
        return self.references.things[name]


def dumped(document: dict[str, Any], references: References) -> bytes:
    """The document as bytes. Raises what pickle raises for what cannot be (a generator, a local function)."""
    file = io.BytesIO()
    _Pickler(file, references).dump(document)
    return file.getvalue()


def loaded(data: bytes, references: References) -> dict[str, Any]:
    """The document of bytes whose seal has been checked (:mod:`.sealed`): reading a pickle runs code."""
    document: dict[str, Any] = _Unpickler(io.BytesIO(data), references).load()
    return document
