"""CDvG with the true recolouring in the translator's place: an upper bound."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from ..networks.protocols import Classifier, Requires
from ..networks.translators import Recolour
from .views import Views, ViewsConfig


class CdvgOracle(Views):
    """CDvG with the true recolourer as translator: the ceiling of the method. It knows what carries the bias."""

    name: ClassVar[str] = "cdvg_oracle"
    summary: ClassVar[str] = "CDvG with the true recolourer as translator (oracle: knows the bias; ceiling)"
    requires: ClassVar[Requires] = Requires(model=Classifier, columns=("image", "label"), facts=("colours",))

    def __init__(self, config: ViewsConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.recolour = Recolour(self._model.info.colours)

    def translate(self, x: Tensor, mode: Tensor) -> Tensor:
        return self.recolour(x, mode)


METHOD = CdvgOracle
