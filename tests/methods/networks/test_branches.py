"""Branches and the logits processor: each row follows its own tokens, in our loop and in the library's ``generate``."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from holdfast.methods.losses.contrast import cad_scores
from holdfast.methods.networks.branches import Branch, ContrastProcessor
from holdfast.methods.networks.causal_pretrained import PretrainedCausal
from torch import Tensor

from .causal_cases import TableModel, decoder

VOCABULARY = 24


def cad(main: Tensor, branches: Any, step: int) -> Tensor:
    return cad_scores(main, branches[0].logits, 0.7)


@pytest.fixture(scope="module")
def gpt() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=VOCABULARY, n_positions=40, n_embd=16, n_layer=2, n_head=2, bos_token_id=1)
    config.eos_token_id = config.pad_token_id = 2
    config.initializer_range = 0.5
    return GPT2LMHeadModel(config).eval()


def ones(tokens: Tensor) -> Tensor:
    return torch.ones_like(tokens, dtype=torch.bool)


def test_a_branch_follows_its_rows_and_a_row_that_ended_changes_no_other() -> None:
    net = decoder()
    prompts = torch.tensor([[1, 5, 7], [1, 4, 8]])
    branch = Branch(net, prompts, ones(prompts), layers=(1,), keep_hidden=True)
    branch.advance(torch.tensor([3, 6]), torch.tensor([False, True]))
    branch.advance(torch.tensor([0, 9]), torch.tensor([False, True]))
    row = torch.tensor([[1, 4, 8, 6, 9]])
    wanted = net.step(row, ones(row), layers=(1,))
    assert torch.allclose(branch.logits[1], wanted.logits[0, -1], atol=1e-10)
    assert torch.allclose(branch.early[1][1], wanted.early[1][0, -1], atol=1e-10)
    assert torch.allclose(branch.context[1], wanted.hidden[0], atol=1e-10)  # type: ignore[index]
    assert branch.context_mask is not None
    assert branch.context_mask.sum(1).tolist() == [3, 5]
    assert branch.forwards == 3
    copies = branch.select(torch.tensor([1, 1]))
    copies.advance(torch.tensor([3, 4]))
    assert branch.forwards == 3
    row = torch.tensor([[1, 4, 8, 6, 9, 4]])
    assert torch.allclose(copies.logits[1], net.step(row, ones(row)).logits[0, -1], atol=1e-10)


def test_a_prompt_without_a_last_token_is_an_error() -> None:
    with pytest.raises(ValueError, match="left"):
        Branch(decoder(), torch.tensor([[1, 0]]), torch.tensor([[True, False]]))


def test_context_aware_decoding_is_the_library_s_classifier_free_guidance(gpt: Any) -> None:
    context, free = torch.tensor([[1, 5, 7, 3, 9]]), torch.tensor([[1, 9]])
    options = {"max_new_tokens": 6, "do_sample": False, "return_dict_in_generate": True, "output_logits": False}
    wanted = gpt.generate(context, guidance_scale=1.7, negative_prompt_ids=free, output_scores=True, **options)
    branch = Branch(PretrainedCausal(gpt), free, ones(free))
    found = gpt.generate(
        context, logits_processor=[ContrastProcessor([branch], cad, (2,))], output_scores=True, **options
    )
    assert torch.equal(found.sequences, wanted.sequences)
    for ours, theirs in zip(found.scores, wanted.scores, strict=True):
        assert torch.allclose(ours.log_softmax(-1), theirs.log_softmax(-1), atol=2e-5)


def test_rows_of_a_batch_decode_as_they_do_alone(gpt: Any) -> None:
    model = PretrainedCausal(gpt)
    prompts, lengths = [[1, 5, 7, 3], [1, 4]], (4, 2)
    tokens = torch.tensor([[1, 5, 7, 3], [0, 0, 1, 4]])
    mask = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1]])
    frees = torch.tensor([[1, 6], [1, 8]])
    options: dict[str, Any] = {"max_new_tokens": 8, "do_sample": False}
    both = gpt.generate(
        tokens,
        attention_mask=mask,
        logits_processor=[ContrastProcessor([Branch(model, frees, ones(frees))], cad, (2,))],
        **options,
    )
    for row in range(2):
        one = torch.tensor([prompts[row]])
        processor = ContrastProcessor([Branch(model, frees[row : row + 1], ones(frees[:1]))], cad, (2,))
        alone = gpt.generate(one, attention_mask=ones(one), logits_processor=[processor], **options)
        length = alone.shape[1] - lengths[row]
        assert both[row, 4 : 4 + length].tolist() == alone[0, lengths[row] :].tolist()


def test_beams_are_refused(gpt: Any) -> None:
    prompt, free = torch.tensor([[1, 5, 7]]), torch.tensor([[1, 9]])
    branch = Branch(PretrainedCausal(gpt), free, ones(free))
    with pytest.raises(ValueError, match="num_beams=1"):
        gpt.generate(prompt, num_beams=2, max_new_tokens=4, logits_processor=[ContrastProcessor([branch], cad)])
    table = TableModel(torch.zeros(5, 5))
    two = torch.tensor([[1], [1]])
    processor = ContrastProcessor([Branch(table, two, ones(two))], cad)
    processor(torch.tensor([[1, 3], [1, 4]]), torch.zeros(2, 5))
    with pytest.raises(ValueError, match="beam search moves rows"):
        processor(torch.tensor([[1, 4, 3], [1, 3, 3]]), torch.zeros(2, 5))


def test_a_pretrained_model_gives_the_library_s_hidden_layers(gpt: Any) -> None:
    model = PretrainedCausal(gpt)
    tokens = torch.tensor([[1, 5, 7, 3]])
    step = model.step(tokens, ones(tokens), layers=(0, 1, 2))
    out = gpt(tokens, output_hidden_states=True)
    assert torch.allclose(step.logits, out.logits, atol=1e-5)
    assert torch.allclose(step.early[1], gpt.lm_head(out.hidden_states[1]), atol=1e-5)
    assert torch.allclose(step.early[2], step.logits, atol=1e-5)
    assert all(map(torch.equal, (*step.states, step.hidden), out.hidden_states))
    assert len(step.states) == 2 == model.layers
    prefix = torch.zeros(1, 2, gpt.config.n_embd)
    assert [s.shape for s in model.step(tokens, ones(tokens), prefix=prefix).states] == [(1, 4, 16)] * 2
    last = model.last_step(tokens, ones(tokens), layers=(0, 1, 2))
    assert last.logits.shape == (1, 1, step.logits.shape[2])
    assert torch.equal(last.hidden, step.hidden)
    for found, wanted in ((last.logits, step.logits), *((last.early[k], step.early[k]) for k in (0, 1, 2))):
        assert torch.allclose(found, wanted[:, -1:], atol=1e-5)
    first = model.step(tokens[:, :3], ones(tokens[:, :3]))
    picked = first.cache.select(torch.tensor([0, 0]))
    next_one = model.step(torch.tensor([[3], [4]]), torch.ones(2, 1, dtype=torch.bool), picked)
    assert torch.allclose(next_one.logits[0, -1], out.logits[0, -1], atol=1e-5)


def test_a_branch_of_a_pretrained_model_makes_the_logits_of_the_last_token_alone(gpt: Any) -> None:
    sizes = []
    hook = gpt.lm_head.register_forward_hook(lambda module, args, out: sizes.append(out.shape[1]))
    tokens, prefix = torch.tensor([[1, 5, 7, 3]]), torch.zeros(1, 2, gpt.config.n_embd)
    branch = Branch(PretrainedCausal(gpt), tokens, ones(tokens), prefix=prefix, layers=(1,), keep_hidden=True)
    branch.advance(torch.tensor([5]))
    hook.remove()
    assert sizes == [1, 1, 1, 1]
    assert branch.context is not None
    assert branch.context.shape[1] == 5
