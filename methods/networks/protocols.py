"""What a method may ask of a model, and what it needs in all: a network names the protocols that it provides, a method
those that it requires.

B is the batch, d a width, T frames, J tokens, V the vocabulary, C classes, S the side of an image in pixels. A batch
is a dict of tensors (:mod:`holdfast.datasets.core.table`). Random draws come from the generator that is given,
nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from ...datasets.core.contrast import ContrastInfo
from ...datasets.core.language import LanguageInfo
from ...datasets.core.multi_task import MultiTaskInfo
from ...datasets.core.source import DataInfo, ImageInfo, Modality
from ...datasets.core.table import Batch
from ...datasets.core.texts import TextInfo
from .language import Step
from .slimmable_widths import Configuration, Ratio, Size


@dataclass(frozen=True)
class Mix:
    """Texts of a batch mixed with each other: row i with row ``order[i]``, by ``share`` λ [B]; of word embeddings, or
    of the outputs of layer ``layer`` (from 1).
    """

    level: Literal["embedding", "hidden"]
    order: Tensor
    share: Tensor
    layer: int = 1


class Predictor(Protocol):
    """A model that answers by itself. User: every method that does not define ``predict``."""

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        """Predictions by name, each [B, ...]."""
        ...


class Learner(Predictor, Protocol):
    """A model with a loss of its own. Users: the methods of ``continual``."""

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """The batch as training sees it: columns may be replaced, none disappears."""
        ...

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss [] and what is logged beside it."""
        ...

    def features(self, batch: Batch) -> Tensor:
        """One vector a row, [B, d]."""
        ...


