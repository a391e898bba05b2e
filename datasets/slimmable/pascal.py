"""PASCAL-Context with five tasks (PASCAL_MT): 21 classes, parts of persons, saliency, normals, edges.

Under the data root, itself or in ``PASCAL_MT/``: ``ImageSets/Context/{train,val}.txt``, ``JPEGImages/ID.jpg``,
``semseg/VOC12/ID.png`` or else ``semseg/pascal-context/ID.png``, ``human_parts/ID.mat``, ``pascal-context/trainval/
ID.mat`` (borders of its regions are the edges), ``normals_distill/ID.png``, ``sal_distill/ID.png``; saliency and
normals are the outputs of other networks. Without a data root: generated scenes with the same tasks.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from ..core.errors import DataError
from ..core.multi_task import MultiTaskInfo, Task, chosen, multi_task_source
from ..core.source import Source
from ..readers import maps
from ..readers.files import read_text
from ..readers.images import Array
from . import scenes
from .rows import Progress, Read, Sample, counted, dense_source, kept_back, listed, missing

FOLDER, PERSON = "PASCAL_MT", 15
PART_NAMES = ("none", "head", "torso", "upper_arm", "lower_arm", "upper_leg", "lower_leg")
TASKS = (
    Task("seg", "segmentation", 21, 1.0),
    Task("parts", "segmentation", 7, 2.0, PART_NAMES),
    Task("saliency", "saliency", 1, 5.0),
    Task("normals", "normals", 3, 10.0),
    Task("edges", "edges", 1, 50.0),
)
PARTS = {  # number of the part by the names of its pieces
    **dict.fromkeys(("head", "hair", "nose", "mouth", *(s + n for s in "lr" for n in ("eye", "ear", "ebrow"))), 1),
    **dict.fromkeys(("torso", "neck"), 2),
    **dict.fromkeys(("luarm", "ruarm"), 3),
    **dict.fromkeys(("llarm", "rlarm", "lhand", "rhand"), 4),
    **dict.fromkeys(("luleg", "ruleg"), 5),
    **dict.fromkeys(("llleg", "rlleg", "lfoot", "rfoot"), 6),
}
INDOOR = {  # the classes of NYU depth v2, and tvmonitor: whose normals are trusted
    *("wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture", "counter"),
    *("blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror", "floormat", "clothes", "ceiling", "books"),
    *("refrigerator", "television", "paper", "towel", "showercurtain", "box", "whiteboard", "person", "nightstand"),
    *("toilet", "sink", "lamp", "bathtub", "bag", "tvmonitor"),
}
STAND_IN = (
    Task("seg", "segmentation", 4, 1.0, scenes.TASKS[0].classes),
    Task("parts", "segmentation", 3, 2.0, ("none", "upper", "lower")),
    *TASKS[2:],
)


class Config(scenes.Size):
    """Which tasks, and the size of the images; the numbers of scenes are those of the stand-in."""

    tasks: tuple[str, ...] = Field(
        ("seg", "parts", "saliency", "normals", "edges"),
        min_length=1,
        description="tasks: any of seg, parts, saliency, normals, edges",
    )
    side: int = Field(512, ge=16, le=1024, description="real images: side in pixels; smaller images are filled up")
    valid: float = Field(0.1, gt=0, lt=0.5, description="real images: share of the training images for validation")
    context_labels: str = Field(
        "pascal-context/labels.txt",
        description="real images: file of the set with lines 'NUMBER: NAME' of the context classes, for the normals",
    )


def _parts(files: Sequence[Path]) -> Array:
    """Parts of all persons; 255 everywhere where there is none."""
    path = files[0]
    annotation = maps.matlab(path, "anno")
    try:
        objects = np.atleast_1d(annotation.objects)
        whole = [one for one in objects if int(one.class_ind) == PERSON]
        shape = np.asarray(objects[0].mask).shape if len(objects) else None
        pieces = [piece for one in whole for piece in np.atleast_1d(one.parts)]
        found = [(PARTS[str(piece.part_name)], np.asarray(piece.mask) > 0) for piece in pieces]
    except KeyError as error:
        raise DataError(f"{path}: a person has no part called {error}") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(f"{path}: no annotation of parts ({error})") from error
    if shape is None or len(shape) != 2:
        raise DataError(f"{path}: no object with a mask, so that the size of the map is unknown")
    out = np.zeros(shape, np.uint8)
    for number, mask in found:
        if mask.shape != shape:
            raise DataError(f"{path}: masks of two sizes")
        out[mask] = number
    return out if out.any() else np.full(shape, maps.VOID, np.uint8)


def _context(path: Path) -> Array:
    labels = np.asarray(maps.matlab(path, "LabelMap"))
    if labels.ndim != 2 or labels.dtype.kind not in "iuf":
        raise DataError(f"{path}: LabelMap is no map")
    return labels


def _normals(indoor: frozenset[int] | None) -> Read:
    """Normals, where the context class is one of ``indoor`` (None: wherever there is one)."""

    def read(files: Sequence[Path]) -> Array:
        values = maps.normals_image(files[0])
        if indoor is not None:
            labels = _context(files[1])
            if labels.shape != values.shape[1:]:
                raise DataError(f"{files[1]}: another size than {files[0].name}")
            values[:, ~np.isin(labels, list(indoor))] = maps.VOID
        return values

    return read


def _indoor(path: Path) -> frozenset[int] | None:
    """Numbers of the context classes whose normals are trusted; None, with a warning, without the list of classes."""
    if not path.is_file():
        warnings.warn(f"{path.name}: missing, so that normals count on all pixels, outdoor ones too", stacklevel=3)
        return None
    lines = [line.partition(":") for line in read_text(path).splitlines() if line.strip()]
    if not all(number.strip().isdigit() and name.strip() for number, _, name in lines):
        raise DataError(f"{path}: every line must be 'NUMBER: NAME'")
    return frozenset(int(number) for number, _, name in lines if name.replace(" ", "").lower().strip() in INDOOR)


def _files(base: Path, name: str, task: str, masked: bool) -> tuple[Path, ...]:
    if task == "seg":
        first = base / "semseg" / "VOC12" / f"{name}.png"
        return (first if first.is_file() else base / "semseg" / "pascal-context" / f"{name}.png",)
    context = base / "pascal-context" / "trainval" / f"{name}.mat"
    if task == "edges":
        return (context,)
    if task == "parts":
        return (base / "human_parts" / f"{name}.mat",)
    if task == "saliency":
        return (base / "sal_distill" / f"{name}.png",)
    return (base / "normals_distill" / f"{name}.png", *((context,) if masked else ()))


def stand_in(config: scenes.Size, tasks: Sequence[Task]) -> Source[MultiTaskInfo]:
    """Generated scenes; parts are the upper and the lower half of balls, and images without a ball have none."""

    def targets(part: dict[str, Array]) -> dict[str, Array]:
        parts = np.where(part["seg"] == 1, np.where(part["upper"], 1, 2), 0).astype(np.uint8)
        parts[~(part["seg"] == 1).any((1, 2))] = maps.VOID
        return {**part, "parts": parts}

    splits = scenes.generated(config, tasks, targets, "pascal")
    return multi_task_source(splits, tasks, "stand-in", normalise=((0.35,) * 3, (0.25,) * 3))


def load(config: Config, root: Path | None, progress: Progress = None) -> Source[MultiTaskInfo]:
    """Columns ``image`` and ``target_TASK``. Raises DataError with the files that are missing or at fault."""
    if root is None:
        return stand_in(config, chosen(STAND_IN, config.tasks))
    tasks = chosen(TASKS, config.tasks)
    base = root / FOLDER if (root / FOLDER).is_dir() else root
    if ".." in Path(config.context_labels).parts or Path(config.context_labels).is_absolute():
        raise DataError(f"data.options.context_labels: {config.context_labels!a} is no file of the set")
    indoor = _indoor(base / config.context_labels) if "normals" in config.tasks else None
    readers: Mapping[str, Read] = {
        "seg": lambda files: maps.classes(maps.label_image(files[0]), files[0], 21),
        "parts": _parts,
        "saliency": lambda files: (maps.label_image(files[0]) > 127.5).astype(np.uint8),
        "normals": _normals(indoor),
        "edges": lambda files: maps.borders(_context(files[0])),
    }
    samples: dict[str, list[Sample]] = {}
    for split in ("train", "val"):
        ids = listed(base / "ImageSets" / "Context" / f"{split}.txt")
        samples[split] = [
            Sample(
                base / "JPEGImages" / f"{name}.jpg",
                {t.name: _files(base, name, t.name, indoor is not None) for t in tasks},
            )
            for name in ids
        ]
    every = [sample for part in samples.values() for sample in part]
    missing([path for s in every for path in (s.image, *(p for f in s.files.values() for p in f))], base)
    train, valid = kept_back(len(samples["train"]), config.valid, config.seed)
    parts = {
        "train": [samples["train"][k] for k in train],
        "valid": [samples["train"][k] for k in valid],
        "test": samples["val"],
    }
    how = f"pascal, normals on {'all pixels' if indoor is None else sorted(indoor)}"
    return dense_source(parts, tasks, readers, (config.side, config.side), how, progress)


def check(config: Config, root: Path | None) -> dict[str, Any]:
    """Rows and labelled share of every task in every split."""
    return counted(load(config, root))
