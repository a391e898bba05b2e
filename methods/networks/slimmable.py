"""Slimmable multi-task networks: one encoder, a decoder a task, widths chosen at every call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from ...datasets.core.multi_task import MultiTaskInfo, Task
from ...datasets.core.source import DataInfo, require
from ...datasets.core.table import Batch
from ..base import UnfitError, protocol
from .protocols import SlimmableMultiTask
from .slimmable_blocks import At, Style
from .slimmable_cost import SMALL
from .slimmable_decoders import DeepLabDecoder, PlainDecoder, RowDecoder
from .slimmable_encoders import ResNet, ResNet9, SlimEncoder, SmallEncoder
from .slimmable_export import export
from .slimmable_layers import NormKind
from .slimmable_mobilenet import MobileNetV2
from .slimmable_pretrained import load_pretrained
from .slimmable_statistics import calibrate, forget, normalising_by_batch, set_statistics, statistics_of
from .slimmable_widths import (
    Configuration,
    Ratio,
    Rounding,
    Size,
    by_stage,
    check_grid,
    check_ratios,
    key_of,
    output_name,
    written,
)

PROVIDES = (SlimmableMultiTask,)
BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}


class Config(BaseModel):
    """Encoder, decoders and widths."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    encoder: Literal["small", "resnet9", "resnet18", "resnet34", "resnet50", "mobilenet_v2"] = Field(
        "small", description="small: 3×3 convolutions; the others as published"
    )
    channels: tuple[int, ...] = Field((16, 32, 64), description="small, resnet9 (four): channels of each stage")
    strides: tuple[int, ...] = Field((1, 2, 2), description="small: stride of each stage")
    small_images: bool = Field(
        False, description="resnet18, resnet34, resnet50: a 3×3 stem without pooling, for images of about 32 pixels"
    )
    output_stride: Literal[8, 16, 32] = Field(
        32, description="resnet18, resnet34, resnet50, mobilenet_v2: by how much the encoder shrinks an image"
    )
    decoder: Literal["plain", "deeplab"] = Field(
        "plain", description="of tasks with maps: one 3×3 convolution, or DeepLab's head; others have a pooled one"
    )
    decoder_channels: int = Field(32, ge=1, le=4096, description="channels of the decoders at full width")
    rates: tuple[int, ...] = Field((12, 24, 36), description="deeplab: dilations of its branches")
    dropout: float = Field(0.5, ge=0, lt=1, description="deeplab: share of its channels' values that training drops")
    norm: NormKind = Field(
        "us_bn",
        description="us_bn: batch statistics, calibrated for each configuration; switchable_bn: private ones for each "
        "width of the grid; group_norm: none; none: no normalisation",
    )
    group: int = Field(4, ge=1, description="group_norm: channels of a group, at every width")
    grid: tuple[float, ...] = Field(
        (0.25, 0.5, 0.75, 1.0), description="widths of encoder and decoders", json_schema_extra=protocol()
    )
    divisor: int | None = Field(
        4, ge=1, description="active channels are multiples of it; null: the integer part of channels times width"
    )
    pretrained: str | None = Field(
        None, description="file with weights of torchvision's or timm's model of the same name, for the encoder"
    )


