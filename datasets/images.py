"""What the image sets share: bias assignment, colouring, the Source of an image set with a bias column."""

from __future__ import annotations

import gzip
import hashlib
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from .batches import DataError, Source, Table

Array = npt.NDArray[Any]
SPLITS = ("train", "valid", "test")

# Ten colours of the LfF generator, RGB in [0, 1] (spec section 8).
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
    (255, 0, 0), (0, 255, 0), (0, 0, 255), (225, 225, 0), (225, 0, 225), (0, 255, 255), (255, 128, 0), (255, 0, 128), (128, 0, 255),
    (128, 128, 128),
)  # fmt: skip


CORNER: tuple[int, ...] = tuple(round(25.5 * (b + 1)) for b in range(10))  # brightness of the corner by bias, 0 to 255


def assign(labels: Array, rho: float, n_classes: int) -> Array:
    """Bias of every row [N] int64: class c holds the share ``rho`` of bias c and (1 - rho) / (C - 1) of every other.

    The k-th row of class c in file order takes the first bias j with ``round_half_even(n_c · (r_0 + ... + r_j)) > k``. Source: LfF's
    generator (spec section 8). ValueError for a share outside [0, 1] or labels outside 0..C-1.
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
    """Grey images [N, S, S] with a corner (upper left, S / 4 wide) of the brightness of the bias; [N, S, S, 3] uint8. Spec section 12."""
    made = np.repeat(grey[..., None], 3, 3)
    side = max(1, grey.shape[1] // 4)
    made[:, :side, :side] = np.asarray(CORNER, np.uint8)[bias][:, None, None, None]
    return made


def striped_ground(grey: Array, bias: Array) -> Array:
    """Grey images [N, S, S] over stripes of 0.35 cycles a pixel whose direction, 18 degrees times the bias, carries it; [N, S, S, 3] uint8.

    The lighter of digit and ``45 (1 + cos)`` is seen. Spec section 12 (a texture bias; frequency and heights are ours).
    """
    down, right = np.meshgrid(np.arange(grey.shape[1]), np.arange(grey.shape[2]), indexing="ij")
    angles = np.pi * np.arange(10)[:, None, None] / 10
    waves = 45 * (1 + np.cos(2 * np.pi * 0.35 * (right * np.cos(angles) + down * np.sin(angles))))
    return np.repeat(np.maximum(grey, waves.astype(np.uint8)[bias])[..., None], 3, 3)


def read_idx(path: Path) -> Array:
    """An idx file of bytes, gzip-compressed or not. Raises DataError where it is missing, cut short or something else."""
    found = next((p for p in (path, path.with_name(path.name + ".gz")) if p.is_file()), None)
    if found is None:
        raise DataError(f"{path}: missing (also as .gz)")
    try:
        raw = gzip.decompress(found.read_bytes()) if found.suffix == ".gz" else found.read_bytes()
        zero, kind, dims = struct.unpack(">HBB", raw[:4])
        shape = struct.unpack(f">{dims}I", raw[4 : 4 + 4 * dims])
        if zero != 0 or kind != 8:
            raise ValueError("not an idx file of bytes")
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * dims).reshape(shape)
    except (OSError, EOFError, ValueError, struct.error) as error:
        raise DataError(f"{found}: no readable idx file ({error})") from error


def cut(
    parts: Mapping[str, tuple[Array, ...]], n_train: int | None, n_valid: int, n_test: int | None
) -> dict[str, tuple[Array, ...]]:
    """The arrays of train (its first ``n_train`` rows; None: all but the validation's), valid (its last ``n_valid``) and test (its first ``n_test``).

    Raises DataError where there are too few rows.
    """
    count = len(parts["train"][0])
    stop = count - n_valid
    if (n_train or 1) > stop:
        raise DataError(
            f"data.options.n_train + n_valid = {(n_train or 1) + n_valid}, but there are {count} training images"
        )
    return {
        "train": tuple(a[: n_train or stop] for a in parts["train"]),
        "valid": tuple(a[stop:] for a in parts["train"]),
        "test": tuple(a[:n_test] for a in parts["test"]),
    }


def table(images: Array, labels: Array, bias: Array, **columns: Array) -> Table:
    """Columns ``image`` [N, 3, H, W] uint8, ``label`` and ``bias`` [N] int64, and those given."""
    extra = {name: torch.from_numpy(np.array(value)) for name, value in columns.items()}
    return Table(
        {
            "image": torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))),
            "label": torch.from_numpy(labels.astype(np.int64)),
            "bias": torch.from_numpy(bias.astype(np.int64)),
            **extra,
        }
    )


def majority_bias(labels: Array, bias: Array, classes: int, own: Mapping[int, int] | None = None) -> tuple[int, ...]:
    """The usual bias of every class: the one that most of its rows have; labels, bias [N].

    Ties go to the bias of the class's own name (``own``: class -> bias), then to the one with fewer rows in all, then
    to the one whose first row comes first. Nothing depends on how biases are numbered. A class without a row has -1.
    """
    found = []
    for c in range(classes):
        values, first, count = np.unique(bias[labels == c], return_index=True, return_counts=True)
        every = (bias[:, None] == values).sum(0)
        ranked = zip(-count, values != (own or {}).get(c, -1), every, first, values, strict=True)
        found.append(int(min(ranked, default=(-1,))[-1]))
    return tuple(found)


def _numbers(table: Table, name: str) -> Array:
    column = table.columns[name]
    assert isinstance(column, torch.Tensor)
    return column.numpy()


def image_source(
    splits: Mapping[str, Table], class_names: Sequence[str], source: str, info: Mapping[str, Any] | None = None
) -> Source:
    """A Source with the checksum of all its columns; ``info`` gains ``classes``, ``channels``, ``size`` and ``usual``.

    ``usual`` [classes] is the bias that is usual for each class, by number: what counts as aligned. Unless ``info``
    says otherwise, biases are numbered like the classes and the usual one is the class's own. Raises DataError where
    training holds one class only, or an image is not square.
    """
    train = splits["train"]
    labels = train.columns["label"]
    assert isinstance(labels, torch.Tensor)
    found = set(labels.tolist())
    if len(found) < 2:
        raise DataError(f"the training images hold {len(found)} class; a classifier needs two or more")
    digest = hashlib.sha256()
    for name in sorted(splits):
        for column in sorted(splits[name].columns):
            value = splits[name].columns[column]
            assert isinstance(value, torch.Tensor)
            digest.update(f"{name}/{column}/{tuple(value.shape)}".encode())
            digest.update(value.contiguous().numpy().tobytes())
    image = train.columns["image"]
    assert isinstance(image, torch.Tensor)
    _, channels, height, width = image.shape
    if height != width:
        raise DataError(f"images must be square, these are {height} x {width}")
    return Source(
        random_split=source == "stand-in",  # all stand-ins of images are splits of scikit-learn's digits by their seed
        splits=dict(splits),
        class_names=list(class_names),
        info={
            "classes": len(class_names),
            "channels": channels,
            "size": height,
            "usual": tuple(range(len(class_names))),
            **(info or {}),
        },
        source=source,
        checksum=digest.hexdigest(),
    )


def read_image(path: Path, size: int | None) -> Array:
    """[size, size, 3] uint8 (None: as it is); grey images get three equal channels. Raises DataError where there is no readable image."""
    from PIL import Image

    try:
        with Image.open(path) as opened:
            if opened.mode == "F" and not np.isfinite(np.asarray(opened)).all():
                raise DataError(f"{path}: pixels that are not numbers")
            image = opened.convert("RGB")
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: no readable image ({error})") from error
    if size is None:
        return np.asarray(image)
    scale = size / min(image.size)
    width, height = (max(size, round(scale * v)) for v in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - size) // 2, (height - size) // 2
    return np.asarray(image.crop((left, top, left + size, top + size)))


def from_rows(
    rows: dict[str, list[tuple[Path, str, str]]], size: int | None, progress: Callable[[int, int], None] | None = None,
    numbered: bool = False,
) -> Source:  # fmt: skip
    """A Source of (file, label, bias) by split; classes and biases are numbered in alphabetical order, equal names alike.

    ``size`` None: images stay as they are. ``numbered``: the biases are the classes' by name, as in an archive whose
    bias c belongs to class c; else they may be any words, and what is usual for a class is what most of its training
    rows have (:func:`majority_bias`). Raises DataError where a split is empty, a class occurs in no training image,
    or images that stay as they are differ in size.
    """
    for split in SPLITS:
        if not rows.get(split):
            raise DataError(f"the split '{split}' holds no image")
    classes = sorted({label for _, label, _ in rows["train"]})
    unknown = sorted({label for part in rows.values() for _, label, _ in part} - set(classes))
    if unknown:
        raise DataError(f"no training image of the classes {', '.join(unknown)}")
    words = {bias for part in rows.values() for _, _, bias in part}
    named = numbered or words >= set(classes)
    biases = [*classes, *sorted(words - set(classes))] if named else sorted(words)
    total, done = sum(map(len, rows.values())), 0
    splits = {}
    shape = (size, size, 3) if size is not None else read_image(rows["train"][0][0], None).shape
    for split, part in rows.items():
        images = np.zeros((len(part), *shape), np.uint8)
        for k, (path, _, _) in enumerate(part):
            image = read_image(path, size)
            if image.shape != shape:
                raise DataError(
                    f"{path}: {image.shape[1]} x {image.shape[0]} pixels, others have {shape[1]} x {shape[0]}"
                )
            images[k] = image
            done += 1
            if progress is not None and done % 100 == 0:
                progress(done, total)
        labels = np.array([classes.index(label) for _, label, _ in part])
        splits[split] = table(images, labels, np.array([biases.index(bias) for _, _, bias in part]))
    info: dict[str, Any] = {"biases": biases}
    if not numbered:
        own = {c: biases.index(name) for c, name in enumerate(classes) if name in biases}
        train = splits["train"]
        info["usual"] = majority_bias(_numbers(train, "label"), _numbers(train, "bias"), len(classes), own)
    return image_source(splits, classes, "real", info)


def counts(source: Source) -> dict[str, Any]:
    """What ``suites data check`` says of an image set: rows and the share of aligned images of every split, and which
    bias is usual for a class.
    """
    rows: dict[str, Any] = {"source": source.source, "size": source.info["size"]}
    usual = np.asarray(source.info["usual"])
    for split, part in source.splits.items():
        wanted = _numbers(part, "usual") if "usual" in part.columns else usual[_numbers(part, "label")]
        rows[split] = {"rows": len(part), "aligned": round(float((wanted == _numbers(part, "bias")).mean()), 4)}
    if "biases" in source.info:
        words = source.info["biases"]
        rows["usual"] = {name: words[b] for name, b in zip(source.class_names, usual, strict=True)}
    return rows
