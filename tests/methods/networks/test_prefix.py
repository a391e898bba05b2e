"""Deep prefixes over every architecture: against peft, against the encoder without one, and what reaches what."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from holdfast.methods.base import UnfitError
from holdfast.methods.networks.prefix import PrefixEncoder, PrefixTuner
from holdfast.methods.networks.tuners import Inputs, forward
from torch import Tensor

from .tiny_encoders import CONFIGS, made

MASK = torch.tensor([[1] * 7, [1] * 5 + [0] * 2])


def inputs(net: Any, types: bool = False) -> Inputs:
    ids = torch.randint(5, 50, (2, 7), generator=torch.Generator().manual_seed(3))
    sides = torch.tensor([[0] * 4 + [1] * 3] * 2) if types else None
    return Inputs(net.get_input_embeddings()(ids), MASK, sides)


def tuner_of(net: Any, length: int = 3, **options: Any) -> PrefixTuner:
    torch.manual_seed(0)
    return PrefixTuner(net, length=length, **options).eval()


@pytest.mark.parametrize("architecture", CONFIGS)
def test_a_prefix_is_seen_by_every_layer_and_by_no_padding(architecture: str) -> None:
    net = made(architecture)
    tuner, x = tuner_of(net), inputs(net)
    seen = tuner(net, x, every_layer=True)
    assert seen.last.shape == (2, 7, 32)
    assert len(seen.layers) == net.config.num_hidden_layers + 1
    assert torch.equal(tuner(net, x).last, seen.last), "a second forward pass gives the same"
    assert (seen.last - forward(net, x).last)[MASK.bool()].abs().max() > 1e-3
    short = Inputs(x.embedded[1:, :5], MASK[1:, :5])
    torch.testing.assert_close(tuner(net, short).last, seen.last[1:, :5], atol=1e-5, rtol=0)
    (seen.last[MASK.bool()] ** 2).sum().backward()
    gradient = tuner.encoder.table.grad
    assert gradient is not None
    each = gradient.view(3, 2 * net.config.num_hidden_layers, -1).abs().sum((0, 2))
    assert (each > 0).all(), "keys and values of every layer"
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize("architecture", CONFIGS)
def test_no_prefix_is_the_encoder_itself(architecture: str) -> None:
    net = made(architecture)
    assert torch.equal(tuner_of(net, length=0)(net, inputs(net)).last, forward(net, inputs(net)).last)


@pytest.mark.parametrize("architecture", ["mpnet", "deberta-v2", "albert", "modernbert", "distilbert"])
def test_a_prefix_that_no_query_looks_at_changes_nothing(architecture: str) -> None:
    """Keys far against every query get no share of the attention; positions are where they were."""
    net = made(architecture)
    tuner, x = tuner_of(net), inputs(net)
    plain = forward(net, x).last
    found = _with_hidden_prefix(net, tuner, x)
    torch.testing.assert_close(found[MASK.bool()], plain[MASK.bool()], atol=1e-5, rtol=0)


def _with_hidden_prefix(net: Any, tuner: PrefixTuner, x: Inputs) -> Tensor:
    """The last hidden states where every score between a token and the prefix is -inf."""
    kept = torch.nn.functional.softmax
    n = tuner.length

    def without(scores: Tensor, dim: int = -1, **options: Any) -> Tensor:
        hidden = torch.cat([scores[..., :n] - math.inf, scores[..., n:]], -1) if scores.shape[-1] == 7 + n else scores
        return kept(hidden, dim=dim, **options)

    if tuner.architecture.way == "rows":
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.nn.functional, "softmax", without)
            return tuner(net, x).last.detach()
    original = torch.nn.functional.pad

    def masked(mask: Tensor, pad: tuple[int, ...], value: Any = 0.0) -> Tensor:
        return original(mask, pad, value=False if mask.dtype == torch.bool else -math.inf)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.functional, "pad", masked)
        return tuner(net, x).last.detach()


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("architecture", ["bert", "roberta", "electra"])
def test_peft_gives_the_same_on_the_same_table(architecture: str) -> None:
    import peft

    net = made(architecture)
    x = inputs(net)
    tuner = tuner_of(net)
    config = peft.PrefixTuningConfig(task_type="FEATURE_EXTRACTION", num_virtual_tokens=3)
    theirs = peft.get_peft_model(made(architecture), config).eval()
    with torch.no_grad():
        theirs.prompt_encoder["default"].embedding.weight.copy_(tuner.encoder.table)
    found = theirs(inputs_embeds=x.embedded, attention_mask=MASK).last_hidden_state
    torch.testing.assert_close(tuner(net, x).last, found, atol=1e-5, rtol=0)


def test_a_masked_prefix_is_the_encoder_with_its_positions_moved() -> None:
    net = made("bert")
    tuner, x = tuner_of(net), inputs(net)

    def hidden(*args: Any, attention_mask: Tensor, **kwargs: Any) -> Any:
        text = torch.arange(attention_mask.shape[-1]) >= 3
        return net(*args, attention_mask=attention_mask & text, **kwargs)

    class Net:
        config = net.config
        forward = net.forward
        modules = net.modules

        def __call__(self, **kwargs: Any) -> Any:
            return hidden(**kwargs)

    found = tuner(Net(), x).last
    moved = net(inputs_embeds=x.embedded, attention_mask=MASK, position_ids=torch.arange(3, 10)[None]).last_hidden_state
    torch.testing.assert_close(found, moved, atol=1e-6, rtol=0)


def test_token_types_are_kept() -> None:
    net = made("bert")
    tuner = tuner_of(net)
    assert not torch.allclose(tuner(net, inputs(net, types=True)).last, tuner(net, inputs(net)).last, atol=1e-3)


def test_dropout_makes_the_rows_of_a_batch_differ_while_it_trains() -> None:
    net = made("bert", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    tuner, x = tuner_of(net, dropout=0.5), inputs(net)
    twins = Inputs(x.embedded[:1].expand(2, -1, -1), MASK[:1].expand(2, -1))
    one, other = tuner.train()(net, twins).last
    assert not torch.allclose(one, other)
    one, other = tuner.eval()(net, twins).last
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("inner", [None, 5])
def test_the_number_of_trained_parameters_is_the_formula(inner: int | None) -> None:
    n, layers, h = 4, 2, 32
    count = sum(p.numel() for p in PrefixEncoder(n, layers, h, inner).parameters())
    flat = 2 * layers * h
    assert count == (n * flat if inner is None else n * h + h * inner + inner + inner * flat + flat)


def test_what_does_not_fit_is_refused() -> None:
    net = made("bert")
    net.activation_checkpointing_enable()
    with pytest.raises(UnfitError, match="gradient checkpointing"):
        tuner_of(net)
    other = made("bert")
    tuner = tuner_of(other)
    other.activation_checkpointing_enable()
    with pytest.raises(UnfitError, match="gradient checkpointing"):
        tuner(other, inputs(other))
    other.config.model_type = "funnel"
    with pytest.raises(UnfitError, match=r"'funnel'.*it knows: bert, roberta"):
        PrefixTuner(other, length=2)
