"""Translators G(x, mode) and critics D: StarGAN v1, a shallow one of chosen reach, one of smooth colour maps, the
oracle recolourer, and what a critic or a classifier of content may be kept from seeing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...datasets.core.source import Colours
from ..base import UnfitError

Preset = Literal["auto", "shallow", "stargan", "colour_map"]
Hidden = Literal["none", "shift", "shuffle"]


def _with_mode(x: Tensor, mode: Tensor, classes: int) -> Tensor:
    """x [B, 3, S, S] and the one-hot mode as constant maps: [B, 3 + C, S, S]."""
    maps = F.one_hot(mode, classes).to(x.dtype)[:, :, None, None]
    return torch.cat([x, maps.expand(-1, -1, *x.shape[2:])], 1)


class Shallow(nn.Module):
    """3x3 convolutions up to a receptive field of ``reach`` pixels, 1x1 for the rest; no norm, no down-sampling: it
    cannot redraw what is larger.
    """

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
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            _norm(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            _norm(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.main(x)


def _norm(width: int) -> nn.Module:
    """Statistics of the instance, in training and evaluation alike: running ones make eval() a different, worse
    translator.
    """
    return nn.InstanceNorm2d(width, affine=True, track_running_stats=False)


class StarGAN(nn.Module):
    """StarGAN v1's generator: 7x7, ``down`` halvings, ``blocks`` residual blocks, as many doublings, 7x7, tanh; zero
    padding (the norm would erase the mode's constant maps otherwise).
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


class ColourMap(nn.Module):
    """Sees the whole image but cannot redraw it: ``x' = A x + b``, an affine map of colours (A [3, 3], b [3] for x in
    [0, 1]) on a ``grid`` x ``grid`` lattice that is interpolated between; maps are predicted from the whole image and
    the mode. Begins as the identity. Our own (no paper).
    """

    def __init__(self, classes: int, size: int, width: int, grid: int) -> None:
        super().__init__()
        self.classes, self.grid = classes, grid
        layers: list[nn.Module] = []
        c = 3 + classes
        for k in range(max(1, int(math.log2(size)) - 2)):  # down to about 4 x 4
            layers += [nn.Conv2d(c, width << k, 4, 2, 1), nn.ReLU()]
            c = width << k
        self.trunk = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(grid))
        self.maps = nn.Conv2d(c + classes, 12, 1)
        nn.init.zeros_(self.maps.weight)
        with torch.no_grad():
            assert self.maps.bias is not None
            self.maps.bias.copy_(torch.tensor([1.0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]))

    def forward(self, x: Tensor, mode: Tensor) -> Tensor:
        h = _with_mode(self.trunk(_with_mode(x, mode, self.classes)), mode, self.classes)  # [B, H + C, grid, grid]
        maps = F.interpolate(self.maps(h), size=x.shape[2:], mode="bilinear", align_corners=False)  # [B, 12, S, S]
        a, b = maps[:, :9].unflatten(1, (3, 3)), maps[:, 9:]
        y = torch.einsum("nijhw,njhw->nihw", a, (x + 1) / 2) + b
        return F.hardtanh(y * 2 - 1)


