"""Slimmable decoders, one a task: ``forward(feature, at, size)``.

The first layer is as wide on its input side as the encoder made the feature, and on its output side as the decoder's
own ratio says; the last layer's outputs are never slimmed. Maps are enlarged to ``size`` bilinearly.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .slimmable_blocks import At, ConvNorm, Style
from .slimmable_layers import Segments, SlimConv2d, SlimLinear
from .slimmable_widths import Size


def enlarged(y: Tensor, size: Size) -> Tensor:
    """``y`` [B, K, h, w] at ``size``, bilinear, corners not aligned."""
    return F.interpolate(y, size=size, mode="bilinear", align_corners=False)


class PlainDecoder(nn.Module):
    """3×3 convolution, norm, ReLU, 1×1 convolution to the outputs."""

    def __init__(self, c_in: int, channels: int, outputs: int, style: Style) -> None:
        super().__init__()
        self.conv = ConvNorm(c_in, channels, 3, style)
        self.out = SlimConv2d(channels, outputs, 1)

    def forward(self, x: Tensor, at: At, size: Size) -> Tensor:
        return enlarged(self.out(self.conv(x, at)), size)


class RowDecoder(nn.Module):
    """3×3 convolution, norm, ReLU, global average, linear map to the outputs of a row: classes, or a number."""

    def __init__(self, c_in: int, channels: int, outputs: int, style: Style) -> None:
        super().__init__()
        self.conv = ConvNorm(c_in, channels, 3, style)
        self.out = SlimLinear(channels, outputs)

    def forward(self, x: Tensor, at: At, size: Size) -> Tensor:
        y: Tensor = self.out(self.conv(x, at).mean((2, 3)))
        return y


class DeepLabDecoder(nn.Module):
    """DeepLab's head: a 1×1 branch, a dilated 3×3 branch for each rate and image pooling, each with norm and ReLU;
    their concatenation is projected by 1×1, norm, ReLU, dropout; then 3×3, norm, ReLU, and 1×1 to the outputs.

    Each branch gives its own first channels, so the projection takes, of each branch's part of its weight, the first
    columns.
    """

    def __init__(
        self,
        c_in: int,
        channels: int,
        outputs: int,
        style: Style,
        *,
        rates: Sequence[int] = (12, 24, 36),
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.channels, self.dropout = channels, dropout
        self.branches = nn.ModuleList(
            [
                ConvNorm(c_in, channels, 1, style),
                *(ConvNorm(c_in, channels, 3, style, dilation=rate) for rate in rates),
                ConvNorm(c_in, channels, 1, style),  # of the mean over the image
            ]
        )
        self.project = ConvNorm(channels * len(self.branches), channels, 1, style)
        self.conv = ConvNorm(channels, channels, 3, style)
        self.out = SlimConv2d(channels, outputs, 1)

    def segments(self, at: At) -> Segments:
        """Columns of the projection that are active: the first ones of each branch's part."""
        active = self.project.rounding.channels(self.channels, at.ratio)
        return [(k * self.channels, active) for k in range(len(self.branches))]

    def forward(self, x: Tensor, at: At, size: Size) -> Tensor:
        *local, pooled = self.branches
        parts = [branch(x, at) for branch in local]
        mean = pooled(x.mean((2, 3), keepdim=True), at)
        parts.append(mean.expand_as(parts[0]))
        y = self.project(torch.cat(parts, 1), at, segments=self.segments(at))
        y = F.dropout(y, self.dropout, self.training)
        return enlarged(self.out(self.conv(y, at)), size)
