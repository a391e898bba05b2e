"""A frozen pretrained module in a state: by reference, checked when the state is loaded."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import pytest
import torch
from holdfast.datasets.core.table import Batch
from holdfast.methods.base import FrozenReference, Method, MethodConfig, StepContext, UnfitError, digest_of
from holdfast.methods.networks import hub
from holdfast.methods.networks.acoustic import load_pretrained
from torch import Tensor, nn
from torch.nn import functional as F

from .training.families import Recorder, assert_same, build, finish


class OnFrozen(Method):
    """A linear head on a frozen pretrained network."""

    def __init__(self, config: MethodConfig, model: nn.Module) -> None:
        super().__init__(config, model)
        g = torch.Generator().manual_seed(1)
        net = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Dropout(0.5))
        with torch.no_grad():
            for p in net.parameters():
                p.copy_(torch.randn(p.shape, generator=g))
        self.frozen = FrozenReference(net, "net", "r1")

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        return {"loss": F.cross_entropy(self.model(self.frozen(batch["x"])), batch["label"])}


def saved(module: nn.Module) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    state: dict[str, Any] = torch.load(file, weights_only=True)
    return state


def test_a_shipped_encoder_is_kept_by_reference() -> None:
    encoder = load_pretrained()
    reference = FrozenReference(encoder, "acoustic.safetensors")
    x, lengths = torch.randn(2, 50, 40), torch.tensor([50, 30])
    assert torch.equal(reference(x, lengths)[0], encoder(x, lengths)[0])
    assert not list(reference.parameters())
    assert not any(p.requires_grad for p in encoder.parameters())
    state = saved(reference)
    assert state == {
        "_extra_state": {"name": "acoustic.safetensors", "revision": None, "sha256": digest_of(load_pretrained())}
    }
    FrozenReference(load_pretrained(), "a copy of it elsewhere").load_state_dict(state)


def test_other_weights_are_refused_by_name() -> None:
    state = saved(FrozenReference(load_pretrained(), "acoustic.safetensors"))
    other = load_pretrained()
    with torch.no_grad():
        next(other.parameters()).view(-1)[0] += 1e-6
    with pytest.raises(
        UnfitError, match=r"acoustic\.safetensors \(revision main\).* theirs \(revision v2\), .*has other"
    ):
        FrozenReference(other, "theirs", "v2").load_state_dict(state)


def test_a_model_of_transformers_is_the_same_module_after_it_is_loaded_again(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, vocab_size=20
    )
    transformers.BertModel(config).save_pretrained(tmp_path)
    first, again = (FrozenReference(hub.model(str(tmp_path)), str(tmp_path)) for _ in range(2))
    again.load_state_dict(saved(first))
    assert torch.equal(first(torch.ones(1, 3).long())[0], again(torch.ones(1, 3).long())[0])


def test_the_digest_is_of_names_types_shapes_and_bytes() -> None:
    layer = nn.Linear(2, 1)
    expected = hashlib.sha256()
    for name, tensor in (("bias", layer.bias), ("weight", layer.weight)):
        expected.update(f"{name} torch.float32 {list(tensor.shape)}\n".encode())
        expected.update(tensor.detach().numpy().tobytes())
    assert digest_of(layer) == expected.hexdigest()
    digest = digest_of(layer)
    assert digest_of(nn.Sequential(layer)) != digest
    assert digest_of(layer.double()) != digest
    assert digest_of(nn.BatchNorm1d(2).bfloat16())


def test_a_run_on_a_frozen_module_resumes_and_moves_nothing_of_it() -> None:
    whole, first, second = Recorder(), Recorder(5), Recorder()
    strategy, experiences = build(OnFrozen, whole)
    method: Any = strategy.method
    digest = digest_of(method.frozen.module)
    finish(strategy, experiences)
    assert digest_of(method.frozen.module) == digest
    expected = strategy.method.state_dict()
    assert set(expected) == {"model.weight", "model.bias", "frozen._extra_state"}
    strategy, experiences = build(OnFrozen, first)
    with pytest.raises(KeyboardInterrupt):
        finish(strategy, experiences)
    first.saved.seek(0)
    strategy, experiences = build(OnFrozen, second)
    strategy.load_state_dict(torch.load(first.saved, weights_only=True), experience=experiences[0])
    finish(strategy, experiences)
    assert first.lines + second.lines == whole.lines
    assert_same(strategy.method.state_dict(), expected)


def test_to_moves_the_module() -> None:
    reference = FrozenReference(nn.Linear(2, 2), "linear")
    reference.to(torch.float64)
    assert next(reference.module.parameters()).dtype == torch.float64
    assert not reference.train().module.training
