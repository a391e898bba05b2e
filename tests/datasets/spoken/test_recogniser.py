"""A recogniser of transformers in a local folder: a tiny one with random weights, and what is no recogniser."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.table import Ragged
from holdfast.datasets.spoken import recogniser

from .tiny_recogniser import tiny_recogniser

SOUND = Ragged.from_list(
    [(torch.randn(n, generator=torch.Generator().manual_seed(n)) * 3000).short() for n in (4000, 6400)]
)


@pytest.mark.slow  # transformers take seconds to import
def test_it_says_what_the_model_s_likeliest_symbols_spell(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    folder = tiny_recogniser(tmp_path / "model")
    said = recogniser.recognised(SOUND, folder, "two rows")
    assert len(said) == 2
    processor = transformers.AutoProcessor.from_pretrained(folder)
    model = transformers.AutoModelForCTC.from_pretrained(folder).eval()
    names = {number: symbol for symbol, number in processor.tokenizer.get_vocab().items()}
    for k, text in enumerate(said):
        samples = SOUND.values[SOUND.offsets[k] : SOUND.offsets[k + 1]].float() / 32767
        x = (samples - samples.mean()) / (samples.var(correction=0) + 1e-7).sqrt()  # what its processor does
        with torch.inference_mode():
            best = model(x[None]).logits[0].argmax(-1).tolist()
        symbols = [names[b] for b, before in zip(best, [None, *best], strict=False) if b != before]
        spelt = "".join({"|": " ", "<pad>": ""}.get(symbol, symbol) for symbol in symbols)
        assert text == " ".join(spelt.lower().split())
    assert recogniser.recognised(SOUND, folder, "two rows") == said
    assert any(said)
    for path in folder.glob("*.json"):
        path.write_text(path.read_text().replace('"sampling_rate": 16000', '"sampling_rate": 8000'))
    with pytest.raises(DataError, match="at 16000 Hz is needed, not of 8000"):
        recogniser.recognised(SOUND, folder, "two rows")


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder of a recogniser"):
        recogniser.content(tmp_path / "absent")
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(DataError, match="pickles are not read"):
        recogniser.content(tmp_path)


@pytest.mark.slow
def test_what_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(DataError, match="no recogniser with CTC can be loaded"):
        recogniser.recognised(SOUND, tmp_path, "x")
