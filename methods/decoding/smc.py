"""SMC with AWRS: weighted strings that a constraint allows, near the exact posterior of the language model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ...datasets.core.seeds import derive
from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import MethodConfig, UnfitError
from ..networks import protocols
from ..networks.branches import Branch
from .decoder import Decoder, DecoderConfig
from .particles import SAMPLERS, Array, Constraint, Ids, Posterior, Sampler, smc
from .rejection import awrs


class SmcConfig(DecoderConfig):
    """As all decoders, and how strings are sampled. ``sample``, ``temperature`` and ``keep_beta`` are not used."""

    particles: int = Field(
        20,
        ge=1,
        le=100_000,
        description="N, weighted strings of a row",
        json_schema_extra={"sweep": {"low": 1, "high": 200}},
    )
    sampler: Literal["awrs", "masked", "single", "improper"] = Field(
        "awrs",
        description="of a token: adaptive rejection, full masking, one trial, or the first accepted without a weight",
    )
    threshold: float = Field(
        0.5, ge=0, le=1, description="share of N below which the effective number of particles has them drawn anew"
    )
    max_accepts: int = Field(2, ge=2, description="L of awrs: accepted trials at which it stops; more: less variance")
    max_rejects: int | None = Field(
        None, ge=2, description="of awrs: rejected trials at which it gives up; null: never"
    )


class Smc(Decoder):
    """For each row N strings of the language model that the data's constraint allows, weighted: SMC over tokens
    (:func:`.particles.smc`) with a token sampler of :mod:`.rejection`. ``tokens`` is one string of them, drawn by the
    weights. Rows draw from (seed, row id) alone.

    Source: Lipkin et al. 2025 (arXiv 2504.05410).
    """

    Config: ClassVar[type[MethodConfig]] = SmcConfig
    requires: ClassVar[protocols.Requires] = protocols.Requires(
        model=protocols.CausalModel, columns=("tokens",), facts=("oracle",)
    )
    config: SmcConfig
    name = "smc"
    summary = "weighted strings under a constraint: SMC, tokens by adaptive weighted rejection sampling"

    def before_experience(self, view: ExperienceView) -> None:
        self.constraint()  # before anything is trained
        super().before_experience(view)

    def constraint(self) -> Constraint:
        """The data's. Raises UnfitError where it has none."""
        oracle: Any = self._model.info.oracle
        if not (callable(getattr(oracle, "prefix", None)) and callable(getattr(oracle, "complete", None))):
            raise UnfitError(f"{self.name} needs data with a constraint on strings (toy_constraints); this has none")
        found: Constraint = oracle
        return found

    def sampler(self) -> Sampler:
        """The sampler of a token."""
        c = self.config
        if c.sampler != "awrs":
            return SAMPLERS[c.sampler]
        return lambda p, accept, rng: awrs(p, accept, rng, c.max_accepts, c.max_rejects)

    def particles(self) -> int:
        """N."""
        return self.config.particles

    @torch.no_grad()
    def predict(self, batch: Batch) -> dict[str, Tensor]:
        """``tokens`` [B, T] a string of each row, ``particles`` [B, N, T] with ``particle_log_weights`` [B, N], and
        ``log_evidence``, ``constraint_calls``, ``sampled_tokens``, ``forwards`` [B].
        """
        runs, passes = [], []
        for at in range(len(batch["index"])):
            found, forwards = self.run({name: value[at : at + 1] for name, value in batch.items()})
            runs.append(found)
            passes.append(forwards)
        drawn = [self._drawn(found, int(row)) for found, row in zip(runs, batch["index"].tolist(), strict=True)]
        device = batch["index"].device
        numbers = {
            "log_evidence": [found.log_evidence for found in runs],
            "constraint_calls": [found.calls for found in runs],
            "sampled_tokens": [found.tokens for found in runs],
            "forwards": passes,
        }
        return {
            "tokens": self._padded(drawn).to(device),
            **self.weighted(runs, device),
            **{name: torch.tensor(values, dtype=torch.float64, device=device) for name, values in numbers.items()},
        }

    def weighted(self, runs: Sequence[Posterior], device: torch.device) -> dict[str, Tensor]:
        """All particles with their weights."""
        return {
            "particles": torch.stack([self._padded(run.strings) for run in runs]).to(device),
            "particle_log_weights": torch.from_numpy(np.stack([run.log_weights for run in runs])).to(device),
        }

    def run(self, row: Batch) -> tuple[Posterior, int]:
        """The weighted strings of one row, and how many passes of the model a particle cost, summed."""
        passes = 0
        branch: Branch | None = None
        info = self._model.info

        def next_tokens(prefixes: Sequence[Ids], parents: Sequence[int] | None) -> Array:
            nonlocal branch, passes
            passes += len(prefixes)
            if branch is None or parents is None:
                branch = self.main(row).select(torch.zeros(len(prefixes), dtype=torch.int64))
            else:
                branch = branch.select(torch.tensor(parents))
                last = torch.tensor([ids[-1] for ids in prefixes], device=row["index"].device)
                branch.advance(last)
            # the same probabilities weigh and draw; in double precision, so that they sum to one
            found: Array = branch.logits.double().log_softmax(-1).cpu().numpy()
            return found

        found = smc(
            next_tokens,
            self.constraint(),
            info.eos,
            particles=self.particles(),
            max_tokens=self.config.max_new_tokens - 1,
            rng=np.random.default_rng(derive(self.draw_seed, f"smc/{int(row['index'])}")),
            sampler=self.sampler(),
            threshold=self.config.threshold,
        )
        return found, passes

    def _drawn(self, found: Posterior, row: int) -> Ids | None:
        """A string by its weight; None where all have died."""
        shares = found.probabilities()
        if not shares:
            return None
        rng = np.random.default_rng(derive(self.draw_seed, f"smc/{row}/drawn"))
        strings = list(shares)
        return strings[int(rng.choice(len(strings), p=np.array(list(shares.values())) / sum(shares.values())))]

    def _padded(self, strings: Sequence[Ids | None]) -> Tensor:
        """Tokens [n, T] up to the end token; of what has died padding alone."""
        info, length = self._model.info, self.config.max_new_tokens
        tokens = torch.full((len(strings), length), info.pad, dtype=torch.int64)
        for row, ids in enumerate(strings):
            if ids is not None:
                tokens[row, : len(ids) + 1] = torch.tensor([*ids, info.eos])
        return tokens


METHOD = Smc