class PatchCritic(nn.Module):
    """A critic that sees no more than ``reach`` x ``reach`` pixels at once: 3x3 convolutions without halvings, then
    1x1; a map D_src [B, 1, S, S] and class logits [B, C], the mean over places. No shape larger than a patch can be
    rewarded or punished.
    """

    def __init__(self, classes: int, width: int, reach: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        c = 3
        for k in range(max(2, (reach - 1) // 2)):
            wide = k < (reach - 1) // 2
            layers += [nn.Conv2d(c, width, 3 if wide else 1, padding=1 if wide else 0), nn.LeakyReLU(0.01)]
            c = width
        self.main = nn.Sequential(*layers)
        self.conv1, self.conv2 = nn.Conv2d(c, 1, 1, bias=False), nn.Conv2d(c, classes, 1, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.main(x)
        return self.conv1(h), self.conv2(h).mean((2, 3))


class ContentClassifier(nn.Module):
    """Class logits of images whose colours are scrambled (:func:`scrambled`)."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveMaxPool2d(4),
            nn.Flatten(),
            nn.Linear(32 * width, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.main(x)
        return logits


def hide(kind: Hidden, shape: torch.Size, patch: int, generator: torch.Generator) -> Callable[[Tensor], Tensor]:
    """A random change that keeps a critic from content, one function for all images [B, 3, S, S] of a step.

    ``shift``: moved by up to S / 8 pixels (black comes in) and mirrored, each image by itself; ``shuffle``: cut into
    patches of ``patch`` pixels, put together in a random order, each image by itself. ValueError where the side is no
    multiple of the patch.
    """
    if kind == "none":
        return lambda x: x
    b, side = shape[0], shape[2]
    if kind == "shift":
        most = max(1, side // 8)
        down, right = (torch.randint(-most, most + 1, (b, 1), generator=generator) for _ in range(2))
        mirrored = torch.rand(b, 1, generator=generator) < 0.5
        line = torch.arange(side)
        rows, columns = line + down, torch.where(mirrored, side - 1 - line, line) + right

        def moved(x: Tensor) -> Tensor:
            inside = ((rows >= 0) & (rows < side))[:, :, None] & ((columns >= 0) & (columns < side))[:, None, :]
            r, c = (v.clamp(0, side - 1).to(x.device) for v in (rows, columns))
            images = torch.arange(len(x), device=x.device)[:, None, None]
            taken = x.permute(0, 2, 3, 1)[images, r[:, :, None], c[:, None, :]].permute(0, 3, 1, 2)
            return torch.where(inside[:, None].to(x.device), taken, -1.0)

        return moved
    if side % patch:
        raise ValueError(f"images of {side} px cannot be cut into patches of {patch} px")
    n = side // patch
    places = torch.rand(b, n * n, generator=generator).argsort(1)

    def shuffled(x: Tensor) -> Tensor:
        parts = F.unfold(x, patch, stride=patch)  # [B, 3·p·p, n·n]
        parts = parts.gather(2, places.to(x.device)[:, None, :].expand_as(parts))
        return F.fold(parts, side, patch, stride=patch)

    return shuffled


def scrambled(x: Tensor, generator: torch.Generator) -> Tensor:
    """Images [B, 3, S, S] in [-1, 1] in random colours: channels mixed by a random row-stochastic matrix, each then
    scaled by 0.3 to 1; zero (black) stays.
    """
    b = len(x)
    mix = torch.rand(b, 3, 3, generator=generator) ** 3
    mix = mix / mix.sum(2, keepdim=True) * (0.3 + 0.7 * torch.rand(b, 3, 1, generator=generator))
    return torch.einsum("nij,njhw->nihw", mix.to(x.device, x.dtype), (x + 1) / 2) * 2 - 1


class Critic(nn.Module):
    """StarGAN v1's discriminator: ``depth`` halvings, a map D_src [B, 1, h, w] and class logits D_cls [B, C].

    Raises UnfitError where the image is smaller than 2^depth.
    """

    def __init__(self, classes: int, size: int, width: int, depth: int) -> None:
        super().__init__()
        kernel = size // 2**depth
        if kernel < 1:
            raise UnfitError(f"a critic of depth {depth} needs images of {2**depth} pixels or more, not {size}")
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
    """The true bias swapper of coloured sets: repaints x in the colour of ``mode``; needs to know what carries the
    colour (an oracle).

    ``colours``: as in :class:`~holdfast.datasets.core.source.Colours`. Raises UnfitError for None, data that has none.
    """

    palette: Tensor

    def __init__(self, colours: Colours | None) -> None:
        super().__init__()
        if colours is None:
            raise UnfitError(
                "the oracle recolourer needs a coloured data set: this one does not say what carries its colour"
            )
        self.carrier = colours.carrier
        self.register_buffer("palette", torch.tensor(colours.palette), persistent=False)

    def forward(self, x: Tensor, mode: Tensor) -> Tensor:
        pixels = (x + 1) / 2
        tint = self.palette[mode][:, :, None, None].to(x.dtype)
        if self.carrier == "patch":
            side = max(1, x.shape[-1] // 4)
            made = x.clone()
            made[:, :, :side, :side] = tint * 2 - 1
            return made
        if self.carrier == "background":
            shape = (pixels.amin(1, keepdim=True) > 0.9).to(x.dtype)
            return (shape + (1 - shape) * tint) * 2 - 1
        grey = pixels.amax(1, keepdim=True)
        grey = grey / grey.amax((2, 3), keepdim=True).clamp(min=1e-6)
        return grey * tint * 2 - 1
