"""Generated text: answers that are right, repetition, invented objects, coherence by the world's own probabilities."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from ..metrics.generation import Chair, Repetition, repeated_within, unigram_f1
from ..metrics.metric import Metric
from .evaluator import Data, Evaluator, Measurement, Outputs, Picture, Rows
from .text_features import DistanceConfig, Distances, chosen, features_of, lacking
from .texts import Means, in_groups, language, texts_of, written

AGREE, CONFLICT = "agreement", "conflict"  # groups of which accuracies are mixed
WINDOW = 20  # tokens before one that repeats it


@runtime_checkable
class NamesObjects(Protocol):
    """An oracle that knows the names of objects."""

    def mentioned(self, text: str) -> Sequence[int]:
        """Numbers of the objects that a text mentions, in order; object k is that of the column ``shown[:, k]``."""
        ...


@runtime_checkable
class WritesTexts(Protocol):
    """An oracle that knows how probable a continuation is."""

    def log_probability(self, prompt: Sequence[int], continuation: Sequence[int]) -> float:
        """In nats; -inf for what its process never writes. Tokens without begin, end and padding."""
        ...


@runtime_checkable
class HasDomain(Protocol):
    """An oracle that knows which tokens texts of one domain alone have."""

    domain: Sequence[int]


class Generation(Evaluator):
    """Predictions hold ``tokens`` [B, T], what follows the prompt up to the end token, and may hold ``logprob`` [B] (of
    the whole text under the plain model, nats), ``forwards`` [B] (model passes), and ``cosine_sums`` with
    ``cosine_pairs`` ([B], or [B, L] by layer: sums and numbers of cosines between hidden states of one text). The
    column ``answer`` is what is right. What the data's oracle knows is measured where it is known: invented objects,
    coherence, domain. Options (:class:`.text_features.DistanceConfig`) add how far the texts of a split are, as a set,
    from the right ones.
    """

    Config: ClassVar[type[BaseModel]] = DistanceConfig
    called: ClassVar[str] = "generation"
    main: ClassVar[str] = "exact_match"
    metrics: ClassVar[Sequence[Metric]] = (
        Metric("exact_match", True, "share", "texts that are the right answer, word for word"),
        Metric("exact_match/*", True, "share", "texts that are the right answer, word for word"),
        Metric("mixture", True, "share", "exact match, mean over all shares of conflicts from 0 to 1"),
        Metric("unigram_f1", True, "share", "words shared with the right answer"),
        Metric("length", None, "tokens", "mean length of a text"),
        Metric("ended", None, "share", "texts that ended by themselves"),
        *(Metric(f"rep_{n}", False, "%", f"{n}-grams that repeat an earlier one of their text") for n in (2, 3, 4)),
        Metric("diversity", True, "", "product of the shares of new 2-, 3- and 4-grams"),
        Metric("rep_words", False, "share", f"words that are among the {WINDOW} before them"),
        Metric("chair_i", False, "share", "mentions of objects that are not there"),
        Metric("chair_s", False, "share", "texts that mention an object that is not there"),
        Metric("object_recall", True, "share", "objects there that are mentioned"),
        Metric("logprob", True, "nats", "log-probability of a token under the plain model"),
        Metric("well_formed", True, "share", "texts that the world can write"),
        Metric("coherence", True, "nats", "log-probability of a token of those under the world itself"),
        Metric("domain", None, "share", "texts that have a word of the domain"),
        Metric("copies", False, "share", "texts that are equal to one before"),
        Metric("forwards", False, "passes", "passes of a model for a token"),
        Metric("isotropy", True, "", "1 - mean cosine of two hidden states of a text"),
        Metric("isotropy/*", True, "", "1 - mean cosine of two hidden states of a text, by layer"),
        Metric("mauve", True, "", "MAUVE of the texts and the right answers: 1 where they are alike"),
        Metric("frechet", False, "", "Fréchet distance of the texts' features to those of the right answers"),
    )
    table: ClassVar[Sequence[str]] = (
        "exact_match/last",
        "exact_match/*/last",
        "diversity/last",
        "rep_4/last",
        "chair_i/last",
        "mauve/last",
        "frechet/last",
        "forwards/last",
    )

    def __init__(self, data: Data, config: DistanceConfig | None = None) -> None:
        super().__init__(data)
        self.info = language(data, self.called, "prompt", "answer")
        self.config = chosen(config or DistanceConfig(), data, self.info)
        self.features = features_of(self.config) if self.config.text_distance != "none" else None

    @classmethod
    def lacks(cls, config: DistanceConfig) -> list[str]:
        return lacking(config)

    def measurement(self, split: str) -> GenerationMeasurement:
        part = self.data.splits[split]
        distances = None
        if self.features is not None:
            distances = Distances(self.config, self.features, self.info, len(part))
        return GenerationMeasurement(part, self.info, distances)

    def row_errors(self, outputs: Outputs, rows: Rows, split: str) -> NDArray[Any]:
        """1 - the share of words that a text and its right answer have in common (F1)."""
        answers = texts_of(self.data.splits[split], "answer", rows, self.info)
        texts = [text for text, _ in written(outputs["tokens"], self.info)]
        return np.array([1 - unigram_f1(a, b) if a or b else 0.0 for a, b in zip(texts, answers, strict=True)])


class GenerationMeasurement(Measurement):
    """Sums and counts over texts, in all and by group; ``part``: the table of the split. Of the texts themselves a hash
    each is kept, by which copies are found; ``distances`` may keep features of them.
    """

    def __init__(self, part: Any, info: Any, distances: Distances | None = None) -> None:
        self.part, self.info, self.oracle, self.distances = part, info, info.oracle, distances
        self.means, self.repetition, self.chair = Means(), Repetition(), Chair()
        self.tokens, self.passes, self.logprob = 0, 0.0, 0.0
        self.given: set[str] = set()  # of what a method may predict, what it does
        self.hashes: set[bytes] = set()
        self.cosines: NDArray[Any] | None = None

    def update(self, outputs: Outputs, rows: Rows) -> None:
        written_here = written(outputs["tokens"], self.info)
        texts, ended = [text for text, _ in written_here], [end for _, end in written_here]
        answers = texts_of(self.part, "answer", rows, self.info)
        right = np.array([a == b for a, b in zip(texts, answers, strict=True)])
        self.means.add("exact_match", right)
        for name, there in in_groups(self.part, self.info, rows):
            self.means.add(f"exact_match/{name}", right[there])
        self.means.add("ended", ended)
        self.means.add("unigram_f1", [unigram_f1(a, b) for a, b in zip(texts, answers, strict=True)])
        for text in texts:
            self._text(text)
        self.tokens += sum(len(text) + end for text, end in written_here)  # the end token was made too
        if "forwards" in outputs:
            self.passes += float(np.asarray(outputs["forwards"], np.float64).sum())
        if "logprob" in outputs:
            self.logprob += float(np.asarray(outputs["logprob"], np.float64).sum())
        self.given |= {name for name in ("forwards", "logprob") if name in outputs}
        self._of_oracle(texts, rows)
        if self.distances is not None:
            prompts = texts_of(self.part, "prompt", rows, self.info)
            self.distances.update(prompts, texts, answers, np.shape(outputs["tokens"])[1], rows)
        if "cosine_sums" in outputs:
            pair = [np.asarray(outputs[name], np.float64) for name in ("cosine_sums", "cosine_pairs")]
            # each layer's texts side by side: its sum does not depend on how many layers there are
            sums = np.stack([np.ascontiguousarray(values.reshape(len(rows), -1).T).sum(1) for values in pair])
            self.cosines = sums if self.cosines is None else self.cosines + sums

    def _text(self, text: list[int]) -> None:
        self.repetition.update(text)
        self.means.add("length", [len(text)])
        if text:
            self.means.add("rep_words", [repeated_within(text, WINDOW)])
        digest = np.asarray(text, np.int32).tobytes()
        self.means.add("copies", [digest in self.hashes])
        self.hashes.add(digest)

    def _of_oracle(self, texts: list[list[int]], rows: Rows) -> None:
        oracle = self.oracle
        if isinstance(oracle, NamesObjects) and "shown" in self.part.columns:
            for text, shown in zip(texts, self.part.columns["shown"].numpy()[rows], strict=True):
                self.chair.update(oracle.mentioned(self.info.words(text)), np.flatnonzero(shown).tolist())
        if self.info.read is not None:  # the world's other facts are of its own tokens, these are a library's
            return
        if isinstance(oracle, WritesTexts):
            prompts = texts_of(self.part, "prompt", rows, self.info)
            for prompt, text in zip(prompts, texts, strict=True):
                value = oracle.log_probability(prompt, text)
                self.means.add("well_formed", [math.isfinite(value)])
                if math.isfinite(value):
                    self.means.add("coherence", [value / len(text)])
        if isinstance(oracle, HasDomain):
            domain = set(oracle.domain)
            self.means.add("domain", [not domain.isdisjoint(text) for text in texts])

    def compute(self) -> dict[str, float]:
        found = {**self.means.measures(), **self.repetition.measures(), **self.chair.measures()}
        if self.tokens:
            for name, total in (("forwards", self.passes), ("logprob", self.logprob)):
                if name in self.given:
                    found[name] = total / self.tokens
        pair = [f"exact_match/{name}" for name in (AGREE, CONFLICT)]
        if all(name in found for name in pair):
            found["mixture"] = sum(found[name] for name in pair) / 2
        layers = self._isotropy()
        if layers:
            found["isotropy"] = layers[-1]
            if len(layers) > 1:
                found |= {f"isotropy/{k}": value for k, value in enumerate(layers)}
        return found if self.distances is None else found | self.distances.measures()

    def _isotropy(self) -> list[float]:
        """By layer, the last one last; nothing where no text has two tokens."""
        if self.cosines is None or not self.cosines[1].all():
            return []
        return [float(value) for value in 1 - self.cosines[0] / self.cosines[1]]

    def pictures(self) -> Iterator[tuple[str, Picture]]:
        """Exact match by group, and over the share of conflicts where there are both; isotropy by layer."""
        from ..plots import decoding as plots

        found = self.means.measures()
        groups = {name: found[f"exact_match/{name}"] for name in self.info.groups if f"exact_match/{name}" in found}
        if groups:
            values = {name: {"exact match": value} for name, value in groups.items()}
            yield "groups.png", lambda path: plots.by_group(values, "exact match by group, higher is better", path)
        if AGREE in groups and CONFLICT in groups:
            pair = (groups[AGREE], groups[CONFLICT])
            yield "conflicts.png", lambda path: plots.share_of_conflicts({"this rule": pair}, path)
        layers = self._isotropy()
        if len(layers) > 1:
            yield "isotropy.png", lambda path: plots.by_layer(layers, path)


PROBLEM = Generation
