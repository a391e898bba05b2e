"""One ratio for encoder and all decoders: a compute budget without control over tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ..networks.slimmable_widths import Configuration
from .sandwich import Sandwich


class WidthOnly(Sandwich):
    """The sandwich rule on configurations with one common ratio."""

    name: ClassVar[str] = "width_only"
    summary: ClassVar[str] = "slimmable multi-task network with one width for encoder and decoders"
    controllable: ClassVar[bool] = False

    def drawn_form(self, widths: Sequence[float]) -> Configuration:
        return Configuration(widths[0], (widths[0],) * len(self.tasks))

    def evaluated(self) -> list[Configuration]:
        if self.config.evaluate == "full":
            return []
        return [Configuration(w, (w,) * len(self.tasks)) for w in self._model.grid]


METHOD = WidthOnly
