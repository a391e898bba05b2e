"""Generated scenes: a shaded ground and one to three solid figures before it, with the truth of every pixel.

A ball, a square plate and a triangular plate are painted from far to near; nearer ones are larger and brighter. Tasks:
``seg`` (ground and the three figures), ``depth``, ``saliency`` (the nearest figure), and, where they are named in
``tasks``, ``normals`` and ``edges`` (pixels whose right or lower neighbour is of another surface). All data are made on
the spot: a stand-in for the dense sets, under its own name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from ..core.errors import DataError
from ..core.multi_task import MultiTaskInfo, Task, chosen, multi_task_source
from ..core.seeds import derive
from ..core.source import Source
from ..core.table import Table
from ..readers.images import Array
from .rows import Progress, by_task, counted

FIGURES = ("ball", "square", "triangle")
TASKS = (
    Task("seg", "segmentation", 4, 1.0, ("ground", *FIGURES)),
    Task("depth", "depth", 1, 4.0),
    Task("saliency", "saliency", 1, 2.0),
    Task("normals", "normals", 3, 10.0),
    Task("edges", "edges", 1, 50.0),
)
NOISE = 0.12  # deviation of a pixel, of the range of light
LIGHT = np.array([-0.4, -0.5, 0.77])  # from where it comes: left, above, and the viewer
RELIEF = 0.3  # depth of a ball in its radii, and the steepest slope of a plate
GROUND = (0.75, 1.0)  # depths of the ground; figures lie from 0.2 to 0.65


class Size(BaseModel):
    """How many scenes there are, and how large."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_train: int = Field(1500, ge=2, le=100_000, description="training scenes")
    n_valid: int = Field(200, ge=1, le=100_000, description="validation scenes")
    n_test: int = Field(400, ge=1, le=100_000, description="test scenes")
    size: int = Field(32, ge=16, le=256, description="side in pixels")
    noise: float = Field(NOISE, ge=0, le=1, description="deviation of a pixel's noise, of the range of light")
    seed: int = Field(0, ge=0, description="all of the scenes")


class Config(Size):
    """The same, and which tasks there are."""

    tasks: tuple[str, ...] = Field(
        ("seg", "depth", "saliency"), min_length=1, description="tasks: any of seg, depth, saliency, normals, edges"
    )
    experiences: bool = Field(
        False, description="true: a column experience, by which data.split=given brings one task after another"
    )


