"""The twenty image corruptions of Corrupted CIFAR-10 (LfF), with CIFAR-10-C's table of severities.

The table's lengths (blurs, snow, drops, shards of glass) are pixels of a 32 px image: at a larger size they grow with
it; a smaller image is enlarged to 32 px or more by repeating pixels, corrupted there and averaged back, so that half
a pixel of blur still does something at 8 px. Noise, colour, JPEG and what is a share of the image by itself (elastic,
pixelate, zoom, fog) work at the image's own size.

Our readings, where the original leans on other programs or on pictures that are not shipped: the texture of frost is
generated, the light on water drops comes from the depth of the drop, elastic samples once for both its parts. Glass
copies pixels, as the original does; it means to exchange them.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy import ndimage, sparse

from ..readers.images import Array

TYPES: tuple[tuple[str, ...], tuple[str, ...]] = (
    ("snow", "frost", "fog", "brightness", "contrast", "spatter", "elastic", "jpeg", "pixelate", "saturate"),
    (
        "gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "gaussian_blur", "defocus_blur",
        "glass_blur", "motion_blur",
        "zoom_blur", "original",
    ),
)  # fmt: skip
"""LfF's two types: the corruption of class c is the c-th."""

# What a corruption is given at the severities 1 to 5.
LEVELS: dict[str, tuple[Any, ...]] = {
    "snow": (  # mean and deviation of the layer, zoom, threshold, radius and deviation of the fall, weight of the image
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95), (0.1, 0.2, 1, 0.5, 10, 4, 0.9), (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ),
    "frost": ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),  # weights of image and texture
    "fog": ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),  # weight, decay of the fractal
    "brightness": (0.05, 0.1, 0.15, 0.2, 0.3),
    "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),
    "spatter": (  # mean and deviation of the liquid, its blur, threshold, strength (water) or blur (mud), mud
        (0.62, 0.1, 0.7, 0.7, 0.5, False), (0.65, 0.1, 0.8, 0.7, 0.5, False), (0.65, 0.3, 1, 0.69, 0.5, False),
        (0.65, 0.1, 0.7, 0.69, 0.6, True),
        (0.65, 0.1, 0.5, 0.68, 0.6, True),
    ),
    # shares of the side
    "elastic": ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
    "jpeg": (80, 65, 58, 50, 40),  # quality
    "pixelate": (0.95, 0.9, 0.85, 0.75, 0.65),
    "saturate": ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),  # factor, offset
    "gaussian_noise": (0.04, 0.06, 0.08, 0.09, 0.10),
    "shot_noise": (500, 250, 100, 75, 50),
    "impulse_noise": (0.01, 0.02, 0.03, 0.05, 0.07),
    "speckle_noise": (0.06, 0.1, 0.12, 0.16, 0.2),
    "gaussian_blur": (0.4, 0.6, 0.7, 0.8, 1),
    "defocus_blur": ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),  # radius, deviation of the rim
    "glass_blur": ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),  # deviation, reach, rounds
    "motion_blur": ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),  # radius, deviation
    "zoom_blur": (5, 10, 15, 20, 25),  # last zoom in hundredths
    "original": (None,) * 5,
}  # fmt: skip
_CHUNK = 256  # images at a time
_TABLE_SIDE = 32  # the side that the table's lengths are meant for

Rngs = Sequence[np.random.Generator]


