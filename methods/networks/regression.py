"""Encoders of scalar regression by modality, with a projector, and the views of each modality.

Views are made from the generator given, batch-wise: crops, flips and colour for photographs; noise and small shifts
for small images, series and volumes; noise on standardised inputs of tables; dropped words for texts (special tokens
stay).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from ...datasets.core.source import DataInfo, RegressionInfo, Source, require
from ...datasets.core.table import Batch
from ..base import UnfitError
from . import texts
from .dropout import Dropout
from .protocols import Regressor

Encoder = Literal["auto", "mlp", "conv", "resnet", "resnet18", "resnet50", "bilstm", "transformers"]
OF_MODALITY = {"table": "mlp", "image": "conv", "series": "resnet", "volume": "resnet", "text": "bilstm"}
FITS = {
    "mlp": ("table", "series", "image"),
    "conv": ("image",),
    "resnet": ("image", "series", "volume"),
    "resnet18": ("image",),
    "resnet50": ("image",),
    "bilstm": ("text",),
    "transformers": ("text",),
}

PROVIDES = (Regressor,)


class Config(BaseModel):
    """The encoder, its projector and its views."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    encoder: Encoder = Field(
        "auto",
        description=(
            "auto: by modality; resnet: residual, of as many dimensions as the input; transformers: a "
            "text model of that library"
        ),
    )
    encoder_name: str = Field(
        "google-bert/bert-base-uncased", description="of transformers: a hub name or a local folder"
    )
    revision: str | None = Field(None, description="of transformers: commit or branch on the hub; null: main")
    pooling: texts.Pooling = Field("mean", description="of transformers: mean over tokens, or the first token")
    pair: texts.Form = Field(
        "joint", description="of transformers: both texts as one sequence, or apart, compared as |u - v| and u · v"
    )
    max_tokens: int = Field(
        128, ge=4, le=8192, description="of transformers: tokens read at most (fewer where the model takes fewer)"
    )
    checkpointing: bool = Field(False, description="of transformers: gradient checkpointing")
    width: int = Field(16, ge=1, le=1024, description="channels of the first convolution; doubled at each level")
    levels: int = Field(2, ge=1, le=5, description="of conv and resnet: levels, each halves the sides")
    hidden: int = Field(128, ge=1, le=8192, description="of mlp and bilstm: hidden width")
    layers: int = Field(2, ge=1, le=8, description="of mlp: hidden layers; of bilstm: recurrent layers")
    features: int = Field(
        64, ge=1, le=8192, description="width of the encoder's output (mlp: its hidden width; ResNets keep theirs)"
    )
    projection: int = Field(128, ge=2, le=8192, description="d, width of the projector's output")
    words: int = Field(64, ge=1, le=4096, description="of bilstm: width of word vectors")
    dropout: float = Field(0.0, ge=0, lt=1, description="before the encoder's output")
    views: Literal["auto", "noise", "crop"] = Field(
        "auto", description="crop: photographs; noise: all others; auto: by the number of channels"
    )
    noise: float = Field(
        0.1, ge=0, le=10, description="standard deviation of the noise of a view, inputs being about 1"
    )
    shift: int = Field(1, ge=0, le=64, description="largest shift of images, series and volumes of a view, in pixels")
    drop: float = Field(0.1, ge=0, lt=1, description="of texts: share of words (tokens) that a view leaves out")


class RegressionModel(nn.Module):
    """``encode(batch)`` [B, features], ``project(features)`` [B, projection] of unit length, ``view(batch, generator)``
    another view.
    """

    replaceable: ClassVar[tuple[str, ...]] = ("projector.",)  # stays new where another run's does not fit
    kept: Tensor

    def __init__(self, config: Config, encoder: nn.Module, d_features: int, info: RegressionInfo) -> None:
        super().__init__()
        self.config, self.modality = config, info.modality
        self.flip = info.flip
        self.crop = config.views == "crop" or (
            config.views == "auto" and self.modality == "image" and info.input_shape[0] == 3
        )
        self.encoder, self.d_features = encoder, d_features
        tokens = info.tokens  # of a text model of transformers; None: our own words
        self.sequences = ("pair",) if tokens and config.pair == "joint" else ("first", "second")
        self.columns = tuple(part for name in self.sequences for part in (name, f"{name}_lengths"))
        if tokens and tokens.types:
            self.columns += ("pair_types",)
        self.unknown = tokens.unknown if tokens else 1
        self.register_buffer("kept", torch.tensor(tokens.kept if tokens else [0]), persistent=False)
        self.projector = nn.Sequential(
            nn.Linear(d_features, d_features), nn.ReLU(), nn.Linear(d_features, config.projection)
        )

    def inputs(self, batch: Batch) -> Batch:
        """The batch with ``x`` as floats; bytes of images become -1 to 1."""
        if self.modality == "text":
            return batch
        x = batch["x"]
        return {**batch, "x": x.float() / 127.5 - 1 if x.dtype == torch.uint8 else x.float()}

    def encode(self, batch: Batch) -> Tensor:
        """Features of a batch that :meth:`inputs` or :meth:`view` made, [B, features]."""
        if self.modality == "text":
            f: Tensor = self.encoder(*(batch[name] for name in self.columns))
        else:
            f = self.encoder(batch["x"])
        return f

    def project(self, features: Tensor) -> Tensor:
        """Unit-length projections [B, projection], float32."""
        z: Tensor = self.projector(features)
        return F.normalize(z.float(), dim=1)

    def view(self, batch: Batch, generator: torch.Generator) -> Batch:
        """A random view of a batch, from the generator alone."""
        if self.modality == "text":
            return {**batch, **{name: self._words(batch[name], generator) for name in self.sequences}}
        x = self.inputs(batch)["x"]
        if self.crop:
            return {**batch, "x": photograph(x, generator, self.flip)}
        if self.modality != "table" and self.config.shift:
            x = shifted(x, self.config.shift, generator)
        noise = torch.randn(x.shape, generator=generator).to(x.device)
        return {**batch, "x": x + self.config.noise * noise}

    def _words(self, tokens: Tensor, generator: torch.Generator) -> Tensor:
        gone = (torch.rand(tokens.shape, generator=generator) < self.config.drop).to(tokens.device)
        return torch.where(gone & ~torch.isin(tokens, self.kept), self.unknown, tokens)


