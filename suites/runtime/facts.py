"""What a run keeps of its data (``data.json``), so that it can say something of new files without its training data:
the facts that its model is built by, the names of the classes, and how a file becomes a row."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import run_files
from ..config.errors import Fault
from ..tracking.files import write_atomic

if TYPE_CHECKING:
    from ...datasets.core.source import DataInfo, Source

FILE = "data.json"


@dataclass(frozen=True)
class Facts:
    """``info`` of the data as its network prepared it (texts left out), and ``class_names``, empty without classes."""

    info: DataInfo
    class_names: tuple[str, ...]


@functools.cache
def _kinds() -> dict[str, Any]:
    """The infos that are kept, by name: those whose fields are plain. Recordings have ``model.json``."""
    from pydantic import TypeAdapter

    from ...datasets.core.contrast import ContrastInfo
    from ...datasets.core.multi_task import MultiTaskInfo
    from ...datasets.core.source import ClassInfo, ImageInfo, RegressionInfo
    from ...datasets.core.texts import TextInfo

    kinds = (ClassInfo, ContrastInfo, ImageInfo, MultiTaskInfo, RegressionInfo, TextInfo)
    return {kind.__name__: TypeAdapter(kind) for kind in kinds}


def of(source: Source) -> Facts:
    """The facts of a source that is there."""
    return Facts(source.info, tuple(map(str, source.class_names)))


def save(folder: Path, source: Source) -> None:
    """Write them to a run's folder; nothing of data whose info is of another kind."""
    from ...datasets.core.source import RegressionInfo

    info, kinds = source.info, _kinds()
    name = type(info).__name__
    if name not in kinds or ".datasets.core." not in type(info).__module__:
        return
    if isinstance(info, RegressionInfo) and info.pairs is not None:
        info = replace(info, pairs=replace(info.pairs, texts={}))
    document = {
        "schema": 1,
        "kind": name,
        "info": kinds[name].dump_python(info, mode="json"),
        "class_names": list(of(source).class_names),
    }
    write_atomic(folder / FILE, (json.dumps(document, indent=1, sort_keys=True) + "\n").encode())


def load(folder: Path) -> Facts | None:
    """What :func:`save` wrote; None where it wrote nothing. Raises Fault where it is damaged."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        document = run_files.read(path)
        info = _kinds()[document["kind"]].validate_python(document["info"])
        return Facts(info, tuple(map(str, document["class_names"])))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"{FILE} is damaged: {str(error).splitlines()[0]}"
        raise Fault.data(what, str(path), run_files.PUT_BACK) from error