def corrupt(images: Array, name: str, severity: int, rngs: Rngs) -> Array:
    """Corrupted copies of ``images`` [N, S, S, 3] uint8, same shape and type.

    Args:
        name: one of TYPES. severity: 1 to 5, the table's count (LfF's severity + 1).
        rngs: one generator an image; an image's result depends on nothing but the image and its generator.

    ValueError for another name, severity, shape or type, or S below 8.
    """
    if name not in LEVELS:
        raise ValueError(f"unknown corruption '{name}' (there are: {', '.join(LEVELS)})")
    if not 1 <= severity <= 5:
        raise ValueError(f"the severity of a corruption is 1 to 5, not {severity}")
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or images.shape[1] != images.shape[2]:
        raise ValueError(f"images are [N, S, S, 3] uint8, not {list(images.shape)} {images.dtype}")
    if images.shape[1] < 8:
        raise ValueError(f"images of {images.shape[1]} px are too small to corrupt: 8 px or more")
    if len(rngs) != len(images):
        raise ValueError(f"{len(images)} images need as many generators, not {len(rngs)}")
    if name == "original":
        return images.copy()
    level = LEVELS[name][severity - 1]
    out = np.empty_like(images)
    for start in range(0, len(images), _CHUNK):
        part = slice(start, start + _CHUNK)
        x = images[part].astype(np.float32) / 255
        if name in _IN_PIXELS:
            repeat = math.ceil(_TABLE_SIDE / x.shape[1])
            x = x.repeat(repeat, 1).repeat(repeat, 2)
            y = _IN_PIXELS[name](x, level, rngs[part], x.shape[1] / _TABLE_SIDE)
            side = images.shape[1]
            y = y.reshape(len(y), side, repeat, side, repeat, 3).mean((2, 4))
        else:
            y = _BY_ITSELF[name](x, level, rngs[part])
        out[part] = np.round(np.clip(y, 0, 1) * 255)
    return out


# -- parts ---------------------------------------------------------------------------------------------------------


def _draw(rngs: Rngs, draw: Callable[[np.random.Generator], Any]) -> Array:
    """One draw an image: [N, ...] float32."""
    return np.stack([np.asarray(draw(rng), np.float32) for rng in rngs])


def _blur(x: Array, deviation: float) -> Array:
    """Gaussian blur of [N, S, S, ...] over rows and columns, cut at four deviations."""
    return ndimage.gaussian_filter(x, (0, deviation, deviation, *(0,) * (x.ndim - 3)), mode="nearest")


def _smear(x: Array, radius: float, deviation: float, angles: Array) -> Array:
    """One-sided Gaussian of 2 · radius + 1 taps along each image's direction (radians): y(p) = Σ_i w_i x(p + i ·
    direction).
    """
    side = x.shape[1]
    taps = np.arange(min(2 * math.ceil(radius) + 1, math.ceil(4 * deviation) + 1))
    weights = np.exp(-(taps**2) / (2 * deviation**2))
    weights = (weights / weights.sum()).astype(np.float32)
    rows, line = np.arange(len(x))[:, None, None], np.arange(side)
    y = np.zeros_like(x)
    for tap, weight in zip(taps, weights, strict=True):
        down, right = (np.rint(tap * f(angles)).astype(int)[:, None] for f in (np.sin, np.cos))
        below, beside = np.clip(line + down, 0, side - 1), np.clip(line + right, 0, side - 1)
        y += weight * x[rows, below[:, :, None], beside[:, None, :]]
    return y


def _zoom(side: int, factor: float) -> Any:
    """Sparse [S, S]: a line enlarged by ``factor`` about its middle, linearly interpolated."""
    middle = (side - 1) / 2
    at = np.clip(middle + (np.arange(side) - middle) / factor, 0, side - 1)
    low = np.minimum(np.floor(at).astype(int), side - 2)
    high = (at - low).astype(np.float32)
    lines = np.arange(side)
    return sparse.csr_matrix((np.r_[1 - high, high], (np.r_[lines, lines], np.r_[low, low + 1])), shape=(side, side))


def _plasma(rngs: Rngs, side: int, decay: float) -> Array:
    """Diamond-square fractal on a periodic grid of the next power of two, each octave decay² weaker: [N, side, side] in
    [0, 1].
    """
    step = 2 ** math.ceil(math.log2(side))
    noise = _draw(rngs, lambda rng: rng.uniform(-1, 1, (step, step)))
    height, amplitude = np.zeros_like(noise), 1.0
    while step > 1:
        half = step // 2
        corner = height[:, ::step, ::step].copy()
        right, below = np.roll(corner, -1, 2), np.roll(corner, -1, 1)
        middle = (corner + right + below + np.roll(right, -1, 1)) / 4 + amplitude * noise[:, half::step, half::step]
        height[:, half::step, half::step] = middle
        for rows, columns, other, axis in ((0, half, right, 1), (half, 0, below, 2)):
            near = (corner + other + middle + np.roll(middle, 1, axis)) / 4
            height[:, rows::step, columns::step] = near + amplitude * noise[:, rows::step, columns::step]
        step, amplitude = half, amplitude / decay**2
    return _unit(height)[:, :side, :side]