class SlimmableNet(nn.Module):
    """An encoder and a decoder for each task. See :class:`~.protocols.SlimmableMultiTask`.

    Raises ValueError, from calls with widths, for ratios outside (0, 1] or another number of decoders than tasks.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: Config, info: MultiTaskInfo) -> None:
        super().__init__()
        self.config, self.info = config, info
        self.grid = check_grid(config.grid)
        self.tasks = info.names
        rounding = Rounding(config.divisor)
        encoder = {written(e): e for e in self.grid}
        decoders = {key_of(e, d): d for e in self.grid for d in self.grid}
        private = config.norm == "switchable_bn"
        self.encoder = _encoder(
            config, info.input_shape[0], Style(rounding, config.norm, config.group, encoder if private else {})
        )
        style = Style(rounding, config.norm, config.group, decoders if private else {})
        self.decoders = nn.ModuleDict(
            {task.name: _decoder(config, task, self.encoder.channels[-1], style) for task in info.tasks}
        )
        channels = info.input_shape[0]
        mean, std = info.mean or (0.5,) * channels, info.std or (0.5,) * channels
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    # -- forward ---------------------------------------------------------------------------------------------------

    def pixels(self, batch: Batch) -> Tensor:
        """x [B, C, H, W], normalised by the data's mean and deviation, of a batch's bytes; floats pass."""
        x = batch["image"]
        return x if x.is_floating_point() else (x.float() / 255 - self.mean) / self.std

    def features(self, x: Tensor, width: Ratio) -> list[Tensor]:
        """Features of every stage, [B, c, h, w] each."""
        found: list[Tensor] = self.encoder(x, width)
        return found

    def decode(self, features: Sequence[Tensor], task: str, width: Ratio, decoder: float, size: Size) -> Tensor:
        """Output of one task from features at ``width``: [B, outputs, *size], or [B, outputs] of a task of rows."""
        check_ratios((decoder,))
        y: Tensor = self.decoders[task](features[-1], At(decoder, key_of(width, decoder)), size)
        return y

    def outputs(self, x: Tensor, configuration: Configuration) -> dict[str, Tensor]:
        """Outputs of all tasks by name, maps of the size of x."""
        features = self.features(x, configuration.encoder)
        size = x.shape[-2:]
        return {
            task: self.decode(features, task, configuration.encoder, d, size)  # type: ignore[arg-type]
            for task, d in zip(self.tasks, self._decoders(configuration), strict=True)
        }

    forward = outputs

    def _decoders(self, configuration: Configuration) -> tuple[float, ...]:
        if len(configuration.decoders) != len(self.tasks):
            raise ValueError(
                f"one width for each of the {len(self.tasks)} tasks ({', '.join(self.tasks)}), not "
                f"{len(configuration.decoders)}"
            )
        return configuration.decoders

    def widest(self) -> Configuration:
        return Configuration(self.grid[-1], (self.grid[-1],) * len(self.tasks))

    def narrowest(self) -> Configuration:
        return Configuration(self.grid[0], (self.grid[0],) * len(self.tasks))

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        """Outputs at full width."""
        outputs = self.outputs(self.pixels(batch), self.widest())
        return {output_name(task): y.float() for task, y in outputs.items()}

    # -- statistics, export ----------------------------------------------------------------------------------

    def calibrate(self, batches: Sequence[Tensor], configurations: Sequence[Configuration]) -> None:
        """Statistics for these configurations, from training images x of :meth:`pixels`; each encoder width and each
        (encoder, decoder) pair is passed once.
        """
        if self.config.norm != "us_bn":
            return
        wanted: dict[Ratio, set[tuple[str, float]]] = {}
        for configuration in configurations:
            pairs = zip(self.tasks, self._decoders(configuration), strict=True)
            wanted.setdefault(configuration.encoder, set()).update(pairs)

        def forward(x: Tensor) -> None:
            for width, pairs in wanted.items():
                features = self.features(x, width)
                for task, d in sorted(pairs):
                    self.decode(features, task, width, d, (x.shape[-2], x.shape[-1]))

        calibrate(self, forward, batches)

    def forget_statistics(self) -> None:
        forget(self)

    def statistics(self) -> dict[str, dict[str, Tensor]]:
        """All calibrated statistics, as :meth:`set_statistics` takes them."""
        return statistics_of(self)

    def set_statistics(self, statistics: Mapping[str, Mapping[str, Tensor]]) -> None:
        set_statistics(self, statistics)

    def export(self, configuration: Configuration) -> nn.Module:
        """The sub-network as an ordinary module: images [B, C, H, W] in [0, 1] to a dict of outputs by task."""
        by_stage(configuration.encoder, self.encoder.stages)
        example = self.mean.new_zeros(2, *self.info.input_shape)
        return export(_SubNetwork(self, configuration), example)


class _SubNetwork(nn.Module):
    """One configuration of a network, as a function of the image alone."""

    def __init__(self, net: SlimmableNet, configuration: Configuration) -> None:
        super().__init__()
        self.net, self.configuration = net, configuration

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return self.net.outputs((image - self.net.mean) / self.net.std, self.configuration)


def _encoder(config: Config, c_in: int, style: Style) -> SlimEncoder:
    if config.encoder == "small":
        return SmallEncoder(c_in, config.channels, config.strides, style)
    if config.encoder == "resnet9":
        return ResNet9(c_in, config.channels, style)
    if config.encoder == "mobilenet_v2":
        return MobileNetV2(c_in, style, output_stride=config.output_stride)
    return ResNet(
        c_in,
        BLOCKS[config.encoder],
        style,
        bottleneck=config.encoder == "resnet50",
        small=config.small_images,
        output_stride=config.output_stride,
    )


def _decoder(config: Config, task: Task, c_in: int, style: Style) -> nn.Module:
    if not task.is_map:
        return RowDecoder(c_in, config.decoder_channels, task.outputs, style)
    if config.decoder == "plain":
        return PlainDecoder(c_in, config.decoder_channels, task.outputs, style)
    return DeepLabDecoder(
        c_in, config.decoder_channels, task.outputs, style, rates=config.rates, dropout=config.dropout
    )


def build(config: Config, info: DataInfo, seed: int) -> SlimmableNet:
    """The network for a data set. Raises DataError for other data, UnfitError for settings that do not fit."""
    facts = require(info, MultiTaskInfo, "the network 'slimmable'")
    if len(facts.input_shape) != 3:
        raise UnfitError("the network 'slimmable' takes images; these rows have none")
    try:
        net = SlimmableNet(config, facts)
        with torch.no_grad(), normalising_by_batch(net):  # widths and sizes that cannot be are found here
            x = torch.zeros(2, facts.input_shape[0], *(min(side, SMALL) for side in facts.input_shape[1:]))
            for configuration in (net.widest(), net.narrowest()):
                net.outputs(x, configuration)
    except (ValueError, RuntimeError) as error:
        raise UnfitError(f"model.options: {error}") from error
    if config.pretrained is not None:
        load_pretrained(net.encoder, Path(config.pretrained))
    return net
