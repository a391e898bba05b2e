"""Sprites on digits: four digits of MNIST, one in each quarter, are the background; in target images a sprite of
dSprites lies over them (Louiset et al., ICLR 2024).

The digits are 1, 2, 3, 4 (top left, bottom left, top right, bottom right), drawn anew for each image. Shape, scale,
orientation and position of the sprite are salient. ``ink``, the mean brightness of the digits, is common (ours, so that
there is something to look for in the common space). Under the data root lie MNIST's idx files and dSprites' npz.
Without a data root scikit-learn's digits are the background, and the sprites are drawn.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from ..core.contrast import Attribute, ContrastInfo, contrast_source
from ..core.errors import DataError
from ..core.inputs import ImageInputs
from ..core.seeds import derive
from ..core.source import Source, described
from ..core.table import Table
from ..readers import digits, mnist
from ..readers.images import Array

FILE = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
FACTORS = ("shape", "scale", "orientation", "pos_x", "pos_y")  # columns 1 to 5 of the file's latents
QUARTERS = (1, 2, 3, 4)
ATTRIBUTES = (
    Attribute("shape", "shape", "salient", ("square", "ellipse", "heart"), target_only=True),
    *(Attribute(name, name, "salient", target_only=True) for name in FACTORS[1:]),
    Attribute("ink", "ink", "common"),
)
BLOCK = 4096  # images of the file that are unpacked at once
SIDE = 64  # of dSprites


class Config(BaseModel):
    """How many rows there are, and the side of the stand-in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_train: int = Field(25_000, ge=2, le=300_000, description="training rows of each group")
    n_valid: int = Field(500, ge=1, le=50_000, description="validation rows of each group")
    n_test: int = Field(2500, ge=1, le=50_000, description="test rows of each group")
    size: Literal[32, 64] = Field(64, description="side in pixels; 32: of the stand-in alone")
    seed: int = Field(0, ge=0, description="which digits and sprites are drawn")


def drawn(latents: Array, size: int) -> Array:
    """Sprites [N, size, size] uint8, 0 or 1, of ``latents`` [N, 5] (:data:`FACTORS`; shape 0 to 2, scale 0.5 to 1,
    orientation in radians, positions 0 to 1).
    """
    y, x = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    shape, scale, angle, px, py = (column[:, None, None] for column in latents.T)
    dx, dy = ((v / (size - 1) - 0.2 - 0.6 * p) / (0.16 * scale) for v, p in ((x, px), (y, py)))
    u, v = np.cos(angle) * dx + np.sin(angle) * dy, np.cos(angle) * dy - np.sin(angle) * dx
    square = np.maximum(np.abs(u), np.abs(v)) <= 0.8
    ellipse = u**2 / 0.4 + v**2 <= 1
    p, q = 1.2 * u, -1.2 * v + 0.1
    heart = (p**2 + q**2 - 1) ** 3 <= p**2 * q**3
    return np.where(shape == 0, square, np.where(shape == 1, ellipse, heart)).astype(np.uint8)


def _canvas(grey: Array, labels: Array, count: int, size: int, rng: np.random.Generator) -> Array:
    """Backgrounds [count, size, size] uint8 of digits [N, size / 2, size / 2]."""
    half, canvas = size // 2, np.zeros((count, size, size), np.uint8)
    for digit, (row, column) in zip(QUARTERS, ((0, 0), (1, 0), (0, 1), (1, 1)), strict=True):
        own = np.flatnonzero(labels == digit)
        if not len(own):
            raise DataError(f"there is no digit {digit} to draw")
        place = np.s_[:, row * half : (row + 1) * half, column * half : (column + 1) * half]
        canvas[place] = grey[own[rng.integers(0, len(own), count)]]
    return canvas


