"""How a file of one's own becomes a row as training had it: what a data set fixed when it read its training rows.

Facts alone (:mod:`holdfast.datasets.readers.given` reads the files by them); a run keeps them, so that a prediction
needs the training data no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class ImageInputs:
    """Image files, as bytes [channels, size, size] in the column ``column``.

    ``fit``: ``cut`` scales the shorter side and cuts the middle, ``pad`` scales the longer side and fills the rest with
    grey, ``stretch`` brings both sides to ``size``, ``area`` does so by the mean of the pixels that fall on one. Before
    that ``border`` pixels are cut off each side, and what lies outside the middle ``centre`` pixels (None: nothing).
    ``channels``: 3 for RGB, 1 for grey.
    """

    kind: Literal["image"] = "image"
    column: str
    size: int
    channels: int = 3
    fit: Literal["cut", "pad", "stretch", "area"] = "cut"
    centre: int | None = None
    border: int = 0


@dataclass(frozen=True, kw_only=True)
class TableColumn:
    """An input column of a table. ``words``: its categories, of which each is an indicator; None: it is a number.
    ``fill``: what a missing number becomes; None: it is an error. ``missing``: whether a category may be missing.
    """

    name: str
    words: tuple[str, ...] | None = None
    fill: float | None = None
    missing: bool = False


@dataclass(frozen=True, kw_only=True)
class TableInputs:
    """Rows of a delimited table: ``columns`` in their order, then (x - mean) / std of each input, both [d].

    ``header``: whether the training file named its columns (else they are numbered from 0). ``delimiter``: as the
    data set was told to read it; None: whichever the first line has.
    """

    kind: Literal["table"] = "table"
    columns: tuple[TableColumn, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    header: bool | None = None
    delimiter: str | None = None


@dataclass(frozen=True, kw_only=True)
class SeriesInputs:
    """Windows of ``length`` steps of a CSV series, or the middle ``length`` samples of a recording [C, samples] in a
    .npy file; (x - mean) / std of each channel, both [C], worked out in ``dtype``.

    ``channels``: columns of the CSV; empty: recordings alone. ``relative``: x is the change from the window's last
    step. ``stride``: steps between the windows of a file.
    """

    kind: Literal["series"] = "series"
    length: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: tuple[str, ...] = ()
    relative: bool = False
    stride: int = 1
    dtype: Literal["float32", "float64"] = "float64"


@dataclass(frozen=True, kw_only=True)
class VolumeInputs:
    """Volumes [D, H, W] in .npy or NIfTI files, resampled to a cube of side ``size``. ``standardise``: to mean 0 and
    deviation 1; else the values stay, and the volume must have that size.
    """

    kind: Literal["volume"] = "volume"
    size: int
    standardise: bool = True


@dataclass(frozen=True, kw_only=True)
class TextInputs:
    """Pairs of sentences: the columns ``first`` and ``second`` of a CSV or tab separated file; at most ``max_words``
    words of each are read, as the numbers that the data's ``pairs`` give them.
    """

    kind: Literal["text"] = "text"
    max_words: int
    first: str = "sentence1"
    second: str = "sentence2"


@dataclass(frozen=True, kw_only=True)
class SentenceInputs:
    """Classified texts: the text columns ``columns``, in the order of ``names``, the fields of a CSV, tab separated or
    JSON lines file; of texts without a second one also a file with a text a line.

    ``form``: ``plain``: the fields as they are; ``because``: a choice task, whose first text is the field
    with ``because`` or ``so`` behind it, by the field ``question``; ``word``: both texts after the field ``word``.
    """

    kind: Literal["sentence"] = "sentence"
    columns: tuple[str, ...] = ("first",)
    names: tuple[str, ...] = ("text",)
    form: Literal["plain", "because", "word"] = "plain"


@dataclass(frozen=True, kw_only=True)
class TaskInputs:
    """Texts of several tasks in one file: the field ``task`` names one of ``tasks``, and ``each`` of them says which
    fields its texts are. ``columns``: the text columns of all; one that a task has no text for is empty.
    """

    kind: Literal["tasks"] = "tasks"
    tasks: tuple[str, ...]
    each: tuple[SentenceInputs, ...]
    columns: tuple[str, ...]


Inputs = ImageInputs | TableInputs | SeriesInputs | VolumeInputs | TextInputs | SentenceInputs | TaskInputs