def shifted(x: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Rows of x [B, C, ...] moved by up to ``most`` steps along each axis; the border is repeated."""
    for axis in range(2, x.dim()):
        n = x.shape[axis]
        step = torch.randint(-most, most + 1, (len(x), 1), generator=generator)
        positions = (torch.arange(n) + step).clamp(0, n - 1).to(x.device)  # [B, n]
        shape = [len(x), *[1] * (x.dim() - 1)]
        shape[axis] = n
        x = x.gather(axis, positions.view(shape).expand(x.shape))
    return x


def photograph(x: Tensor, generator: torch.Generator, flip: bool) -> Tensor:
    """Images [B, C, H, W] in -1 to 1: a crop of 20 to 100 % of the area at the old size, a flip, brightness, contrast
    and saturation by up to 40 % (p = 0.8), grey (p = 0.2): the views of Rank-N-Contrast, hue left out.
    """
    b = len(x)

    def draw(low: float, high: float) -> Tensor:
        return (low + (high - low) * torch.rand(b, generator=generator)).to(x.device)

    area, ratio = draw(0.2, 1.0), torch.exp(draw(-0.2877, 0.2877))  # 3/4 to 4/3
    wide, high = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    mirrored = torch.where(draw(0, 1) < 0.5, -1.0, 1.0) if flip else torch.ones(b, device=x.device)
    zero = torch.zeros(b, device=x.device)
    across, down = draw(-1, 1) * (1 - wide), draw(-1, 1) * (1 - high)
    matrix = torch.stack([wide * mirrored, zero, across, zero, high, down], 1).view(b, 2, 3)
    grid = F.affine_grid(matrix, list(x.shape), align_corners=False)
    x = (F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False) + 1) / 2
    grey = x.mean(1, keepdim=True)
    jitter = (draw(0, 1) < 0.8).view(b, 1, 1, 1)
    bright, contrast, saturation = (draw(0.6, 1.4).view(b, 1, 1, 1) for _ in range(3))
    changed = x * bright
    mean = changed.mean((1, 2, 3), keepdim=True)
    changed = (changed - mean) * contrast + mean
    tone = changed.mean(1, keepdim=True)
    changed = ((changed - tone) * saturation + tone).clamp(0, 1)
    x = torch.where(jitter, changed, x)
    x = torch.where((draw(0, 1) < 0.2).view(b, 1, 1, 1), grey.expand_as(x), x)
    return x * 2 - 1


def mlp(d_in: int, hidden: int, layers: int) -> nn.Sequential:
    """Linear layers with LeakyReLU(0.1), the form of C-Mixup's airfoil model."""
    parts: list[nn.Module] = [nn.Flatten()]
    for k in range(layers):
        parts += [nn.Linear(d_in if k == 0 else hidden, hidden), nn.LeakyReLU(0.1)]
    return nn.Sequential(*parts)


def conv(shape: tuple[int, ...], width: int, levels: int, features: int) -> nn.Sequential:
    """Convolutions 3 x 3 with ReLU and pooling, then one linear layer."""
    parts: list[nn.Module] = []
    channels, (h, w) = shape[0], shape[1:]
    for k in range(levels):
        parts += [nn.Conv2d(channels, width << k, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        channels, h, w = width << k, h // 2, w // 2
    if not h or not w:
        raise UnfitError(
            f"images of {shape[1]} x {shape[2]} cannot be halved {levels} times: lower model.options.levels"
        )
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(channels * h * w, features), nn.ReLU())


class Residual(nn.Module):
    """Two convolutions of width 3 with batch norm and a shortcut, in 1, 2 or 3 dimensions."""

    def __init__(self, dimensions: int, d_in: int, d_out: int, stride: int) -> None:
        super().__init__()
        convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dimensions - 1]
        norm = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[dimensions - 1]
        self.body = nn.Sequential(
            convolution(d_in, d_out, 3, stride=stride, padding=1, bias=False),
            norm(d_out),
            nn.ReLU(),
            convolution(d_out, d_out, 3, padding=1, bias=False),
            norm(d_out),
        )
        self.shortcut = convolution(d_in, d_out, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


class ResNet(nn.Module):
    """Residual levels, each half the size and twice the channels, mean over places, [B, C, ...] to [B, features]."""

    def __init__(self, dimensions: int, channels: int, width: int, levels: int) -> None:
        super().__init__()
        self.levels = nn.Sequential(
            *(Residual(dimensions, channels if k == 0 else width << (k - 1), width << k, 2) for k in range(levels))
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.levels(x)
        return out.flatten(2).mean(2)


class PairEncoder(nn.Module):
    """Two sentences [B, L] of word numbers (0 pads) by one bidirectional LSTM, maximum over words; |u - v| and u · v,
    [B, 4 hidden].
    """

    def __init__(self, vocabulary: int, words: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, words, padding_idx=0)
        self.lstm = nn.LSTM(words, hidden, layers, bidirectional=True, batch_first=True)

    def one(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embedding(tokens), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        h, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True, padding_value=-torch.inf)
        return h.amax(1)

    def forward(self, first: Tensor, first_lengths: Tensor, second: Tensor, second_lengths: Tensor) -> Tensor:
        longest = max(first.shape[1], second.shape[1])
        both = torch.cat(
            [F.pad(t, (0, longest - t.shape[1])) for t in (first, second)]
        )  # one pass of the LSTM for both
        u, v = self.one(both, torch.cat([first_lengths, second_lengths])).chunk(2)
        return texts.compared(u, v)


class Dropped(nn.Module):
    """An encoder with dropout on its features."""

    def __init__(self, encoder: nn.Module, rate: float) -> None:
        super().__init__()
        self.encoder, self.dropout = encoder, Dropout(rate)

    def forward(self, *inputs: Tensor) -> Tensor:
        out: Tensor = self.dropout(self.encoder(*inputs))
        return out


def _torchvision(name: str, shape: tuple[int, ...]) -> tuple[nn.Module, int]:
    import importlib

    network = getattr(importlib.import_module("torchvision.models"), name)(weights=None)
    if shape[0] != 3:
        network.conv1 = nn.Conv2d(shape[0], 64, 7, stride=2, padding=3, bias=False)
    d = int(network.fc.in_features)
    network.fc = nn.Identity()
    return network, d


def prepare(config: Config, source: Source) -> Source[RegressionInfo]:
    """Texts as the tokens of the model that reads them; all else as it is. Raises as :func:`texts.tokenise` does."""
    facts = source.reading(RegressionInfo, "the network 'regression'")
    if config.encoder != "transformers":
        return facts
    return texts.tokenise(facts, config.encoder_name, config.revision, config.pair, config.max_tokens)


def build(config: Config, info: DataInfo, seed: int) -> RegressionModel:
    """The model, weights from torch's global generator. Raises UnfitError where the encoder does not fit the modality,
    DataError for data of another kind.
    """
    facts = require(info, RegressionInfo, "the network 'regression'")
    modality = facts.modality
    kind = OF_MODALITY[modality] if config.encoder == "auto" else config.encoder
    if modality not in FITS[kind]:
        raise UnfitError(f"model.options.encoder: {kind} takes no {modality} data (it takes {', '.join(FITS[kind])})")
    shape = facts.input_shape
    encoder: nn.Module
    if kind == "mlp":
        encoder, d = mlp(int(torch.Size(shape).numel()), config.hidden, config.layers), config.hidden
    elif kind == "conv":
        encoder, d = conv(shape, config.width, config.levels, config.features), config.features
    elif kind == "resnet":
        encoder, d = ResNet(len(shape) - 1, shape[0], config.width, config.levels), config.width << (config.levels - 1)
    elif kind == "bilstm":
        if facts.pairs is None:
            raise UnfitError("model.options.encoder: bilstm takes pairs of texts, which this data set does not have")
        encoder, d = PairEncoder(facts.pairs.vocabulary, config.words, config.hidden, config.layers), 4 * config.hidden
    elif kind == "transformers":
        if facts.tokens is None:
            raise UnfitError("model.options.encoder: transformers needs texts as its own tokens (prepare)")
        encoder = texts.TextPairs(
            config.encoder_name,
            facts.tokens,
            revision=config.revision,
            pooling=config.pooling,
            form=config.pair,
            checkpointing=config.checkpointing,
        )
        d = encoder.d_out
    else:
        encoder, d = _torchvision(kind, shape)
    if config.dropout:
        encoder = Dropped(encoder, config.dropout)
    return RegressionModel(config, encoder, d, facts)
