"""The extended transcript - intent, entities, words - and its tokenizer."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

SEP, FILL = "_SEP", "_FILL"
PAD_ID, UNK_ID, SOS_ID, EOS_ID = 0, 1, 2, 3
WORD_END = "</w>"  # of a BPE piece that ends a word
SPECIALS = ("<pad>", "<unk>", "<sos>", "<eos>")


def clean_words(text: str) -> str:
    """Lower case, apostrophes kept, other punctuation a blank: words of a target, of transcripts and fillers alike."""
    return " ".join(re.sub(r"[^\w']+", " ", text.lower().replace("’", "'")).split())


def filler(text: str) -> str:
    """An entity's filler as SLURP's tool compares it: lower case, single blanks, punctuation kept (a target has
    :func:`clean_words` of it).
    """
    return " ".join(text.lower().split())


@dataclass(frozen=True)
class Transcript:
    """What an extended transcript says; ``entities`` are (type, filler)."""

    scenario: str
    action: str
    entities: tuple[tuple[str, str], ...]
    words: str

    @property
    def intent(self) -> str:
        return self.scenario if self.scenario == self.action else f"{self.scenario}_{self.action}"


def serialise(scenario: str, action: str, entities: Iterable[tuple[str, str]], words: str) -> str:
    """``scenario_action _SEP type _FILL filler _SEP ... _SEP words``; an intent without action is written alone."""
    intent = scenario if scenario == action else f"{scenario}_{action}"
    return f" {SEP} ".join([intent, *(f"{kind} {FILL} {filler}" for kind, filler in entities), words])


def parse(text: str) -> Transcript:
    """Reads any decoded text: first part = intent, last = words, middle parts that are no ``type _FILL filler`` are
    dropped.

    Empty text gives the intent '' (which counts as wrong).
    """
    parts = [part.strip() for part in text.split(SEP)]
    intent = parts[0]
    scenario, underscore, action = intent.partition("_")
    entities = []
    for part in parts[1:-1]:
        pair = [piece.strip() for piece in part.split(FILL)]
        if len(pair) == 2:
            entities.append((pair[0], pair[1]))
    return Transcript(scenario, action if underscore else intent, tuple(entities), parts[-1] if len(parts) > 1 else "")


def merge(word: str, ranks: Mapping[tuple[str, str], int], dropout: float, draw: random.Random) -> list[str]:
    """Pieces of ``word`` by BPE with dropout: at every step each possible merge is left out with probability
    ``dropout``.

    The best merge (least rank) of those that stay is made; where none stays, the word is done. 0: ordinary BPE; 1:
    characters. Source: Provilkov, Emelianenko and Voita, BPE-Dropout, ACL 2020 (algorithm 1).
    """
    pieces = [*word[:-1], f"{word[-1:]}{WORD_END}"]
    while True:
        pairs = ((ranks.get(pair), i) for i, pair in enumerate(itertools.pairwise(pieces)))
        kept = [(rank, i) for rank, i in pairs if rank is not None and draw.random() >= dropout]
        if not kept:
            return pieces
        _, i = min(kept)
        pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]


class Tokenizer:
    """Ids of extended transcripts: PAD 0, UNK 1, SOS 2, EOS 3; intents, ``_SEP`` and ``_FILL`` are atomic; the rest
    words or BPE.
    """

    def __init__(
        self, atoms: Sequence[str], words: Sequence[str], kind: Literal["word", "bpe"] = "word", bpe: str | None = None
    ) -> None:
        self.kind, self.atoms, self.words, self.bpe = kind, list(atoms), list(words), bpe
        self.pieces = [*SPECIALS, *self.atoms, *self.words]
        self.ids = {piece: i for i, piece in enumerate(self.pieces)}
        self._bpe: Any = None
        self.ranks: dict[tuple[str, str], int] = {}  # of BPE's merges, the first one 0
        if bpe is not None:
            from tokenizers import Tokenizer as Library

            self._bpe = Library.from_str(bpe)
            merges = json.loads(bpe)["model"]["merges"]
            self.ranks = {tuple(m.split(" ") if isinstance(m, str) else m): i for i, m in enumerate(merges)}

    @property
    def intents(self) -> list[str]:
        """The intents in the order of their class ids."""
        return self.atoms[2:]

    @classmethod
    def build(
        cls, texts: Iterable[str], intents: Sequence[str], *, kind: Literal["word", "bpe"] = "word", size: int = 1000
    ) -> Tokenizer:
        """Learn the words (or ``size`` BPE pieces) of ``texts``; every intent is registered, seen or not."""
        atoms = [SEP, FILL, *intents]
        known = set(atoms)
        plain = [" ".join(word for word in text.split() if word not in known) for text in texts]
        if kind == "word":
            return cls(atoms, sorted({word for text in plain for word in text.split()}))
        from tokenizers import Tokenizer as Library
        from tokenizers import models, pre_tokenizers, trainers

        library = Library(models.BPE(unk_token="<unk>", end_of_word_suffix=WORD_END))
        library.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        library.train_from_iterator(
            plain,
            trainers.BpeTrainer(
                vocab_size=size, special_tokens=["<unk>"], end_of_word_suffix=WORD_END, show_progress=False
            ),
        )
        pieces = sorted(library.get_vocab(), key=library.get_vocab().__getitem__)
        return cls(atoms, [piece for piece in pieces if piece != "<unk>"], "bpe", library.to_str())

    def __len__(self) -> int:
        return len(self.pieces)

    def encode(self, text: str, dropout: float = 0.0, draw: random.Random | None = None) -> list[int]:
        """SOS, the pieces, EOS. ``dropout`` > 0 is BPE dropout (training), drawn from ``draw``; intents and separators
        are never split.

        The tokenizers library draws from a generator that cannot be seeded, so the merges with dropout are made here.
        """
        ids = [SOS_ID]
        atoms = set(self.atoms)
        for word in text.split():
            if word in atoms or self._bpe is None:
                ids.append(self.ids.get(word, UNK_ID))
            elif dropout > 0 and draw is not None:
                ids.extend(self.ids.get(piece, UNK_ID) for piece in merge(word, self.ranks, dropout, draw))
            else:
                ids.extend(self.ids.get(piece, UNK_ID) for piece in self._bpe.encode(word).tokens)
        return [*ids, EOS_ID]

    def decode(self, ids: Iterable[int]) -> str:
        """The text up to EOS; PAD and SOS are left out."""
        words = []
        for i in ids:
            if i == EOS_ID:
                break
            if i not in (PAD_ID, SOS_ID):
                words.append(self.pieces[i])
        if self.kind == "word":
            return " ".join(words)
        atoms = set(self.atoms)
        return "".join(f"{piece} " if piece in atoms else piece.replace(WORD_END, " ") for piece in words).strip()

    def to_json(self) -> str:
        return json.dumps({"kind": self.kind, "atoms": self.atoms, "words": self.words, "bpe": self.bpe})

    @classmethod
    def from_json(cls, text: str) -> Tokenizer:
        document = json.loads(text)
        return cls(document["atoms"], document["words"], document["kind"], document["bpe"])
