"""CDvG's contrast of hand-made views: what the translator is compared with."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from .views import Views, ViewsConfig


class Simclr(Views):
    """No translator: views by augmentation alone (an ablation)."""

    name: ClassVar[str] = "cdvg_augment"
    summary: ClassVar[str] = "CDvG's second stage on augmented views, no translator (ablation)"

    def __init__(self, config: ViewsConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config.model_copy(update={"translate_views": "none"}), model, seed)


METHOD = Simclr
