"""Biases of the stand-ins: how they are assigned to rows and drawn into images."""

from __future__ import annotations

import numpy as np

from ..readers.images import Array

# Ten colours of the LfF generator, RGB in [0, 1].
PALETTE: tuple[tuple[float, float, float], ...] = (
    (0.98368233, 0.312519, 0.16857535),
    (0.99052966, 0.91560525, 0.3515122),
    (0.672964, 0.46107048, 0.5798082),
    (0.78325194, 0.8315559, 0.6013294),
    (0.088015795, 0.77796334, 0.98180777),
    (0.32139337, 0.96105456, 0.44644988),
    (0.024615884, 0.23565048, 0.7586663),
    (0.55524695, 0.10158014, 0.76176316),
    (0.2077232, 0.3929485, 0.018702388),
    (0.8336576, 0.20240927, 0.2669431),
)


# Ten background colours of Biased MNIST (ReBias), 0 to 255.
BACKGROUNDS: tuple[tuple[int, int, int], ...] = (
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (225, 225, 0),
    (225, 0, 225),
    (0, 255, 255),
    (255, 128, 0),
    (255, 0, 128),
    (128, 0, 255),
    (128, 128, 128),
)


CORNER: tuple[int, ...] = tuple(round(25.5 * (b + 1)) for b in range(10))  # brightness of the corner by bias, 0 to 255


def assign(labels: Array, rho: float, n_classes: int) -> Array:
    """Bias of every row [N] int64: class c holds the share ``rho`` of bias c and (1 - rho) / (C - 1) of every other.

    The k-th row of class c in file order takes the first bias j with ``round_half_even(n_c · (r_0 + ... + r_j)) >
    k``. Source: LfF's generator. ValueError for a share outside [0, 1] or labels outside 0..C-1.
    """
    if not 0 <= rho <= 1:
        raise ValueError(f"rho is a share between 0 and 1, not {rho}")
    if len(labels) and not 0 <= labels.min() <= labels.max() < n_classes:
        raise ValueError(f"labels must lie in 0..{n_classes - 1}")
    bias = np.zeros(len(labels), np.int64)
    for c in range(n_classes):
        rows = np.flatnonzero(labels == c)
        shares = np.full(n_classes, (1 - rho) / (n_classes - 1) if n_classes > 1 else 0.0)
        shares[c] = rho if n_classes > 1 else 1.0
        milestones = np.round(len(rows) * np.cumsum(shares))
        bias[rows] = np.minimum((milestones[None, :] <= np.arange(len(rows))[:, None]).sum(1), n_classes - 1)
    return bias


def colour(grey: Array, bias: Array, noise: Array, std: float, palette: Array) -> Array:
    """Foreground colour: ``trunc(clip(palette[b] + std · noise, 0, 1) · grey)``.

    Args:
        grey: [N, H, W] uint8; bias: [N]; noise: [N, 3], one standard normal draw a channel of an image.

    Returns:
        [N, H, W, 3] uint8.
    """
    tint = np.clip(palette[bias].astype(np.float32) + np.float32(std) * noise.astype(np.float32), 0, 1)
    return (tint[:, None, None, :] * grey[..., None].astype(np.float32)).astype(np.uint8)


def colour_background(grey: Array, bias: Array) -> Array:
    """Background colour: white where grey > 127, the bias's colour elsewhere; [N, H, W, 3] uint8."""
    ground = np.asarray(BACKGROUNDS, np.uint8)[bias][:, None, None, :]
    return np.where(grey[..., None] > 127, np.uint8(255), ground).astype(np.uint8)


def bright_corner(grey: Array, bias: Array) -> Array:
    """Grey images [N, S, S] with a corner (upper left, S / 4 wide) as bright as the bias says; [N, S, S, 3] uint8."""
    made = np.repeat(grey[..., None], 3, 3)
    side = max(1, grey.shape[1] // 4)
    made[:, :side, :side] = np.asarray(CORNER, np.uint8)[bias][:, None, None, None]
    return made


def striped_ground(grey: Array, bias: Array) -> Array:
    """Grey images [N, S, S] over stripes of 0.35 cycles a pixel whose direction, 18 degrees times the bias, carries it;
    [N, S, S, 3] uint8.

    The lighter of digit and ``45 (1 + cos)`` is seen. A texture bias; frequency and heights are ours.
    """
    down, right = np.meshgrid(np.arange(grey.shape[1]), np.arange(grey.shape[2]), indexing="ij")
    angles = np.pi * np.arange(10)[:, None, None] / 10
    waves = 45 * (1 + np.cos(2 * np.pi * 0.35 * (right * np.cos(angles) + down * np.sin(angles))))
    return np.repeat(np.maximum(grey, waves.astype(np.uint8)[bias])[..., None], 3, 3)
