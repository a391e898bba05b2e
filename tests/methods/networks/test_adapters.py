"""Every tuner over every architecture: which parameters it trains, how many, and that the encoder stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from holdfast.methods.base import UnfitError
from holdfast.methods.networks.adapters import OSF, LowRank, Prompt
from holdfast.methods.networks.prefix import PrefixTuner
from holdfast.methods.networks.tuners import Full, Head, Inputs, Tuner, forward
from torch import Tensor, nn

from .tiny_encoders import CONFIGS, made

MASK = torch.tensor([[1] * 7, [1] * 5 + [0] * 2])
MAKERS: dict[str, Any] = {
    "full": Full,
    "head": Head,
    "prefix": lambda net: PrefixTuner(net, length=3),
    "prefix_mlp": lambda net: PrefixTuner(net, length=3, inner=6),
    "lora": lambda net: LowRank(net, "lora", rank=2),
    "dora": lambda net: LowRank(net, "dora", rank=2),
    "vera": lambda net: LowRank(net, "vera", rank=4),
    "osf": lambda net: OSF(net, preserved=0.75, targets="attention"),
    "prompt": lambda net: Prompt(net, length=3),
    "ptuning": lambda net: Prompt(net, length=3, inner=8),
}


def inputs(net: Any) -> Inputs:
    ids = torch.randint(5, 50, (2, 7), generator=torch.Generator().manual_seed(3))
    return Inputs(net.get_input_embeddings()(ids).detach(), MASK)


def projections(net: nn.Module) -> list[tuple[int, int]]:
    """(outputs, inputs) of query and value projections."""
    names = ("query", "value", "q_lin", "v_lin", "Wqkv", "attn.q", "attn.v", "query_proj", "value_proj")
    linear = [(name, part) for name, part in net.named_modules() if isinstance(part, nn.Linear)]
    return [tuple(part.weight.shape) for name, part in linear if name.endswith(names)]  # type: ignore[misc]


def formula(kind: str, net: Any) -> int:
    layers, h, e = net.config.num_hidden_layers, 32, net.get_input_embeddings().embedding_dim
    shapes = projections(net)
    return {
        "full": sum(p.numel() for p in net.parameters()),
        "head": 0,
        "prefix": 3 * 2 * layers * h,
        "prefix_mlp": 3 * h + h * 6 + 6 + 6 * 2 * layers * h + 2 * layers * h,
        "lora": sum(2 * (i + o) for o, i in shapes),
        "dora": sum(2 * (i + o) + o for o, i in shapes),
        "vera": sum(4 + o for o, _ in shapes),
        "osf": sum((o + i + 1) * (min(o, i) - int(0.75 * min(o, i))) for o, i in shapes),
        "prompt": 3 * e,
        "ptuning": 3 * e + e * 8 + 8 + 8 * 8 + 8 + 8 * e + e,
    }[kind]


@pytest.mark.parametrize("architecture", CONFIGS)
@pytest.mark.parametrize("kind", MAKERS)
def test_tuner_by_architecture(kind: str, architecture: str) -> None:
    net = made(architecture)
    wanted, before = formula(kind, net), {name: p.detach().clone() for name, p in net.named_parameters()}
    tuner: Tuner = MAKERS[kind](net)
    trained = tuner.trained(net)
    assert sum(p.numel() for p in {id(p): p for p in trained}.values()) == wanted
    x = inputs(net)
    hidden = tuner.train()(net.train(), x)
    assert hidden.last.shape == (2, 7, 32)
    if not trained:
        return
    optimizer = torch.optim.SGD(trained, lr=0.1)
    (hidden.last[MASK.bool()] ** 3).sum().backward()
    assert sum(bool(p.grad is not None and p.grad.abs().sum() > 0) for p in trained) >= 1
    optimizer.step()
    if kind != "full":
        stays = {name.replace(".base_layer", ""): p for name, p in net.named_parameters() if not p.requires_grad}
        assert stays.keys() == before.keys()
        assert all(torch.equal(p, before[name]) for name, p in stays.items()), "the encoder is bitwise unchanged"


@pytest.mark.parametrize("kind", ["lora", "dora", "osf"])
def test_it_begins_as_the_encoder_itself(kind: str) -> None:
    net = made("bert")
    plain = forward(net, inputs(net)).last
    tuner = MAKERS[kind](net).eval()
    torch.testing.assert_close(tuner(net.eval(), inputs(net)).last, plain, atol=1e-5, rtol=0)


def trained_a_little(tuner: Tuner, net: Any) -> Tensor:
    optimizer = torch.optim.SGD(tuner.trained(net), lr=0.05)
    net.eval()  # peft's new layers are in training mode
    for _ in range(3):
        optimizer.zero_grad()
        (tuner(net, inputs(net)).last ** 3).sum().backward()
        optimizer.step()
    return tuner(net, inputs(net)).last.detach()


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("kind", ["lora", "dora", "vera", "osf", "prompt", "ptuning", "prefix", "prefix_mlp"])
def test_peft_alone_loads_what_is_saved(kind: str, tmp_path: Path) -> None:
    import peft
    from safetensors import safe_open

    net = made("bert")
    tuner = MAKERS[kind](net).eval()
    found = trained_a_little(tuner, net)
    tuner.save(net, tmp_path)
    with safe_open(tmp_path / "adapter_model.safetensors", "pt") as file:
        assert not any("embeddings.word" in name or "dense" in name for name in file.keys())  # noqa: SIM118
    theirs = peft.PeftModel.from_pretrained(made("bert"), str(tmp_path)).eval()
    x = inputs(net)
    hidden = theirs(inputs_embeds=x.embedded, attention_mask=MASK).last_hidden_state
    torch.testing.assert_close(hidden[:, -7:], found, atol=1e-5, rtol=0)


def test_osf_keeps_what_it_preserves_and_what_it_learnt(tmp_path: Path) -> None:
    net = made("bert")
    tuner = OSF(net, preserved=0.5, targets="attention").eval()
    layer = next(part for part in net.modules() if hasattr(part, "osf_svd_params"))
    u, s, v = torch.linalg.svd(layer.get_base_layer().weight.detach())
    found = trained_a_little(tuner, net)
    learnt = layer.get_base_layer().weight + layer.get_delta_weight("default")
    torch.testing.assert_close(u[:, :16].T @ learnt @ v[:16].T, torch.diag(s[:16]), atol=1e-4, rtol=0)
    assert layer.get_delta_weight("default").abs().max() > 1e-4
    state = {name: value.clone() for name, value in net.state_dict().items()}
    extra = {name: value.clone() for name, value in tuner.get_extra_state().items()}
    tuner.consolidate()
    torch.testing.assert_close(tuner(net, inputs(net)).last, found, atol=1e-4, rtol=0)
    assert layer.get_delta_weight("default").abs().max() < 1e-6
    tuner.save(net, tmp_path)
    whole = transformers.AutoModel.from_pretrained(str(tmp_path)).eval()
    torch.testing.assert_close(forward(whole, inputs(net)).last, found, atol=1e-4, rtol=0)
    other = made("bert")
    copy = OSF(other, preserved=0.5, targets="attention").eval()
    other.load_state_dict(state)
    copy.set_extra_state(extra)
    assert torch.equal(copy(other, inputs(other)).last, found)


def test_what_does_not_fit_is_refused_with_what_fits() -> None:
    net = made("bert")
    net.config.model_type = "funnel"
    for kind in ("lora", "osf", "prompt"):
        with pytest.raises(UnfitError, match=r"'funnel'.*it knows: bert.*full and head take any"):
            MAKERS[kind](net)
    with pytest.raises(UnfitError, match="nothing is left to train"):
        OSF(made("bert"), preserved=1.0)
    checkpointing = made("bert")
    checkpointing.activation_checkpointing_enable()
    with pytest.raises(UnfitError, match="gradient checkpointing"):
        MAKERS["lora"](checkpointing)
