"""Random views of images together with their maps: mirrored, enlarged or shrunk, turned.

Everything is drawn from the generator that is given. A method may draw new views of every batch; the transform
``dense_views`` makes them once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional as F

from .multi_task import Task


class Views(BaseModel):
    """How a view differs from its row. As published for NYUD: ``scales`` [1, 1.2, 1.5] with ``crop``; for PASCAL:
    ``scale_from`` 0.75, ``scale_to`` 1.25, ``rotation`` 20.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    flip: float = Field(0.5, ge=0, le=1, description="share of views that are mirrored left to right")
    scales: tuple[float, ...] = Field((), description="one of these scales is drawn; none: between scale_from and _to")
    scale_from: float = Field(1.0, gt=0, le=4, description="least scale")
    scale_to: float = Field(1.0, gt=0, le=4, description="largest scale")
    rotation: float = Field(0.0, ge=0, le=180, description="largest angle in degrees, both ways")
    crop: bool = Field(False, description="true: an enlarged view shows a random part; false: the middle")


def augmented(
    columns: Mapping[str, Tensor],
    tasks: Sequence[Task],
    views: Views,
    generator: torch.Generator,
    fill: Sequence[float] = (0.5, 0.5, 0.5),
) -> dict[str, Tensor]:
    """A view of every row of ``columns``: ``image`` [B, C, H, W] bytes, and the targets of the ``tasks`` that are maps.

    A point (x, y) of the row, in pixels from the middle, is mirrored (x → -x), multiplied by the scale s and turned by
    the angle: all in one resampling, of images bilinear, of maps the nearest pixel. Depths are divided by s (an object
    that looks s times as large is that much nearer); normals are mirrored and turned. Outside the row images are
    ``fill`` [C] and maps have no label. Columns other than these stay. Drawn are, in this order: mirrored or not,
    scale, angle, place.
    """
    image = columns["image"]
    count, channels, height, width = image.shape
    flip, scale, angle, shift = _drawn(count, height, width, views, generator)
    grid, inside = _grid(flip, scale, angle, shift, height, width)
    grid, inside = grid.to(image.device), inside.to(image.device)
    out = dict(columns)
    sampled = F.grid_sample(image.float(), grid, "bilinear", "border", align_corners=False)
    ground = torch.tensor([255 * value for value in fill], device=image.device)[:channels, None, None]
    out["image"] = torch.where(inside, sampled, ground).round().clamp(0, 255).to(image.dtype)
    for task in tasks:
        if not task.is_map:
            continue
        target = columns[task.column]
        planes = target if task.kind == "normals" else target[:, None]
        near = F.grid_sample(planes.float(), grid, "nearest", "border", align_corners=False)
        labelled = inside & (near != 255).all(1, keepdim=True)
        if task.kind == "depth":
            near = near / scale[:, None, None, None].to(near)
        elif task.kind == "normals":
            near = _turned(near, flip.to(near), angle.to(near))
        near = torch.where(labelled, near, 255.0).to(target.dtype)
        out[task.column] = near if task.kind == "normals" else near[:, 0]
    return out


def _drawn(
    count: int, height: int, width: int, views: Views, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of each row: -1 where it is mirrored, else 1; scale; angle in radians; shift of the middle in pixels [B, 2]."""
    more: Any = {"generator": generator, "dtype": torch.float64}
    flip = torch.where(torch.rand(count, **more) < views.flip, -1.0, 1.0).double()
    drawn = torch.rand(count, **more)
    if views.scales:
        scales = torch.tensor(views.scales, dtype=torch.float64)
        scale = scales[(drawn * len(scales)).long()]
    else:
        scale = views.scale_from + (views.scale_to - views.scale_from) * drawn
    angle = math.radians(views.rotation) * (2 * torch.rand(count, **more) - 1)
    place = 2 * torch.rand(count, 2, **more) - 1
    room = (1 - 1 / scale).clamp(min=0)[:, None] * torch.tensor([width, height]) / 2
    return flip, scale, angle, place * room if views.crop else torch.zeros_like(place)


def _grid(flip: Tensor, scale: Tensor, angle: Tensor, shift: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """For every pixel of the views where it lies in the rows, [B, H, W, 2] as torch's grid_sample counts, and whether
    that is inside, [B, 1, H, W].
    """
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float64) - (height - 1) / 2,
        torch.arange(width, dtype=torch.float64) - (width - 1) / 2,
        indexing="ij",
    )
    cos, sin, s = (value[:, None, None] for value in (angle.cos(), angle.sin(), scale))
    across = (cos * x + sin * y) / s + shift[:, 0, None, None]
    down = (cos * y - sin * x) / s + shift[:, 1, None, None]
    grid = torch.stack([flip[:, None, None] * across * 2 / width, down * 2 / height], -1)
    inside = (grid.abs() <= 1).all(-1)[:, None]
    return grid.float(), inside


def _turned(normals: Tensor, flip: Tensor, angle: Tensor) -> Tensor:
    """Normals [B, 3, H, W] of rows whose x-axis is mirrored where ``flip`` is -1, then turned by ``angle``."""
    cos, sin = (value[:, None, None] for value in (angle.cos(), angle.sin()))
    x, y, z = flip[:, None, None] * normals[:, 0], normals[:, 1], normals[:, 2]
    return torch.stack([cos * x - sin * y, sin * x + cos * y, z], 1)
