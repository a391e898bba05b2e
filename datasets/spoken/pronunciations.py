"""How words sound: the phonemes that eSpeak NG gives them, and how far two words lie apart by ear."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core import cache
from . import corpus
from .grammar import Voice
from .speaker import Speaker

VERSION = 1  # raise it where the same word would have other phonemes
VOICE = Voice("en", "m1")

# Sound classes of the symbols of corpus.SYMBOLS: a recogniser takes sounds of one class for one another first.
CLASSES: dict[str, tuple[str, ...]] = {
    "voiced stops": ("b", "d", "g"),
    "unvoiced stops": ("p", "t", "k"),
    "voiced fricatives": ("v", "D", "z", "Z", "dZ"),
    "unvoiced fricatives": ("f", "T", "s", "S", "h", "tS"),
    "nasals": ("m", "n", "N"),
    "approximants": ("l", "r", "w", "j"),
    "front vowels": ("i", "i:", "I", "E", "e", "eI", "i@", "e@"),
    "open vowels": ("a", "aa", "A:", "A@", "V", "aI", "aU"),
    "back vowels": ("0", "o", "O:", "O@", "OI", "oU", "u:", "U", "U@"),
    "central vowels": ("@", "3", "3:", "@L"),
}
CLASS_OF = {symbol: name for name, symbols in CLASSES.items() for symbol in symbols}


def pronunciations(words: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The phonemes of each word in British English, silences left out; kept in the cache.

    A word that has no sound (a sign) has none. Raises SpeechError where the synthesiser is missing.
    """
    known = sorted(set(words))

    def build(folder: Path) -> None:
        speaker = Speaker()
        try:
            said = speaker.phonemes(known, VOICE)
        finally:
            speaker.close()
        symbols = ([corpus.symbol(written) for written in phonemes] for phonemes in said)
        found = {word: [symbol for symbol in each if symbol != "_"] for word, each in zip(known, symbols, strict=True)}
        (folder / "phonemes.json").write_text(json.dumps(found), encoding="utf-8")

    if not known:
        return {}
    key = {"kind": "pronunciations", "words": known, "voice": VOICE.name, "version": VERSION}
    text = (cache.get_or_build(key, build) / "phonemes.json").read_text(encoding="utf-8")
    return {word: tuple(phonemes) for word, phonemes in json.loads(text).items()}


def distances(sounds: Mapping[str, Sequence[str]]) -> NDArray[np.float64]:
    """How far words lie apart by ear, [V, V], in the order of ``sounds``:
    ``(L(p, q) + L(c(p), c(q))) / (2 max(|p|, |q|))``.

    L is Levenshtein's distance, p and q are the phonemes of both words and c their sound classes: a sound that is taken
    for another of its class costs half as much as any other error. 0 for homophones, 1 at most.
    """
    from rapidfuzz import process
    from rapidfuzz.distance import Levenshtein

    number = {symbol: chr(0x100 + k) for k, symbol in enumerate(corpus.SYMBOLS)}
    group = {name: chr(0x400 + k) for k, name in enumerate(CLASSES)}
    exact = ["".join(number[symbol] for symbol in phonemes) for phonemes in sounds.values()]
    rough = ["".join(group[CLASS_OF[symbol]] for symbol in phonemes) for phonemes in sounds.values()]
    edits = sum(process.cdist(p, p, scorer=Levenshtein.distance, dtype=np.float64) for p in (exact, rough))
    lengths = np.array([len(phonemes) for phonemes in sounds.values()], dtype=np.float64)
    longer: NDArray[np.float64] = np.maximum(np.maximum(lengths[:, None], lengths[None]), 1.0)
    return np.asarray(edits / (2 * longer), dtype=np.float64)
