"""What LDS and FDS share: bins of the label."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ...datasets.core.view import ExperienceView
from ..base import MethodConfig
from ..losses.label_density import Kernel
from .regressor import RegressionConfig, Regressor


class BinnedConfig(RegressionConfig):
    """Bins of scaled labels."""

    bins: int = Field(128, ge=2, le=100_000, description="number of bins; labels beyond fall into the first or last")
    bin_width: float = Field(1.0, gt=0, description="width of a bin in scaled labels; the first starts at 0")
    kernel: Kernel = Field("gaussian", description="shape of the kernel over bins")
    kernel_size: int = Field(5, ge=1, le=101, description="bins that the kernel covers, odd")
    kernel_sigma: float = Field(2.0, gt=0, le=10_000, description="its width in bins (not of the triangular one)")

    @model_validator(mode="after")
    def _kernel_fits(self) -> BinnedConfig:
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, not {self.kernel_size}")
        if self.kernel_size // 2 >= self.bins:
            raise ValueError(
                f"a kernel of {self.kernel_size} bins needs more than {self.kernel_size // 2} bins, not {self.bins}"
            )
        return self


class Binned(Regressor):
    """Counts of training labels by bin over all experiences so far."""

    Config: ClassVar[type[MethodConfig]] = BinnedConfig
    config: BinnedConfig
    name: ClassVar[str] = ""
    counts: Tensor

    def __init__(self, config: BinnedConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.register_buffer("counts", torch.zeros(config.bins, dtype=torch.float64))

    def bin(self, label: Tensor) -> Tensor:
        """Bin of each label, [B] int64."""
        bins = (self.scaled(label) / self.config.bin_width).floor().long()
        return bins.clamp(0, self.config.bins - 1)

    def before_experience(self, view: ExperienceView) -> None:
        super().before_experience(view)
        bins = self.bin(view.labels().to(self.scale.device))
        self.counts += bins.bincount(minlength=self.config.bins)
