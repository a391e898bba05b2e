"""Ridge regression on the rows as they are: a reference of scikit-learn."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ..base import MethodConfig
from .reference import Reference


class RidgeConfig(MethodConfig):
    """The grid of penalties."""

    lowest: float = Field(1e-3, gt=0, description="smallest penalty α that is tried, features having deviation 1")
    highest: float = Field(1e4, gt=0, description="largest penalty α that is tried")
    count: int = Field(15, ge=1, le=1000, description="penalties that are tried, equally spaced in log α")


class Ridge(Reference):
    """Linear regression; leave-one-out errors on the training rows choose its L2 penalty (scikit-learn's RidgeCV)."""

    Config: ClassVar[type[MethodConfig]] = RidgeConfig
    config: RidgeConfig
    name: ClassVar[str] = "ridge"
    summary: ClassVar[str] = "ridge regression on the inputs, penalty by leave-one-out (scikit-learn; a reference)"

    def fit(self, x: Any, y: Any) -> None:
        import numpy as np
        from sklearn.linear_model import RidgeCV
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler().fit(x)
        c = self.config
        ridge = RidgeCV(np.geomspace(c.lowest, c.highest, c.count)).fit(scaler.transform(x), y)
        weight = ridge.coef_ / scaler.scale_
        self.fitted["weight"] = torch.from_numpy(weight)
        self.fitted["bias"] = torch.tensor(float(ridge.intercept_ - scaler.mean_ @ weight), dtype=torch.float64)

    def value(self, x: Tensor) -> Tensor:
        return x @ self.part("weight", x) + self.part("bias", x)


METHOD = Ridge
