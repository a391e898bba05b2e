"""Pareto hypernetwork that makes the normalisations' scales and shifts (Navon et al., ICLR 2021; PHN-BN)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from ...datasets.core.seeds import derive
from ..base import UnfitError
from ..losses import preferred_sum
from ..networks.slimmable_cost import Cost
from ..networks.slimmable_layers import SlimNorm
from .preferring import Preferring, PreferringConfig


class PhnConfig(PreferringConfig):
    """The hypernetwork."""

    hidden: int = Field(100, ge=1, le=4096, description="width of the hypernetwork's two hidden layers")


class Phn(Preferring):
    """Σ_i r_i L_i, r ~ Dirichlet(0.2). A perceptron of r gives an offset for every scale and shift of the
    normalisations; all other weights are common to all preferences.
    """

    Config: ClassVar[type[PhnConfig]] = PhnConfig
    config: PhnConfig
    name: ClassVar[str] = "phn"
    summary: ClassVar[str] = "one network whose normalisations a hypernetwork of the preference makes"

    def __init__(self, config: PhnConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        norms = self._norms()
        if not norms:
            raise UnfitError("phn changes the normalisations of the network: model.options.norm=us_bn or group_norm")
        total, n = sum(2 * norm.features for norm in norms), len(self.tasks)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "hypernetwork"))
            h = config.hidden
            self.hyper = nn.Sequential(nn.Linear(n, h), nn.ReLU(), nn.Linear(h, h), nn.ReLU(), nn.Linear(h, total))
        with torch.no_grad():  # training begins with the network's own scales
            last = self.hyper[-1]
            assert isinstance(last, nn.Linear)
            last.weight.mul_(0.01)
            last.bias.zero_()

    def _norms(self) -> list[SlimNorm]:
        return [m for m in self.model.modules() if isinstance(m, SlimNorm) and m.kind in ("us_bn", "group_norm")]

    @contextmanager
    def _under(self, preference: Tensor) -> Iterator[None]:
        """Within, scales and shifts are the network's own plus those that the hypernetwork makes of r."""
        offsets, start, norms = self.hyper(preference), 0, self._norms()
        own = [(norm.weight, norm.bias) for norm in norms]
        try:
            for norm, (weight, bias) in zip(norms, own, strict=True):
                c = norm.features
                del norm._parameters["weight"], norm._parameters["bias"]
                norm.weight = weight + offsets[start : start + c]
                norm.bias = bias + offsets[start + c : start + 2 * c]
                start += 2 * c
            yield
        finally:
            for norm, (weight, bias) in zip(norms, own, strict=True):
                vars(norm).pop("weight", None)
                vars(norm).pop("bias", None)
                norm.weight, norm.bias = weight, bias

    def answer(self, x: Tensor, preference: Tensor) -> dict[str, Tensor]:
        with self._under(preference):
            return self.outputs(x, self.widest)

    def criterion(self, losses: Tensor, preference: Tensor) -> Tensor:
        return preferred_sum(losses, preference)

    @torch.no_grad()
    def calibrate_under(self, batches: list[Tensor], preference: Tensor) -> None:
        with self._under(preference.to(batches[0].device)):
            self._model.calibrate(batches, [self.widest])

    def price(self) -> Cost:
        """With the hypernetwork's parameters; its multiply-adds are made once a preference, not once an image."""
        return super().price() + Cost(0, sum(parameter.numel() for parameter in self.hyper.parameters()))


METHOD = Phn
