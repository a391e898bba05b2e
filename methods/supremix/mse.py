"""A regressor with the squared error."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ..base import MethodConfig
from .regressor import Loss, RegressionConfig, Regressor


class MSEConfig(RegressionConfig):
    """The squared error instead."""

    loss: Loss = Field("mse", description="loss of the regressor on standardised labels")


class MSE(Regressor):
    """End to end with the squared error."""

    Config: ClassVar[type[MethodConfig]] = MSEConfig
    name: ClassVar[str] = "mse"
    summary: ClassVar[str] = "end-to-end regression with the squared error"


METHOD = MSE
