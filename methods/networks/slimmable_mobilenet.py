"""Slimmable MobileNetV1 and MobileNetV2 as encoders; the latter with torchvision's names, and timm's translated."""

from __future__ import annotations

import itertools
import re

from torch import Tensor, nn

from .slimmable_blocks import At, ConvNorm, Style
from .slimmable_encoders import SlimEncoder
from .slimmable_layers import SlimConv2d
from .slimmable_widths import Ratio

V1 = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *(((512, 1),) * 5), (1024, 2), (1024, 1))
V2 = (  # expansion, channels, blocks, stride
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
TAIL = 1280
# timm's names of the parts of mobilenetv2_100 and where torchvision has the same weights
_ENDS = {"conv_stem": "0.0", "bn1": "0.1", "conv_head": "18.0", "bn2": "18.1"}
_PLAIN = {"conv_dw": "0.0", "bn1": "0.1", "conv_pw": "1", "bn2": "2"}  # of a block without expansion
_BLOCK = {"conv_pw": "0.0", "bn1": "0.1", "conv_dw": "1.0", "bn2": "1.1", "conv_pwl": "2", "bn3": "3"}
_STARTS = (0, *itertools.accumulate(count for _, _, count, _ in V2))  # blocks before each row
_IN_BLOCK = re.compile(r"blocks\.(?P<row>\d)\.(?P<block>\d)\.(?P<part>\w+)\.(?P<tensor>\w+)")


def of_timm(name: str) -> str:
    """torchvision's name of a tensor of timm's ``mobilenetv2_100``; what is no such name comes back as it is."""
    found = _IN_BLOCK.fullmatch(name)
    if found is None:
        part, _, tensor = name.rpartition(".")
        return f"features.{_ENDS[part]}.{tensor}" if part in _ENDS else name
    row, block = int(found["row"]), int(found["block"])
    parts = _PLAIN if row == 0 else _BLOCK
    if row >= len(V2) or block >= V2[row][2] or found["part"] not in parts:
        return name
    return f"features.{1 + _STARTS[row] + block}.conv.{parts[found['part']]}.{found['tensor']}"


class MobileNetV1(SlimEncoder):
    """A 3×3 convolution and 13 pairs of a depthwise and a 1×1 convolution; a stage ends before each stride."""

    def __init__(self, c_in: int, style: Style) -> None:
        super().__init__()
        self.stem = ConvNorm(c_in, 32, 3, style, stride=2)
        before, stages, channels = 32, [nn.ModuleList()], []
        for c_out, stride in V1:
            if stride == 2:
                channels.append(before)
                stages.append(nn.ModuleList())
            stages[-1].append(ConvNorm(before, before, 3, style, stride=stride, depthwise=True))
            stages[-1].append(ConvNorm(before, c_out, 1, style))
            before = c_out
        self.parts = nn.ModuleList(stages)
        self.channels = (*channels, before)

    def forward(self, x: Tensor, width: Ratio) -> list[Tensor]:
        places = self.places(width)
        x = self.stem(x, places[0])
        found = []
        for k, (part, at) in enumerate(zip(self.parts, places, strict=True)):
            assert isinstance(part, nn.ModuleList)
            for number, layer in enumerate(part):
                # the depthwise layer that opens a stage has the width of the stage before
                own = At(places[k - 1].ratio, at.key) if k and number == 0 else at
                x = layer(x, own)
            found.append(x)
        return found


class InvertedResidual(nn.Module):
    """Expansion by ``expansion``, depthwise convolution, projection; a residual where shapes allow it.

    The hidden width is ``expansion`` times the input's (rounded) width.
    """

    def __init__(
        self, c_in: int, c_out: int, stride: int, dilation: int, expansion: int, style: Style, same: bool
    ) -> None:
        super().__init__()
        hidden = c_in * expansion
        self.residual, self.c_out, self.rounding = same, c_out, style.rounding
        self.conv = nn.ModuleList()
        if expansion > 1:
            self.conv.append(ConvNorm(c_in, hidden, 1, style, expansion=expansion, activation="relu6"))
        self.conv.append(
            ConvNorm(
                hidden,
                hidden,
                3,
                style,
                stride=stride,
                dilation=dilation,
                depthwise=True,
                expansion=expansion,
                activation="relu6",
            )
        )
        self.conv.append(SlimConv2d(hidden, c_out, 1, bias=style.norm == "none"))
        self.conv.append(style.normalisation(c_out))

    def forward(self, x: Tensor, before: At, at: At) -> Tensor:
        """``before``: where the input was made, whose width the hidden layers have."""
        *wide, conv, norm = self.conv
        y, inner = x, At(before.ratio, at.key)
        for layer in wide:
            y = layer(y, inner)
        y = norm(conv(y, out=self.rounding.channels(self.c_out, at.ratio)), key=at.key)
        return x + y if self.residual else y


class MobileNetV2(SlimEncoder):
    """The stem and seven rows of inverted residuals, a stage each; with ``tail`` the 1×1 convolution to 1280 channels,
    which is never slimmed, as the last stage.

    ``output_stride`` 32, 16 or 8: strides of the last rows become dilations.
    """

    def __init__(self, c_in: int, style: Style, *, tail: bool = False, output_stride: int = 32) -> None:
        super().__init__()
        self.features = nn.ModuleList([ConvNorm(c_in, 32, 3, style, stride=2, activation="relu6")])
        before, total, dilation, channels = 32, 2, 1, []
        self.counts: list[int] = []
        for expansion, c_out, count, stride in V2:
            step = stride
            if total * step > output_stride:
                dilation, step = dilation * step, 1
            total *= step
            for n in range(count):
                self.features.append(
                    InvertedResidual(
                        before,
                        c_out,
                        step if n == 0 else 1,
                        dilation,
                        expansion,
                        style,
                        same=n > 0,
                    )
                )
                before = c_out
            self.counts.append(count)
            channels.append(c_out)
        self.tail = tail
        if tail:
            self.features.append(ConvNorm(before, TAIL, 1, style, fixed=True, activation="relu6"))
            channels.append(TAIL)
        self.channels = tuple(channels)

    def forward(self, x: Tensor, width: Ratio) -> list[Tensor]:
        places = self.places(width)
        x = self.features[0](x, places[0])
        found, number, before = [], 1, places[0]
        for k, count in enumerate(self.counts):
            for _ in range(count):
                x = self.features[number](x, before, places[k])
                number, before = number + 1, places[k]
            found.append(x)
        if self.tail:
            found.append(self.features[number](x, places[-1]))
        return found

    def renamed(self, name: str) -> str | None:
        last = f"features.{len(self.features)}." if not self.tail else ""
        name = of_timm(name)
        return None if name.startswith("classifier.") or (last and name.startswith(last)) else name
