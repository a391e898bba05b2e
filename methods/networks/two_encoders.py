"""Two encoders without shared weights, of common and of salient patterns, each with a projector (SepCLR, ICLR 2024)."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ...datasets.core.contrast import ContrastInfo
from ...datasets.core.source import DataInfo, require
from ...datasets.core.table import Batch
from ..base import UnfitError
from . import augmentation
from .batchnorm import running_statistics
from .protocols import ContrastModel

PROVIDES = (ContrastModel,)


class Config(augmentation.ViewConfig):
    """Both encoders (of one form), their projectors and the views."""

    encoder: Literal["auto", "mlp", "conv", "resnet18", "dsprites"] = Field(
        "auto",
        description="mlp: for rows and small images; conv: four convolutions; resnet18; dsprites: the paper's five "
        "convolutions on 64 px; auto: mlp up to 16 px and for tables, else resnet18",
    )
    common: int = Field(16, ge=1, le=4096, description="dc, width of the common space")
    salient: int = Field(16, ge=1, le=4096, description="ds, width of the salient space")
    hidden: int = Field(256, ge=1, le=8192, description="of mlp and conv: hidden width")
    layers: int = Field(2, ge=1, le=8, description="of mlp: hidden layers, each with batch norm and ReLU")
    width: int = Field(32, ge=1, le=1024, description="of conv: channels")
    norm: bool = Field(False, description="of conv: batch normalisation after each convolution")
    projector: int = Field(
        128, ge=0, le=8192, description="hidden width of the projectors; 0: none, the representations are the codes"
    )
    stem: Literal["small", "standard"] = Field(
        "small", description="of resnet18: first convolution 3 x 3 without pooling, or 7 x 7 with pooling"
    )
    pretrained: bool = Field(
        False, description="of resnet18 with the standard stem: torchvision's ImageNet weights (it may download them)"
    )


class Tower(nn.Module):
    """One encoder: ``features`` [B, H], by call the representation [B, d], ``project`` [B, d]."""

    def __init__(self, body: nn.Module, features: int, d: int, projector: int) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(features, d)
        self.projector: nn.Module = nn.Identity()
        if projector:
            layers = (nn.Linear(d, projector), nn.BatchNorm1d(projector), nn.ReLU(), nn.Linear(projector, d))
            self.projector = nn.Sequential(*layers)

    def features(self, x: Tensor) -> Tensor:
        """A batch of one row has no batch statistics: it is normalised by the running ones."""
        return self._alone(self.body, x)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.features(x))
        return out

    def project(self, r: Tensor) -> Tensor:
        return self._alone(self.projector, r)

    def _alone(self, module: nn.Module, x: Tensor) -> Tensor:
        if self.training and len(x) == 1:
            with running_statistics(module):
                return module(x)
        return module(x)


class TwoEncoders(nn.Module):
    """The common and the salient tower; :class:`~.protocols.ContrastModel`."""

    def __init__(self, config: Config, info: ContrastInfo) -> None:
        super().__init__()
        self.config, self.info = config, info
        self.input_shape = tuple(info.input_shape)
        self.d_common, self.d_salient = config.common, config.salient
        kind = _kind(config, self.input_shape)
        bodies = [_body(kind, config, self.input_shape) for _ in range(2)]
        self.features_out = bodies[0][1]
        self.common = Tower(*bodies[0], config.common, config.projector)
        self.salient = Tower(*bodies[1], config.salient, config.projector)
        photograph = config.views == "photograph" or (
            config.views == "auto" and len(self.input_shape) == 3 and self.input_shape[0] == 3
        )
        self._views = "photograph" if photograph else "none" if config.views == "none" else "noise"

    @property
    def encoder(self) -> nn.Module:
        """What ``diagnostics.gradients`` compares loss terms on: both towers."""
        return nn.ModuleList([self.common, self.salient])

    def inputs(self, batch: Batch) -> Tensor:
        """x [B, ...]: bytes become [0, 1]."""
        x = batch[self.info.column]
        return x.float() / 255 if x.dtype == torch.uint8 else x.float()

    def view(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """A random view of each row of x, from the generator alone."""
        if self._views == "none":
            return x
        draw = augmentation.photograph if self._views == "photograph" else augmentation.noisy
        return draw(x, self.config, generator)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Representations [B, dc] and [B, ds]."""
        return self.common(x), self.salient(x)


