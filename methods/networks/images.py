"""Image classifiers: encoder f, linear head g. Pixels are in [-1, 1] everywhere outside."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from ...datasets.core.seeds import derive
from ...datasets.core.source import DataInfo, ImageInfo, require
from ...datasets.core.table import Batch
from ..base import UnfitError
from .batchnorm import running_statistics
from .protocols import Classifier

PROVIDES = (Classifier,)


class Config(BaseModel):
    """Encoder and augmentation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    encoder: Literal["cnn", "mlp", "resnet20", "resnet18"] = Field(
        "cnn",
        description=(
            "cnn: two convolutions; mlp: LfF's; resnet20: LfF on CIFAR; resnet18: torchvision's, from scratch"
        ),
    )
    width: int = Field(32, ge=2, le=1024, description="cnn: channels of the first convolution; mlp: hidden width")
    features: int = Field(128, ge=2, le=4096, description="H of the cnn and the mlp")
    augment: Literal["none", "crop_flip"] = Field("none", description="T: none, or random crop (pad 4) and flip")
    normalize: bool = Field(False, description="mean and deviation of CIFAR after the range [-1, 1]")


class _Block(nn.Module):
    """A basic residual block; the shortcut takes every second pixel and pads channels with zeros (option A)."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(c_out)
        self.stride, self.extra = stride, c_out - c_in

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        short = x[:, :, :: self.stride, :: self.stride]
        return F.relu(y + F.pad(short, (0, 0, 0, 0, self.extra // 2, self.extra - self.extra // 2)))


def _encoder(config: Config, channels: int, size: int) -> tuple[nn.Module, int]:
    w, h = config.width, config.features
    if config.encoder == "mlp":
        layers = [
            nn.Flatten(),
            nn.Linear(channels * size * size, w),
            nn.ReLU(),
            nn.Linear(w, w),
            nn.ReLU(),
            nn.Linear(w, h),
            nn.ReLU(),
        ]
        return nn.Sequential(*layers), h
    if config.encoder == "resnet20":
        blocks: list[nn.Module] = [nn.Conv2d(channels, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
        c = 16
        for k, out in enumerate((16, 32, 64)):
            for n in range(3):
                blocks.append(_Block(c, out, 2 if k and n == 0 else 1))
                c = out
        return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten()), 64
    if config.encoder == "resnet18":
        from torchvision.models import resnet18

        net: Any = resnet18(weights=None)
        net.fc = nn.Identity()
        return net, 512
    side = size // 4
    return nn.Sequential(
        nn.Conv2d(channels, w, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(w, 2 * w, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * w * side * side, h),
        nn.ReLU(),
    ), h


class ImageClassifier(nn.Module):
    """g(f(x)); ``info`` of the data gives classes, channels and size, and what the oracle recolourer must know."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: Config, info: ImageInfo) -> None:
        super().__init__()
        self.config, self.info = config, info
        self.classes, self.size = info.classes, info.size
        self.encoder, self.features_out = _encoder(config, info.channels, self.size)
        self.head = nn.Linear(self.features_out, self.classes)
        self.register_buffer("mean", torch.tensor((0.4914, 0.4822, 0.4465)).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor((0.2023, 0.1994, 0.2010)).view(1, 3, 1, 1), persistent=False)

    def twin(self, seed: int, purpose: str) -> ImageClassifier:
        """Another classifier of the same shape with weights of its own from (seed, purpose)."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, purpose))
            return ImageClassifier(self.config, self.info)

    def pixels(self, batch: Batch) -> Tensor:
        """x [B, 3, S, S] in [-1, 1] from bytes; floats pass."""
        x = batch["image"]
        return x if x.is_floating_point() else x.float() / 127.5 - 1

    def views(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """T(x): crop and flip of every image, or x itself."""
        if self.config.augment == "none":
            return x
        n, _, s, _ = x.shape
        padded = F.pad(x, (4, 4, 4, 4), value=-1.0)
        corner = torch.randint(0, 9, (2, n), generator=generator).to(x.device)
        flip = (torch.rand(n, generator=generator) < 0.5).to(x.device)
        steps = torch.arange(s, device=x.device)
        columns = torch.where(flip[:, None], s - 1 - steps, steps) + corner[1][:, None]  # [B, S]
        rows = corner[0][:, None] + steps  # [B, S]
        number = torch.arange(n, device=x.device)[:, None, None]
        return padded[number, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        return {**batch, "image": self.views(self.pixels(batch), generator)}

    def encode(self, x: Tensor) -> Tensor:
        """h [B, H] of pixels in [-1, 1]. A batch of one image has no batch statistics: it is normalised by the
        running ones.
        """
        x = ((x + 1) / 2 - self.mean) / self.std if self.config.normalize else x
        if self.training and len(x) == 1:
            with running_statistics(self.encoder):
                return self.encoder(x)
        return self.encoder(x)

    def classify(self, h: Tensor) -> Tensor:
        """Logits [B, C] of features [B, H]."""
        return self.head(h)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        return F.cross_entropy(self.classify(self.encode(self.pixels(batch))), batch["label"]), {}

    def features(self, batch: Batch) -> Tensor:
        return self.encode(self.pixels(batch))

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        """``label`` [B], of the original image, ``scores`` (logits) and ``probabilities`` [B, C] of all classes, those
        too that training has not seen yet.
        """
        scores = self.classify(self.features(batch))
        exact = scores.float()
        return {"label": scores.argmax(1), "scores": exact, "probabilities": exact.softmax(1)}


def build(config: Config, info: DataInfo, seed: int) -> ImageClassifier:
    """The classifier for a data set. Raises UnfitError for images that are too small, DataError for other data."""
    facts = require(info, ImageInfo, "the network 'images'")
    if facts.size < 4:
        raise UnfitError(f"images of {facts.size} pixels are too small: 4 or more are needed")
    return ImageClassifier(config, facts)
