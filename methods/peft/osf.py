"""OSF: weights by singular values; their top directions are frozen from task to task (arXiv 2504.07097)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from ...datasets.core.view import ExperienceView
from ..base import UnfitError
from ..networks.adapters import OSF
from .tuning import Tuning, TuningConfig, rate


class OSFConfig(TuningConfig):
    """How much of each weight is preserved."""

    lr: float = Field(1e-4, gt=0, le=1, description="learning rate", json_schema_extra=rate(1e-5, 1e-3))
    head_lr: float | None = Field(1e-3, gt=0, le=1, description="of the head; null: that of the encoder")
    preserved: float = Field(0.5, gt=0, le=1, description="share of the singular directions of a weight that is frozen")
    targets: Literal["attention", "all"] = Field("all", description="query and value, or every linear layer")


class OSFTuning(Tuning):
    """The rest of the directions is trained, at right angles to what is frozen; each further experience decomposes the
    weights that the last one left.
    """

    Config: ClassVar[type[TuningConfig]] = OSFConfig
    config: OSFConfig
    name: ClassVar[str] = "osf"
    summary: ClassVar[str] = "OSF: the top singular directions of each weight are frozen"

    def tuner_of(self, net: Any) -> OSF:
        if self.config.per_experience:
            raise UnfitError("per_experience: osf changes the encoder's weights from task to task: set it to false")
        return OSF(net, preserved=self.config.preserved, targets=self.config.targets)

    def before_experience(self, view: ExperienceView) -> None:
        super().before_experience(view)
        if view.experience:
            self._model.tuner.consolidate()


METHOD = OSFTuning
