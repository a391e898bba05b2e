"""Recipes before they are checked: YAML documents, laid on top of each other, with single fields changed."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Collection, Iterable, Mapping
from math import isfinite
from typing import Any

import yaml

from .errors import Fault, shortened

MOST = 100_000  # values of a document
LETTERS = 20_000  # of one value


def suggestion(word: str, known: Iterable[str]) -> str:
    """`` - did you mean 'x'?`` or, where nothing is near, the list of what there is."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    if near:
        return f" - did you mean '{near[0]}'?"
    return f" (there are: {', '.join(names)})" if names else ""


def parsed(text: str) -> Any:
    """The document in ``text``, by libyaml where PyYAML was built with it: ten times as fast. What that refuses the
    plain parser refuses in its own words. Raises yaml.YAMLError, for values that Python cannot hold, for more than
    ``MOST`` of them, and for one of more than ``LETTERS`` letters too.
    """
    try:
        document = _loaded(text)
    except ValueError as error:  # an integer of thousands of digits, a 13th month
        raise yaml.MarkedYAMLError(problem=f"a value cannot be read ({str(error).partition(';')[0]})") from error
    if _size(document) > MOST:
        raise yaml.MarkedYAMLError(problem=f"with its aliases written out it has more than {MOST:,} values")
    longest = _longest(document)
    if longest > LETTERS:
        raise yaml.MarkedYAMLError(problem=f"a value has {longest:,} letters, and at most {LETTERS:,} are read")
    return document


def _loaded(text: str) -> Any:
    fast: Any = getattr(yaml, "CSafeLoader", None)
    if fast is not None:
        with contextlib.suppress(yaml.YAMLError):
            return yaml.load(text, Loader=fast)
    return yaml.safe_load(text)


def _size(document: Any) -> int:
    """How many values a document has, those behind an alias counted each time; beyond ``MOST`` for one that holds
    itself."""
    sizes: dict[int, int] = {}

    def size(value: Any) -> int:
        if not isinstance(value, (dict, list)):
            return 1
        if id(value) not in sizes:
            sizes[id(value)] = MOST + 1  # while it is counted: met again within, it holds itself
            sizes[id(value)] = 1 + sum(map(size, value.values() if isinstance(value, dict) else value))
        return sizes[id(value)]

    return size(document)


def _longest(document: Any) -> int:
    """Letters of the longest text in a document that :func:`_size` found finite."""
    if isinstance(document, dict):
        return max((max(_longest(key), _longest(value)) for key, value in document.items()), default=0)
    if isinstance(document, list):
        return max(map(_longest, document), default=0)
    return len(document) if isinstance(document, (str, bytes)) else 0


def read_yaml(text: str, where: str) -> dict[str, Any]:
    """The mapping in ``text``. Raises Fault for broken YAML (with line and column) or another kind of document."""
    try:
        document = parsed(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        position = f"{where}, line {mark.line + 1}, column {mark.column + 1}" if mark else where
        problem = getattr(error, "problem", None) or "cannot be read"
        raise Fault.recipe(f"this is no YAML: {problem}", position, "correct the line") from error
    if not isinstance(document, dict):
        raise Fault.recipe("a recipe is a mapping of fields", where, "start from one: suites copy coconut_slurp FILE")
    return document


def not_finite(value: Any, path: str = "") -> list[str]:
    """Where a document holds NaN or an infinity, with what is wrong: no field means one."""
    if isinstance(value, Mapping):
        return [line for key, inner in value.items() for line in not_finite(inner, f"{path}.{key}".lstrip("."))]
    if isinstance(value, list):
        return [line for k, inner in enumerate(value) for line in not_finite(inner, f"{path}.{k}")]
    wrong = isinstance(value, float) and not isfinite(value)
    return [f"{path}: a finite number is needed, not {value}"] if wrong else []


def flat(document: Mapping[str, Any], prefix: str) -> dict[str, str]:
    """Nested fields as ``path: text``."""
    texts: dict[str, str] = {}
    for key, value in document.items():
        path = f"{prefix}.{key}"
        texts |= flat(value, path) if isinstance(value, Mapping) else {path: str(value)}
    return texts


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` on top of ``base``: mappings are merged, everything else is replaced."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        result[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


OPEN = ("options", "optimizer_options")  # fields of free names: an override may be the first to give one


def override(document: dict[str, Any], text: str, sections: Collection[str]) -> list[str]:
    """Set ``path=value`` of ``text`` in ``document``, whose top-level fields are ``sections``.

    Returns what is wrong with it, if anything.
    """
    path, equals, value_text = text.partition("=")
    keys = path.split(".")
    if not equals or not all(keys):
        return [f"'{text}' is no override: write path=value, for example train.lr=0.001"]
    try:
        value = parsed(value_text)
    except yaml.YAMLError as error:
        reason = getattr(error, "problem", None)
        return [f"{path}: '{shortened(value_text, 200)}' is no YAML value{f' ({reason})' if reason else ''}"]
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = float(value)  # YAML reads 1e-3 as text
    if keys[0] in ("name", "schema", "profile", "profiles", "family"):
        return [f"{path}: cannot be overridden"]
    node: Any = document
    for depth, key in enumerate(keys[:-1]):
        if isinstance(node.get(key), dict):
            node = node[key]
            continue
        if key in node:
            return [f"{path}: '{'.'.join(keys[: depth + 1])}' is a value, not a section"]
        if depth == 1 and keys[0] == "methods":
            return [f"{path}: the recipe has no method '{key}'{suggestion(key, node)}"]
        known = list(sections if depth == 0 else node)
        if key not in (known if depth == 0 else OPEN):
            return [f"{path}: no such field{suggestion(key, known)}"]
        node[key] = {}
        node = node[key]
    node[keys[-1]] = value
    return []
