"""SpeechBrain's augmentation: drawn from our generator, over valid frames alone, no row by its batch."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from holdfast.datasets.core.seeds import generator
from holdfast.methods.networks.speech_augmentation import (
    Noise,
    SpecAugment,
    add_noise,
    spec_augment,
    speed_perturb,
)
from torch import Tensor

LENGTHS = torch.tensor([8000, 5000, 6400])
FRAMES = torch.tensor([60, 33, 48])


def waves(extra: int = 0) -> Tensor:
    x = torch.zeros(3, 8000 + extra)
    for row, n in enumerate(LENGTHS.tolist()):
        x[row, :n] = 0.1 * torch.randn(n, generator=torch.Generator().manual_seed(row))
    return x


def frames(extra: int = 0) -> Tensor:
    x = torch.zeros(3, 60 + extra, 40)
    for row, n in enumerate(FRAMES.tolist()):
        x[row, :n] = 1 + torch.rand(n, 40, generator=torch.Generator().manual_seed(row))
    return x


CHANGES: dict[str, tuple[Callable[[int], Tensor], Tensor, Callable[..., Tensor]]] = {
    "frames": (frames, FRAMES, lambda x, n, g: spec_augment(x, n, SpecAugment(warp=4), g)),
    "waveform": (waves, LENGTHS, lambda x, n, g: spec_augment(x, n, SpecAugment(), g)),
    "white": (waves, LENGTHS, lambda x, n, g: add_noise(x, n, Noise(db=(10, 20)), g)),
    "pink": (waves, LENGTHS, lambda x, n, g: add_noise(x, n, Noise(db=(10, 20), colour="pink"), g)),
    "speed": (waves, LENGTHS, lambda x, n, g: speed_perturb(x, n, (90, 100, 110), g)[0]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_row_is_changed_by_the_generator_alone(name: str) -> None:
    """The same from the same generator, whatever the global ones hold and however far the batch is padded; theirs stay
    as they are.
    """
    make, lengths, change = CHANGES[name]
    torch.manual_seed(1)
    random.seed(1)
    before = torch.get_rng_state(), random.getstate()
    one = change(make(0), lengths, generator(0, "a"))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    torch.manual_seed(2)
    random.seed(2)
    wide = change(make(700 if lengths is LENGTHS else 9), lengths, generator(0, "a"))
    assert torch.equal(wide[:, : one.shape[1]], one)
    assert not wide[:, one.shape[1] :].any()
    other = change(make(0), lengths, generator(1, "a"))
    assert one.shape != other.shape or not torch.equal(one, other)
    assert torch.equal(make(0), CHANGES[name][0](0)), "the batch itself stays as it was"


@pytest.mark.parametrize("name", ["frames", "waveform", "white", "pink"])
def test_padding_stays_zero(name: str) -> None:
    make, lengths, change = CHANGES[name]
    y = change(make(0), lengths, generator(3, "a"))
    assert y.shape == make(0).shape
    for row, n in zip(y, lengths.tolist(), strict=True):
        assert not row[n:].any()
        assert torch.isfinite(row).all()


def test_masks_keep_within_their_limits() -> None:
    config = SpecAugment(time_masks=2, time_length=200, bands=2, band_width=3)
    for seed in range(20):
        y = spec_augment(frames(), FRAMES, config, generator(seed, "m"))
        for row, n in zip(y, FRAMES.tolist(), strict=True):
            gone = row[:n] == 0
            assert gone.all(1).sum() <= 2 * (n // 4)
            assert gone.all(0).sum() <= 2 * 3
            assert torch.equal(gone, gone.all(1)[:, None] | gone.all(0)[None])
    quiet = SpecAugment(time_masks=0, bands=0)
    assert torch.equal(spec_augment(frames(), FRAMES, quiet, generator(0, "m")), frames())


def test_noise_has_the_ratio_that_was_asked_for() -> None:
    """SpeechBrain scales the signal by 1 - f and the noise to f of its amplitude, f = 1 / (10^(dB/20) + 1)."""
    x, share = waves(), 1 / (10 ** (12 / 20) + 1)
    y = add_noise(x, LENGTHS, Noise(db=(12, 12)), generator(0, "n"))
    for row, clean, n in zip(y, x, LENGTHS.tolist(), strict=True):
        noise = row[:n] - (1 - share) * clean[:n]
        ratio = ((1 - share) * clean[:n]).square().sum() / noise.square().sum()
        assert 10 * torch.log10(ratio).item() == pytest.approx(12, abs=0.1)


def test_speeds_are_drawn_a_row_and_change_its_length() -> None:
    x, seen = waves(), set()
    for seed in range(12):
        y, lengths = speed_perturb(x, LENGTHS, (80, 100, 125), generator(seed, "s"))
        assert y.shape[1] == lengths.max()
        for n, m in zip(LENGTHS.tolist(), lengths.tolist(), strict=True):
            assert min(abs(m - n / speed) for speed in (0.8, 1.0, 1.25)) <= 1
            seen.add(round(n / m, 2))
    assert seen == {0.8, 1.0, 1.25}
    short = torch.ones(1, 40)
    assert torch.equal(speed_perturb(short, torch.tensor([40]), (50,), generator(0, "s"))[0], short)


def test_the_import_of_speechbrain_leaves_the_process_as_it_was() -> None:
    program = """
import torch
def state():
    profiling = torch._C._jit_set_profiling_executor(True)
    torch._C._jit_set_profiling_executor(profiling)
    return torch.backends.cuda.matmul.allow_tf32, torch.get_float32_matmul_precision(), profiling
before = state()
from holdfast.datasets.core.libraries import speechbrain
speechbrain("augment.time_domain")
assert before == state(), (before, state())
assert not before[0]
"""
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("db", [(20.0, 10.0), (-100.0, 0.0)])
def test_a_range_that_is_none_is_refused(db: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"db must be \[lowest, highest\]"):
        Noise(db=db)
