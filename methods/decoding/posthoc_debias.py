"""Post-hoc calibration (arXiv 2403.05262): answers weighed by what the model says without the picture."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from ...datasets.core.table import Batch
from ..base import MethodConfig
from ..losses.affine_calibration import affine_calibration
from ..networks import protocols
from .decoder import Decoder, DecoderConfig
from .pictures import Without, blind_batches


class PosthocDebiasConfig(DecoderConfig):
    """As all decoders, and the calibration."""

    form: Literal["diagonal", "identity"] = Field("diagonal", description="W = diag(p_free)^-1, or W = I, b = -p_free")
    without: Without = Field("none", description="none: no picture; unk: a grey one; none_unk: both, averaged")


class PosthocDebias(Decoder):
    """``q = W p + b`` over the given answers; p from the first token (yes or no) or from whole options. New tokens
    are those of greedy search: the calibration is of answers alone.
    """

    Config: ClassVar[type[MethodConfig]] = PosthocDebiasConfig
    requires: ClassVar[protocols.Requires] = protocols.Requires(
        model=protocols.CausalModel, columns=("tokens", "image")
    )
    config: PosthocDebiasConfig
    name = "posthoc_debias"
    summary = "answers weighed against what is said without the picture"

    def calibrated(self, log_p: Tensor, log_free: Tensor) -> Tensor:
        """Scores [B, K] of log-probabilities with and without the picture, -inf where there is no answer."""
        absent = log_p == -torch.inf
        q = affine_calibration(log_p.exp(), log_free.exp(), self.config.form)
        return (q.log() if self.config.form == "diagonal" else q).masked_fill(absent, -torch.inf)

    def yes_or_no(self, batch: Batch) -> dict[str, Tensor]:
        main = self.main(batch)
        with_picture = self.two_words(main.logits, main.logits)
        passes = [self.branch(part, "prompt") for part in blind_batches(batch, self.config.without)]
        blind = [self.two_words(branch.logits, branch.logits) for branch in passes]
        scores = self.calibrated(with_picture, torch.stack(blind).exp().mean(0).log())
        return {"scores": scores, "label": self.decide(scores, batch)}

    def choices(self, batch: Batch) -> Tensor:
        plain = super().choices(batch).log_softmax(1)
        batches = blind_batches(batch, self.config.without)
        blind = torch.stack([super(PosthocDebias, self).choices(part).softmax(1) for part in batches])
        return self.calibrated(plain, blind.mean(0).log())


METHOD = PosthocDebias
