"""What decoders do to a picture: a diffusion step of noise, nothing in its place, and views of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ...datasets.core.seeds import generator
from ...datasets.core.table import Batch
from ..base import UnfitError
from ..losses.diffusion_noise import diffusion_scales

Without = Literal["none", "unk", "none_unk"]
View = Literal["identity", "hflip", "vflip", "rotate", "colour", "blur", "crop"]
VIEWS: tuple[View, ...] = ("hflip", "vflip", "rotate", "colour", "blur", "crop")  # RITUAL's six


def pixels(batch: Batch) -> Tensor:
    """x [B, C, S, S] in [-1, 1] of a batch's bytes. Raises UnfitError where there are no pictures."""
    if "image" not in batch:
        raise UnfitError("this rule contrasts pictures, and the data has no column 'image'")
    x = batch["image"]
    return x if x.is_floating_point() else x.float() / 127.5 - 1


def embedded(model: Any, x: Tensor) -> Tensor:
    """Embeddings [B, P, d] of pictures x [B, C, S, S]. Raises UnfitError for a model that reads none."""
    if not hasattr(model, "embed_pictures"):
        raise UnfitError("this rule needs a model that reads pictures: causal, image_text_pretrained")
    found: Tensor = model.embed_pictures(x)
    return found


def noised(x: Tensor, rows: Tensor, step: int, seed: int) -> Tensor:
    """``√ᾱ x + √(1 - ᾱ) ε`` at a step of the diffusion; ε of each row comes from (seed, row id)."""
    noise = torch.stack([torch.randn(x.shape[1:], generator=generator(seed, f"noise/{row}")) for row in rows.tolist()])
    signal, scale = (s.to(x) for s in diffusion_scales(torch.tensor([step])))
    return signal * x + scale * noise.to(x)


def noised_for(model: Any, x: Tensor, rows: Tensor, step: int, seed: int) -> Tensor:
    """:func:`noised` of pixels as the model sees them: normalised by its own mean and deviation (VCD's public code),
    where it has them; as pixels in [-1, 1] again.
    """
    mean, deviation = (getattr(model, name, None) for name in ("pixel_mean", "pixel_deviation"))
    if mean is None or deviation is None:
        return noised(x, rows, step, seed)
    return mean + deviation * noised((x - mean) / deviation, rows, step, seed)


def views(x: Tensor, rows: Tensor, kinds: Sequence[View], seed: int) -> Tensor:
    """A view of each picture, drawn once a row among ``kinds`` by (seed, row id) whatever the batch, [B, C, S, S]."""
    made = []
    for picture, row in zip(x, rows.tolist(), strict=True):
        draws = generator(seed, f"view/{row}")
        kind = kinds[int(torch.randint(len(kinds), (), generator=draws))]
        made.append(view(picture, kind, draws))
    return torch.stack(made)


def view(x: Tensor, kind: View, draws: torch.Generator) -> Tensor:
    """One picture [C, S, S] in [-1, 1], changed; every number comes from ``draws``.

    rotate: by an angle in ±180°, the corners black; colour: brightness, contrast and saturation by factors in [0, 2],
    so that a black picture occurs; blur: Gaussian, σ in [1.5, 2], 13 pixels or as many as the picture has; crop: a
    square of 8 to 100 % of the area, scaled to the whole.
    """
    if kind == "identity":
        return x
    if kind == "hflip":
        return x.flip(2)
    if kind == "vflip":
        return x.flip(1)
    low, high = {"rotate": (-180.0, 180.0), "colour": (0.0, 2.0), "blur": (1.5, 2.0), "crop": (0.08, 1.0)}[kind]
    numbers = low + (high - low) * torch.rand(3, generator=draws)
    if kind == "rotate":
        from torchvision.transforms.v2 import functional as V

        turned: Tensor = V.rotate(x, float(numbers[0]), fill=[-1.0] * len(x))
        return turned
    if kind == "colour":
        return _coloured(x, *numbers.tolist())
    if kind == "blur":
        from torchvision.transforms.v2 import functional as V

        side = min(13, x.shape[-1] - 1 + x.shape[-1] % 2)
        blurred: Tensor = V.gaussian_blur(x, [side, side], [float(numbers[0])] * 2)
        return blurred
    size = x.shape[-1]
    part = max(1, round(size * float(numbers[0]) ** 0.5))
    top, left = (int(torch.randint(size - part + 1, (), generator=draws)) for _ in range(2))
    cut = x[None, :, top : top + part, left : left + part]
    return F.interpolate(cut, size=(size, size), mode="bilinear", align_corners=False)[0]


def _coloured(x: Tensor, brightness: float, contrast: float, saturation: float) -> Tensor:
    """Factors on brightness, on the distance to the mean grey and to each pixel's grey; values are clipped."""
    unit = ((x + 1) / 2 * brightness).clamp(0, 1)
    grey = unit.mean(0, keepdim=True)
    unit = (grey.mean() + contrast * (unit - grey.mean())).clamp(0, 1)
    grey = unit.mean(0, keepdim=True)
    return (grey + saturation * (unit - grey)).clamp(0, 1) * 2 - 1


def blind_batches(batch: Batch, without: Without) -> list[Batch]:
    """The batch without its pictures, with grey ones in their place (there, and saying nothing), or both."""
    x = pixels(batch)
    bare = {name: value for name, value in batch.items() if name != "image"}
    grey = {**bare, "image": torch.zeros_like(x)}
    return {"none": [bare], "unk": [grey], "none_unk": [bare, grey]}[without]