def _kind(config: Config, shape: tuple[int, ...]) -> str:
    if config.encoder != "auto":
        return config.encoder
    return "mlp" if len(shape) == 1 or max(shape[1:]) <= 16 else "resnet18"


def _body(kind: str, config: Config, shape: tuple[int, ...]) -> tuple[nn.Module, int]:
    """An encoder without its last layer, and the width of its features."""
    if kind == "mlp":
        parts: list[nn.Module] = [nn.Flatten()]
        for k in range(config.layers):
            d_in = math.prod(shape) if k == 0 else config.hidden
            parts += [nn.Linear(d_in, config.hidden), nn.BatchNorm1d(config.hidden), nn.ReLU()]
        return nn.Sequential(*parts), config.hidden
    if kind == "conv":
        return _convolutions(shape[0], [config.width] * 4, shape[1:], config.hidden, config.norm), config.hidden
    if kind == "dsprites":
        return _convolutions(shape[0], [512, 256, 128, 64, 32], shape[1:], 128), 128
    return _resnet18(config, shape[0]), 512


def _convolutions(
    channels: int, widths: list[int], sides: tuple[int, ...], hidden: int, norm: bool = False
) -> nn.Sequential:
    """Convolutions 4 x 4 of stride 2 with ReLU, then one hidden layer."""
    parts: list[nn.Module] = []
    for width in widths:
        parts += [nn.Conv2d(channels, width, 4, 2, 1), *[nn.BatchNorm2d(width)] * norm, nn.ReLU()]
        channels = width
    flat = channels * math.prod(side >> len(widths) for side in sides)
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(flat, hidden), nn.ReLU())


def _resnet18(config: Config, channels: int) -> nn.Module:
    from torchvision import models

    weights: Any = models.ResNet18_Weights.IMAGENET1K_V1 if config.pretrained else None
    try:
        network: Any = models.resnet18(weights=weights)
    except OSError as error:
        raise UnfitError(
            f"the ImageNet weights of resnet18 cannot be had ({error}): set model.options.pretrained=false, or put "
            "torchvision's file into its cache"
        ) from error
    if config.stem == "small":
        network.conv1 = nn.Conv2d(channels, 64, 3, 1, 1, bias=False)
        network.maxpool = nn.Identity()
    elif channels != 3:
        network.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
    network.fc = nn.Identity()
    module: nn.Module = network
    return module


def _check(config: Config, shape: tuple[int, ...]) -> None:
    """Raises UnfitError for what does not fit the data."""
    kind, image = _kind(config, shape), len(shape) == 3
    if config.pretrained and (kind != "resnet18" or config.stem != "standard" or not image or shape[0] != 3):
        raise UnfitError(
            "model.options.pretrained: resnet18 with stem=standard on images of 3 channels has weights alone"
        )
    if not image:
        if kind != "mlp":
            raise UnfitError(f"model.options.encoder: {kind} takes images, and these rows are tables (encoder=mlp)")
        if config.views == "photograph":
            raise UnfitError("model.options.views: photograph takes images, and these rows are tables (views=noise)")
        return
    least = {"mlp": 1, "conv": 16, "dsprites": 32, "resnet18": 8}[kind]
    if min(shape[1:]) < least:
        raise UnfitError(f"model.options.encoder: {kind} takes images of {least} px or more: {shape[1]} x {shape[2]}")
    if config.crop and kind != "resnet18" and config.crop not in (shape[1], None):
        raise UnfitError(
            f"model.options.crop: {kind} takes images of one size: {shape[1]} px, not crops of {config.crop} "
            "(only resnet18 takes both)"
        )


def build(config: Config, info: DataInfo, seed: int) -> TwoEncoders:
    """The model, weights from torch's global generator. Raises UnfitError where the encoder does not fit the rows,
    DataError for other data.
    """
    facts = require(info, ContrastInfo, "the network 'two_encoders'")
    _check(config, tuple(facts.input_shape))
    return TwoEncoders(config, facts)
