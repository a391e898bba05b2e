"""Pairs of texts through a small BERT: tokens, pooling, padding, dropped words, gradients, what is refused."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from holdfast.datasets.core.seeds import generator
from holdfast.datasets.core.source import RegressionInfo, Source
from holdfast.datasets.core.table import Batch, Ragged
from holdfast.datasets.supremix import stsb as supremix_stsb
from holdfast.methods.networks import hub
from holdfast.methods.networks import regression as networks

FORMS = [("joint", "mean"), ("joint", "cls"), ("apart", "mean"), ("apart", "cls")]


@pytest.fixture(scope="module")
def source() -> Source[RegressionInfo]:
    return supremix_stsb.load(supremix_stsb.Config(n_train=40, n_test=20), None)


def pairs_of(source: Source[RegressionInfo]) -> Sequence[tuple[str, str]]:
    """The training pairs."""
    assert source.info.pairs is not None
    return source.info.pairs.texts["train"]


@pytest.fixture(scope="module")
def folder(
    source: Source[RegressionInfo], tiny_bert: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    texts = [text for pair in pairs_of(source) for text in pair]
    return tiny_bert(tmp_path_factory.mktemp("text") / "bert", texts)


def made(
    folder: Path, source: Source[RegressionInfo], **options: Any
) -> tuple[Source[RegressionInfo], networks.RegressionModel]:
    config = networks.Config(encoder="transformers", encoder_name=str(folder), projection=8, **options)
    prepared = networks.prepare(config, source)
    torch.manual_seed(0)
    return prepared, networks.build(config, prepared.info, 0)


def rows(source: Source[RegressionInfo], *index: int) -> Batch:
    return source.splits["train"].gather(torch.tensor(index))


def test_both_texts_stand_in_one_sequence_with_the_models_own_marks(
    folder: Path, source: Source[RegressionInfo]
) -> None:
    prepared, _ = made(folder, source)
    tokenizer = hub.tokenizer(str(folder))
    columns = prepared.splits["train"].columns
    assert set(columns) == {"pair", "pair_types", "label"}
    pair, types = columns["pair"], columns["pair_types"]
    assert isinstance(pair, Ragged)
    assert isinstance(types, Ragged)
    for i, (first, second) in enumerate(pairs_of(source)):
        part = slice(int(pair.offsets[i]), int(pair.offsets[i + 1]))
        back = tokenizer.convert_ids_to_tokens(pair.values[part].tolist())
        a, b = (tokenizer.tokenize(text) for text in (first, second))
        assert back == ["[CLS]", *a, "[SEP]", *b, "[SEP]"]
        assert types.values[part].tolist() == [0] * (len(a) + 2) + [1] * (len(b) + 1)
    short, _ = made(folder, source, max_tokens=8)
    cut = short.splits["train"].columns["pair"]
    assert isinstance(cut, Ragged)
    assert int(cut.lengths.max()) == 8
    long, _ = made(folder, source, max_tokens=4096)  # the model has 64 places
    whole = long.splits["train"].columns["pair"]
    assert isinstance(whole, Ragged)
    assert int(whole.lengths.max()) <= 64


@pytest.mark.parametrize(("form", "pooling"), FORMS)
def test_a_batch_gives_what_each_row_gives_alone(
    folder: Path, source: Source[RegressionInfo], form: str, pooling: str
) -> None:
    """Against a plain loop over unpadded rows through the library's own model."""
    prepared, model = made(folder, source, pair=form, pooling=pooling)
    model.eval()
    net, tokenizer = hub.model(str(folder)).eval(), hub.tokenizer(str(folder))

    def alone(*texts: str) -> torch.Tensor:
        h = net(**tokenizer(*texts, return_tensors="pt")).last_hidden_state[0]
        return h[0] if pooling == "cls" else h.mean(0)

    with torch.no_grad():
        batch = rows(prepared, *range(12))
        found = model.encode(batch)
        assert found.shape == (12, model.d_features)
        assert model.d_features == (16 if form == "joint" else 32)
        for i, (first, second) in enumerate(pairs_of(source)[:12]):
            if form == "joint":
                wanted = alone(first, second)
            else:
                u, v = alone(first), alone(second)
                wanted = torch.cat([(u - v).abs(), u * v])
            torch.testing.assert_close(found[i], wanted, atol=1e-5, rtol=1e-4)
        wide = {
            name: torch.nn.functional.pad(value, (0, 5), value=7) if name in (*model.sequences, "pair_types") else value
            for name, value in batch.items()
        }
        if "pair_types" in wide:
            wide["pair_types"] = wide["pair_types"].clamp(max=1)
        torch.testing.assert_close(model.encode(wide), found, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("form", ["joint", "apart"])
def test_a_view_drops_words_and_never_a_special_token(folder: Path, source: Source[RegressionInfo], form: str) -> None:
    prepared, model = made(folder, source, pair=form, drop=0.5)
    batch = rows(prepared, *range(40))
    view = model.view(batch, generator(0, "view"))
    again = model.view(batch, generator(0, "view"))
    special = torch.tensor(prepared.info.tokens.kept if prepared.info.tokens else ())
    for name in model.sequences:
        old, new = batch[name], view[name]
        assert torch.equal(new, again[name])
        marks = torch.isin(old, special)
        assert torch.equal(new[marks], old[marks])
        changed = new != old
        assert bool((new[changed] == hub.tokenizer(str(folder)).mask_token_id).all())
        assert float(changed[~marks].double().mean()) == pytest.approx(0.5, abs=0.08)


def test_our_own_words_are_dropped_as_before(source: Source[RegressionInfo]) -> None:
    model = networks.build(networks.Config(hidden=8, words=8, drop=0.5), source.info, 0)
    batch = rows(source, *range(40))
    new = model.view(batch, generator(0, "view"))["first"]
    assert bool((new[batch["first"] == 0] == 0).all())
    assert bool((new[new != batch["first"]] == 1).all())
    assert bool((new != batch["first"]).any())


@pytest.mark.parametrize(("form", "pooling"), FORMS)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_reach_the_first_layer(
    folder: Path, source: Source[RegressionInfo], form: str, pooling: str, checkpointing: bool
) -> None:
    prepared, model = made(folder, source, pair=form, pooling=pooling, checkpointing=checkpointing)
    model.train()
    model.project(model.encode(rows(prepared, 0, 1, 2, 3)))[:, 0].sum().backward()
    names = {
        name for name, p in model.encoder.named_parameters() if p.grad is not None and bool(p.grad.abs().sum() > 0)
    }
    assert "net.embeddings.word_embeddings.weight" in names
    assert any(".layer.1." in name for name in names)


def test_a_text_encoder_moves_no_generator(folder: Path, source: Source[RegressionInfo]) -> None:
    torch.manual_seed(3)
    hub.model(str(folder))
    a = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(a, torch.rand(1))


def test_what_does_not_fit_is_told(
    folder: Path, source: Source[RegressionInfo], tmp_path: Path, tiny_bert: Callable[..., Path]
) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"no readable transformers model './nowhere'.*model\.options\.encoder_name"
    ):
        networks.prepare(networks.Config(encoder="transformers", encoder_name="./nowhere"), source)
    with pytest.raises(FileNotFoundError, match="no readable transformers model"):
        made(tmp_path, source)  # a folder without a model
    cut = tiny_bert(tmp_path / "cut", ["a man"])
    weights = cut / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(FileNotFoundError, match="no readable transformers model"):
        made(cut, source)
    few = tiny_bert(tmp_path / "few", [" ".join(pair) for pair in pairs_of(source)], embeddings=20)
    with pytest.raises(ValueError, match=r"tokenizer of .* has \d+ tokens, its model 20 embeddings"):
        made(few, source)
    bare = replace(source, info=replace(source.info, pairs=None))
    with pytest.raises(ValueError, match="takes pairs of texts"):
        made(folder, bare)


def test_a_hub_that_does_not_answer_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants
    from transformers import AutoTokenizer

    asked: list[bool] = []

    def load(name: str, *, local_files_only: bool = False, **options: Any) -> None:
        asked.append(not local_files_only)
        raise OSError(name)

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", load)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(FileNotFoundError, match="nobody/nothing"):
            hub.tokenizer("nobody/nothing")
    assert asked == [False, True]
    with pytest.raises(FileNotFoundError, match="nobody/nothing"):  # the server is closed
        hub.tokenizer("nobody/nothing")
    assert asked == [False, True, False]
