"""Facts of data for contrastive analysis: a background and a target set, and what is known of their rows.

The column ``target`` [N] int64 says of which set a row is: 1 target, 0 background. It is the only label that training
sees. Attributes are columns beside it, for the evaluation (and for methods that are supervised by them).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from .errors import DataError, refuse
from .inputs import Inputs
from .source import DataInfo, Source

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from .checksums import Part
    from .table import Table

Space = Literal["common", "salient"]
GROUPS = ("background", "target")  # by the number in the column ``target``
MEMBERSHIP = "target"  # the column, and the name of its probe
LEAST = 2  # training rows of each group: fewer have no pair
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")


@dataclass(frozen=True)
class Attribute:
    """A property of the rows that the evaluation looks for in both spaces.

    ``column``: [N] int64 numbers of ``classes``, -1 where it is missing; or, with ``classes`` None, [N] floating point,
    NaN where it is missing. ``space``: where it should be found: ``common`` where it varies in both sets, ``salient``
    where only target rows have it. ``target_only``: background rows have no value.
    """

    name: str
    column: str
    space: Space
    classes: tuple[str, ...] | None = None
    target_only: bool = False


@dataclass(frozen=True, kw_only=True)
class ContrastInfo(DataInfo):
    """A background and a target set. Rows lie in the column ``image`` [N, C, H, W], bytes, or ``x`` [N, D], float32.

    ``modality``: which of both. ``input_shape``: of a row: (C, H, W) or (D,). ``attributes``: read by the problem
    ``contrastive_analysis`` and by supervised methods.
    """

    attributes: tuple[Attribute, ...] = ()
    modality: Literal["image", "table"] = "image"
    input_shape: tuple[int, ...] = ()

    @property
    def column(self) -> str:
        """The column of the inputs."""
        return "image" if self.modality == "image" else "x"


def contrast_source(
    splits: Mapping[str, Table],
    attributes: Sequence[Attribute],
    source: str,
    *,
    inputs: Inputs | None = None,
    random_split: bool = False,
) -> Source[ContrastInfo]:
    """A Source whose tables hold ``image`` or ``x``, ``target`` and the columns of ``attributes``; its checksum is that
    of all columns.

    Raises DataError where training lacks two rows of a group, the test rows lack a group, or an attribute is not what
    its declaration says.
    """
    from .checksums import checksum

    modality: Literal["image", "table"] = "image" if "image" in splits["train"].columns else "table"
    x = _dense(splits["train"], "image" if modality == "image" else "x")
    faults = [fault for name in ("train", "test") for fault in _groups(name, splits[name])]
    faults += _named(attributes)
    for attribute in attributes:
        faults += [f for name, table in splits.items() for f in _column(attribute, name, table)]
    refuse("a background and a target set", faults)
    parts: list[Part] = []
    for name in sorted(splits):
        for column in sorted(splits[name].columns):
            value = _dense(splits[name], column)
            parts.append((f"{name}/{column}/{tuple(value.shape)}/{value.dtype}", value))
    info = ContrastInfo(attributes=tuple(attributes), modality=modality, input_shape=tuple(x.shape[1:]), inputs=inputs)
    return Source(dict(splits), [], info, source, checksum(parts), random_split=random_split)


def _dense(table: Table, name: str) -> Tensor:
    import torch

    column = table.columns[name]
    if not isinstance(column, torch.Tensor):
        raise DataError(f"the column '{name}' has rows of unequal length")
    return column


def _groups(split: str, table: Table) -> list[str]:
    target = _dense(table, MEMBERSHIP)
    least = LEAST if split == "train" else 1
    return [
        f"the split '{split}' has {count} {group} row{'' if count == 1 else 's'}; it needs {least} or more"
        for number, group in enumerate(GROUPS)
        if (count := int((target == number).sum())) < least
    ]


def _named(attributes: Sequence[Attribute]) -> list[str]:
    names = [attribute.name for attribute in attributes]
    faults = [
        f"an attribute cannot be called {name!a}: a name has letters, digits, '_', '-' and '.', and at most 40 of them"
        for name in names
        if not _NAME.fullmatch(name)
    ]
    faults += [f"two attributes are called '{name}'" for name in sorted(set(names)) if names.count(name) > 1]
    return faults + [f"'{MEMBERSHIP}' says which set a row is of and is no attribute" for n in names if n == MEMBERSHIP]


def _column(attribute: Attribute, split: str, table: Table) -> list[str]:
    """What is wrong with an attribute's values in one split."""
    if attribute.column not in table.columns:
        return [f"the split '{split}' has no column '{attribute.column}'"]
    values, where = _dense(table, attribute.column), f"the attribute '{attribute.name}', split '{split}'"
    if attribute.classes is None:
        known = values[~values.isnan()] if values.is_floating_point() else values
        return [] if bool(known.isfinite().all()) else [f"{where}: infinite values"]
    top = len(attribute.classes) - 1
    if values.is_floating_point() or (len(values) and not -1 <= int(values.min()) <= int(values.max()) <= top):
        return [f"{where}: values are no numbers of its {top + 1} classes (or -1)"]
    return []


def require_columns(table: Table, names: Sequence[str], where: str) -> dict[str, NDArray[Any]]:
    """The columns ``names`` of a table as arrays. Raises DataError where one is missing."""
    absent = [name for name in names if name not in table.columns]
    if absent:
        raise DataError(f"{where} has no column {', '.join(absent)}")
    return {name: _dense(table, name).numpy() for name in names}
