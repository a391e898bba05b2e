"""Random views of images and tables for two-view contrasts, drawn from the generator that is given, nothing else."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional as F

LUMINANCE = (0.299, 0.587, 0.114)
TO_YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.321), (0.211, -0.523, 0.311))


class ViewConfig(BaseModel):
    """How a view differs from its row."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    views: Literal["auto", "noise", "photograph", "none"] = Field(
        "auto",
        description="noise: brightness, noise, dropped values; photograph: crop, flip, colour, rotation; auto: "
        "photograph for images of 3 channels",
    )
    noise: float = Field(0.08, ge=0, le=10, description="standard deviation of the noise that is added")
    brightness: float = Field(0.15, ge=0, lt=1, description="of noise views: factor 1 ± this for each row")
    drop: float = Field(0.1, ge=0, lt=1, description="of noise views: share of values that become 0")
    crop: int | None = Field(
        None, ge=4, le=1024, description="of photographs: side of a crop after resizing; null: the image's"
    )
    crop_scale: float = Field(0.2, gt=0, le=1, description="of photographs: least area of a crop, as a share")
    flip: float = Field(0.5, ge=0, le=1, description="of photographs: share that is mirrored left to right")
    flip_vertical: float = Field(0.0, ge=0, le=1, description="of photographs: share that is turned upside down")
    rotation: float = Field(0.0, ge=0, le=180, description="of photographs: largest angle, in degrees, both ways")
    jitter: float = Field(
        0.4, ge=0, lt=1, description="of photographs: brightness, contrast and saturation by 1 ± this, image by image"
    )
    hue: float = Field(0.1, ge=0, le=0.5, description="of photographs: hue by ± this, in turns")
    jitter_share: float = Field(
        0.8, ge=0, le=1, description="of photographs: share of views (whole batches, as in the public code) jittered"
    )
    grey: float = Field(0.2, ge=0, le=1, description="of photographs: share that loses its colour")


def noisy(x: Tensor, config: ViewConfig, generator: torch.Generator) -> Tensor:
    """``(f x + σ ε)`` with values dropped to 0; f uniform in 1 ± ``brightness`` for each row of x [B, ...]."""
    shape = (len(x), *[1] * (x.dim() - 1))
    factor = 1 + config.brightness * (2 * torch.rand(shape, generator=generator) - 1)
    noise = torch.randn(x.shape, generator=generator)
    kept = torch.rand(x.shape, generator=generator) >= config.drop
    return (x * factor.to(x.device) + config.noise * noise.to(x.device)) * kept.to(x.device)


def photograph(x: Tensor, config: ViewConfig, generator: torch.Generator) -> Tensor:
    """Views of images x [B, C, H, W] in [0, 1]: crop, flips and rotation in one resampling, then colour, then noise of
    deviation ``noise``. Places outside the image are reflected.
    """
    x = _colours(_resampled(x, config, generator), config, generator)
    if config.noise:
        x = x + config.noise * torch.randn(x.shape, generator=generator).to(x.device)
    return x


def _draw(n: int, low: float, high: float, generator: torch.Generator, like: Tensor) -> Tensor:
    return (low + (high - low) * torch.rand(n, generator=generator)).to(like.device)


def _resampled(x: Tensor, config: ViewConfig, generator: torch.Generator) -> Tensor:
    """The output's side is ``crop``; areas are uniform in [crop_scale, 1], sides' ratios log-uniform in 3/4 to 4/3."""
    b, c, height, width = x.shape
    area = _draw(b, config.crop_scale, 1.0, generator, x)
    ratio = torch.exp(_draw(b, math.log(3 / 4), math.log(4 / 3), generator, x))
    wide, high = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    across, down = _draw(b, -1, 1, generator, x) * (1 - wide), _draw(b, -1, 1, generator, x) * (1 - high)
    left = torch.where(_draw(b, 0, 1, generator, x) < config.flip, -1.0, 1.0)
    top = torch.where(_draw(b, 0, 1, generator, x) < config.flip_vertical, -1.0, 1.0)
    angle = _draw(b, -config.rotation, config.rotation, generator, x) * math.pi / 180
    cos, sin = angle.cos(), angle.sin()
    first = torch.stack([wide * left * cos, -high * top * sin, across], 1)
    second = torch.stack([wide * left * sin, high * top * cos, down], 1)
    side = (config.crop, config.crop) if config.crop else (height, width)
    grid = F.affine_grid(torch.stack([first, second], 1), [b, c, *side], align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _colours(x: Tensor, config: ViewConfig, generator: torch.Generator) -> Tensor:
    b, c = x.shape[:2]

    def factor() -> Tensor:
        return _draw(b, 1 - config.jitter, 1 + config.jitter, generator, x).view(b, 1, 1, 1)

    coin = float(torch.rand(1, generator=generator))
    bright, contrast, saturation = factor(), factor(), factor()
    turn = _draw(b, -config.hue, config.hue, generator, x) * 2 * math.pi
    bleached = _draw(b, 0, 1, generator, x) < config.grey
    if coin < config.jitter_share:
        x = x * bright
        mean = _luminance(x).mean((1, 2, 3), keepdim=True)
        x = (x - mean) * contrast + mean
        if c == 3:
            tone = _luminance(x)
            x = _turned((x - tone) * saturation + tone, turn)
        x = x.clamp(0, 1)
    if c == 3:
        x = torch.where(bleached.view(b, 1, 1, 1), _luminance(x).expand_as(x), x)
    return x


def _luminance(x: Tensor) -> Tensor:
    if x.shape[1] != 3:
        return x.mean(1, keepdim=True)
    weight = x.new_tensor(LUMINANCE).view(1, 3, 1, 1)
    return (x * weight).sum(1, keepdim=True)


def _turned(x: Tensor, angle: Tensor) -> Tensor:
    """Hue turned by ``angle`` [B] in the plane of chrominance (YIQ)."""
    to = x.new_tensor(TO_YIQ)
    cos, sin, one, nil = angle.cos(), angle.sin(), torch.ones_like(angle), torch.zeros_like(angle)
    turn = torch.stack([one, nil, nil, nil, cos, -sin, nil, sin, cos], 1).view(-1, 3, 3)
    return torch.einsum("bij,bjhw->bihw", torch.linalg.inv(to) @ turn @ to, x)
