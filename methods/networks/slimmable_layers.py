"""Layers whose widths are arguments of the call: convolution, linear map and normalisation.

Weights are stored at full size; a call uses the first channels, so that narrow networks are part of wide ones and
gradients outside the slice are exactly zero. The input width is that of the input itself, the output width is given.
No layer remembers a width. (Yu et al., Slimmable neural networks, ICLR 2019; Yu and Huang, Universally slimmable
networks, ICCV 2019.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..base import UnfitError

Segments: TypeAlias = Sequence[tuple[int, int]]  # (first, count) of the input channels of each part of a concatenation
NormKind = Literal["us_bn", "switchable_bn", "group_norm", "none"]


def sliced(weight: Tensor, out: int, count: int, segments: Segments | None = None) -> Tensor:
    """``weight[:out, :count]``, or of each concatenated part its own first channels (``segments``).

    Raises ValueError where the weight has fewer channels, or the segments have another number than ``count``.
    """
    if not 0 < out <= weight.shape[0]:
        raise ValueError(f"{out} output channels are asked for; the layer has {weight.shape[0]}")
    if segments is None:
        if count > weight.shape[1]:
            raise ValueError(f"the input has {count} channels; the layer takes at most {weight.shape[1]}")
        return weight[:out, :count]
    if sum(n for _, n in segments) != count or any(first + n > weight.shape[1] for first, n in segments):
        raise ValueError(f"segments {list(segments)} do not fit {count} of {weight.shape[1]} input channels")
    return torch.cat([weight[:out, first : first + n] for first, n in segments], dim=1)


class SlimConv2d(nn.Conv2d):
    """A convolution at any widths: ``y = conv(x, weight[:out, :c], bias[:out])`` for x [B, c, H, W].

    With groups (depthwise) each group keeps its channels and the number of groups follows the input:
    ``weight[:out]``, c / (channels of a group) groups.
    """

    def forward(self, x: Tensor, out: int | None = None, segments: Segments | None = None) -> Tensor:
        """[B, out, H', W']; ``out`` None: all output channels. ``segments``: where x is a concatenation of parts that
        are narrower than the weight's. Raises ValueError for widths that the layer does not have.
        """
        out = self.out_channels if out is None else out
        groups = 1
        if self.groups > 1:
            groups = x.shape[1] // self.weight.shape[1]
            weight = sliced(self.weight, out, self.weight.shape[1])
        else:
            weight = sliced(self.weight, out, x.shape[1], segments)
        bias = None if self.bias is None else self.bias[:out]
        return F.conv2d(x, weight, bias, self.stride, self.padding, self.dilation, groups)

    def plain(self, count: int, out: int | None = None, segments: Segments | None = None) -> nn.Conv2d:
        """An ordinary convolution of ``count`` input channels with these weights."""
        out = self.out_channels if out is None else out
        grouped = self.groups > 1
        columns = self.weight.shape[1] if grouped else count
        weight = sliced(self.weight, out, columns, None if grouped else segments)
        layer = nn.Conv2d(
            count,
            out,
            self.kernel_size,  # type: ignore[arg-type]
            self.stride,  # type: ignore[arg-type]
            self.padding,  # type: ignore[arg-type]
            self.dilation,  # type: ignore[arg-type]
            groups=count // columns if grouped else 1,
            bias=self.bias is not None,
        )
        return _with(layer, weight, None if self.bias is None else self.bias[:out])

    def macs(self, count: int, y: Tensor) -> int:
        """Multiply-adds of one image for ``count`` input channels and the output y [1, out, H', W']."""
        columns = self.weight.shape[1] if self.groups > 1 else count
        return y.shape[1] * columns * self.kernel_size[0] * self.kernel_size[1] * y.shape[2] * y.shape[3]


class SlimLinear(nn.Linear):
    """A linear map at any widths: ``y = x weight[:out, :c]ᵀ + bias[:out]`` for x [..., c]."""

    def forward(self, x: Tensor, out: int | None = None) -> Tensor:
        """[..., out]; ``out`` None: all outputs. Raises ValueError for widths that the layer does not have."""
        out = self.out_features if out is None else out
        return F.linear(x, sliced(self.weight, out, x.shape[-1]), None if self.bias is None else self.bias[:out])

    def plain(self, count: int, out: int | None = None) -> nn.Linear:
        """An ordinary linear map of ``count`` inputs with these weights."""
        out = self.out_features if out is None else out
        layer = nn.Linear(count, out, bias=self.bias is not None)
        return _with(layer, sliced(self.weight, out, count), None if self.bias is None else self.bias[:out])

    def macs(self, count: int, y: Tensor) -> int:
        """Multiply-adds of one row for ``count`` inputs and the output y [..., out]."""
        return count * y.shape[-1]


class SlimNorm(nn.Module):
    """Normalisation of x [B, c, H, W] at any c up to ``features``.

    - ``us_bn``: one scale and shift, sliced; in training always the statistics of the batch. In evaluation those that
      were calibrated for the key (:func:`.slimmable_statistics.calibrate`).
    - ``switchable_bn``: one private batch normalisation for each key of ``private`` (key -> channels).
    - ``group_norm``: groups of ``group`` channels, so that a channel's group is the same at every width.
    - ``none``: x itself.

    The key says at which widths of the network x was made. Raises ValueError for a key or a number of channels that
    the layer does not have, UnfitError for a batch without variance and statistics that were not calibrated.
    """

    weight: nn.Parameter
    bias: nn.Parameter

    def __init__(
        self,
        features: int,
        kind: NormKind = "us_bn",
        *,
        group: int = 4,
        private: Mapping[str, int] | None = None,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        super().__init__()
        self.features, self.kind, self.group, self.eps = features, kind, group, eps
        self.statistics: dict[str, Tensor] = {}  # of us_bn: key -> mean and variance, [2, c]
        if kind == "switchable_bn":
            if not private:
                raise ValueError("switchable_bn needs to know the widths: it has a normalisation for each")
            layers = {_name(key): nn.BatchNorm2d(c, eps, momentum) for key, c in private.items()}
            self.private = nn.ModuleDict(layers)
        elif kind != "none":
            self.weight = nn.Parameter(torch.ones(features))
            self.bias = nn.Parameter(torch.zeros(features))

    def forward(self, x: Tensor, key: str) -> Tensor:
        if self.kind == "none":
            return x
        c = x.shape[1]
        if c > self.features:
            raise ValueError(f"the input has {c} channels; the normalisation has {self.features}")
        if self.kind == "switchable_bn":
            return self._own(key, c)(x)
        weight, bias = self.weight[:c], self.bias[:c]
        if self.kind == "group_norm":
            return F.group_norm(x, self._groups(c), weight, bias, self.eps)
        if self.training:
            if x.numel() == x.shape[1]:
                raise UnfitError(
                    "a batch with one value a channel has no variance: use larger batches or images, or norm=group_norm"
                )
            return F.batch_norm(x, None, None, weight, bias, training=True, eps=self.eps)
        mean, variance = self._calibrated(key, c)
        return F.batch_norm(x, mean, variance, weight, bias, training=False, eps=self.eps)

    def _own(self, key: str, c: int) -> nn.BatchNorm2d:
        name = _name(key)
        if name not in self.private:
            known = ", ".join(each.replace("_", ".") for each in self.private)
            raise ValueError(f"switchable_bn has no statistics of its own for the widths {key} (it has: {known})")
        layer = self.private[name]
        assert isinstance(layer, nn.BatchNorm2d)
        if layer.num_features != c:
            raise ValueError(f"switchable_bn has {layer.num_features} channels at the widths {key}, the input {c}")
        return layer

    def _groups(self, c: int) -> int:
        if c % self.group:
            raise ValueError(
                f"group_norm has groups of {self.group} channels, which {c} channels do not fill: choose a divisor "
                "of widths that is a multiple of the group"
            )
        return c // self.group

    def _calibrated(self, key: str, c: int) -> tuple[Tensor, Tensor]:
        if key not in self.statistics:
            raise UnfitError(f"the statistics at the widths {key} are not calibrated: call calibrate() for them first")
        mean, variance = self.statistics[key]
        if len(mean) != c:
            raise ValueError(f"the statistics at the widths {key} are of {len(mean)} channels, the input has {c}")
        return mean, variance

    def plain(self, count: int, key: str) -> nn.Module:
        """An ordinary normalisation of ``count`` channels that does what this one does in evaluation."""
        if self.kind == "none":
            return nn.Identity()
        if self.kind == "group_norm":
            group = nn.GroupNorm(self._groups(count), count, self.eps)
            return _with(group, self.weight[:count], self.bias[:count])
        if self.kind == "switchable_bn":
            own = self._own(key, count)
            statistics: Any = (own.running_mean, own.running_var)
            weight: Tensor = own.weight
            bias: Tensor = own.bias
        else:
            statistics = self._calibrated(key, count)
            weight, bias = self.weight[:count], self.bias[:count]
        layer = nn.BatchNorm2d(count, self.eps)
        layer.load_state_dict(dict(zip(("running_mean", "running_var"), statistics, strict=True)), strict=False)
        return _with(layer, weight, bias)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """``to(device)`` moves the statistics too."""
        self.statistics = {key: fn(value) for key, value in self.statistics.items()}
        return super()._apply(fn, recurse)

    def get_extra_state(self) -> dict[str, Tensor]:
        return dict(self.statistics)

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        self.statistics = {key: value.to(self.weight) for key, value in state.items()}


def _name(key: str) -> str:
    """A key as the name of a module, which has no dots."""
    return key.replace(".", "_")


def _with(layer: Any, weight: Tensor, bias: Tensor | None) -> Any:
    """The layer with copies of these parameters."""
    layer.weight = nn.Parameter(weight.detach().clone())
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone())
    return layer