def drawn(n: int, size: int, noise: float, rng: np.random.Generator) -> dict[str, Array]:
    """``n`` scenes: ``image`` [n, 3, S, S] uint8, and by name of the task the targets as
    :mod:`..core.multi_task` has them; ``surface`` [n, S, S]: which surface is seen, 0 the ground; ``upper`` [n, S, S]:
    whether a pixel lies above the middle of its figure.
    """
    y, x = ((np.arange(size) + 0.5) / size for _ in range(2))
    y, x = y[None, :, None], x[None, None, :]
    turn = rng.uniform(0, 2 * np.pi, (n, 1, 1))
    across, down = np.cos(turn), np.sin(turn)
    ramp = 0.5 + ((x - 0.5) * across + (y - 0.5) * down) / (np.abs(across) + np.abs(down))  # 0 to 1
    slope = (GROUND[1] - GROUND[0]) / (np.abs(across) + np.abs(down))
    depth = GROUND[0] + (GROUND[1] - GROUND[0]) * ramp
    gradient = [np.broadcast_to(slope * c, depth.shape).copy() for c in (across, down)]
    bright = 0.15 + 0.35 * (1 - ramp)
    seg, surface = (np.zeros(depth.shape, np.uint8) for _ in range(2))
    upper = np.zeros(depth.shape, bool)
    tint = rng.uniform(0.7, 1.0, (4, n, 3))
    colour = np.broadcast_to(tint[3][:, :, None, None], (n, 3, size, size)).copy()
    count = rng.integers(1, 4, n)
    distance = (np.sort(rng.uniform(0.2, 0.45, (n, 3)), axis=1) + 0.1 * np.arange(3))[:, ::-1]  # the last is nearest
    for k in range(3):
        z = distance[:, k, None, None]
        figure = _figure(x, y, z, rng)
        seen = figure.inside & (k >= 3 - count)[:, None, None]
        depth = np.where(seen, z + figure.relief, depth)
        for old, new in zip(gradient, figure.gradient, strict=True):
            np.copyto(old, new, where=seen)
        bright = np.where(seen, 0.35 + 0.65 * (0.65 - z) / 0.45, bright)
        seg = np.where(seen, figure.kind + 1, seg).astype(np.uint8)
        surface[seen] = k + 1
        upper = np.where(seen, figure.upper, upper)
        np.copyto(colour, tint[k][:, :, None, None], where=seen[:, None])
    normals = np.stack([*gradient, np.ones_like(depth)], 1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    shade = np.clip(np.tensordot(normals, LIGHT, (1, 0)), 0, 1)
    light = colour * (bright * (0.5 + 0.5 * shade))[:, None]
    image = light + noise * rng.standard_normal(light.shape)
    return {
        "image": np.round(255 * np.clip(image, 0, 1)).astype(np.uint8),
        "seg": seg,
        "depth": depth.astype(np.float32),
        "saliency": (surface == 3).astype(np.uint8),
        "normals": normals.astype(np.float32),
        "edges": _borders(surface),
        "surface": surface,
        "upper": upper,
    }


class _figure:  # noqa: N801
    """One figure of each scene: ``kind`` [n, 1, 1], and of every pixel whether it is ``inside``, the ``relief`` (depth
    against the figure's middle), its ``gradient`` to the right and down, and whether it is in the ``upper`` half.
    """

    def __init__(self, x: Array, y: Array, z: Array, rng: np.random.Generator) -> None:
        n = len(z)
        self.kind = rng.integers(0, 3, (n, 1, 1))
        radius = 0.10 + 0.16 * (0.65 - z) / 0.45
        u, v = ((c - rng.uniform(0.2, 0.8, (n, 1, 1))) / radius for c in (x, y))  # in radii from the middle
        ball = self.kind == 0
        square = np.maximum(np.abs(u), np.abs(v)) < 0.9
        triangle = (v < 0.7) & (v > 2 * np.abs(u) - 1)
        self.inside = np.where(ball, u**2 + v**2 < 1, np.where(self.kind == 1, square, triangle))
        height = np.sqrt(np.clip(1 - u**2 - v**2, 0.05, 1))  # a ball's rim is not quite vertical
        tilt = rng.uniform(-1, 1, (2, n, 1, 1))
        self.relief = radius * RELIEF * np.where(ball, -height, tilt[0] * u + tilt[1] * v)
        self.gradient = [RELIEF * np.where(ball, c / height, t) for c, t in zip((u, v), tilt, strict=True)]
        self.upper = v < 0


def _borders(surface: Array) -> Array:
    edges = np.zeros(surface.shape, np.uint8)
    edges[:, :, :-1] |= surface[:, :, 1:] != surface[:, :, :-1]
    edges[:, :-1] |= surface[:, 1:] != surface[:, :-1]
    return edges


def generated(
    config: Size,
    tasks: Sequence[Task],
    targets: Callable[[dict[str, Array]], dict[str, Array]],
    purpose: str = "scenes",
) -> dict[str, Table]:
    """Splits of generated scenes; ``targets`` makes the targets, by task, of what :func:`drawn` gives."""
    splits = {}
    for split, count in (("train", config.n_train), ("valid", config.n_valid), ("test", config.n_test)):
        rng = np.random.default_rng(derive(config.seed, f"{purpose}/{split}"))
        parts = [drawn(min(500, count - k), config.size, config.noise, rng) for k in range(0, count, 500)]
        made = [{"image": part["image"], **targets(part)} for part in parts]
        columns = {task.column: np.concatenate([part[task.name] for part in made]) for task in tasks}
        columns["image"] = np.concatenate([part["image"] for part in made])
        splits[split] = Table({name: torch.from_numpy(value) for name, value in columns.items()})
    return splits


def load(config: Config, root: Path | None, progress: Progress = None) -> Source[MultiTaskInfo]:
    """Columns ``image`` and ``target_TASK``. Raises DataError for unknown tasks, and where a data root is given."""
    if root is not None:
        raise DataError("slimmable_scenes is generated and reads no data root; slimmable_folder reads your own images")
    tasks = chosen(TASKS, config.tasks)
    splits = generated(config, tasks, lambda part: part)
    if config.experiences:
        splits = by_task(splits, tasks)
    normalise = ((0.35,) * 3, (0.25,) * 3)
    return multi_task_source(splits, tasks, "stand-in", normalise=normalise, random_split=False)


def check(config: Config, root: Path | None) -> dict[str, Any]:
    """Rows and labelled share of every task in every split."""
    return counted(load(config, root))
