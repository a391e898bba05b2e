"""Speech to words by a recogniser of ``transformers`` with CTC in a local folder (wav2vec 2.0, HuBERT, their kin)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ..core import cache, fingerprints
from ..core.errors import DataError
from ..core.table import Ragged
from ..readers.audio import SAMPLE_RATE

PARTS = ("*.json", "*.safetensors", "*.txt", "*.model")  # files of a model that are read
VERSION = 1  # raise it where the same sound would give other words


def content(folder: Path) -> str:
    """sha256 of the recogniser's files. Raises DataError where there is no such folder, or no safetensors in it."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no folder of a recogniser (data.options.recogniser names a local one)")
    if not list(folder.glob("*.safetensors")):
        what = "no weights as safetensors: pickles are not read; save the model again with safetensors"
        raise DataError(f"{folder}: {what}")
    files = sorted({file for pattern in PARTS for file in folder.glob(pattern)})
    return hashlib.sha256("".join(fingerprints.of(files)).encode()).hexdigest()


def recognised(
    sound: Ragged, folder: Path, content_of_sound: str, progress: Callable[[int, int], None] | None = None
) -> list[str]:
    """The words that the recogniser hears in each waveform ([N] rows of int16 samples at 16 kHz): the likeliest symbol
    of every frame, repetitions and blanks taken out, in lower case. Kept in the cache by what recogniser and sound are.

    Raises DataError where the folder is no recogniser with CTC, or one of another sample rate.
    """
    key = {"kind": "recognised speech", "of": content_of_sound, "by": content(folder), "version": VERSION}

    def build(entry: Path) -> None:
        processor, model = _loaded(folder)
        said = []
        for k in range(len(sound)):
            samples = sound.values[sound.offsets[k] : sound.offsets[k + 1]].float() / 32767
            inputs = processor(samples.numpy(), sampling_rate=SAMPLE_RATE, return_tensors="pt")
            with torch.inference_mode():
                frames = model(inputs["input_values"]).logits  # [1, T, V]
            said.append(" ".join(processor.batch_decode(frames.argmax(-1))[0].lower().split()))
            if progress is not None and (k % 32 == 31 or k + 1 == len(sound)):
                progress(k + 1, len(sound))
        (entry / "said.json").write_text(json.dumps(said), encoding="utf-8")

    text = (cache.get_or_build(key, build) / "said.json").read_text(encoding="utf-8")
    found: list[str] = json.loads(text)
    return found


def _loaded(folder: Path) -> tuple[Any, Any]:
    try:
        from transformers import AutoModelForCTC, AutoProcessor
    except ModuleNotFoundError as error:
        raise DataError("a recogniser needs transformers: pip install 'holdfast[text]'") from error
    safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        processor = AutoProcessor.from_pretrained(folder, **safe)
        model = AutoModelForCTC.from_pretrained(folder, use_safetensors=True, dtype=torch.float32, **safe)
    except Exception as error:  # what is loaded is somebody else's: whatever it raises is a fault of the folder
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise DataError(f"{folder}: no recogniser with CTC can be loaded ({reason[:300]})") from error
    rate = getattr(getattr(processor, "feature_extractor", None), "sampling_rate", None)
    if rate != SAMPLE_RATE or not hasattr(processor, "batch_decode"):
        raise DataError(f"{folder}: a recogniser of waveforms at {SAMPLE_RATE} Hz is needed, not of {rate}")
    return processor, model.eval()