def _released(path: Path, count: int, seed: int) -> tuple[Array, Array]:
    """Sprites [count, 64, 64] and latents [count, 5] of dSprites in random order, orientations within 45 degrees.

    Images are unpacked block by block, and only those chosen are kept. Raises DataError for a file of another kind.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            with archive.open("latents_values.npy") as member:
                shape, _, dtype = _header(member)
                if len(shape) != 2 or shape[1] != 6 or shape[0] > 10_000_000 or dtype.kind != "f":
                    raise ValueError("latents_values must be [N, 6] numbers")
                raw = member.read(shape[0] * 6 * dtype.itemsize)
                values = np.frombuffer(raw, dtype).reshape(shape)[:, 1:].astype(float)
            values[:, 2] = (values[:, 2] + np.pi) % (2 * np.pi) - np.pi
            values[:, 0] -= 1
            if not np.isfinite(values).all() or not set(np.unique(values[:, 0])) <= {0, 1, 2}:
                raise ValueError("latents_values holds other shapes than 1, 2, 3, or no numbers")
            rows = np.flatnonzero(np.abs(values[:, 2]) < np.pi / 4)
            if len(rows) < count:
                raise DataError(f"{path}: {count} sprites are asked for, and {len(rows)} lie within 45 degrees")
            rows = np.random.default_rng(derive(seed, "dsprites/order")).permutation(rows)[:count]
            images = np.zeros((count, SIDE, SIDE), np.uint8)
            place = np.argsort(rows)
            with archive.open("imgs.npy") as member:
                size, fortran, dtype = _header(member)
                if size != (len(values), SIDE, SIDE) or dtype != np.uint8 or fortran:
                    raise ValueError(f"imgs must be [{len(values)}, {SIDE}, {SIDE}] bytes")
                for start in range(0, int(rows.max()) + 1, BLOCK):
                    many = min(BLOCK, len(values) - start)
                    raw = member.read(many * SIDE * SIDE)
                    block = np.frombuffer(raw, np.uint8).reshape(many, SIDE, SIDE)
                    own = place[np.searchsorted(rows[place], start) : np.searchsorted(rows[place], start + many)]
                    images[own] = block[rows[own] - start]
    except (OSError, KeyError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: no readable dSprites file ({str(error).splitlines()[0]})") from error
    if images.max(initial=0) > 1:
        raise DataError(f"{path}: imgs must hold 0 and 1")
    return images, values[rows]


def _header(member: Any) -> tuple[tuple[int, ...], bool, Any]:
    """Shape, order and type of an array whose header comes next; nothing of it is unpacked."""
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(member)
    if dtype.hasobject:
        raise ValueError("it holds objects")
    return shape, fortran, dtype


def _stand_in(count: int, seed: int, size: int) -> tuple[Array, Array]:
    g = np.random.default_rng(derive(seed, "dsprites/latents"))
    latents = np.stack(
        [
            g.integers(0, 3, count).astype(float),
            *(g.uniform(low, high, count) for low, high in ((0.5, 1), (-np.pi / 4, np.pi / 4), (0, 1), (0, 1))),
        ],
        1,
    )
    return np.concatenate([drawn(latents[k : k + BLOCK], size) for k in range(0, count, BLOCK)]), latents


def load(config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None) -> Source[ContrastInfo]:
    """Columns ``image`` [N, 1, S, S], ``target``, ``shape``, ``scale``, ``orientation`` (radians), ``pos_x``,
    ``pos_y``, ``ink``. Raises DataError with what is missing.
    """
    counts = {"train": config.n_train, "valid": config.n_valid, "test": config.n_test}
    total, size = sum(counts.values()), config.size
    if root is None:
        small, half = digits.shuffled(config.seed), size // 2
        parts = {split: (digits.enlarged(grey, half), labels) for split, (grey, labels) in small.items()}
        sprites, latents = _stand_in(total, config.seed, size)
    else:
        path = next((p for p in (root / FILE, root / "dsprites" / FILE) if p.is_file()), None)
        if path is None or size != SIDE:
            what = f"no {FILE} there" if path is None else "the sprites have 64 pixels a side: data.options.size=64"
            raise DataError(f"{root}: {what}; --data-root names a folder with it and with MNIST's idx files")
        parts = {s: (np.pad(grey, ((0, 0), (2, 2), (2, 2))), labels) for s, (grey, labels) in mnist.read(root).items()}
        sprites, latents = _released(path, total, config.seed)
    start, tables = 0, {}
    for split, count in counts.items():
        rng = np.random.default_rng(derive(config.seed, f"dsprites/canvas/{split}"))
        canvas = _canvas(*parts["test" if split == "test" else "train"], 2 * count, size, rng)
        ink = canvas.mean((1, 2)) / 255
        own = slice(start, start + count)
        np.maximum(canvas[count:], 255 * sprites[own], out=canvas[count:])
        tables[split] = _table(canvas, latents[own], ink)
        start += count
    inputs = ImageInputs(column="image", size=size, channels=1, fit="stretch")
    source = "stand-in" if root is None else "real"
    return contrast_source(tables, ATTRIBUTES, source, inputs=inputs, random_split=root is None)


def _table(images: Array, latents: Array, ink: Array) -> Table:
    """Backgrounds come first and have no sprite: -1 and NaN."""
    count = len(latents)
    whole = np.concatenate([np.full((count, len(FACTORS)), np.nan), latents])
    columns = {name: torch.from_numpy(whole[:, k].copy()) for k, name in enumerate(FACTORS)}
    columns["shape"] = torch.from_numpy(np.concatenate([np.full(count, -1), latents[:, 0].astype(np.int64)]))
    target = torch.arange(2 * count) // count
    return Table(
        {"image": torch.from_numpy(images)[:, None], "target": target, **columns, "ink": torch.from_numpy(ink)}
    )


def check(config: Config, root: Path | None) -> dict[str, Any]:
    """Rows and columns of every split."""
    return described(load(config, root))
