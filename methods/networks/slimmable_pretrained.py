"""Weights of torchvision's and timm's models for slimmable encoders, read by name from a file that the user has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...datasets.core import limits
from ..base import UnfitError
from .slimmable_encoders import SlimEncoder

LIMIT = 4 * 2**30  # bytes


def load_pretrained(encoder: SlimEncoder, path: Path) -> list[str]:
    """Take the weights of a torchvision or timm checkpoint (``.safetensors``, or a file of torch with a state dict,
    which may lie under ``state_dict``) for the encoder at full width; running statistics and the classifier are left,
    the rest must be there. Gives the names that were taken. timm's resnet18, resnet34 and resnet50 have torchvision's
    names and shapes; those of its mobilenetv2_100 are translated.

    Raises UnfitError where the file cannot be read or a tensor is missing or has another shape.
    """
    given = _read(path)
    own = {name: value for name, value in encoder.state_dict().items() if isinstance(value, Tensor)}
    taken: dict[str, Tensor] = {}
    for name, value in given.items():
        mine = encoder.renamed(name)
        if mine is not None and mine in own and isinstance(value, Tensor):
            taken[mine] = value
    missing = sorted(own.keys() - taken.keys())
    unfit = sorted(name for name, value in taken.items() if value.shape != own[name].shape)
    if missing or unfit:
        faults = [f"no '{name}'" for name in missing[:3]]
        faults += [
            f"'{name}' has the shape {tuple(taken[name].shape)}, the encoder's {tuple(own[name].shape)}"
            for name in unfit[:3]
        ]
        raise UnfitError(
            f"{path} does not fit the encoder: {'; '.join(faults)} ({len(missing)} missing, {len(unfit)} of another "
            "shape): model.options.pretrained takes the weights of torchvision's model of the encoder's name or timm's "
            "(mobilenetv2_100 for mobilenet_v2)"
        )
    encoder.load_state_dict(taken, strict=False)
    return sorted(taken)


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LIMIT:
            raise UnfitError(f"{path} is larger than {limits.in_words(LIMIT)}: it holds more than an encoder")
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        found = torch.load(path, map_location="cpu", weights_only=True)
    except UnfitError:
        raise
    except Exception as error:  # whatever a damaged or foreign file makes the readers raise
        raise UnfitError(f"model.options.pretrained: {path} cannot be read ({error})") from error
    if not isinstance(found, dict):
        raise UnfitError(f"model.options.pretrained: {path} holds no state dict")
    inner = found.get("state_dict")
    return inner if isinstance(inner, dict) else found
