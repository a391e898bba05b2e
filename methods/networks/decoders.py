"""Decoders of auto-encoders: from a latent vector back to an image or to the row of a table."""

from __future__ import annotations

import math

from torch import Tensor, nn


class Decoder(nn.Module):
    """z [B, latent] to [B, *shape]: images of 16 px and more by four transposed convolutions (4 x 4, stride 2), all
    else by two hidden layers. Images end in a sigmoid.
    """

    def __init__(self, latent: int, shape: tuple[int, ...], hidden: int = 256, width: int = 32) -> None:
        super().__init__()
        self.shape = shape
        self.image = len(shape) == 3
        self.spatial = self.image and min(shape[1:]) >= 16
        if not self.spatial:
            out = math.prod(shape)
            self.body = nn.Sequential(
                *(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, out))
            )
            return
        self.start = (width, math.ceil(shape[1] / 16), math.ceil(shape[2] / 16))
        self.body = nn.Sequential(
            *(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, math.prod(self.start)), nn.ReLU())
        )
        layers: list[nn.Module] = []
        for k in range(4):
            layers += [nn.ConvTranspose2d(width, shape[0] if k == 3 else width, 4, 2, 1), nn.ReLU()]
        self.up = nn.Sequential(*layers[:-1])

    def forward(self, z: Tensor) -> Tensor:
        x: Tensor = self.body(z)
        if self.spatial:
            x = self.up(x.view(-1, *self.start))[:, :, : self.shape[1], : self.shape[2]]
        x = x.reshape(-1, *self.shape)
        return x.sigmoid() if self.image else x