def _unit(maps: Array) -> Array:
    """Each of [N, ...] stretched to [0, 1]."""
    axes = tuple(range(1, maps.ndim))
    maps = maps - maps.min(axes, keepdims=True)
    return maps / np.maximum(maps.max(axes, keepdims=True), 1e-12)


def _sample(x: Array, down: Array, right: Array) -> Array:
    """x [N, S, S, C] at real coordinates [N, S, S], bilinear, mirrored at the rim."""
    side = x.shape[1]
    down, right = (np.abs((at + side - 1) % (2 * side - 2) - (side - 1)) for at in (down, right))
    top, left = (np.minimum(np.floor(at).astype(int), side - 2) for at in (down, right))
    v, h = ((at - low)[..., None].astype(np.float32) for at, low in ((down, top), (right, left)))
    rows = np.arange(len(x))[:, None, None]
    upper = x[rows, top, left] * (1 - h) + x[rows, top, left + 1] * h
    lower = x[rows, top + 1, left] * (1 - h) + x[rows, top + 1, left + 1] * h
    return upper * (1 - v) + lower * v


# -- lengths in pixels: (x [N, S, S, 3] in [0, 1], level, rngs, S / 32) --------------------------------------------


def _snow(x: Array, level: Any, rngs: Rngs, scale: float) -> Array:
    """Thresholded noise, enlarged and smeared downwards, laid over the whitened image together with itself turned
    upside down.
    """
    mean, deviation, zoom, threshold, radius, fall, keep = level
    side = x.shape[1]
    layer = _draw(rngs, lambda rng: rng.normal(mean, deviation, (side, side)))
    angles = np.pi / 2 + _draw(rngs, lambda rng: rng.uniform(-np.pi / 4, np.pi / 4))
    enlarge = _zoom(side, zoom * scale).toarray()
    layer = enlarge @ layer @ enlarge.T
    layer = np.where(layer < threshold, 0, np.clip(layer, 0, 1))
    layer = _smear(layer[..., None], radius * scale, fall * scale, angles)
    grey = x @ np.array([[0.299], [0.587], [0.114]], np.float32)
    return keep * x + (1 - keep) * np.maximum(x, 1.5 * grey + 0.5) + layer + layer[:, ::-1, ::-1]


def _spatter(x: Array, level: Any, rngs: Rngs, scale: float) -> Array:
    """Drops where blurred noise passes a threshold: of water (added light, stronger inside and towards the upper left),
    or of mud.
    """
    mean, deviation, blur, threshold, last, mud = level
    side = x.shape[1]
    liquid = _blur(_draw(rngs, lambda rng: rng.normal(mean, deviation, (side, side))), blur * scale)
    drops = liquid >= threshold
    if mud:
        cover = _blur(drops.astype(np.float32), last * scale)[..., None]
        cover[cover < 0.8] = 0
        return x * (1 - cover) + cover * np.array([63, 42, 20], np.float32) / 255
    depth = ndimage.distance_transform_edt(drops, sampling=(1e6, 1, 1)).astype(np.float32)
    depth = np.minimum(depth, 20 * scale)
    lit = depth + np.maximum(depth - np.roll(depth, (1, 1), (1, 2)), 0)
    shine = liquid * drops * ndimage.uniform_filter(lit, (0, 3, 3), mode="nearest")
    shine = last * shine / np.maximum(shine.max((1, 2), keepdims=True), 1e-6)
    return x + shine[..., None] * np.array([175, 238, 238], np.float32) / 255


def _gaussian_blur(x: Array, level: Any, rngs: Rngs, scale: float) -> Array:
    return _blur(x, level * scale)


