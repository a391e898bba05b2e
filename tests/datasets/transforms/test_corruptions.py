"""The twenty corruptions: what holds for all of them, and each against a plain or known form."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from holdfast.datasets.transforms.corruptions import LEVELS, TYPES, corrupt
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

NAMES = [name for kind in TYPES for name in kind]


CHANGING = [name for name in NAMES if name != "original"]


# Saturation turns round at 3, water turns to mud at 4, the affine part of elastic shrinks where the waves grow, glass
# is blurred less in its second round, frost darkens the image under it, a grid of 24 falls on one of 32 more often
# than one of 27, flakes grow fewer as they grow larger, and motion's levels 3 and 4 differ in taps without weight: of
# these the worst is further away than the least.
GROWING = [
    name
    for name in CHANGING
    if name not in ("saturate", "spatter", "elastic", "glass_blur", "frost", "pixelate", "snow", "motion_blur")
]


def rngs(n: int, seed: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng((seed, row)) for row in range(n)]


def pictures(n: int, side: int, seed: int = 0) -> Any:
    """Smooth coloured shapes with an edge through them: no corruption leaves them as they are."""
    noise = np.random.default_rng(seed).random((n, side, side, 3))
    smooth = ndimage.gaussian_filter(noise, (0, side / 10, side / 10, 0))
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    smooth[:, side // 3 :, side // 2 :] = 1 - smooth[:, side // 3 :, side // 2 :]
    return np.round(20 + 200 * smooth).astype(np.uint8)


def moved(images: Any, name: str, severity: int, seed: int = 0) -> float:
    return float(np.abs(corrupt(images, name, severity, rngs(len(images), seed)).astype(float) - images).mean())


def test_the_twenty_are_those_of_lff() -> None:
    assert [len(kind) for kind in TYPES] == [10, 10]
    assert sorted(NAMES) == sorted(LEVELS)
    assert all(len(levels) == 5 for levels in LEVELS.values())


@pytest.mark.parametrize("side", [8, 12, 16, 28, 32, 48])
@pytest.mark.parametrize("name", NAMES)
def test_every_image_changes_and_keeps_its_form(name: str, side: int) -> None:
    images = pictures(6, side)
    before = images.copy()
    for severity in range(1, 6):
        out = corrupt(images, name, severity, rngs(6))
        assert out.shape == images.shape
        assert out.dtype == np.uint8
        np.testing.assert_array_equal(images, before)
        same = (out == images).all((1, 2, 3))
        assert same.all() if name == "original" else not same.all()
        if name != "original" and severity >= 3:
            assert not same.any()


@pytest.mark.parametrize("name", NAMES)
def test_an_image_depends_on_itself_and_its_generator_alone(name: str) -> None:
    images = pictures(300, 16)  # more than are worked on at a time
    whole = corrupt(images, name, 4, rngs(300))
    np.testing.assert_array_equal(corrupt(images, name, 4, rngs(300)), whole)
    for row in (0, 7, 299):
        alone = corrupt(images[row : row + 1], name, 4, [np.random.default_rng((0, row))])
        np.testing.assert_allclose(alone[0].astype(int), whole[row].astype(int), atol=1)  # sums in another order


@pytest.mark.parametrize(
    "name", ["snow", "frost", "fog", "spatter", "elastic", "glass_blur", "motion_blur", *TYPES[1][:4]]
)
def test_another_generator_gives_another_image(name: str) -> None:
    images = pictures(4, 32)
    assert (corrupt(images, name, 4, rngs(4, 1)) != corrupt(images, name, 4, rngs(4, 2))).any()


@pytest.mark.parametrize("side", [16, 32])
@pytest.mark.parametrize("name", GROWING)
def test_more_severe_is_further_from_the_image(name: str, side: int) -> None:
    images = pictures(60, side)
    distance = [moved(images, name, severity) for severity in range(1, 6)]
    assert all(a < b for a, b in pairwise(distance)), distance


@pytest.mark.parametrize("name", [n for n in CHANGING if n not in ("saturate", "elastic", "frost")])
def test_the_worst_is_further_away_than_the_least(name: str) -> None:
    images = pictures(40, 32)
    assert moved(images, name, 5) > 1.2 * moved(images, name, 1)
    assert moved(images, name, 5) > 1


@pytest.mark.parametrize("name", ["saturate", "elastic", "frost"])
def test_what_does_not_grow_is_visible(name: str) -> None:
    assert moved(pictures(40, 32), name, 5) > 2


@pytest.mark.parametrize(
    ("name", "severity", "variance"),
    [
        ("gaussian_noise", 3, lambda v: 0.08**2),
        ("shot_noise", 4, lambda v: v / 75),
        ("speckle_noise", 2, lambda v: (0.1 * v) ** 2),
    ],
)
@pytest.mark.parametrize("value", [90, 140])
def test_noise_has_its_variance(name: str, severity: int, variance: Any, value: int) -> None:
    """Mean and variance on even grey, where nothing is clipped; 3 % of the variance over 60,000 values."""
    images = np.full((20, 32, 32, 3), value, np.uint8)
    found = corrupt(images, name, severity, rngs(20)) / 255
    assert abs(found.mean() - value / 255) < 0.003
    assert found.var() == pytest.approx(variance(value / 255), rel=0.03)


def test_impulses_are_black_or_white_by_half() -> None:
    images = np.full((40, 32, 32, 3), 100, np.uint8)
    for severity, share in enumerate((0.01, 0.02, 0.03, 0.05, 0.07), 1):
        out = corrupt(images, "impulse_noise", severity, rngs(40))
        assert set(np.unique(out)) == {0, 100, 255}
        assert np.mean(out == 0) == pytest.approx(share / 2, rel=0.15)
        assert np.mean(out == 255) == pytest.approx(share / 2, rel=0.15)


def test_contrast_and_brightness_by_their_formulas() -> None:
    images = pictures(3, 16)
    x = images / 255
    want = np.round((0.4 * (x - x.mean((1, 2), keepdims=True)) + x.mean((1, 2), keepdims=True)) * 255)
    np.testing.assert_allclose(corrupt(images, "contrast", 3, rngs(3)), want, atol=1)
    v = x.max(3, keepdims=True)
    bright = np.round(x * np.minimum(v + 0.15, 1) / v * 255)  # value moves, the channels' proportions stay
    np.testing.assert_allclose(corrupt(images, "brightness", 3, rngs(3)), bright, atol=1)


def test_saturation_takes_colour_away_and_gives_it() -> None:
    images = pictures(3, 16)

    def saturation(x: Any) -> Any:
        return 1 - x.min(3) / np.maximum(x.max(3), 1)

    clean = saturation(images.astype(float))
    for severity, factor, offset in ((1, 0.3, 0), (3, 1.5, 0), (5, 2.5, 0.2)):
        found = corrupt(images, "saturate", severity, rngs(3)).astype(float)
        np.testing.assert_allclose(saturation(found), np.clip(factor * clean + offset, 0, 1), atol=0.02)
        np.testing.assert_allclose(found.max(3), images.max(3), atol=1)


@given(st.integers(0, 10_000), st.integers(1, 5))
@settings(max_examples=10, deadline=None)
def test_gaussian_blur_is_a_plain_sum(seed: int, severity: int) -> None:
    images = pictures(1, 32, seed)
    deviation = (0.4, 0.6, 0.7, 0.8, 1.0)[severity - 1]
    reach = int(4 * deviation + 0.5)
    weights = np.array([np.exp(-(k**2) / (2 * deviation**2)) for k in range(-reach, reach + 1)])
    weights /= weights.sum()
    x, want = images[0] / 255, np.zeros((32, 32, 3))
    for row in range(32):
        for column in range(32):
            for a, wa in zip(range(-reach, reach + 1), weights, strict=True):
                for b, wb in zip(range(-reach, reach + 1), weights, strict=True):
                    want[row, column] += wa * wb * x[min(max(row + a, 0), 31), min(max(column + b, 0), 31)]
    found = corrupt(images, "gaussian_blur", severity, rngs(1))[0]
    np.testing.assert_allclose(found, np.round(255 * want), atol=1)


@pytest.mark.parametrize("severity", [1, 5])
def test_zoom_blur_is_the_mean_of_enlargements(severity: int) -> None:
    images = pictures(2, 16)
    total = images / 255.0
    for k in range(5 * severity + 1):
        at = 7.5 + (np.arange(16) - 7.5) / (1 + k / 100)
        grid = np.meshgrid(at, at, indexing="ij")
        enlarged = [[ndimage.map_coordinates(one[..., c], grid, order=1) for c in range(3)] for one in images / 255.0]
        total = total + np.array(enlarged).transpose(0, 2, 3, 1)
    want = np.round(255 * total / (5 * severity + 2))
    np.testing.assert_allclose(corrupt(images, "zoom_blur", severity, rngs(2)), want, atol=1)


@pytest.mark.parametrize(
    "name", ["gaussian_blur", "defocus_blur", "motion_blur", "zoom_blur", "glass_blur", "elastic", "contrast"]
)
def test_even_grey_stays_even(name: str) -> None:
    for side in (8, 28, 32):
        images = np.full((3, side, side, 3), 77, np.uint8)
        np.testing.assert_array_equal(corrupt(images, name, 5, rngs(3)), images)


def test_glass_shows_colours_of_neighbours_alone() -> None:
    """At severity 1 the blur is nothing: each pixel is one of the four at or above and left of it."""
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    out = corrupt(images, "glass_blur", 1, rngs(2))
    near = np.stack([np.roll(images, (a, b), (1, 2)) for a in (0, 1) for b in (0, 1)])
    hit = (out[None] == near).all(4)[:, :, 2:, 2:]
    assert hit.any(0).all()
    shares = hit.mean((1, 2, 3))
    assert np.abs(shares - 0.25).max() < 0.05
    np.testing.assert_array_equal(out[:, :2], images[:, :2])


def test_motion_smears_along_one_side() -> None:
    """A bright dot leaves a tail of the Gaussian's weights on one side, within 45 degrees of the horizontal."""
    images = np.zeros((5, 32, 32, 3), np.uint8)
    images[:, 16, 16] = 255
    out = corrupt(images, "motion_blur", 4, rngs(5)).astype(float)[..., 0]
    weights = np.exp(-(np.arange(9) ** 2) / 8)
    assert out[:, 16, 16] == pytest.approx(255 * weights[0] / weights.sum(), abs=1)
    assert (out[:, :, 17:] == 0).all()
    assert out.sum((1, 2)) == pytest.approx(255, abs=9)
    for one in out:
        rows, columns = np.nonzero(one)
        assert (np.abs(rows - 16) <= 16 - columns + 1).all()


