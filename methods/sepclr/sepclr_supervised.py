"""SepCLR with known salient attributes: one salient coordinate an attribute (the paper's dSprites experiment)."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...datasets.core.contrast import Attribute
from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import StepContext, UnfitError
from ..losses.sepclr import sepclr_supervised
from .two_spaces import TwoSpaces, TwoSpacesConfig


class SupervisedConfig(TwoSpacesConfig):
    """Weights, and which attributes there are."""

    temperature: float = Field(0.5, gt=0, le=100, description="τ of alignment, uniformity and joint entropy")
    beta_s: float = Field(
        100.0,
        ge=0,
        description="β_s, weight of the salient term (the null term is within)",
        json_schema_extra={"sweep": {"low": 1.0, "high": 1000.0, "log": True}},
    )
    lam: float = Field(
        10.0,
        ge=0,
        description="λ, weight of the joint entropy",
        json_schema_extra={"sweep": {"low": 0.1, "high": 100.0, "log": True}},
    )
    attributes: tuple[str, ...] | None = Field(
        None, description="salient attributes by name, one a coordinate of the salient space; null: all of the data"
    )


class SepCLRSupervised(TwoSpaces):
    """The image itself for the salient space, the image and a distorted view for the common one."""

    Config: ClassVar[type[SupervisedConfig]] = SupervisedConfig
    config: SupervisedConfig
    name: ClassVar[str] = "sepclr_supervised"
    summary: ClassVar[str] = "SepCLR with one salient coordinate for each known attribute (sees the attributes)"

    def chosen(self) -> tuple[Attribute, ...]:
        """The attributes, in the order of the salient coordinates. Raises UnfitError for names the data lacks."""
        salient = {a.name: a for a in self._model.info.attributes if a.space == "salient"}
        names = tuple(salient) if self.config.attributes is None else self.config.attributes
        missing = [name for name in names if name not in salient]
        if missing or not names:
            raise UnfitError(
                f"sepclr_supervised: the data has no salient attribute {', '.join(map(repr, missing)) or 'at all'} "
                f"(it has: {', '.join(salient) or 'none'})"
            )
        return tuple(salient[name] for name in names)

    def before_experience(self, view: ExperienceView) -> None:
        super().before_experience(view)
        attributes = self.chosen()
        hidden = [a.column for a in attributes if a.column not in view.columns]
        if hidden:
            raise UnfitError(
                f"sepclr_supervised needs the column '{hidden[0]}', which training does not see: run it alone, with "
                "data.hidden_from_training=[]"
            )
        if len(attributes) != self._model.d_salient:
            raise UnfitError(
                f"sepclr_supervised has one salient coordinate an attribute: set model.options.salient="
                f"{len(attributes)} (it is {self._model.d_salient})"
            )

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        batch, model = self.grouped(batch, ctx.view, ctx.iteration), self._model
        x, target, attributes = model.inputs(batch), batch["target"], self.chosen()
        with torch.no_grad():
            distorted = model.view(x, ctx.augment)
        terms = sepclr_supervised(
            model.common.project(model.common(x)),
            model.common.project(model.common(distorted)),
            model.salient.project(model.salient(x)),
            target,
            torch.stack([_label(batch[a.column], a) for a in attributes], 1),
            tuple(a.classes is not None for a in attributes),
            beta_s=self.config.beta_s,
            lam=self.config.lam,
            temperature=self.config.temperature,
        )
        logs = {f"loss/{name}": value for name, value in terms._asdict().items() if name != "total"}
        return {"loss": terms.total, **logs, **self.counts(target)}


def _label(column: Tensor, attribute: Attribute) -> Tensor:
    """[B] float64; a class that is missing (-1) becomes NaN."""
    label = column.double()
    return torch.where(label < 0, torch.nan, label) if attribute.classes is not None else label


METHOD = SepCLRSupervised
