"""Downloadable archives of images whose bias is fixed already: DisEnt's trees of image files and LfF's arrays.

DisEnt: ``<set>/<share>/{align,conflict}/<class>/*``, ``<set>/<share>/valid`` or ``<set>/valid``, ``<set>/test``;
class and bias are the last two numbers of a file name, ``..._<class>_<bias>.png``. Both spellings ``conflict`` and
``conlict`` are read. LfF: ``<set>-Skewed<share>-Severity<n>/{train,valid}/images.npy`` and ``attrs.npy`` (class,
bias); its ``valid`` is the unbiased test set.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ..core.errors import DataError
from ..core.images import cut, image_source
from ..core.seeds import derive
from ..core.source import Colours, ImageInfo, Source
from ..readers.images import Array
from .image_sets import from_rows, table

Share = Literal["0.5pct", "1pct", "2pct", "5pct"]
Rows = list[tuple[Path, str, str]]  # file, class, bias

SHARES: Mapping[str, float] = {"0.5pct": 0.005, "1pct": 0.01, "2pct": 0.02, "5pct": 0.05}
_NAME = re.compile(r"_(\d+)_(\d+)\.(?:png|jpe?g)$", re.IGNORECASE)
_FOLDER = re.compile(r"-Skewed(?P<skew>\d*\.?\d+)-Severity(?P<severity>\d+)$")


class Options(BaseModel):
    """What to read where the data root holds an archive."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    layout: Literal["auto", "clean", "disent", "lff"] = Field(
        "auto",
        description=(
            "what to read under the data root: clean images, biased here; DisEnt's archive; LfF's "
            "arrays; auto: what is there"
        ),
    )
    share: Share | None = Field(None, description="archives: share of conflicting images; null: the only one there")
    aligned_only: bool = Field(
        False, description="archives: leave the conflicting training images out, ρ = 1 (rho is for images biased here)"
    )


@dataclass(frozen=True)
class Archived:
    """One set as the archives hold it."""

    disent: str  # folder of DisEnt's tree
    lff: str  # LfF's folders before -Skewed
    side: int
    class_names: tuple[str, ...]
    clean: str  # the clean images, for messages


