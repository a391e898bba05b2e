"""cVAE: an auto-encoder whose salient latent is 0 on background (Abid and Zou, 2019)."""

from __future__ import annotations

from typing import ClassVar

from .autoencoder import ContrastiveAutoencoder


class CVAE(ContrastiveAutoencoder):
    """With ``kappa`` above 0 also the total correlation of c and s by a density ratio."""

    name: ClassVar[str] = "cvae"
    summary: ClassVar[str] = "auto-encoder whose salient latent is 0 on background"


METHOD = CVAE
