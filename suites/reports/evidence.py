"""Result files of ``suites verify``: written, read back, and shown as a table."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import run_files
from ..config.errors import Fault
from ..config.names import plain
from ..runtime import folders
from .claims import FAILS, HOLDS, UNDECIDED, reproduced
from .compared import probability

if TYPE_CHECKING:
    from .compared import Table

SCHEMA = 1
VERDICTS = (HOLDS, FAILS, UNDECIDED)


def write(folder: Path, document: Mapping[str, Any]) -> Path:
    """The result of one suite as ``SUITE-PROFILE-DATA.json`` in ``folder``, which is made; the path."""
    source = document["data"].get("source", "none")
    name = f"{document['suite']}-{document['profile'] or 'recipe'}-{source}.json"
    if not plain(name):
        raise Fault.recipe(f"{name!a} is no name for a result file", "name and profile of the recipe", "rename it")
    if not folder.is_dir():
        folders.make(folder, "the folder of the results")
    git = folders.git_state()
    made = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": git.get("commit", ""),
        "dirty": git.get("dirty"),
    }
    folders.write_json(folder / name, {"schema": SCHEMA, **document, "made": made})
    return folder / name


def read(path: Path) -> dict[str, Any]:
    """A result file. Raises Fault where it is none."""
    document = run_files.read(path)
    claims = document.get("claims") if isinstance(document, dict) else None
    if not isinstance(claims, list) or document.get("schema") != SCHEMA:
        what = f"no result of suites verify of schema {SCHEMA}"
        raise Fault.data(what, str(path), "write it again: suites verify NAME --record DIR")
    return dict(document)


def tables(document: Mapping[str, Any]) -> list[Table]:
    """A row a claim, for the screen."""
    header = ["suite", "claim", "effect [95 % interval]", "p", "n", "smallest\ndetectable", "verdict"]
    rows = [[one["suite"], *cells(one)] for one in document["claims"]]
    title = "claims; effect: by how much the first is better than the second, above 0 is better"
    return [(title, header, rows)]


def cells(one: Mapping[str, Any]) -> list[str]:
    """Claim, effect with interval, p, n, smallest detectable difference, verdict."""
    effect = "-" if one["effect"] is None else f"{one['effect']:+.3f}"
    if one["interval"]:
        effect += f" [{one['interval'][0]:+.3f}, {one['interval'][1]:+.3f}]"
    smallest = "-" if one["smallest_detectable"] is None else f"{one['smallest_detectable']:.3f}"
    said = f"{one['verdict']}: {one['reason']}" if one["reason"] else one["verdict"]
    paper = reproduced(one)
    whose = f"{one['claim']} (the paper: {one['source']})" if one["whose"] == "paper" else one["claim"]
    p = "-" if one["p"] is None else probability(one["p"])
    return [whose, effect, p, str(one["n"]), smallest, f"{said} ({paper})" if paper else said]