def read(
    options: Options,
    root: Path,
    archived: Archived,
    clean: bool,
    *,
    severity: int,
    counts: Mapping[str, int | None],
    seed: int,
    biases: Sequence[str] = (),
    colours: Colours | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Source[ImageInfo] | None:
    """The set from the archive under the root; None where the clean images are to be read.

    Args:
        clean: whether the clean images lie under the root.
        severity: LfF's.
        counts: images of train, valid and test; None: all (LfF has no validation set: 5000 of its training images).
        biases, colours: of LfF's arrays, as :func:`image_source` takes them.

    Raises DataError where no layout is there, several are and none is chosen, or the archive is damaged.
    """
    layouts_there = {
        "clean": clean,
        "disent": bool(shares(root, archived.disent)),
        "lff": bool(arrays(root, archived.lff)),
    }
    there = [name for name, yes in layouts_there.items() if yes]
    layouts = f"{archived.clean}, DisEnt's {archived.disent} or LfF's {archived.lff}-Skewed..."
    if not there or options.layout not in ("auto", *there):
        looked = (
            ""
            if options.layout == "auto"
            else f" in the layout '{options.layout}' (found: {', '.join(there) or 'none'})"
        )
        others = sorted(path.name for path in _folders(root))
        seen = f" (there are: {', '.join(others)})" if others else ""
        raise DataError(f"{root}: nothing to read{looked}; --data-root names a folder with {layouts}{seen}")
    if options.layout == "auto" and len(there) > 1:
        raise DataError(
            f"{root}: the layouts {' and '.join(there)} lie there; choose with data.options.layout={there[0]}"
        )
    kind = there[0] if options.layout == "auto" else options.layout
    if kind == "clean":
        return None
    if kind == "lff":
        parts = lff(root, archived, options.share, severity, options.aligned_only)
        made = cut(parts, counts["train"], counts["valid"] or 5000, counts["test"])
        splits = {split: table(images, labels, bias) for split, (images, labels, bias) in made.items()}
        return image_source(splits, archived.class_names, "real", biases=biases, colours=colours)
    rows = disent(root, archived.disent, options.share, options.aligned_only)
    _within(rows, len(archived.class_names))
    source = from_rows(_some(rows, counts, seed), None, progress, numbered=True)
    if (source.info.size, source.info.classes) != (archived.side, len(archived.class_names)):
        raise DataError(
            f"{tree(root, archived.disent)}: {source.info.classes} classes of {source.info.size} px images, expected "
            f"{len(archived.class_names)} of {archived.side} px"
        )
    return replace(source, class_names=archived.class_names)


# -- DisEnt --------------------------------------------------------------------------------------------------------


def tree(root: Path, name: str) -> Path:
    """The folder of the set ``name`` in DisEnt's archive: the root itself or a folder under it."""
    return root / name if (root / name).is_dir() else root


def shares(root: Path, name: str) -> list[str]:
    """Shares that lie under the root in DisEnt's layout."""
    return [share for share in SHARES if (tree(root, name) / share).is_dir()]


def disent(root: Path, name: str, share: str | None, aligned_only: bool) -> dict[str, Rows]:
    """Files of train, valid and test. Raises DataError with every folder that is missing, or a file whose name says no
    class and bias.
    """
    base = tree(root, name)
    train = base / (share or _only("share", shares(root, name), base))
    conflict = next((train / n for n in ("conflict", "conlict") if (train / n).is_dir()), None)
    valid = next((folder for folder in (train / "valid", base / "valid") if folder.is_dir()), base / "valid")
    missing = [str(p) for p in (train / "align", valid, base / "test") if not p.is_dir()]
    if conflict is None and not aligned_only:
        missing.append(str(train / "conflict"))
    if missing:
        raise DataError(f"missing: {', '.join(missing)}; --data-root names the folder that holds {name}")
    rows = _files(train / "align")
    if conflict is not None and not aligned_only:
        rows += _files(conflict)
    return {"train": rows, "valid": _files(valid), "test": _files(base / "test")}


def _some(rows: Mapping[str, Rows], counts: Mapping[str, int | None], seed: int) -> dict[str, Rows]:
    """The wanted number of files of every split (None: all), drawn by ``seed``. Raises DataError where there are
    fewer.
    """
    out = {}
    for split, part in rows.items():
        count = counts[split]
        if count is not None and count > len(part):
            raise DataError(f"data.options.n_{split} = {count}, but there are {len(part)} {split} images")
        order = np.random.default_rng(derive(seed, f"archive/{split}")).permutation(len(part))[:count]
        out[split] = list(part) if count is None else [part[k] for k in sorted(order)]
    return out


def _within(rows: Mapping[str, Rows], classes: int) -> None:
    """Raises DataError where a class or bias is not one of 0..``classes`` - 1."""
    for part in rows.values():
        for path, label, bias in part:
            if not (int(label) < classes and int(bias) < classes):
                raise DataError(f"{path}: class {label} and bias {bias}, both must lie in 0..{classes - 1}")


def _files(folder: Path) -> Rows:
    rows = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        match = _NAME.search(path.name)
        if match is None:
            raise DataError(f"{path}: the name does not end in _<class>_<bias>.png")
        rows.append((path, match[1], match[2]))
    return rows


def _only(option: str, there: Sequence[Any], where: Path) -> Any:
    """The one value that is there. Raises DataError where it must be chosen."""
    if len(there) == 1:
        return there[0]
    if not there:
        raise DataError(f"{where}: no folder of a share ({', '.join(SHARES)})")
    names = ", ".join(map(str, there))
    raise DataError(f"{where}: there is more than one {option} ({names}); choose with data.options.{option}={there[0]}")


# -- LfF -----------------------------------------------------------------------------------------------------------


def _folders(root: Path) -> list[Path]:
    """Folders of any of LfF's sets at or under the root."""
    inner = sorted(root.iterdir()) if root.is_dir() else []
    return [path for path in (root.resolve(), *inner) if _FOLDER.search(path.name) and path.is_dir()]


def arrays(root: Path, prefix: str) -> dict[tuple[float, int], Path]:
    """Folders ``<prefix>-Skewed<share>-Severity<n>`` at or under the root, by (share, severity)."""
    folders = {}
    for path in _folders(root):
        match = _FOLDER.search(path.name)
        if match and path.name[: match.start()] == prefix:
            folders[float(match["skew"]), int(match["severity"])] = path
    return folders


def lff(
    root: Path, archived: Archived, share: str | None, severity: int, aligned_only: bool
) -> dict[str, tuple[Array, Array, Array]]:
    """Images [N, S, S, 3] uint8, labels and bias [N] int64 of train and test.

    ``attr_names.pkl`` is not opened. Raises DataError for a missing folder or file, a damaged array, another shape, a
    class or bias outside 0..C - 1.
    """
    prefix, side, classes = archived.lff, archived.side, len(archived.class_names)
    folders = arrays(root, prefix)
    there = ", ".join(path.name for path in folders.values())
    skews = {skew: name for name, skew in SHARES.items()}
    if share is None:
        own = [skews[skew] for skew, s in sorted(folders) if s == severity and skew in skews]
        if not own:
            raise DataError(
                f"{root}: no {prefix} of severity {severity} (there are: {there}); choose with data.options.severity"
            )
        share = str(_only("share", own, root))
    folder = folders.get((SHARES[share], severity))
    if folder is None:
        raise DataError(
            f"{root}: no {prefix}-Skewed{SHARES[share]}-Severity{severity} (there are: {there}); "
            "choose with data.options.share and data.options.severity"
        )
    train, test = (_arrays(folder / part, side, classes) for part in ("train", "valid"))
    if aligned_only:
        keep = train[1] == train[2]
        train = (train[0][keep], train[1][keep], train[2][keep])
    return {"train": train, "test": test}


def _arrays(folder: Path, side: int, classes: int) -> tuple[Array, Array, Array]:
    images, attrs = _load(folder / "images.npy"), _load(folder / "attrs.npy")
    if images.dtype != np.uint8 or images.shape[1:] != (side, side, 3):
        raise DataError(
            f"{folder / 'images.npy'}: {list(images.shape)} {images.dtype}, expected [N, {side}, {side}, 3] uint8"
        )
    if attrs.ndim != 2 or attrs.shape[1] < 2 or attrs.dtype.kind not in "iu":
        raise DataError(f"{folder / 'attrs.npy'}: {list(attrs.shape)} {attrs.dtype}, expected [N, 2] whole numbers")
    if len(attrs) != len(images):
        raise DataError(f"{folder}: {len(images)} images, but {len(attrs)} rows of attrs.npy")
    attrs = attrs[:, :2].astype(np.int64)
    if len(attrs) and not 0 <= attrs.min() <= attrs.max() < classes:
        row = int(np.flatnonzero(((attrs < 0) | (attrs >= classes)).any(1))[0])
        raise DataError(
            f"{folder / 'attrs.npy'}: row {row} holds {attrs[row].tolist()}, class and bias must lie "
            f"in 0..{classes - 1}"
        )
    return images, attrs[:, 0], attrs[:, 1]


def _load(path: Path) -> Array:
    if not path.is_file():
        raise DataError(f"{path}: missing")
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: no readable array ({error})") from error
