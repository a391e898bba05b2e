"""Decoders: one training for all, rows that depend on nothing else, and what a rule is at its corners."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from holdfast.analysis.metrics.generation import isotropy
from holdfast.datasets.core.language import EOS, PAD, LanguageInfo
from holdfast.datasets.core.source import Source
from holdfast.datasets.core.table import Batch
from holdfast.datasets.core.view import ExperienceView
from holdfast.methods.base import UnfitError
from holdfast.methods.decoding import training
from holdfast.methods.losses.contrast import cad_scores
from holdfast.methods.networks import causal
from holdfast.methods.networks.causal_pretrained import PretrainedCausal
from holdfast.suites.config import registry
from torch import Tensor

from .language_cases import batch_of, language_source

ROWS = [0, 1, 2, 3, 4, 5]


def view_of(source: Source[LanguageInfo], seed: int = 0) -> ExperienceView:
    table = source.splits["train"]
    n = len(table)
    return ExperienceView(0, 1, torch.arange(n), (), (), 0, n, table, 8, seed, torch.device("cpu"))


def fitted(name: str, source: Source[LanguageInfo], seed: int = 0, **options: Any) -> Any:
    torch.manual_seed(seed)
    config = causal.Config(width=16, layers=2, heads=2, feedforward=16, patch=2)
    net = causal.build(config, source.info, seed)
    kind: Any = registry.method(f"decoding/{name}")
    small: dict[str, Any] = {
        "lm_epochs": 2,
        "lm_batch_size": 8,
        "max_new_tokens": 4,
        "tuned_epochs": 1,
        "rank": 2,
    } | options
    made = kind(kind.Config(**{k: v for k, v in small.items() if k in kind.Config.model_fields}), net, seed)
    with torch.no_grad():
        blocks: Any = net.blocks
        for block in blocks:  # answers that depend on more than the last token
            block.attention_out.weight.mul_(6)
            block.narrow.weight.mul_(6)
    made.fit_rows(view_of(source, seed))
    return made.eval()


@pytest.fixture(scope="module")
def source() -> Source[LanguageInfo]:
    return language_source()


def test_the_first_decoder_trains_and_the_others_load_the_same_weights(
    source: Source[LanguageInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fitted("greedy", source, seed=11)
    untrained = fitted("greedy", source, seed=11, lm_epochs=0)
    assert any(
        not torch.equal(a, b) for a, b in zip(first.model.parameters(), untrained.model.parameters(), strict=True)
    )

    def refuse(*_: Any) -> None:
        raise AssertionError("it trained again")

    monkeypatch.setattr(training, "_train", refuse)
    second = fitted("cad", source, seed=11)
    assert all(torch.equal(a, b) for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True))
    for change in ({"lm_lr": 0.001}, {"lm_epochs": 3}):
        with pytest.raises(AssertionError, match="trained again"):
            fitted("greedy", source, seed=11, **change)
    with pytest.raises(AssertionError, match="trained again"):
        fitted("greedy", language_source(seed=1), seed=11)


def test_the_model_learns_and_only_the_first_part_is_read(source: Source[LanguageInfo]) -> None:
    view = view_of(source)
    rows = training.part_rows(view, "first", source.info)
    assert bool((view.labels("part")[rows] == 0).all())
    before, after = (fitted("greedy", source, lm_epochs=epochs) for epochs in (0, 8))
    losses = [training.mean_loss(m.model, view, rows) for m in (before, after)]
    assert losses[1] < losses[0] - 0.3


RULES = (
    *("greedy", "sampling", "cad", "adacad", "lqcd", "vcd", "vdd", "m3id", "ritual"),
    *("dola", "icd", "lol", "cd", "steer", "contrastive_search"),
)


@pytest.mark.parametrize("name", RULES)
def test_a_row_s_answer_does_not_depend_on_the_batch(name: str, source: Source[LanguageInfo]) -> None:
    method = fitted(name, source)
    together = method.predict(batch_of(source, ROWS))
    for row in ROWS:
        alone = method.predict(batch_of(source, [row]))
        assert alone["tokens"][0].tolist() == together["tokens"][row].tolist()
        torch.testing.assert_close(alone["scores"][0], together["scores"][row], rtol=1e-4, atol=1e-4)


def test_tokens_after_the_end_are_padding_and_passes_are_counted(source: Source[LanguageInfo]) -> None:
    method = fitted("cad", source, max_new_tokens=12)
    found = method.predict(batch_of(source, ROWS))
    for tokens, passes in zip(found["tokens"].tolist(), found["forwards"].tolist(), strict=True):
        length = tokens.index(EOS) + 1 if EOS in tokens else len(tokens)
        assert set(tokens[length:]) <= {PAD}
        assert passes == 2 * length


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return torch.equal(a["tokens"], b["tokens"])


def test_rules_without_strength_are_the_plain_model(source: Source[LanguageInfo]) -> None:
    batch = batch_of(source, ROWS)
    greedy = fitted("greedy", source).predict(batch)
    assert same(fitted("cad", source, alpha=0.0).predict(batch), greedy)
    assert same(fitted("contrastive_search", source, alpha=0.0).predict(batch), greedy)
    assert same(fitted("contrastive_search", source, k=1).predict(batch), greedy)
    assert same(fitted("vdd", source, alpha=0.0).predict(batch), greedy)
    neutral = fitted("neutral", source).predict(batch)
    assert same(fitted("lqcd", source, alpha=0.0).predict(batch), neutral)
    assert not same(neutral, greedy)


def test_draws_are_common_to_all_rules_and_a_rule_that_only_sharpens_is_a_temperature(
    source: Source[LanguageInfo],
) -> None:
    batch = batch_of(source, ROWS)
    identity = fitted("ritual", source, views=("identity",), keep_beta=None).predict(batch)
    assert same(identity, fitted("sampling", source, temperature=0.25).predict(batch))
    assert not same(identity, fitted("sampling", source, temperature=4.0).predict(batch))
    assert same(fitted("ritual", source, alpha=0.0).predict(batch), fitted("min_p", source).predict(batch))
    icd = fitted("icd", source, keep_beta=0.05)
    lol = fitted("lol", source, omega=0.0, keep_beta=0.05)
    assert torch.equal(icd.predict(batch)["scores"], lol.predict(batch)["scores"])


def test_scores_of_options_are_sums_of_the_rule_over_their_tokens(source: Source[LanguageInfo]) -> None:
    method, batch = fitted("cad", source, alpha=0.5), batch_of(source, ROWS)
    found = method.choices(batch)
    net = method.model
    for row in ROWS:
        for k in range(2):
            option = [t for t in batch["options"][row, k].tolist() if t != PAD]
            total = 0.0
            for t in range(len(option)):
                logits = []
                for column in ("prompt", "neutral"):
                    text = batch[column][row, : int(batch[f"{column}_lengths"][row])].tolist() + option[:t]
                    tokens = torch.tensor([text])
                    mask = torch.ones_like(tokens, dtype=torch.bool)
                    prefix = net.embed_pictures(batch["image"][row : row + 1])
                    logits.append(net.step(tokens, mask, prefix=prefix).logits[:, -1].detach())
                total += float(cad_scores(logits[0], logits[1], 0.5).log_softmax(-1)[0, option[t]])
            assert float(found[row, k]) == pytest.approx(total, abs=1e-3)
        assert float(found[row, 2]) == -float("inf")


def test_an_implausible_token_decides_an_option(source: Source[LanguageInfo]) -> None:
    batch = batch_of(source, ROWS)
    scores = fitted("icd", source, keep_beta=1.0).choices(batch)
    assert bool((scores[:, :2].min(1).values < -900).any())
    assert bool((fitted("icd", source, keep_beta=None).choices(batch)[:, :2] > -900).all())


def test_yes_or_no_is_of_two_words_and_calibration_without_bias_changes_nothing() -> None:
    source = language_source(yes_no=True)
    batch = batch_of(source, ROWS)
    greedy = fitted("greedy", source).predict(batch)
    assert set(greedy) == {"scores", "label"}
    assert torch.allclose(greedy["scores"].exp().sum(1), torch.ones(6, dtype=torch.float64))
    assert torch.equal(greedy["label"], greedy["scores"].argmax(1))
    drawn: Batch = fitted("sampling", source, temperature=50.0).predict(batch)
    assert set(drawn["label"].tolist()) <= {0, 1}
    debias = fitted("posthoc_debias", source)
    plain = debias.two_words(debias.main(batch).logits, debias.main(batch).logits)
    assert torch.allclose(debias.calibrated(plain, plain).exp(), torch.full((6, 2), 0.5, dtype=torch.float64))
    blind = [
        {k: v for k, v in batch.items() if k != "image"},
    ]
    free = debias.two_words(*[debias.branch(blind[0], "prompt").logits] * 2)
    wanted = (plain - free).log_softmax(1)
    assert torch.allclose(debias.predict(batch)["scores"], wanted, atol=1e-6)


def test_settings_and_data_that_do_not_fit_are_named(source: Source[LanguageInfo]) -> None:
    with pytest.raises(UnfitError, match=r"0\.\.1"):
        fitted("dola", source, layers=(5,)).predict(batch_of(source, [0]))
    with pytest.raises(UnfitError, match="sample=false"):
        fitted("contrastive_search", source, sample=True)
    with pytest.raises(UnfitError, match="instruction"):
        fitted("lol", source, kappa=0.5).predict(batch_of(source, [0]))
    with pytest.raises(UnfitError, match="no word 'absent'"):
        fitted("lol", source, kappa=0.5, instruction="absent").predict(batch_of(source, [0]))
    asked = fitted("lol", source, kappa=0.5, instruction="w1 w2").predict(batch_of(source, ROWS))
    assert not torch.equal(asked["scores"], fitted("lol", source).predict(batch_of(source, ROWS))["scores"])
    bare = language_source(pictures=False)
    with pytest.raises(UnfitError, match="pictures"):
        fitted("vcd", bare).predict(batch_of(bare, [0]))
    with pytest.raises(UnfitError, match="no texts 'missing'"):
        training.part_rows(view_of(source), "missing", source.info)


def test_the_pool_of_steer_grows_and_is_in_the_state(source: Source[LanguageInfo]) -> None:
    steer = fitted("steer", source, grow=True)
    begun = len(steer.fitted["pool"])
    steer.predict(batch_of(source, ROWS))
    assert len(steer.fitted["pool"]) == begun + len(ROWS)
    state = steer.get_extra_state()
    assert len(state["pool"]) == len(state["pool_lengths"]) == begun + len(ROWS)
    tokens, mask = steer.negative(torch.tensor([0, 1]))
    assert bool(mask[:, -1].all())
    assert not torch.equal(tokens[0], tokens[1])


CONTRASTS = ("greedy", "sampling", "min_p", "neutral", "cad", "adacad", "lqcd", "vcd", "vdd", "m3id", "ritual", "dola")


@pytest.mark.parametrize("name", [*CONTRASTS, "icd", "cd", "lol", "steer", "rankgen", "simctg", "contrastive_search"])
def test_every_decoder_gives_the_isotropy_of_every_layer(name: str, source: Source[LanguageInfo]) -> None:
    """Against the measure itself on the states of each text alone, without padding or batch."""
    decoder = fitted(name, source, isotropy=True)
    batch = batch_of(source, ROWS)
    found = decoder.predict(batch)
    net, states = decoder.model, []
    with torch.no_grad():
        for row in ROWS:
            one = batch_of(source, [row])
            length = int(one["tokens_lengths"])
            tokens = one["tokens"][:, :length]
            step = net.step(tokens, torch.ones_like(tokens, dtype=torch.bool), prefix=net.prefix(one))
            states.append([state[0].double().numpy() for state in (*step.states, step.hidden)])
            assert torch.equal(step.states[0], net.embedding(tokens))
    assert found["cosine_sums"].shape == (len(ROWS), 3) == found["cosine_pairs"].shape
    values = 1 - found["cosine_sums"].sum(0) / found["cosine_pairs"].sum(0)
    wanted = [isotropy([text[layer] for text in states]) for layer in range(3)]
    assert values.tolist() == pytest.approx(wanted, abs=1e-5)
    assert len(set(wanted)) == 3
    off = fitted(name, source, isotropy=False).predict(batch)
    assert set(found) - set(off) == {"cosine_sums", "cosine_pairs"}
    assert all(torch.equal(found[key], off[key]) for key in off)


def test_isotropy_of_a_pretrained_model_by_layer(source: Source[LanguageInfo]) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = {"vocab_size": 15, "n_positions": 40, "n_embd": 16, "n_layer": 3, "n_head": 2}
    gpt = transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, bos_token_id=1, eos_token_id=2)).eval()
    kind: Any = registry.method("decoding/greedy")
    net = PretrainedCausal(gpt, language_source(pictures=False).info)
    decoder = kind(kind.Config(lm_epochs=0, isotropy=True, max_new_tokens=2), net, 0)
    batch = batch_of(language_source(pictures=False), ROWS)
    found = decoder.predict(batch)
    states = []
    for tokens, length in zip(batch["tokens"], batch["tokens_lengths"].tolist(), strict=True):
        with torch.no_grad():
            out = gpt(tokens[None, :length], output_hidden_states=True)
        states.append([state[0].double().numpy() for state in out.hidden_states])
    values = 1 - found["cosine_sums"].sum(0) / found["cosine_pairs"].sum(0)
    wanted = [isotropy([text[layer] for text in states]) for layer in range(4)]
    assert values.tolist() == pytest.approx(wanted, abs=1e-5)
