"""What a translator changed: content kept, bias moved, content moved, and the gate that it must pass.

For evaluation only: it needs bias labels.

Class and bias of a translation are what an auxiliary classifier says. It is fitted on data whose bias does not depend
on the class, never on test rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypedDict

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.weak import WeakIdKeyDictionary

from ...datasets.core.source import ClassInfo, require
from ..metrics.metric import Metric
from ..problems.evaluator import Data
from .check import Check, GateError

Translate = Callable[[Tensor, Tensor], Tensor]
LEAST = 10  # training rows of a group (class, bias) from which content and bias can be learned apart
MOST = 20_000  # rows that the auxiliary classifier is fitted on
STEPS = 500  # of Adam, in which it is fitted


class Gate(TypedDict):
    """What a report is held to: ``action`` where it fails, and the shares that it may not pass."""

    action: Literal["warn", "stop", "ignore"]
    max_content_moved: float
    min_content_kept: float


class Translator(Protocol):
    """A method whose translator the report looks at."""

    @property
    def gate(self) -> Gate:
        """What the report is held to."""
        ...

    @property
    def modes(self) -> Sequence[int]:
        """Classes whose bias the translator knows; none: there is no report."""
        ...

    def translate(self, x: Tensor, mode: Tensor) -> Tensor:
        """Images x [B, C, S, S] in [-1, 1] under the bias of the class ``mode`` [B]; same shape and range."""
        ...


_FITTED: Any = WeakIdKeyDictionary()  # table -> the classifier fitted on it, and its accuracy


class UnjudgedError(Exception):
    """No report can be made of this data; the message says why."""


def _floats(images: Tensor) -> Tensor:
    """[N, C, S, S] in [-1, 1]; bytes are scaled."""
    return images.float() / 127.5 - 1 if images.dtype == torch.uint8 else images.float()


class AuxiliaryClassifier(nn.Module):
    """Class and bias of an image: one small convolutional network, two heads."""

    def __init__(self, channels: int, classes: int, biases: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(channels, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveMaxPool2d(4),
            nn.Flatten(),
            nn.Linear(1024, 128),
            nn.ReLU(),
        )
        self.content, self.bias = nn.Linear(128, classes), nn.Linear(128, biases)

    @classmethod
    def fit(
        cls, images: Tensor, labels: Tensor, bias: Tensor, rows: Tensor | None = None, steps: int | None = None
    ) -> AuxiliaryClassifier:
        """Fitted with Adam in ``steps`` (STEPS) on ``rows`` (all) of images [N, C, S, S], in which the bias must not
        depend on the class; moves no generator but its own. A step takes 64 rows, or as many as there are.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = cls(images.shape[1], int(labels.max()) + 1, int(bias.max()) + 1)
            optimizer = torch.optim.Adam(network.parameters(), 2e-3)
            n = min(MOST, len(images) if rows is None else len(rows))
            chosen = torch.randperm(len(images) if rows is None else len(rows))[:n]
            chosen = chosen if rows is None else rows[chosen]
            with torch.enable_grad():
                for _ in range(STEPS if steps is None else steps):
                    part = chosen[torch.randint(n, (min(64, n),))]
                    h = network.trunk(_floats(images[part]))
                    loss = F.cross_entropy(network.content(h), labels[part]) + F.cross_entropy(
                        network.bias(h), bias[part]
                    )
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
        return network.eval().requires_grad_(False)

    @torch.no_grad()
    def predict(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(class, bias) [N] of images [N, C, S, S]."""
        hs = [self.trunk(_floats(part)) for part in images.split(256)]
        h = torch.cat(hs)
        return self.content(h).argmax(1), self.bias(h).argmax(1)


def balanced(labels: Tensor, bias: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Rows to fit on, of every group (class, bias) equally many (small groups repeated), and the rows of each group
    kept back to check on (a fifth).

    labels, bias [N]. UnjudgedError where a group of a class and a bias that occur has fewer than LEAST rows: there
    content and bias cannot be learned apart.
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    groups = [
        order[(labels[order] == y) & (bias[order] == b)]
        for y in labels.unique().tolist()
        for b in bias.unique().tolist()
    ]
    smallest = min(map(len, groups), default=0)
    if smallest < LEAST:
        raise UnjudgedError(f"some class has {smallest} training images with some bias, and {LEAST} are needed")
    kept = [rows[: len(rows) // 5] for rows in groups]
    rest = [rows[len(rows) // 5 :] for rows in groups]
    size = max(1, min(max(map(len, rest)), MOST // len(rest)))
    return torch.cat([rows[torch.arange(size) % len(rows)] for rows in rest]), kept


def auxiliary_classifier(splits: Mapping[str, Any], least: float) -> AuxiliaryClassifier:
    """Fitted on the split ``unbiased`` where there is one, else on the training rows, all groups (class, bias)
    weighing the same; once for a table, which the runs of an invocation share.

    Test and validation rows are never used. UnjudgedError, with the reason, where no classifier can be had that knows
    the class whatever the bias: a group is too small, or the mean accuracy over the groups' kept-back training rows
    is below ``least`` (what a gate asks of translations cannot be asked of a classifier that reads fewer originals).
    """
    name = "unbiased" if "unbiased" in splits else "train"
    if "bias" not in splits[name].columns:
        raise UnjudgedError("nothing says the bias of the training images (no column bias)")
    if splits[name] not in _FITTED:
        _FITTED[splits[name]] = _fitted(splits[name].columns, whole=name == "unbiased")
    classifier, accuracy = _FITTED[splits[name]]
    if accuracy < least:
        raise UnjudgedError(
            f"a classifier fitted on the training images, all groups alike, knows the class of {accuracy:.2f} of those "
            f"kept back, and {least:g} are needed"
        )
    own: AuxiliaryClassifier = classifier
    return own


def _fitted(columns: Mapping[str, Any], whole: bool) -> tuple[AuxiliaryClassifier, float]:
    """The classifier, and its accuracy on rows kept back; 1 where the ``whole`` table is without bias."""
    images, labels, bias = columns["image"], columns["label"], columns["bias"]
    if whole:
        return AuxiliaryClassifier.fit(images, labels, bias), 1.0
    rows, kept = balanced(labels, bias)
    classifier = AuxiliaryClassifier.fit(images, labels, bias, rows)
    known = [float((classifier.predict(images[part])[0] == labels[part]).double().mean()) for part in kept]
    return classifier, sum(known) / len(known)


@torch.no_grad()
def grid(translate: Translate, images: Tensor, modes: Sequence[int], device: torch.device) -> Tensor:
    """[rows, 1 + modes, C, S, S] in [-1, 1]: the first ten images and their translations."""
    x = _floats(images[:10])
    made = [translate(x.to(device), torch.full((len(x),), m, device=device)).cpu() for m in modes]
    return torch.stack([x, *made], 1)


@torch.no_grad()
def report(
    translate: Translate,
    classifier: AuxiliaryClassifier,
    images: Tensor,
    labels: Tensor,
    modes: Sequence[int],
    usual: Mapping[int, int],
    device: torch.device,
) -> dict[str, float]:
    """Shares over all images and all modes m; ``content_moved`` over m ≠ y alone.

    ``content_kept``: class still read as y; ``bias_moved``: bias read as ``usual[m]``, the one usual for class m;
    ``content_moved``: class read as m; ``content_read``: the classifier's own accuracy on the untranslated images,
    the ceiling of ``content_kept``. ``translate`` gets images in [-1, 1] on ``device``. UnjudgedError without images.
    """
    if not len(images):
        raise UnjudgedError("there is no held-out image of a class that the translator knows")
    x = _floats(images)
    kept, moved, content = [], [], []
    for m in modes:
        target = torch.full((len(x),), m)
        parts = zip(x.split(256), target.split(256), strict=True)
        translated = torch.cat([translate(a.to(device), b.to(device)).cpu() for a, b in parts])
        read_content, read_bias = classifier.predict(translated)
        kept.append(read_content == labels)
        moved.append(read_bias == usual[m])
        content.append((read_content == m)[labels != m])
    own, _ = classifier.predict(x)
    return {
        "content_kept": float(torch.cat(kept).double().mean()),
        "bias_moved": float(torch.cat(moved).double().mean()),
        "content_moved": float(torch.cat(content).double().mean()) if len(torch.cat(content)) else 0.0,
        "content_read": float((own == labels).double().mean()),
    }


class TranslationCheck(Check):
    """After a stage ``translator``: a report on held-out images (``valid``) translated to every mode, a grid of
    translations, and the gate that the method describes. The method is a :class:`Translator`.
    """

    stage: ClassVar[str] = "translator"
    metrics: ClassVar[Sequence[Metric]] = (
        Metric("content_kept", True, "share", "translated images still read as their class"),
        Metric("bias_moved", True, "share", "translated images whose bias is read as the mode's"),
        Metric("content_moved", False, "share", "translated images read as the mode's class"),
        Metric("content_read", True, "share", "untranslated images read as their class: a ceiling"),
        Metric("gate_passed", True, "", "1 where the translator passed its gate"),
    )

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.info = require(data.info, ClassInfo, "the check 'translation'")

    def after_stage(self, method: Translator, experience: Any, folder: Path) -> dict[str, float]:
        """The report. Where no auxiliary classifier can be had, or there is no held-out image, there is none: the gate
        says that it cannot judge (warn), or stops (stop), as it does where the translator failed.
        """
        from ..plots.figure import spared
        from ..plots.groups import translation_grid

        gate, modes = method.gate, method.modes
        if not modes:
            return {}
        images, labels = self.held_out(modes, experience)
        device = next(iter(method.parameters())).device if isinstance(method, nn.Module) else torch.device("cpu")
        if len(images):
            picture = grid(method.translate, images, modes, device)
            with spared(folder / f"translations-{experience.number}.png") as path:
                translation_grid(picture, path)
        try:
            classifier = auxiliary_classifier(self.data.splits, gate["min_content_kept"])
            usual = self.usual(modes, experience)
            shares = report(method.translate, classifier, images, labels, modes, usual, device)
        except UnjudgedError as error:
            _act(
                gate["action"],
                f"the gate cannot judge the translator: {error}; give images whose bias does not depend on the class "
                "as a split 'unbiased', or look at the pictures and set gate=ignore",
            )
            return {}
        problems = _failures(shares, gate)
        if problems:
            _act(
                gate["action"],
                f"the translator does not keep the content: {', '.join(problems)}; "
                "labels of translated views are wrong then",
            )
        return {**shares, "gate_passed": float(not problems)}

    def usual(self, modes: Sequence[int], experience: Any) -> dict[int, int]:
        """The usual bias of every mode; where it drifts, that of the training rows of this experience."""
        table = getattr(experience, "table", None)
        if table is not None and "usual" in table.columns:
            rows = experience.rows
            return dict(zip(table.columns["label"][rows].tolist(), table.columns["usual"][rows].tolist(), strict=True))
        return {m: int(self.info.usual[m]) for m in modes}

    def held_out(self, modes: Sequence[int], experience: Any, most: int = 1000) -> tuple[Tensor, Tensor]:
        """Images and labels of at most ``most`` validation rows of this experience and the classes ``modes``; more
        are drawn from, for files may lie in the order of their classes.
        """
        columns = self.data.splits["valid"].columns
        known = np.isin(columns["label"].numpy(), np.asarray(modes))
        if "experience" in columns:
            known &= columns["experience"].numpy() == experience.number
        rows = np.flatnonzero(known)
        if len(rows) > most:
            rows = np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
        return columns["image"][rows], columns["label"][rows]


def _failures(shares: Mapping[str, float], gate: Gate) -> list[str]:
    """Where a report misses what the gate asks, in words."""
    failures = []
    if shares["content_moved"] > gate["max_content_moved"]:
        failures.append(f"content moved {shares['content_moved']:.2f} (above {gate['max_content_moved']:g})")
    if shares["content_kept"] < gate["min_content_kept"]:
        failures.append(f"content kept {shares['content_kept']:.2f} (below {gate['min_content_kept']:g})")
    return failures


def _act(action: str, text: str) -> None:
    """What a gate does with ``text``: GateError (stop), a warning (warn), nothing (ignore)."""
    if action == "stop":
        raise GateError(text)
    if action == "warn":
        warnings.warn(text, stacklevel=3)


CHECK = TranslationCheck