class Classifier(Learner, Protocol):
    """A classifier of images g(f(x)); pixels are in [-1, 1]. Users: the methods of ``cdvg``.

    ``classes``: C. ``size``: S. ``features_out``: H, width of f. ``encoder``: f itself. ``info``: facts of the data
    set.
    """

    classes: int
    size: int
    features_out: int
    encoder: nn.Module
    info: ImageInfo

    def pixels(self, batch: Batch) -> Tensor:
        """x [B, 3, S, S] of a batch's bytes."""
        ...

    def views(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """T(x): a random view of each image, [B, 3, S, S]."""
        ...

    def encode(self, x: Tensor) -> Tensor:
        """f(x): features [B, H] of pixels."""
        ...

    def classify(self, h: Tensor) -> Tensor:
        """g(h): logits [B, C] of features [B, H]."""
        ...

    def twin(self, seed: int, purpose: str) -> Any:
        """Another classifier (a module) of the same shape, with weights of its own from (seed, purpose)."""
        ...


class SequenceModel(Learner, Protocol):
    """Speech to text: an encoder of recordings, and a decoder of tokens that begin with SOS, intent and end with EOS.
    Users: the methods of ``coconut``.

    ``d_audio``, ``d_text``: widths of the encoder's frames and of token embeddings. ``intent_tokens``: the token of
    each intent, [number of intents] int64.
    """

    d_audio: int
    d_text: int
    intent_tokens: Tensor

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Frames h [B, T, d_audio] and mask [B, T], True where a frame is valid."""
        ...

    def embed(self, tokens: Tensor) -> Tensor:
        """Embeddings [..., d_text] of tokens [...], without positions or scale."""
        ...

    def logits(self, h: Tensor, mask: Tensor, tokens: Tensor) -> Tensor:
        """Teacher forcing on tokens [B, J]: logits [B, J - 1, V] of ``tokens[:, 1:]``."""
        ...

    def loss_from(self, h: Tensor, mask: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of transcription [] from encoded frames, and what is logged."""
        ...

    def decode(self, h: Tensor, mask: Tensor, beam: int | None = None) -> Tensor:
        """Best hypotheses [B, L] after SOS: tokens, EOS, then PAD. ``beam`` None: the recipe's width."""
        ...


class Regressor(Protocol):
    """An encoder with a projector, and views of its inputs; heads belong to methods. Users: the methods of
    ``supremix``.

    ``modality``: what a row is. ``d_features``: width of the encoder. ``encoder``, ``projector``: the parts themselves.
    """

    modality: Modality
    d_features: int
    encoder: nn.Module

    def inputs(self, batch: Batch) -> Batch:
        """The batch as :meth:`encode` takes it, unchanged otherwise."""
        ...

    def view(self, batch: Batch, generator: torch.Generator) -> Batch:
        """A random view of the batch, as :meth:`encode` takes it."""
        ...

    def encode(self, batch: Batch) -> Tensor:
        """Features [B, d_features]."""
        ...

    def project(self, features: Tensor) -> Tensor:
        """Projections [B, p] of unit length of features [B, d_features]."""
        ...


class TextModel(Learner, Protocol):
    """A pretrained encoder of texts, a tuner that says what of it is trained, and a linear head. Users: the methods of
    ``peft``.

    A row is read as A sequences: 1, or in a choice task one for each alternative. ``info``: facts of the data set.
    ``net``: the encoder, a model of ``transformers``. ``tuner``, ``head``: the parts. ``d_out``: H.
    """

    info: TextInfo
    net: Any
    tuner: Any
    head: nn.Linear
    d_out: int

    def tune(self, make: Callable[[Any], Any]) -> None:
        """Make the tuner of ``net`` by ``make(net)`` and use it from here on."""
        ...

    def encode(self, batch: Batch, mix: Mix | None = None) -> Tensor:
        """Sentence representations z [B, A, H], of mixed texts where ``mix`` says so."""
        ...

    def logits(self, z: Tensor, batch: Batch) -> Tensor:
        """Logits [B, C] of z [B, A, H]; -inf for the classes of other tasks, where the task is known."""
        ...


class ContrastModel(Protocol):
    """Two encoders without shared weights, of what background and target have in common and of what only targets have,
    a projector each, and views of the inputs. Users: the methods of ``sepclr``.

    ``common``, ``salient``: the towers; each gives ``features(x)`` [B, features_out], by call the representation [B, d]
    and ``project(r)`` [B, d]. ``d_common``, ``d_salient``: widths d. ``input_shape``: of a row. ``info``: facts of the
    data set.
    """

    common: Any
    salient: Any
    d_common: int
    d_salient: int
    features_out: int
    input_shape: tuple[int, ...]
    info: ContrastInfo

    def inputs(self, batch: Batch) -> Tensor:
        """x [B, ...] of a batch: images in [0, 1], rows of tables as they are."""
        ...

    def view(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """A random view of each row of x."""
        ...

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Representations [B, d_common] and [B, d_salient]."""
        ...


class SlimmableMultiTask(Predictor, Protocol):
    """One encoder and a decoder for each task, whose widths are chosen at every call. Users: the methods of
    ``slimmable``.

    A :class:`~.slimmable_widths.Configuration` says the widths: of the encoder (a ratio, or one a stage) and of each
    decoder, in the order of ``tasks``. A task's output depends on the encoder's width and its own decoder's, on no
    other.

    ``tasks``: names. ``grid``: ratios, ascending, the last is 1. ``encoder``, ``decoders``: the parts themselves.

    Predictions (``predict`` of the model and of the methods), by name, each of the label's size: dense tasks
    [B, outputs, H, W] and rows [B, outputs], before softmax, sigmoid or normalisation to unit length:

    - ``task/NAME`` at full width;
    - ``task/NAME@e0.25d0.5`` at encoder width 0.25 and width 0.5 of the task's own decoder (``%g`` of the ratios);
    - ``task/NAME@p7`` under preference number 7 of :func:`holdfast.datasets.core.preferences.simplex` (for this
      number of tasks), by methods that can be told a preference.
    """

    tasks: tuple[str, ...]
    grid: tuple[float, ...]
    encoder: nn.Module
    decoders: nn.ModuleDict
    info: MultiTaskInfo

    def pixels(self, batch: Batch) -> Tensor:
        """x [B, C, H, W] of a batch, as the encoder takes it."""
        ...

    def features(self, x: Tensor, width: Ratio) -> list[Tensor]:
        """Features of every stage of the encoder, each [B, c, h, w], after norm and activation."""
        ...

    def decode(self, features: Sequence[Tensor], task: str, width: Ratio, decoder: float, size: Size) -> Tensor:
        """Output of one task from features at ``width``, its decoder at the width ``decoder``; a dense task's is
        enlarged to ``size`` (height, width).
        """
        ...

    def outputs(self, x: Tensor, configuration: Configuration) -> dict[str, Tensor]:
        """Outputs of all tasks by name."""
        ...

    def calibrate(self, batches: Sequence[Tensor], configurations: Sequence[Configuration]) -> None:
        """Statistics of the normalisation for these configurations, from training images."""
        ...

    def forget_statistics(self) -> None:
        """Drop all calibrated statistics; the weights have changed."""
        ...

    def statistics(self) -> dict[str, dict[str, Tensor]]:
        """All calibrated statistics."""
        ...

    def set_statistics(self, statistics: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Those that :meth:`statistics` gave, and no others."""
        ...


class CausalModel(Protocol):
    """A causal language model, perhaps with a prefix of embeddings (a picture). Users: the methods of ``decoding``.

    ``vocabulary``: V. ``layers``: L, hidden layers; layer L is the last, 0 the embeddings. ``info``: facts of the data.

    A model may have a method ``last_step`` beside ``step``, with the same arguments, whose logits (early ones too) are
    those of the last token alone, [B, 1, V]: decoding asks for no others, and a whole prompt's cost time and memory.
    """

    vocabulary: int
    layers: int
    info: LanguageInfo

    def prefix(self, batch: Batch) -> Tensor | None:
        """Embeddings [B, P, d] of what stands before the tokens (the column ``image``); None where nothing does."""
        ...

    def step(
        self,
        tokens: Tensor,
        mask: Tensor,
        cache: Any = None,
        prefix: Tensor | None = None,
        layers: tuple[int, ...] = (),
    ) -> Step:
        """Read tokens [B, T] after what ``cache`` holds; ``mask`` [B, T] is False for padding, which nothing attends
        to and which has no position. ``prefix`` with the first step alone. ``layers``: hidden layers whose logits are
        wanted. No row depends on another.
        """
        ...

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean cross-entropy [] of the column ``tokens``, and what is logged beside it."""
        ...


@dataclass(frozen=True)
class Requires:
    """What a method cannot do without.

    ``model``: the protocol of its model; None: any. ``columns``: of the training table as the network has prepared it.
    ``facts``: fields of the data's info that must not be None. The model's own columns need not be repeated.
    """

    model: type | None = None
    columns: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()


def fits(
    name: str,
    requires: Requires,
    network: ModuleType,
    info: DataInfo | None = None,
    columns: Collection[str] | None = None,
    hidden: Collection[str] = (),
) -> list[str]:
    """What the method ``name`` misses, one sentence each; nothing where it can run.

    The network's module says what it is by ``PROVIDES``, the protocols of its model; nothing is built, and one that
    does not say is taken as it is. ``info`` and the training ``columns`` are checked where they are known;
    ``hidden``: columns that the recipe keeps from training.
    """
    errors = _model_misses(name, requires, network)
    if info is not None:
        errors += [
            f"{name} needs to know the data's '{fact}', which this data set does not say"
            for fact in requires.facts
            if getattr(info, fact, None) is None
        ]
    if columns is not None:
        missing = [column for column in requires.columns if column not in columns or column in hidden]
        for column in missing:
            if column in hidden:
                text = "which is hidden from training: run it alone, with data.hidden_from_training=[]"
            else:
                text = f"which the training data does not have (it has: {', '.join(sorted(columns))})"
            errors.append(f"{name} needs the column '{column}', {text}")
    return errors


def _model_misses(name: str, requires: Requires, network: ModuleType) -> list[str]:
    provides: Sequence[type] | None = getattr(network, "PROVIDES", None)
    if requires.model is None or provides is None:
        return []
    if any(requires.model in kind.__mro__ for kind in provides):
        return []
    kinds = " and ".join(f"a {kind.__name__}" for kind in provides) or "none of the known kinds"
    return [f"{name} needs a {requires.model.__name__}, the network '{network.__name__.rpartition('.')[2]}' is {kinds}"]
