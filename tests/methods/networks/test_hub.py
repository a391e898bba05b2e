"""Models of ``transformers`` from a folder: nothing that lies there is executed, and nobody is asked about it."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from holdfast.methods.base import UnfitError
from holdfast.methods.networks import hub

SUITES = Path(sys.executable).with_name("suites")


TEXTS = ["a small sentence", "another one"]


class Harm:
    """A pickle of it writes ``place`` on loading."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return (os.system, (f"echo run > '{self.place}'",))


def code(canary: Path, kind: str) -> str:
    """A module that writes the canary as soon as it is imported."""
    return (
        f"from pathlib import Path\nimport transformers\nPath({str(canary)!r}).write_text('run')\n"
        f"class Own{kind}(transformers.{'BertConfig' if kind == 'Config' else 'BertModel'}):\n    model_type = 'own'\n"
        if kind != "Tokenizer"
        else f"from pathlib import Path\nimport transformers\nPath({str(canary)!r}).write_text('run')\n"
        "class OwnTokenizer(transformers.PreTrainedTokenizerFast):\n    pass\n"
    )


def damage(folder: Path, canary: Path, how: str) -> None:
    """Make the model in ``folder`` ask for code of its own: by its config, by its tokenizer's, or by its weights."""
    if how == "config":
        config = json.loads((folder / "config.json").read_text())
        config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig", "AutoModel": "own_model.OwnModel"}}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "own.py").write_text(code(canary, "Config"))
        (folder / "own_model.py").write_text(code(canary, "Model"))
    elif how == "tokenizer":
        place = folder / "tokenizer_config.json"
        config = json.loads(place.read_text()) | {
            "tokenizer_class": "OwnTokenizer",
            "auto_map": {"AutoTokenizer": ["own_tokenizer.OwnTokenizer", None]},
        }
        place.write_text(json.dumps(config))
        known = json.loads((folder / "config.json").read_text())  # of a type that has no tokenizer in the library
        (folder / "config.json").write_text(json.dumps(known | {"model_type": "own"}))
        (folder / "own_tokenizer.py").write_text(code(canary, "Tokenizer"))
    else:
        (folder / "model.safetensors").unlink()
        if how == "pickle":
            (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Harm(canary), 2))
        else:
            torch.save({"harm": Harm(canary)}, folder / "pytorch_model.bin")


@pytest.fixture
def own(tmp_path: Path, tiny_bert: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A model's folder and the canary; standard input answers yes."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 9))
    monkeypatch.setattr(hub, "_answers", lambda: False)
    return tiny_bert(tmp_path / "model", TEXTS), tmp_path / "canary"


def load(how: str, folder: Path) -> None:
    if how == "tokenizer":
        hub.tokenizer(str(folder))
    else:
        hub.model(str(folder))


@pytest.mark.parametrize("how", ["config", "tokenizer", "pickle", "zipped pickle"])
def test_nothing_in_a_models_folder_is_executed(how: str, own: tuple[Path, Path], capsys: Any) -> None:
    folder, canary = own
    damage(folder, canary, how)
    with pytest.raises(UnfitError, match=r"model\.options\.encoder_name.*(never run|tensors alone)") as caught:
        load(how, folder)
    assert not canary.exists()
    assert "[y/N]" not in "".join(capsys.readouterr()), "the question must not reach the user"
    assert "trust_remote_code" not in str(caught.value), "no advice to run it all the same"
    assert "weights_only" not in str(caught.value)
    if how == "config":
        with pytest.raises(UnfitError, match="never run"):
            hub.config(str(folder))


def test_a_pickle_of_tensors_alone_is_read(own: tuple[Path, Path]) -> None:
    from safetensors.torch import load_file

    folder, _ = own
    before = hub.model(str(folder)).state_dict()
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    after = hub.model(str(folder)).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("lost", ["embeddings.word_embeddings.weight", "pooler.dense.weight"])
def test_a_folder_that_lacks_weights_is_no_model_of_random_ones(lost: str, own: tuple[Path, Path]) -> None:
    from safetensors.torch import load_file, save_file

    file = own[0] / "model.safetensors"
    save_file({k: v for k, v in load_file(file).items() if k != lost}, file, {"format": "pt"})
    if lost.startswith("pooler"):
        assert hub.model(str(own[0])).pooler is None, "pretraining often has none, and a random one is none"
    else:
        with pytest.raises(UnfitError, match=rf"lacks weights of its model: {lost}; they would be random"):
            hub.model(str(own[0]))


def test_code_beside_a_model_that_the_library_knows_itself_is_left_alone(own: tuple[Path, Path]) -> None:
    folder, canary = own
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "own_model.OwnModel"}}))
    (folder / "own_model.py").write_text(code(canary, "Model"))
    assert type(hub.model(str(folder))).__name__ == "BertModel"
    assert not canary.exists()


@pytest.mark.parametrize("how", ["config", pytest.param("tokenizer", marks=pytest.mark.slow)])
def test_yes_on_standard_input_runs_no_code_of_a_model(
    how: str, tmp_path: Path, tiny_bert: Callable[..., Path]
) -> None:
    """The whole way: the command line, a folder whose config asks for its own code, and a user who would agree."""
    folder, canary = tiny_bert(tmp_path / "model", TEXTS), tmp_path / "canary"
    damage(folder, canary, how)
    done = subprocess.run(
        [
            SUITES,
            "run",
            "supremix_stsb",
            "--profile",
            "smoke",
            "--method",
            "l1",
            "model.options.encoder=transformers",
            f"model.options.encoder_name={folder}",
        ],
        cwd=tmp_path,
        input="y\ny\ny\n",
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "HF_HOME": str(tmp_path / "hub"), "OMP_NUM_THREADS": "1"},
    )
    assert not canary.exists()
    assert done.returncode == 2, done.stderr
    assert "never run" in done.stderr
    assert str(folder) in done.stderr
    assert "[y/N]" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
