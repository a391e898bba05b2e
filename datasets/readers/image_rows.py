"""Many image files as one column, brought to a size once and read from the cache from then on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..core import cache, fingerprints
from ..core.errors import DataError, refuse
from ..core.inputs import ImageInputs
from .images import fitted


def image_rows(
    files: Sequence[Path], inputs: ImageInputs, progress: Callable[[int, int], None] | None = None
) -> Tensor:
    """[N, 3, size, size] uint8 of ``files`` as ``inputs`` says. Raises DataError where files are no images."""
    size = inputs.size
    if not files:
        return torch.empty(0, 3, size, size, dtype=torch.uint8)
    content = fingerprints.of(files, progress)

    def build(folder: Path) -> None:
        out = np.lib.format.open_memmap(folder / "x.npy", "w+", np.uint8, (len(files), 3, size, size))
        faults = []
        for i, path in enumerate(files):
            try:
                out[i] = fitted(path, inputs).transpose(2, 0, 1)
            except DataError as error:
                faults.append(str(error))
            if progress is not None:
                progress(i + 1, len(files))
        refuse(f"{len(files)} images", faults)
        fingerprints.unchanged(files, content)
        out.flush()

    digest = hashlib.sha256("".join(content).encode()).hexdigest()
    key = {"kind": "resized images", "size": size, "n": len(files), "content": digest}
    if (inputs.fit, inputs.centre, inputs.border) != ("stretch", None, 0):
        key |= {"fit": inputs.fit, "centre": inputs.centre or 0, "border": inputs.border}
    folder = cache.get_or_build(key, build)
    return torch.from_numpy(np.load(folder / "x.npy", mmap_mode="c"))
