"""What slimmable encoders and decoders are made of: where a layer stands in the network, and convolution with norm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from .slimmable_layers import NormKind, Segments, SlimConv2d, SlimNorm
from .slimmable_widths import Rounding

Activation = Literal["relu", "relu6", "none"]
ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {"relu": F.relu, "relu6": F.relu6}


@dataclass(frozen=True)
class At:
    """Widths at which a layer is called: the ``ratio`` of its channels, and the ``key`` of its statistics (all widths
    that its input depends on).
    """

    ratio: float
    key: str


@dataclass(frozen=True)
class Style:
    """What all layers of a network share: how channels are rounded, the normalisation and, of ``switchable_bn``, the
    ratio of every key.
    """

    rounding: Rounding = field(default_factory=Rounding)
    norm: NormKind = "us_bn"
    group: int = 4
    keys: Mapping[str, float] = field(default_factory=dict)

    def normalisation(self, features: int, expansion: int = 1) -> SlimNorm:
        private = {key: self.rounding.channels(features, ratio, expansion) for key, ratio in self.keys.items()}
        return SlimNorm(features, self.norm, group=self.group, private=private)


class ConvNorm(nn.ModuleList):
    """Convolution (child ``0``), normalisation (``1``), activation.

    ``fixed``: the output is as wide as it can be at every width. ``expansion``: see
    :meth:`.slimmable_widths.Rounding.channels`.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int,
        style: Style,
        *,
        stride: int = 1,
        dilation: int = 1,
        depthwise: bool = False,
        expansion: int = 1,
        fixed: bool = False,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        self.c_out, self.rounding, self.expansion, self.fixed = c_out, style.rounding, expansion, fixed
        self.activation: Activation = activation
        self.append(
            SlimConv2d(
                c_in,
                c_out,
                kernel,
                stride,
                padding=dilation * (kernel // 2),
                dilation=dilation,
                groups=c_out if depthwise else 1,
                bias=style.norm == "none",
            )
        )
        self.append(style.normalisation(c_out, expansion))

    def width(self, at: At) -> int:
        """Active output channels."""
        return self.c_out if self.fixed else self.rounding.channels(self.c_out, at.ratio, self.expansion)

    def forward(self, x: Tensor, at: At, segments: Segments | None = None) -> Tensor:
        conv, norm = self
        y = norm(conv(x, out=self.width(at), segments=segments), key=at.key)
        return y if self.activation == "none" else ACTIVATIONS[self.activation](y)