def test_mud_is_brown_and_water_is_light() -> None:
    images = np.full((20, 32, 32, 3), 128, np.uint8)
    mud = corrupt(images, "spatter", 5, rngs(20))
    changed = (mud != images).any(3)
    assert 0.02 < changed.mean() < 0.6
    assert (mud[changed] < 128).all()
    water = corrupt(images, "spatter", 3, rngs(20))
    assert (water >= images).all()
    assert 0.02 < (water != images).any(3).mean() < 0.8


def test_frost_is_a_weighted_sum() -> None:
    """On black there is the texture alone, by its weight; what an image adds is the image by its weight."""
    black, images = np.zeros((5, 32, 32, 3), np.uint8), pictures(5, 32) // 4
    least = corrupt(black, "frost", 1, rngs(5)).astype(float)
    for severity, (image, frost) in enumerate(((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)), 1):
        texture = corrupt(black, "frost", severity, rngs(5)).astype(float)
        np.testing.assert_allclose(texture, least * frost / 0.2, atol=2)
        np.testing.assert_allclose(corrupt(images, "frost", severity, rngs(5)), texture + image * images, atol=1)
    assert (least.std((1, 2, 3)) > 2).all()


def test_fog_keeps_the_largest_value_and_lowers_contrast() -> None:
    images = pictures(10, 32)
    for severity in (1, 3, 5):
        out = corrupt(images, "fog", severity, rngs(10))
        assert (out.max((1, 2, 3)).astype(int) <= images.max((1, 2, 3)).astype(int) + 1).all()
    assert corrupt(np.zeros((2, 16, 16, 3), np.uint8), "fog", 5, rngs(2)).max() == 0  # m = 0: black stays black


