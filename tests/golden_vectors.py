"""Golden vectors: the entries of a file, each of which a test must read as an input or check."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

PRECISIONS = ((torch.float64, 1e-9), (torch.float32, 1e-4))
TEXT = re.compile(r"(README|META|meta)(/.*)?")  # what describes the vectors, not vectors


def folder() -> Path:
    """Where the vectors lie: HOLDFAST_GOLDEN where it is set, else ``golden`` beside this file."""
    return Path(os.environ.get("HOLDFAST_GOLDEN") or Path(__file__).with_name("golden"))


def _flat(value: Any, name: str, entries: dict[str, Any]) -> None:
    """Leaves of nested JSON by slash paths; a list without objects is one leaf."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            _flat(inner, f"{name}/{key}" if name else key, entries)
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        for number, inner in enumerate(value):
            _flat(inner, f"{name}/{number}", entries)
    else:
        entries[name] = value


class Vectors:
    """The entries of an npz or JSON file by slash path; :meth:`close` fails on a disagreement or an unused entry."""

    def __init__(self, path: Path) -> None:
        self.entries: dict[str, Any] = {}
        self.tree: Any = None
        if path.suffix == ".npz":
            with np.load(path) as file:
                self.entries = {name: file[name] for name in file.files}
        else:
            self.tree = json.loads(path.read_text())
            _flat(self.tree, "", self.entries)
        self.name, self.inputs, self.checked = path.name, set[str](), set[str]()
        self.faults: list[str] = []

    def groups(self, pattern: str) -> Iterator[tuple[str, re.Match[str]]]:
        """Prefixes of entries that ``pattern`` matches up to a slash or the end, each once, with their match."""
        found: dict[str, re.Match[str]] = {}
        for name in self.entries:
            if match := re.match(rf"({pattern})(?=/|$)", name):
                found.setdefault(match.group(1), match)
        yield from found.items()

    def has(self, name: str) -> bool:
        return name in self.entries

    def get(self, name: str) -> Any:
        """An input, as the file holds it; of JSON whole subtrees too. Raises KeyError where it is missing."""
        if name in self.entries:
            self.inputs.add(name)
            return self.entries[name]
        below = {entry for entry in self.entries if entry.startswith(f"{name}/")}
        if self.tree is None or not below:
            raise KeyError(f"{self.name} has no entry '{name}'")
        self.inputs |= below
        value = self.tree
        for key in name.split("/"):
            value = value[int(key)] if isinstance(value, list) else value[key]
        return value

    def tensor(self, name: str, dtype: torch.dtype | None = None) -> Tensor:
        """An input as a tensor; floats of ``dtype``."""
        found = torch.from_numpy(np.array(self.get(name)))
        return found.to(dtype) if dtype is not None else found

    def text(self, pattern: str, default: str) -> re.Match[str]:
        """What the file's README says of a parameter, else what ``default`` says."""
        found = re.search(pattern, str(self.entries.get("README", ""))) or re.search(pattern, default)
        assert found is not None
        return found

    def agree(self, name: str, found: Any, rtol: float = 1e-9) -> None:
        """Check an entry: no difference is above ``rtol`` times its largest value.

        Less than 0.01 (0.1 in float32) counts as that: a loss is a difference of larger numbers, JSON has 12 decimals.
        """
        self.checked.add(name)
        wanted = self.entries[name]
        if isinstance(wanted, (str, bool)) or np.asarray(wanted).dtype.kind not in "fiub":
            if not np.array_equal(found, wanted):
                self.faults.append(f"{name}: {found!r}, not {wanted!r}")
            return
        if isinstance(found, Tensor):
            found = found.detach().double().numpy() if found.is_floating_point() else found.numpy()
        a, b = np.asarray(found, dtype=np.float64), np.asarray(wanted, dtype=np.float64)
        if a.shape != b.shape:
            self.faults.append(f"{name}: shape {a.shape}, not {b.shape}")
            return
        finite = np.isfinite(b)
        largest = float(np.abs(b[finite]).max()) if finite.any() else 0.0
        floor = 0.01 if rtol < 1e-6 else 0.1
        limit = 0.0 if np.asarray(wanted).dtype.kind in "iub" else rtol * max(largest, floor)
        away = np.abs(np.where(finite, a, 0.0) - np.where(finite, b, 0.0))
        if not np.array_equal(a[~finite], b[~finite], equal_nan=True) or not bool((away <= limit).all()):
            at = np.unravel_index(int(np.nan_to_num(away, nan=np.inf).argmax()), away.shape) if away.size else ()
            self.faults.append(f"{name}{list(map(int, at))}: {a[at]!r}, not {b[at]!r} (limit {limit:.1e})")

    def run(self, sections: Sequence[Callable[[Vectors], object]]) -> None:
        """Every section; one that raises is a fault of its own, so that the others are still counted."""
        for section in sections:
            try:
                section(self)
            except Exception as error:
                self.faults.append(f"{getattr(section, '__name__', 'section')}: {type(error).__name__}: {error}")

    def tree_agrees(self, name: str, found: Any, rtol: float = 1e-9) -> None:
        """:meth:`agree` for every leaf of nested JSON; a leaf too few or too many is a fault."""
        leaves: dict[str, Any] = {}
        _flat(found, name, leaves)
        wanted = {entry for entry in self.entries if entry == name or entry.startswith(f"{name}/")}
        for entry in sorted(wanted | leaves.keys()):
            if entry in wanted and entry in leaves:
                self.agree(entry, leaves[entry], rtol)
            else:
                self.faults.append(f"{entry}: {'missing' if entry in wanted else 'not in the file'}")

    def close(self) -> str:
        """Fail on faults and on unused entries; else the figure, "checked / in the file"."""
        values = {name for name in self.entries if not TEXT.fullmatch(name)}
        unused = sorted(values - self.inputs - self.checked)
        wrong = {fault.split("[")[0].split(":")[0] for fault in self.faults}
        expected = values - (self.inputs - self.checked)
        figure = f"{self.name}: {len(self.checked - wrong)} of {len(expected)} expected entries agree"
        lines = [*self.faults, *(f"{name}: nothing in this test uses it" for name in unused)]
        assert not lines, "\n".join([figure, *lines])
        return f"{figure}, {len(values - expected)} inputs"
