"""Slimmable multi-task network with configuration-invariant distillation of the encoder (arXiv 2308.11744)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ..base import UnfitError
from ..networks.slimmable_widths import Configuration, ratios
from .sandwich import Distilling, SandwichConfig

Form = Literal["slice_mse", "slice_l1", "slice_cos", "attention", "similarity", "projection"]


class EcmtConfig(SandwichConfig):
    """CI-KD: its form, stages and weight."""

    lam: float = Field(
        1.0,
        ge=0,
        description="λ: weight of the distillation; 0: none",
        json_schema_extra={"sweep": {"choices": [0.0, 0.1, 1.0, 10.0]}},
    )
    form: Form = Field("slice_mse", description="what is compared of the features (docs/methods/slimmable.md)")
    stages: Literal["last", "all"] = Field("last", description="last: the feature that decoders consume; all")
    output_kd: float = Field(0.0, ge=0, description="weight of the in-place distillation of outputs beside it")


class Ecmt(Distilling):
    """L(a) = Σ_i ω_i L_i(a) + λ CI-KD(f_e, f_1) of each slim configuration a, L(a_max) without the latter; the teacher
    f_1 is the widest pass of the same step, detached. With e = 1 CI-KD is 0 and left out.
    """

    Config: ClassVar[type[EcmtConfig]] = EcmtConfig
    config: EcmtConfig
    name: ClassVar[str] = "ecmt"
    summary: ClassVar[str] = "slimmable multi-task network with configuration-invariant distillation (CI-KD)"

    def __init__(self, config: EcmtConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.projections = nn.ParameterList()
        if config.form == "projection":
            channels = getattr(self._model.encoder, "channels", None)
            if channels is None:
                raise UnfitError("form=projection needs an encoder that says the channels of its stages")
            wanted = channels if config.stages == "all" else channels[-1:]
            self.projections.extend(nn.Parameter(torch.eye(c)) for c in wanted)

    def distillation(
        self,
        configuration: Configuration,
        features: Sequence[Tensor],
        outputs: dict[str, Tensor],
        teacher: Sequence[Tensor],
        answers: dict[str, Tensor],
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        c, extra, logs = self.config, None, dict[str, Tensor]()
        if c.lam > 0 and min(ratios(configuration.encoder)) < 1:
            start = 0 if c.stages == "all" else -1
            projections = list(self.projections) or None
            logs["ci_kd"] = self.of_features(features[start:], teacher[start:], c.form, projections)
            extra = c.lam * logs["ci_kd"]
        if c.output_kd > 0:
            logs["output_kd"] = self.of_outputs(outputs, answers)
            extra = c.output_kd * logs["output_kd"] + (0 if extra is None else extra)
        return extra, logs


METHOD = Ecmt
