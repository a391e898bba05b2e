"""SMC and AWRS as decoders: on the exact table they come near the exact posterior, rows are seeded by their ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from holdfast.analysis.problems.constrained import Constrained
from holdfast.datasets.core.language import LanguageInfo
from holdfast.datasets.core.source import Source
from holdfast.datasets.decoding import toy_constraints, toy_facts
from holdfast.methods.base import UnfitError
from holdfast.methods.decoding.awrs import Awrs
from holdfast.methods.decoding.smc import Smc, SmcConfig
from holdfast.methods.networks import causal, markov


@pytest.fixture(scope="module")
def sums() -> Source[LanguageInfo]:
    return toy_constraints.load(toy_constraints.Config(n_train=10, n_valid=2, n_test=40), None)


def decoder(kind: type[Smc], source: Source[LanguageInfo], **options: Any) -> Smc:
    net = markov.build(markov.Config(), source.info, 0)
    config: Any = kind.Config
    return kind(config(lm_epochs=0, max_new_tokens=6, **options), net, 0)


def measured(method: Smc, source: Source[LanguageInfo], rows: int = 25) -> dict[str, float]:
    problem = Constrained(source)
    batch = source.splits["test"].gather(torch.arange(rows))
    outputs = {name: value.numpy() for name, value in method.predict(batch).items()}
    return problem.measure(outputs, np.arange(rows), "test").compute()


def test_the_table_gives_the_probabilities_of_the_world(sums: Source[LanguageInfo]) -> None:
    net, oracle = markov.build(markov.Config(), sums.info, 0), sums.info.oracle
    tokens = torch.tensor([[1, 3, 4]])
    step = net.step(tokens, torch.ones_like(tokens, dtype=torch.bool))
    for place, ids in enumerate(((), (3,), (3, 4))):
        np.testing.assert_allclose(step.logits[0, place].exp(), np.exp(oracle.next_tokens(ids)), atol=1e-6)
    loss, _ = net.loss(sums.splits["train"].gather(torch.arange(10)))
    assert 0 < float(loss) < 4


def test_many_particles_come_near_the_posterior_and_masking_alone_does_not(sums: Source[LanguageInfo]) -> None:
    near = measured(decoder(Smc, sums, particles=40), sums)
    assert near["total_variation"] < 0.14
    assert near["allowed"] == 1
    assert near["failed"] == 0
    assert near["evidence_ratio"] == pytest.approx(1, abs=0.15)
    assert near["calls_per_token"] < 3.2  # of four: three symbols and the end
    masked = measured(decoder(Smc, sums, particles=40, sampler="masked"), sums)
    assert masked["calls_per_token"] > 3.9
    assert masked["total_variation"] < 0.14
    local = measured(decoder(Smc, sums, particles=40, sampler="improper", threshold=0.0), sums)
    off = 0.5 * np.abs(sums.info.oracle.exact.local - sums.info.oracle.exact.posterior).sum()
    assert local["total_variation"] == pytest.approx(off, abs=0.08)
    assert off > 0.25


def test_one_string_a_row_with_its_weight(sums: Source[LanguageInfo]) -> None:
    method = decoder(Awrs, sums)
    found = measured(method, sums)
    assert found["total_variation"] < 0.5
    assert found["evidence_ratio"] == pytest.approx(1, abs=0.5)
    batch = sums.splits["test"].gather(torch.tensor([7, 3]))
    both, alone = method.predict(batch), method.predict(sums.splits["test"].gather(torch.tensor([3])))
    assert "particles" not in both
    assert both["log_weight"].shape == (2,)
    assert torch.equal(both["tokens"][1:], alone["tokens"])
    assert torch.equal(both["log_weight"][1:], alone["log_weight"])
    assert both["tokens"].shape == (2, 6)


def test_a_model_with_a_cache_gives_what_it_gives_without(sums: Source[LanguageInfo]) -> None:
    """The weight of a string under no constraint but its length is the mass left to it: a check of the caches."""
    torch.manual_seed(0)
    net = causal.build(causal.Config(width=8, layers=1, heads=2, feedforward=8), sums.info, 0).eval()
    method = Smc(SmcConfig(lm_epochs=0, max_new_tokens=4, particles=6, threshold=1.0, sampler="masked"), net, 0)
    row = sums.splits["test"].gather(torch.tensor([0]))
    found, passes = method.run(row)
    assert passes > 6
    assert found.resampled > 0

    def fresh(prefixes: Any, parents: Any) -> Any:
        tokens = [torch.tensor([[1, *ids]]) for ids in prefixes]
        steps = [net.step(t, torch.ones_like(t, dtype=torch.bool)).logits[0, -1] for t in tokens]
        return torch.stack(steps).double().log_softmax(-1).detach().numpy()

    from holdfast.datasets.core.seeds import derive
    from holdfast.methods.decoding.particles import smc

    rng = np.random.default_rng(derive(0, "smc/0"))
    again = smc(fresh, sums.info.oracle, 2, particles=6, max_tokens=3, rng=rng, sampler="masked", threshold=1.0)
    assert again.strings == found.strings
    np.testing.assert_allclose(again.log_weights, found.log_weights, atol=1e-4)


def test_data_without_a_constraint_or_a_table_is_refused() -> None:
    facts = toy_facts.load(toy_facts.Config(n_train=50, n_valid=3, n_test=3), None)
    with pytest.raises(UnfitError, match="'markov' is the table of toy_constraints"):
        markov.build(markov.Config(), facts.info, 0)
    net = causal.build(causal.Config(width=8, layers=1, heads=2, feedforward=8), facts.info, 0)
    with pytest.raises(UnfitError, match="needs data with a constraint"):
        Smc(SmcConfig(), net, 0).constraint()