def _defocus_blur(x: Array, level: Any, rngs: Rngs, scale: float) -> Array:
    """A disk whose rim is softened, as the kernel."""
    radius, rim = (v * scale for v in level)
    reach = max(1, round(scale))
    line = np.arange(-math.ceil(radius) - reach, math.ceil(radius) + reach + 1)
    disk = (line[:, None] ** 2 + line[None, :] ** 2 <= radius**2).astype(np.float32)
    kernel = ndimage.gaussian_filter(disk / disk.sum(), rim, radius=reach, mode="constant")
    return ndimage.convolve(x, (kernel / kernel.sum())[None, :, :, None], mode="mirror")


def _glass_blur(x: Array, level: Any, rngs: Rngs, scale: float) -> Array:
    """Blur; every pixel takes the colour of one that lies up to ``reach`` above or left of it (less than that below,
    right); blur.
    """
    deviation, reach, rounds = level
    n, side, reach = len(x), x.shape[1], max(1, round(reach * scale))
    y = _blur(x, deviation * scale)
    images, line = np.arange(n)[:, None, None], np.arange(reach + 1, side)  # a rim above and left stays
    for _ in range(rounds):
        shift = np.stack([rng.integers(-reach, reach, (2, len(line), len(line))) for rng in rngs], 1)
        down, right = np.minimum(line[:, None] + shift[0], side - 1), np.minimum(line + shift[1], side - 1)
        y[:, reach + 1 :, reach + 1 :] = y[images, down, right]
    return _blur(y, deviation * scale)


def _motion_blur(x: Array, level: Any, rngs: Rngs, scale: float) -> Array:
    radius, deviation = level
    angles = _draw(rngs, lambda rng: rng.uniform(-np.pi / 4, np.pi / 4))
    return _smear(x, radius * scale, deviation * scale, angles)


# -- at the image's own size: (x [N, S, S, 3] in [0, 1], level, rngs) ----------------------------------------------


def _frost(x: Array, level: Any, rngs: Rngs) -> Array:
    """A weighted sum of the image and frost. The frost is our reading: bluish white needles of six directions over
    ridges of a fractal.
    """
    n, side = len(x), x.shape[1]
    ridges = (1 - np.abs(2 * _plasma(rngs, side, 1.5) - 1)) ** 2
    seeds = _draw(rngs, lambda rng: (rng.random((side, side)) < 0.04) * rng.random((side, side)))[..., None]
    turn = _draw(rngs, lambda rng: rng.uniform(0, np.pi))
    needles = np.zeros((n, side, side, 1), np.float32)
    for k in range(6):
        needles = np.maximum(needles, _smear(seeds, side / 4, side / 10, turn + k * np.pi / 3))
    texture = 0.2 + 0.4 * ridges[..., None] + 0.6 * _unit(needles) ** 0.7
    image, frost = level
    return image * x + frost * np.clip(texture, 0, 1) * np.array([0.86, 0.94, 1], np.float32)


def _fog(x: Array, level: Any, rngs: Rngs) -> Array:
    """(x + c · fractal) · m / (m + c), m the image's largest value."""
    weight, decay = level
    largest = x.max((1, 2, 3), keepdims=True)
    fog = weight * _plasma(rngs, x.shape[1], decay)[..., None]
    return (x + fog) * largest / (largest + weight)


def _hsv(x: Array, level: Any, rngs: Rngs, *, channel: int) -> Array:
    """Channel 1 (saturation) or 2 (value) times a factor plus an offset."""
    from matplotlib.colors import hsv_to_rgb, rgb_to_hsv

    factor, offset = level if channel == 1 else (1, level)
    hsv = rgb_to_hsv(x)
    hsv[..., channel] = np.clip(factor * hsv[..., channel] + offset, 0, 1)
    return hsv_to_rgb(hsv)


def _contrast(x: Array, level: Any, rngs: Rngs) -> Array:
    mean = x.mean((1, 2), keepdims=True)
    return (x - mean) * level + mean


