"""Translation there and back with two sequence-to-sequence models of ``transformers`` in local folders."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..core import fingerprints
from ..core.errors import DataError
from ..core.seeds import derive

PARTS = ("*.json", "*.safetensors", "*.spm", "*.model", "*.txt")  # files of a model that are read


@dataclass(frozen=True)
class Decoding:
    """``copies`` outputs a text, from a beam search of width ``beams``, or, where ``top_k`` is a number, drawn."""

    copies: int
    beams: int = 4
    top_k: int | None = None
    batch_size: int = 16
    longest: int = 256


def content(folder: str) -> str:
    """sha256 of the model's files. Raises DataError where there is no such folder, or no weights as safetensors."""
    path = _folder(folder)
    files = sorted({file for pattern in PARTS for file in path.glob(pattern)})
    return hashlib.sha256("".join(fingerprints.of(files)).encode()).hexdigest()


def round_trip(
    sentences: Sequence[str], forward: str, backward: str, decoding: Decoding, seed: int
) -> dict[str, list[str]]:
    """Text -> its ``copies`` translations into the other language and back, without repetitions of one another.

    The way there takes the best output of a beam, and there are several ways back; what is drawn is drawn from ``seed``
    and leaves torch's generator as it was. Raises DataError where a model cannot be loaded.
    """
    there = [outputs[0] for outputs in _outputs(sentences, forward, _single(decoding), seed)]
    back = _outputs(there, backward, decoding, seed)
    return {text: list(dict.fromkeys(found)) for text, found in zip(sentences, back, strict=True)}


def _single(decoding: Decoding) -> Decoding:
    return Decoding(1, max(decoding.beams, 1), None, decoding.batch_size, decoding.longest)


def _folder(folder: str) -> Path:
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise DataError(f"{folder}: no folder of a translation model (forward and backward name local folders)")
    if not list(path.glob("*.safetensors")):
        raise DataError(
            f"{folder}: no weights as safetensors: pickles are not read; save the model again with safetensors"
        )
    return path


def _outputs(sentences: Sequence[str], folder: str, decoding: Decoding, seed: int) -> Iterator[list[str]]:
    tokenizer, model = _loaded(_folder(folder))
    chosen: dict[str, Any] = {"num_return_sequences": decoding.copies, "num_beams": decoding.beams}
    if decoding.top_k is not None:
        chosen |= {"do_sample": True, "top_k": decoding.top_k, "num_beams": 1}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "back translation"))
        for start in range(0, len(sentences), decoding.batch_size):
            part = list(sentences[start : start + decoding.batch_size])
            batch = tokenizer(part, return_tensors="pt", padding=True, truncation=True, max_length=decoding.longest)
            with torch.inference_mode():
                made = model.generate(
                    input_ids=batch["input_ids"],
                    attention_mask=batch["attention_mask"],
                    max_new_tokens=decoding.longest,
                    **chosen,
                )
            found = [text.strip() for text in tokenizer.batch_decode(made, skip_special_tokens=True)]
            for row in range(len(part)):
                yield [t for t in found[row * decoding.copies : (row + 1) * decoding.copies] if t] or [part[row]]


def _loaded(folder: Path) -> tuple[Any, Any]:
    try:
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
    except ModuleNotFoundError as error:
        raise DataError("provider=hf_seq2seq needs transformers: pip install 'holdfast[text]'") from error
    safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **safe)
        model = AutoModelForSeq2SeqLM.from_pretrained(folder, use_safetensors=True, dtype=torch.float32, **safe)
    except Exception as error:  # what is loaded is somebody else's: whatever it raises is a fault of the folder
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise DataError(f"{folder}: no translation model can be loaded ({reason[:300]})") from error
    return tokenizer, model.eval()
