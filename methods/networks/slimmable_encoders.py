"""Slimmable encoders: a small convolutional net, ResNets; MobileNets are in ``slimmable_mobilenet``.

``forward(x, width)`` gives the features of every stage, after norm and activation; the width is one ratio, or one a
stage. Parts bear torchvision's names, so that its checkpoints fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from .slimmable_blocks import At, ConvNorm, Style
from .slimmable_layers import SlimConv2d
from .slimmable_widths import Ratio, by_stage, written


class SlimEncoder(nn.Module):
    """Base: ``channels`` of each stage at full width; ``stages`` of them."""

    channels: tuple[int, ...]

    @property
    def stages(self) -> int:
        return len(self.channels)

    def places(self, width: Ratio) -> list[At]:
        """Where the layers of each stage stand: their statistics depend on the widths of the stages before too."""
        each = by_stage(width, self.stages)
        if len(set(each)) == 1:
            return [At(each[0], written(each))] * len(each)
        return [At(ratio, ",".join(f"{r:g}" for r in each[: k + 1])) for k, ratio in enumerate(each)]

    def forward(self, x: Tensor, width: Ratio) -> list[Tensor]:
        raise NotImplementedError

    def renamed(self, name: str) -> str | None:
        """The own name of a tensor of a torchvision or timm checkpoint; None for what is not used (the classifier)."""
        return None


class SmallEncoder(SlimEncoder):
    """3×3 convolutions with norm and ReLU, one a stage."""

    def __init__(self, c_in: int, channels: Sequence[int], strides: Sequence[int], style: Style) -> None:
        super().__init__()
        if len(channels) != len(strides) or not channels:
            raise ValueError(f"one stride a stage: {len(channels)} channels, {len(strides)} strides")
        self.channels = tuple(channels)
        widths = (c_in, *channels)
        self.layers = nn.ModuleList(
            ConvNorm(a, b, 3, style, stride=s) for a, b, s in zip(widths, channels, strides, strict=False)
        )

    def forward(self, x: Tensor, width: Ratio) -> list[Tensor]:
        found = []
        for layer, at in zip(self.layers, self.places(width), strict=True):
            x = layer(x, at)
            found.append(x)
        return found


class ResNet9(SlimEncoder):
    """The small residual net for 32 × 32 images: conv 64; conv 128, pool, residual; conv 256, pool; conv 512, pool,
    residual. Its four stages end there.
    """

    def __init__(self, c_in: int, channels: Sequence[int], style: Style) -> None:
        super().__init__()
        if len(channels) != 4:
            raise ValueError(f"resnet9 has four stages, not {len(channels)}")
        self.channels = tuple(channels)
        widths = (c_in, *channels)
        self.convs = nn.ModuleList(ConvNorm(a, b, 3, style) for a, b in zip(widths, channels, strict=False))
        self.residuals = nn.ModuleDict(
            {str(k): nn.ModuleList(ConvNorm(channels[k], channels[k], 3, style) for _ in range(2)) for k in (1, 3)}
        )

    def forward(self, x: Tensor, width: Ratio) -> list[Tensor]:
        found = []
        for k, (conv, at) in enumerate(zip(self.convs, self.places(width), strict=True)):
            x = conv(x, at)
            if k:
                x = F.max_pool2d(x, 2)
            if str(k) in self.residuals:
                y = x
                for layer in self.residuals[str(k)]:  # type: ignore[attr-defined]
                    y = layer(y, at)
                x = x + y
            found.append(x)
        return found


class _Shortcut(nn.ModuleList):
    """1×1 convolution and normalisation, torchvision's ``downsample``."""

    def __init__(self, c_in: int, c_out: int, stride: int, style: Style) -> None:
        conv = SlimConv2d(c_in, c_out, 1, stride, bias=style.norm == "none")
        super().__init__([conv, style.normalisation(c_out)])

    def forward(self, x: Tensor, out: int, key: str) -> Tensor:
        conv, norm = self
        result: Tensor = norm(conv(x, out=out), key=key)
        return result


class BasicBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut."""

    expansion: ClassVar[int] = 1

    def __init__(self, c_in: int, width: int, stride: int, dilation: int, style: Style, project: bool) -> None:
        super().__init__()
        self.rounding, self.c_out = style.rounding, width
        bias = style.norm == "none"
        self.conv1 = SlimConv2d(c_in, width, 3, stride, dilation, dilation, bias=bias)
        self.bn1 = style.normalisation(width)
        self.conv2 = SlimConv2d(width, width, 3, 1, dilation, dilation, bias=bias)
        self.bn2 = style.normalisation(width)
        self.downsample = _Shortcut(c_in, width, stride, style) if project else None

    def forward(self, x: Tensor, at: At) -> Tensor:
        out = self.rounding.channels(self.c_out, at.ratio)
        y = F.relu(self.bn1(self.conv1(x, out=out), key=at.key))
        y = self.bn2(self.conv2(y, out=out), key=at.key)
        return F.relu(y + (x if self.downsample is None else self.downsample(x, out, at.key)))


class Bottleneck(nn.Module):
    """1×1, 3×3 (with the stride) and 1×1 to four times the width, beside a shortcut."""

    expansion: ClassVar[int] = 4

    def __init__(self, c_in: int, width: int, stride: int, dilation: int, style: Style, project: bool) -> None:
        super().__init__()
        self.rounding, self.inner, self.c_out = style.rounding, width, width * self.expansion
        bias = style.norm == "none"
        self.conv1 = SlimConv2d(c_in, width, 1, bias=bias)
        self.bn1 = style.normalisation(width)
        self.conv2 = SlimConv2d(width, width, 3, stride, dilation, dilation, bias=bias)
        self.bn2 = style.normalisation(width)
        self.conv3 = SlimConv2d(width, self.c_out, 1, bias=bias)
        self.bn3 = style.normalisation(self.c_out)
        self.downsample = _Shortcut(c_in, self.c_out, stride, style) if project else None

    def forward(self, x: Tensor, at: At) -> Tensor:
        inner = self.rounding.channels(self.inner, at.ratio)
        out = self.rounding.channels(self.c_out, at.ratio)
        y = F.relu(self.bn1(self.conv1(x, out=inner), key=at.key))
        y = F.relu(self.bn2(self.conv2(y, out=inner), key=at.key))
        y = self.bn3(self.conv3(y, out=out), key=at.key)
        return F.relu(y + (x if self.downsample is None else self.downsample(x, out, at.key)))


class ResNet(SlimEncoder):
    """ResNet-18, -34 or -50 with torchvision's names; the stem has the width of the first stage.

    ``output_stride`` 32, 16 or 8: strides of the last stages become dilations. ``small``: a 3×3 stem without pooling,
    for images of about 32 pixels.
    """

    def __init__(
        self,
        c_in: int,
        blocks: Sequence[int],
        style: Style,
        *,
        bottleneck: bool = False,
        output_stride: int = 32,
        small: bool = False,
        width: int = 64,
    ) -> None:
        super().__init__()
        kind = Bottleneck if bottleneck else BasicBlock
        self.rounding, self.small, self.stem = style.rounding, small, width
        kernel, stride = (3, 1) if small else (7, 2)
        self.conv1 = SlimConv2d(c_in, width, kernel, stride, kernel // 2, bias=style.norm == "none")
        self.bn1 = style.normalisation(width)
        limit = output_stride if small else output_stride // 4  # of the stages together
        total, dilation, before, channels = 1, 1, width, []
        for k, count in enumerate(blocks):
            inner, step = width * 2**k, 1 if k == 0 else 2
            if total * step > limit:
                dilation, step = dilation * step, 1
            total *= step
            first = before != inner * kind.expansion or step != 1
            stage = nn.ModuleList(
                kind(
                    before if n == 0 else inner * kind.expansion,
                    inner,
                    step if n == 0 else 1,
                    dilation,
                    style,
                    project=n == 0 and first,
                )
                for n in range(count)
            )
            self.add_module(f"layer{k + 1}", stage)
            before = inner * kind.expansion
            channels.append(before)
        self.channels = tuple(channels)

    def forward(self, x: Tensor, width: Ratio) -> list[Tensor]:
        places = self.places(width)
        x = self.conv1(x, out=self.rounding.channels(self.stem, places[0].ratio))
        x = F.relu(self.bn1(x, key=places[0].key))
        if not self.small:
            x = F.max_pool2d(x, 3, 2, 1)
        found = []
        for k, at in enumerate(places):
            for block in getattr(self, f"layer{k + 1}"):
                x = block(x, at)
            found.append(x)
        return found

    def renamed(self, name: str) -> str | None:
        return None if name.startswith("fc.") else name