def _elastic(x: Array, level: Any, rngs: Rngs) -> Array:
    """A random affine map (three points moved by up to c_2 · S) after a smooth random displacement (strength c_0 · S,
    blur c_1 · S).
    """
    side = x.shape[1]
    strength, smooth, jump = (v * side for v in level)
    centre, arm = side // 2, side // 3
    fixed = np.array([(centre + arm, centre + arm), (centre + arm, centre - arm), (centre - arm, centre - arm)], float)
    moved = fixed + _draw(rngs, lambda rng: rng.uniform(-jump, jump, (3, 2)))
    ones = np.ones((len(x), 3, 1))
    back = np.linalg.solve(np.concatenate([moved, ones], 2), np.broadcast_to(fixed, moved.shape))  # [N, 3, 2]
    at = np.stack(np.broadcast_arrays(*np.meshgrid(np.arange(side), np.arange(side), indexing="ij")), -1)[None]
    shift = _draw(rngs, lambda rng: rng.uniform(-1, 1, (side, side, 2)))
    at = at + strength * ndimage.gaussian_filter(shift, (0, smooth, smooth, 0), mode="reflect", truncate=3)
    at = np.einsum("nrcd,nde->nrce", at, back[:, :2]) + back[:, None, None, 2]
    return _sample(x, at[..., 0], at[..., 1])


def _through_pillow(x: Array, change: Callable[[Any], Any]) -> Array:
    """Every image as a Pillow image through ``change``."""
    from PIL import Image

    made = [np.asarray(change(Image.fromarray(one)), np.float32) for one in np.round(x * 255).astype(np.uint8)]
    return np.stack(made) / 255


def _jpeg(x: Array, level: Any, rngs: Rngs) -> Array:
    from PIL import Image

    def change(image: Any) -> Any:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=level)
        return Image.open(file)

    return _through_pillow(x, change)


def _pixelate(x: Array, level: Any, rngs: Rngs) -> Array:
    from PIL import Image

    small, box = int(x.shape[1] * level), Image.Resampling.BOX
    return _through_pillow(x, lambda image: image.resize((small, small), box).resize(image.size, box))


def _gaussian_noise(x: Array, level: Any, rngs: Rngs) -> Array:
    return x + level * _draw(rngs, lambda rng: rng.standard_normal(x.shape[1:], np.float32))


def _shot_noise(x: Array, level: Any, rngs: Rngs) -> Array:
    """Poisson counts of c · x, over c."""
    return np.stack([rng.poisson(one * level) for one, rng in zip(x, rngs, strict=True)]) / level


def _impulse_noise(x: Array, level: Any, rngs: Rngs) -> Array:
    """The share c of all values becomes 0 or 1, each by half."""
    draw = _draw(rngs, lambda rng: rng.random(x.shape[1:], np.float32))
    return np.where(draw < level, draw < level / 2, x)


def _speckle_noise(x: Array, level: Any, rngs: Rngs) -> Array:
    return _gaussian_noise(x, level * x, rngs)


def _zoom_blur(x: Array, level: Any, rngs: Rngs) -> Array:
    """Mean of the image and its enlargements by 1.00, 1.01, ..., 1 + c / 100: one sparse linear map."""
    n, side = len(x), x.shape[1]
    lines = [_zoom(side, 1 + k / 100) for k in range(level + 1)]
    total = sum((sparse.kron(line, line, "csr") for line in lines), sparse.identity(side * side, np.float32, "csr"))
    y = total @ x.transpose(1, 2, 0, 3).reshape(side * side, -1) / (level + 2)
    return y.reshape(side, side, n, 3).transpose(2, 0, 1, 3)


_IN_PIXELS: dict[str, Callable[[Array, Any, Rngs, float], Array]] = {
    "snow": _snow,
    "spatter": _spatter,
    "gaussian_blur": _gaussian_blur,
    "defocus_blur": _defocus_blur,
    "glass_blur": _glass_blur,
    "motion_blur": _motion_blur,
}
_BY_ITSELF: dict[str, Callable[[Array, Any, Rngs], Array]] = {
    "frost": _frost, "fog": _fog, "brightness": partial(_hsv, channel=2), "saturate": partial(_hsv, channel=1),
    "contrast": _contrast,
    "elastic": _elastic, "jpeg": _jpeg, "pixelate": _pixelate, "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise,
    "impulse_noise": _impulse_noise, "speckle_noise": _speckle_noise, "zoom_blur": _zoom_blur,
}  # fmt: skip
