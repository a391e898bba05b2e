"""Translators G(x, mode) and critics D: StarGAN v1, a shallow one of chosen reach, and the oracle recolourer (CDvG spec sections 2 and 12)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Preset = Literal["auto", "shallow", "stargan"]


def _with_mode(x: Tensor, mode: Tensor, classes: int) -> Tensor:
    """x [B, 3, S, S] and the one-hot mode as constant maps: [B, 3 + C, S, S]."""
    maps = F.one_hot(mode, classes).to(x.dtype)[:, :, None, None]
    return torch.cat([x, maps.expand(-1, -1, *x.shape[2:])], 1)


class Shallow(nn.Module):
    """3x3 convolutions up to a receptive field of ``reach`` pixels, 1x1 for the rest; no norm, no down-sampling: it cannot redraw what is larger."""

    def __init__(self, classes: int, width: int, reach: int) -> None:
        super().__init__()
        self.classes = classes
        wide = (reach - 1) // 2
        depth = max(3, wide)
        layers: list[nn.Module] = []
        c = 3 + classes
        for k in range(depth):
            layers += [nn.Conv2d(c, width, 3 if k < wide else 1, padding=1 if k < wide else 0), nn.ReLU()]
            c = width
        self.main = nn.Sequential(*layers, nn.Conv2d(width, 3, 1), nn.Tanh())

    def forward(self, x: Tensor, mode: Tensor) -> Tensor:
        return self.main(_with_mode(x, mode, self.classes))


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1, bias=False), _norm(width), nn.ReLU(), nn.Conv2d(width, width, 3, 1, 1, bias=False), _norm(width),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.main(x)


def _norm(width: int) -> nn.Module:
    """Statistics of the instance, in training and evaluation alike: running ones make eval() a different, worse translator."""
    return nn.InstanceNorm2d(width, affine=True, track_running_stats=False)


class StarGAN(nn.Module):
    """StarGAN v1's generator: 7x7, ``down`` halvings, ``blocks`` residual blocks, as many doublings, 7x7, tanh; zero padding (the norm would
    erase the mode's constant maps otherwise).
    """

    def __init__(self, classes: int, width: int = 64, blocks: int = 6, down: int = 2) -> None:
        super().__init__()
        self.classes = classes
        layers: list[nn.Module] = [nn.Conv2d(3 + classes, width, 7, 1, 3, bias=False), _norm(width), nn.ReLU()]
        c = width
        for _ in range(down):
            layers += [nn.Conv2d(c, 2 * c, 4, 2, 1, bias=False), _norm(2 * c), nn.ReLU()]
            c *= 2
        layers += [_Residual(c) for _ in range(blocks)]
        for _ in range(down):
            layers += [nn.ConvTranspose2d(c, c // 2, 4, 2, 1, bias=False), _norm(c // 2), nn.ReLU()]
            c //= 2
        self.main = nn.Sequential(*layers, nn.Conv2d(c, 3, 7, 1, 3, bias=False), nn.Tanh())

    def forward(self, x: Tensor, mode: Tensor) -> Tensor:
        return self.main(_with_mode(x, mode, self.classes))


class Critic(nn.Module):
    """StarGAN v1's discriminator: ``depth`` halvings, a map D_src [B, 1, h, w] and class logits D_cls [B, C].

    Raises ValueError where the image is smaller than 2^depth.
    """

    def __init__(self, classes: int, size: int, width: int, depth: int) -> None:
        super().__init__()
        kernel = size // 2**depth
        if kernel < 1:
            raise ValueError(f"a critic of depth {depth} needs images of {2**depth} pixels or more, not {size}")
        layers: list[nn.Module] = []
        c = 3
        for k in range(depth):
            layers += [nn.Conv2d(c, width * 2**k, 4, 2, 1), nn.LeakyReLU(0.01)]
            c = width * 2**k
        self.main = nn.Sequential(*layers)
        self.conv1 = nn.Conv2d(c, 1, 3, 1, 1, bias=False)
        self.conv2 = nn.Conv2d(c, classes, kernel, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.main(x)
        return self.conv1(h), self.conv2(h).flatten(1)


def padded_size(size: int) -> int:
    """The next power of two (28 becomes 32): what translators work on."""
    return 2 ** math.ceil(math.log2(size))


def pad(x: Tensor, size: int) -> Tensor:
    """Black (-1) around x [B, 3, S, S] up to ``size``; :func:`crop` takes it off again."""
    extra = size - x.shape[-1]
    low = extra // 2
    return F.pad(x, (low, extra - low, low, extra - low), value=-1.0) if extra else x


def crop(x: Tensor, size: int) -> Tensor:
    low = (x.shape[-1] - size) // 2
    return x[..., low : low + size, low : low + size]


class Recolour(nn.Module):
    """The true bias swapper of coloured sets: repaints x in the colour of ``mode``; needs to know what carries the colour (an oracle).

    ``info``: ``carrier`` foreground or background, ``palette`` [C, 3] in [0, 1]. Raises ValueError for data that says neither.
    """

    palette: Tensor

    def __init__(self, info: Mapping[str, Any]) -> None:
        super().__init__()
        if "carrier" not in info or "palette" not in info:
            raise ValueError(
                "the oracle recolourer needs a coloured data set: this one does not say what carries its colour"
            )
        self.background = info["carrier"] == "background"
        self.register_buffer("palette", torch.tensor(info["palette"]), persistent=False)

    def forward(self, x: Tensor, mode: Tensor) -> Tensor:
        pixels = (x + 1) / 2
        tint = self.palette[mode][:, :, None, None].to(x.dtype)
        if self.background:
            shape = (pixels.amin(1, keepdim=True) > 0.9).to(x.dtype)
            return (shape + (1 - shape) * tint) * 2 - 1
        grey = pixels.amax(1, keepdim=True)
        grey = grey / grey.amax((2, 3), keepdim=True).clamp(min=1e-6)
        return grey * tint * 2 - 1