def test_jpeg_and_pixelate_are_pillows() -> None:
    images = pictures(1, 32)
    file = io.BytesIO()
    Image.fromarray(images[0]).save(file, "JPEG", quality=50)
    np.testing.assert_array_equal(corrupt(images, "jpeg", 4, rngs(1))[0], np.asarray(Image.open(file)))
    small = Image.fromarray(images[0]).resize((24, 24), Image.Resampling.BOX).resize((32, 32), Image.Resampling.BOX)
    np.testing.assert_array_equal(corrupt(images, "pixelate", 4, rngs(1))[0], np.asarray(small))


def test_a_small_image_is_corrupted_enlarged_and_averaged_back() -> None:
    images = pictures(4, 8)
    large = images.repeat(4, 1).repeat(4, 2)
    for name in ("gaussian_blur", "defocus_blur", "motion_blur", "glass_blur"):
        want = corrupt(large, name, 5, rngs(4)).reshape(4, 8, 4, 8, 4, 3).mean((2, 4))
        np.testing.assert_allclose(corrupt(images, name, 5, rngs(4)), want, atol=1)


def test_no_images_give_none() -> None:
    assert corrupt(np.zeros((0, 8, 8, 3), np.uint8), "snow", 1, []).shape == (0, 8, 8, 3)


@pytest.mark.parametrize(
    ("shape", "dtype", "name", "severity", "count", "message"),
    [
        ((2, 8, 8, 3), np.uint8, "rain", 1, 2, "unknown corruption 'rain'"),
        ((2, 8, 8, 3), np.uint8, "snow", 0, 2, "1 to 5, not 0"),
        ((2, 8, 8, 3), np.uint8, "snow", 6, 2, "1 to 5, not 6"),
        ((2, 8, 9, 3), np.uint8, "snow", 1, 2, "images are"),
        ((2, 3, 8, 8), np.uint8, "snow", 1, 2, "images are"),
        ((2, 8, 8, 3), np.float32, "snow", 1, 2, "images are"),
        ((2, 7, 7, 3), np.uint8, "snow", 1, 2, "too small"),
        ((2, 8, 8, 3), np.uint8, "snow", 1, 3, "as many generators"),
    ],
)
def test_what_cannot_be_corrupted(shape: Any, dtype: Any, name: str, severity: int, count: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        corrupt(np.zeros(shape, dtype), name, severity, rngs(count))
