"""Many image files as one column: brought to a size once and read from the cache from then on, or kept as the files'
bytes and decoded when rows are asked for. Either way one image is held at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..core import fingerprints, mapped, store
from ..core.errors import DataError, refuse
from ..core.inputs import ImageInputs
from ..core.table import Lazy
from .images import fitted, fitted_bytes

Progress = Callable[[int, int], None]


def image_rows(files: Sequence[Path], inputs: ImageInputs, progress: Progress | None = None) -> Tensor:
    """[N, 3, size, size] uint8 of ``files`` as ``inputs`` says, in memory or mapped (:mod:`..core.store`).

    Raises DataError where files are no images, or there is no room; before a file is read.
    """
    size = inputs.size
    if not files:
        return torch.empty(0, 3, size, size, dtype=torch.uint8)
    what, needed = f"{len(files)} images of {size} px", len(files) * 3 * size * size
    if store.chosen() == "memory":
        store.require_memory(needed, what)
    content = fingerprints.of(files, progress)

    def build(folder: Path) -> None:
        store.require_disk(needed, what)
        faults = []
        with mapped.Writer(folder / "x.npy", torch.uint8, (3, size, size)) as out:
            for i, path in enumerate(files):
                try:
                    out.write(fitted(path, inputs).transpose(2, 0, 1)[None])
                except DataError as error:
                    faults.append(str(error))
                if progress is not None:
                    progress(i + 1, len(files))
        refuse(f"{len(files)} images", faults)
        fingerprints.unchanged(files, content)

    key = {"kind": "resized images", "size": size, "n": len(files), "content": _digest(content), **_how(inputs)}
    return store.column(store.entry(key, build) / "x.npy", what)


def encoded_rows(files: Sequence[Path], inputs: ImageInputs, progress: Progress | None = None) -> Lazy:
    """[N, 3, size, size] uint8 of ``files``, the same values as of :func:`image_rows`, decoded when rows are gathered;
    the cache holds the files' bytes.

    Raises DataError where files are no images (each is decoded once, before it is kept), or there is no room.
    """
    content = fingerprints.of(files, progress)
    size, shape = sum(path.stat().st_size for path in files), (3, inputs.size, inputs.size)
    what = f"{len(files)} encoded images"

    def build(folder: Path) -> None:
        store.require_disk(size, what)
        ends, faults = [0], []
        with mapped.Writer(folder / "bytes.npy", torch.uint8) as out:
            for i, path in enumerate(files):
                encoded = path.read_bytes()
                try:
                    fitted_bytes(encoded, str(path), inputs)
                except DataError as error:
                    faults.append(str(error))
                out.write(np.frombuffer(encoded, np.uint8))
                ends.append(out.rows)
                if progress is not None:
                    progress(i + 1, len(files))
        refuse(what, faults)
        fingerprints.unchanged(files, content)
        np.save(folder / "offsets.npy", np.array(ends, np.int64))

    how = {"centre": inputs.centre or 0, "border": inputs.border}  # which files are large enough
    key = {"kind": "encoded images", "n": len(files), "content": _digest(content), **how}
    folder = store.entry(key, build)
    offsets = torch.from_numpy(np.load(folder / "offsets.npy"))
    make = Decode(store.column(folder / "bytes.npy", what), offsets, inputs)
    whole = hashlib.sha256(repr([_digest(content), inputs.size, _how(inputs)]).encode()).hexdigest()
    return Lazy(len(files), shape, torch.uint8, make, f"encoded/{whole}")


@dataclass(frozen=True)
class Decode:
    """Images from the bytes of their files: ``values`` [bytes] uint8 joined, ``offsets`` [N + 1]."""

    values: Tensor
    offsets: Tensor
    inputs: ImageInputs

    def __call__(self, index: Tensor) -> Tensor:
        """Images ``index`` [B], [B, 3, size, size] uint8. Raises DataError for what is no image."""
        out = torch.empty(len(index), 3, self.inputs.size, self.inputs.size, dtype=torch.uint8)
        mapped.ahead(self.values, self.offsets[index], self.offsets[index + 1] - self.offsets[index])
        for k, row in enumerate(index.tolist()):
            content = self.values[self.offsets[row] : self.offsets[row + 1]]
            pixels = fitted_bytes(content.numpy().tobytes(), f"image {row}", self.inputs)
            out[k] = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
            mapped.touched(self.values, 1, len(content))
        return out


def _digest(content: Sequence[str]) -> str:
    return hashlib.sha256("".join(content).encode()).hexdigest()


def _how(inputs: ImageInputs) -> dict[str, object]:
    """What of ``inputs`` is not the plainest: keys of earlier versions stay as they were."""
    if (inputs.fit, inputs.centre, inputs.border) == ("stretch", None, 0):
        return {}
    return {"fit": inputs.fit, "centre": inputs.centre or 0, "border": inputs.border}
