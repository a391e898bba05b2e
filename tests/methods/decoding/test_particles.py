"""Constrained strings: the evidence is unbiased, the posterior comes near as particles are added, masking does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from holdfast.datasets.core.enumeration import enumerate_strings
from holdfast.methods.decoding.particles import effective, smc, stratified

EOS = 2
TABLE = np.log(np.array([[0.6, 0.3, 0.1], [0.7, 0.2, 0.1], [0.1, 0.2, 0.7]]))  # start, after 0, after 1


class EvenSum:
    """Two or three symbols, the number of ones even, and not 0 0 0; a prefix is allowed while it can be completed."""

    def complete(self, ids: tuple[int, ...]) -> bool:
        return 2 <= len(ids) <= 3 and sum(ids) % 2 == 0 and sum(ids) > 0

    def prefix(self, ids: tuple[int, ...]) -> bool:
        return self.complete(ids) or (len(ids) < 3 and any(self.prefix((*ids, v)) for v in (0, 1)))


def following(ids: tuple[int, ...]) -> np.ndarray:
    return TABLE[ids[-1] + 1 if ids else 0]


def rows(prefixes: Sequence[tuple[int, ...]], parents: Sequence[int] | None) -> np.ndarray:
    return np.stack([following(ids) for ids in prefixes])


EXACT = enumerate_strings(following, EvenSum(), EOS, 3)


def test_enumeration_by_hand() -> None:
    masses = {
        (0, 1, 1): 0.6 * 0.2 * 0.2 * 0.7,
        (1, 0, 1): 0.3 * 0.1 * 0.2 * 0.7,
        (1, 1): 0.3 * 0.2 * 0.7,
        (1, 1, 0): 0.3 * 0.2 * 0.1 * 0.1,
    }
    assert EXACT.strings == tuple(sorted(masses))
    np.testing.assert_allclose(EXACT.mass, [masses[s] for s in EXACT.strings], rtol=1e-12)
    assert EXACT.log_z == pytest.approx(np.log(sum(masses.values())))
    local = dict(zip(EXACT.strings, EXACT.local, strict=True))
    assert local[1, 1] == pytest.approx((1 / 3) * (2 / 3) * (0.7 / 0.8))  # 0 or 1 first; then both; then 0 or the end
    assert sum(EXACT.local) == pytest.approx(1)
    assert EXACT.divergence_of_local > 0.1


def pooled(sampler: str, particles: int, runs: int, threshold: float = 0.5) -> tuple[np.ndarray, float]:
    """Mean posterior over runs, in the order of the exact one, and the mean evidence."""
    place = {ids: k for k, ids in enumerate(EXACT.strings)}
    found, evidence = np.zeros(len(place)), 0.0
    for seed in range(runs):
        options: dict[str, Any] = {
            "particles": particles,
            "max_tokens": 3,
            "rng": np.random.default_rng(seed),
            "threshold": threshold,
        }
        out = smc(rows, EvenSum(), EOS, sampler=sampler, **options)
        evidence += np.exp(out.log_evidence) / runs
        for ids, share in out.probabilities().items():
            found[place[ids]] += share / runs
    return found, evidence


@pytest.mark.parametrize("sampler", ["awrs", "masked", "single"])
def test_the_evidence_is_unbiased_and_many_particles_give_the_posterior(sampler: str) -> None:
    few, evidence = pooled(sampler, 4, 250)
    assert evidence == pytest.approx(np.exp(EXACT.log_z), rel=0.17)
    many, _ = pooled(sampler, 300, 3)
    assert abs(many - EXACT.posterior).max() < 0.07
    assert abs(many - EXACT.posterior).sum() < abs(few - EXACT.posterior).sum()


def test_masking_without_weights_stays_off_by_its_divergence() -> None:
    found, _ = pooled("improper", 400, 3, threshold=0.0)
    np.testing.assert_allclose(found, EXACT.local, atol=0.06)
    assert abs(found - EXACT.posterior).max() > 0.1


def test_one_particle_is_importance_sampling_and_every_draw_is_seeded() -> None:
    one = [smc(rows, EvenSum(), EOS, particles=1, max_tokens=3, rng=np.random.default_rng(k)) for k in range(900)]
    assert all(run.resampled == 0 for run in one)
    assert np.mean([np.exp(run.log_evidence) for run in one]) == pytest.approx(np.exp(EXACT.log_z), rel=0.17)
    again = smc(rows, EvenSum(), EOS, particles=1, max_tokens=3, rng=np.random.default_rng(7))
    assert again.strings == one[7].strings
    assert again.calls == one[7].calls


def test_a_model_with_a_cache_is_told_which_row_continues() -> None:
    """A model that sees the new token alone, and the row that it continues, gives the same strings."""
    kept: list[tuple[int, ...]] = []

    def cached(prefixes: Sequence[tuple[int, ...]], parents: Sequence[int] | None) -> np.ndarray:
        nonlocal kept
        if parents is None:
            kept = [()] * len(prefixes)
        else:
            kept = [(*kept[row], ids[-1]) for row, ids in zip(parents, prefixes, strict=True)]
        assert kept == list(prefixes)
        return rows(prefixes, parents)

    options = {"particles": 20, "max_tokens": 3, "threshold": 0.95}
    a = smc(cached, EvenSum(), EOS, rng=np.random.default_rng(0), **options)  # type: ignore[arg-type]
    b = smc(rows, EvenSum(), EOS, rng=np.random.default_rng(0), **options)  # type: ignore[arg-type]
    assert a.strings == b.strings
    assert a.resampled > 0


def test_where_every_particle_dies_it_is_said() -> None:
    class Nothing(EvenSum):
        def prefix(self, ids: tuple[int, ...]) -> bool:
            return False

    out = smc(rows, Nothing(), EOS, particles=3, max_tokens=3, rng=np.random.default_rng(0))
    assert out.failed
    assert out.probabilities() == {}
    assert out.strings == (None, None, None)


def test_a_string_that_does_not_end_keeps_the_mass_of_its_forced_end() -> None:
    class Two:
        def prefix(self, ids: tuple[int, ...]) -> bool:
            return len(ids) <= 2

        def complete(self, ids: tuple[int, ...]) -> bool:
            return len(ids) == 2

    out = smc(rows, Two(), EOS, particles=2000, max_tokens=2, rng=np.random.default_rng(0), sampler="masked")
    exact = enumerate_strings(following, Two(), EOS, 2)
    assert np.exp(out.log_evidence) == pytest.approx(np.exp(exact.log_z), rel=0.05)


def test_resampling() -> None:
    weights = np.log(np.array([0.5, 0.25, 0.25, 1e-300]))
    chosen = [stratified(weights, np.random.default_rng(k)) for k in range(400)]
    counts = np.bincount(np.concatenate(chosen), minlength=4) / 400
    np.testing.assert_allclose(counts, [2, 1, 1, 0], atol=0.12)
    assert effective(np.log(np.full(4, 0.25))) == pytest.approx(4)
    assert effective(np.array([0, -np.inf])) == 1
    assert effective(np.array([-np.inf])) == 0
    with pytest.raises(ValueError, match="all weights are 0"):
        stratified(np.full(2, -np.inf), np.random.default_rng(0))


def test_wrong_arguments_are_named() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="out of range"):
        smc(rows, EvenSum(), EOS, particles=0, max_tokens=3, rng=rng)
    with pytest.raises(ValueError, match="unknown token sampler 'awr'"):
        smc(rows, EvenSum(), EOS, particles=1, max_tokens=3, rng=rng, sampler="awr")
