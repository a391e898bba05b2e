"""What the golden tests rest on: a wrong value and an entry that no test uses are failures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .golden_vectors import Vectors, folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    entries: Any = {"case/0/x": np.arange(3.0), "case/0/loss": 3.0, "case/7/x": np.ones(2), "case/7/loss": 2.0}
    np.savez(tmp_path / "made.npz", **entries)
    return tmp_path / "made.npz"


def use(g: Vectors, shift: float = 0.0) -> Vectors:
    for case, _ in g.groups(r"case/\d+"):
        g.agree(f"{case}/loss", g.get(f"{case}/x").sum() + shift)
    return g


def test_all_entries_are_used_and_counted(path: Path) -> None:
    assert use(Vectors(path)).close() == "made.npz: 2 of 2 expected entries agree, 2 inputs"
    with pytest.raises(AssertionError, match=r"0 of 2 expected entries agree\ncase/0/loss\[\]"):
        use(Vectors(path), 1e-7).close()


def test_an_entry_that_nothing_uses_fails(path: Path) -> None:
    with np.load(path) as file:
        entries: Any = {**file, "case/0/gradient": np.ones(3)}
    np.savez(path, **entries)
    with pytest.raises(AssertionError, match="case/0/gradient: nothing in this test uses it"):
        use(Vectors(path)).close()


def test_a_section_that_raises_is_a_fault_and_the_others_are_counted(path: Path) -> None:
    def missing(g: Vectors) -> None:
        g.get("case/1/x")

    g = Vectors(path)
    g.run([missing, use])
    with pytest.raises(AssertionError, match=r"2 of 2 expected entries agree\nmissing: KeyError.*case/1/x"):
        g.close()


def test_shapes_whole_numbers_and_nan(tmp_path: Path) -> None:
    entries: Any = {"a": np.ones((2, 2)), "b": np.array([1, 2]), "c": np.array([np.nan, 1.0]), "d": "text", "e": 0.0}
    np.savez(tmp_path / "made.npz", **entries)
    g = Vectors(tmp_path / "made.npz")
    right: Any = (("a", np.ones((2, 2))), ("b", [1, 2]), ("c", [np.nan, 1.0]), ("d", "text"), ("e", 1e-12))
    for name, found in right:
        g.agree(name, found)
    assert g.faults == []
    wrong: Any = (
        ("a", np.ones(4)),
        ("b", [1, 3]),
        ("c", [1.0, 1.0]),
        ("c", [np.nan, np.nan]),
        ("d", "Text"),
        ("e", 1e-9),
    )
    for name, found in wrong:
        before = len(g.faults)
        g.agree(name, found)
        assert len(g.faults) == before + 1, name


def test_json_is_flat_by_leaf_and_a_tree_needs_each_of_them(tmp_path: Path) -> None:
    path = tmp_path / "made.json"
    path.write_text(json.dumps({"README": {"x": "words"}, "rows": [{"in": [1, 2], "out": {"sum": 3, "kinds": []}}]}))
    g = Vectors(path)
    assert set(g.entries) == {"README/x", "rows/0/in", "rows/0/out/sum", "rows/0/out/kinds"}
    g.tree_agrees("rows/0/out", {"sum": sum(g.get("rows/0")["in"]), "kinds": []})
    assert g.close() == "made.json: 2 of 2 expected entries agree, 1 inputs"
    g.tree_agrees("rows/0/out", {"sum": 3, "kinds": [], "more": 1})
    with pytest.raises(AssertionError, match="more: not in the file"):
        g.close()


def test_the_folder_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_GOLDEN", str(tmp_path))
    assert folder() == tmp_path
    monkeypatch.delenv("HOLDFAST_GOLDEN")
    assert (folder() / "cdvg.npz").is_file()
