"""Recipes of schema 1 in the form of schema 2: a file with its comments (``suites migrate``), or a stored document.

What changed: the schema's number; a data set's name (``cdvg_cmnist`` is ``cmnist`` in the family cdvg);
``memory_size``, which was a share below 1 and a number of rows from 1 on, is ``memory_share`` or ``memory_rows``;
CDvG's ``lambda_reader`` is ``lambda_content``, its entry ``cdvg_reader`` is ``cdvg_content``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_SETS = {
    "cdvg": ("bffhq", "ccifar10", "cmnist", "drift", "folder"),
    "coconut": ("fsc", "manifest", "slurp"),
    "supremix": ("agedb", "imdb_wiki", "stsb", "tabular", "timeseries", "volumes"),
}
DATA_SETS = tuple(f"{family}_{stem}" for family, stems in _SETS.items() for stem in stems)
OLD = "memory_size"
ARGUMENTS = "arguments"  # of a strategy of Avalanche
RENAMED = {"lambda_reader": "lambda_content", "cdvg_reader": "cdvg_content"}
_RENAMED = re.compile(rf"\b({'|'.join(RENAMED)})\b")


def field_of(size: Any) -> str:
    """The field that says what ``memory_size: size`` said; of a range of a sweep, by its largest value."""
    values = [size]
    if isinstance(size, Mapping):
        values = [v for v in (*(size.get("choices") or ()), size.get("low"), size.get("high")) if v is not None]
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    return "memory_rows" if numbers and max(numbers) >= 1 else "memory_share"


def migrated(document: Mapping[str, Any]) -> dict[str, Any]:
    """A stored document of schema 1 as one of schema 2; of one of schema 2 only the names that have changed since."""
    if document.get("schema") != 1:
        return dict(_renamed(document))
    new: dict[str, Any] = {**_renamed(document), "schema": 2}
    data, family, unequal = new.get("data"), str(new.get("family", "")), new.get("unequal")
    entries = [e for e in (new.get("methods") or {}).values() if isinstance(e, dict)]
    if (
        isinstance(unequal, dict)
        and "memory_share" in unequal
        and any(e.get("memory_rows") is not None for e in entries)
    ):
        unequal["memory_rows"] = unequal.pop("memory_share")  # the reason is for the field that is used
    if isinstance(data, dict) and data.get("name") in DATA_SETS:
        head, _, stem = str(data["name"]).partition("_")
        data["name"] = stem if head == family else f"{head}/{stem}"
    return new


def _renamed(value: Any) -> Any:
    """``value`` with every name that has changed (a key, a part of a sweep's path, a listed method) in its new form.

    What stands under a method's ``arguments`` are names of another library (ICaRL has a ``memory_size``).
    """
    if isinstance(value, list):
        return [_renamed(inner) for inner in value]
    if not isinstance(value, Mapping):
        return RENAMED.get(value, value) if isinstance(value, str) else value
    new: dict[Any, Any] = {}
    for key, inner in value.items():
        if key == ARGUMENTS or f".{ARGUMENTS}." in str(key):
            new[key] = inner
            continue
        name = _RENAMED.sub(lambda match: RENAMED[match[0]], str(key))
        if name != OLD and not name.endswith(f".{OLD}"):
            new[name] = _renamed(inner)
            continue
        field = field_of(inner)
        if field == "memory_rows" and name == OLD and isinstance(inner, int | float):
            new |= {"memory_share": None, "memory_rows": int(inner)}
        else:
            new[name.removesuffix(OLD) + field] = _renamed(inner)
    return new


def migrate_text(text: str) -> str:
    """The YAML of a schema 1 recipe rewritten, comments and order kept; text of another schema as it is."""
    if not re.search(r"^schema:\s*1\s*(#.*)?$", text, re.MULTILINE):
        return text
    family = re.search(r"^family:\s*(\w+)", text, re.MULTILINE)
    text = re.sub(r"^schema:\s*1\b", "schema: 2", text, count=1, flags=re.MULTILINE)

    def data_name(match: re.Match[str]) -> str:
        head, _, stem = match["name"].partition("_")
        return match["before"] + (stem if family and head == family[1] else f"{head}/{stem}")

    names = re.compile(rf"(?P<before>\bname:\s*)(?P<name>{'|'.join(DATA_SETS)})\b")
    section = re.compile(r"^data:.*\n(?:(?:[ \t]+.*)?\n)*", re.MULTILINE)
    text = section.sub(lambda match: names.sub(data_name, match[0], count=1), text, count=1)

    return "".join(_line(line) for line in text.splitlines(keepends=True))


_SIZE = re.compile(rf"\b{OLD}\b(?P<between>\s*:[ \t]*)(?P<value>\{{[^{{}}]*\}}|[^\s,{{}}#]*)")


def _line(line: str) -> str:
    """A line with names in their new form; a number of rows also sets the share to null."""
    code = re.match(r"""(?:[^#'"]|'[^']*'|"[^"]*")*""", line)[0]  # type: ignore[index]

    def new(match: re.Match[str]) -> str:
        numbers = [float(n) for n in re.findall(r"\d+(?:\.\d+)?(?:[eE][-+]?\d+)?", match["value"])]
        if not numbers or max(numbers) < 1:
            return f"memory_share{match['between']}{match['value']}"
        rows, before = f"memory_rows{match['between']}{match['value']}", code[: match.start()]
        if match["value"].startswith("{") or before.endswith("."):  # a sweep's range
            return rows
        return f"memory_share: null{', ' if before.strip() else chr(10) + before}{rows}"

    comment = line[len(code) :]
    code = _RENAMED.sub(lambda match: RENAMED[match[0]], code)
    return _SIZE.sub(new, code) + comment
