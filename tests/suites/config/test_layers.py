"""Recipes that extend others: what lies on top of what, where values came from, and chains that go wrong."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from holdfast.suites.config import catalog, display, layers, sources
from holdfast.suites.config.errors import Fault

FIVE_LINES = """\
schema: 2
extends: coconut_slurp
name: mine
methods: {"*": {memory_share: 0.02}, nsps: null}
train: {lr: 0.001}
"""


def write(folder: Path, **files: str) -> dict[str, str]:
    """Files ``<name>.yaml`` of these texts; their paths by name."""
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return {name: str(folder / f"{name}.yaml") for name in files}


def test_five_lines_on_top_of_a_suite(tmp_path: Path) -> None:
    path = write(tmp_path, mine=FIVE_LINES)["mine"]
    mine, theirs = catalog.recipe(path, "demo"), catalog.recipe("coconut_slurp", "demo")
    catalog.resolve(mine)
    assert (mine.name, mine.train.lr, mine.family) == ("mine", 0.001, "coconut")
    assert {m for m, e in mine.methods.items() if e.get("memory_share") == 0.02} == {
        m for m, e in theirs.methods.items() if e.get("memory_share") == 0.05 and m != "nsps"
    }
    assert mine.methods["er_double"]["memory_share"] == 0.1, "a method's own value counts more than that of all"
    assert set(theirs.methods) - set(mine.methods) == {"nsps"}
    whole = theirs.model_dump()
    changed = {key for key, value in mine.model_dump().items() if value != whole[key]}
    assert changed == {"name", "methods", "train"}


def test_a_profile_counts_more_than_what_stands_outside_of_it(tmp_path: Path) -> None:
    """As within one recipe: the smoke profile of the suite below keeps its epochs."""
    paths = write(tmp_path, mine=FIVE_LINES + "profiles: {smoke: {train: {log_every: 7}}}\n")
    smoke = catalog.recipe(paths["mine"], "smoke").train
    assert (smoke.epochs, smoke.log_every, smoke.lr) == (2, 7, 0.001)
    assert set(catalog.profiles(paths["mine"])) == {"smoke", "demo", "paper"}


def test_three_files_and_lists_that_are_replaced(tmp_path: Path) -> None:
    paths = write(
        tmp_path,
        low="schema: 2\nextends: supremix_tabular\nname: low\ndefaults: [l1, rnc]\n",
        middle="schema: 2\nextends: low.yaml\nname: middle\ntrain: {epochs: 3}\n",
        top="schema: 2\nextends: ./middle.yaml\nname: top\ntrain: {batch_size: 8}\n",
    )
    recipe = catalog.recipe(paths["top"], None)
    assert (recipe.name, recipe.defaults, recipe.train.epochs, recipe.train.batch_size) == ("top", ("l1", "rnc"), 3, 8)
    assert [layer.where for layer in sources.layers(paths["top"])][-3:] == [
        str(tmp_path / "low.yaml"),
        str(tmp_path / "middle.yaml"),
        paths["top"],
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("schema: 2\nextends: coconut_slrup\n", "unknown suite 'coconut_slrup' - did you mean 'coconut_slurp'"),
        ("schema: 2\nextends: other.yaml\n", "cannot read the recipe"),
        ("schema: 2\nextends: mine.yaml\n", "extend each other"),
        ("schema: 2\nextends: [a, b]\n", "extends: the name of a suite, or a file"),
        ("schema: 2\nextends: coconut_slurp\ntrian: {lr: 1}\n", "trian: no such field - did you mean 'train'"),
        ("schema: 2\nextends: coconut_slurp\ndefaults: [nsps]\nmethods: {nsps: null}\n", "the recipe has not: nsps"),
        ("schema: 2\nextends: coconut_slurp\nmethods: {'*': {memory_sahre: 1}}\n", "did you mean 'memory_share'"),
    ],
)
def test_what_goes_wrong_is_said(text: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path, mine=text)["mine"]
    with pytest.raises(Fault) as caught:
        catalog.resolve(catalog.recipe(path, None))
    assert message in caught.value.what
    assert caught.value.exit_code == 2
    assert caught.value.where
    assert caught.value.next


def test_a_ring_of_two_and_a_long_chain(tmp_path: Path) -> None:
    paths = write(tmp_path, a="schema: 2\nextends: b.yaml\n", b="schema: 2\nextends: a.yaml\n")
    with pytest.raises(Fault, match="extend each other"):
        catalog.recipe(paths["a"], None)
    names = [f"n{i}" for i in range(layers.DEEPEST + 2)]
    chain = {n: f"schema: 2\nextends: {m}.yaml\n" for n, m in pairwise(names)}
    paths = write(tmp_path, **chain, **{names[-1]: "schema: 2\n"})
    with pytest.raises(Fault, match=f"or more than {layers.DEEPEST}"):
        catalog.recipe(paths["n0"], None)


def test_a_packages_text_may_name_no_file_outside_its_folder() -> None:
    inside = sources.find("coconut_slurp")
    for parent in ("../cdvg/_base.yaml", "/etc/passwd.yaml", "absent.yaml"):
        broken = sources.Stored("theirs", f"schema: 2\nextends: {parent}\n", inside.folder, "theirs")
        with pytest.raises(Fault, match="there is no file"):
            sources.layers_of(broken)
    with pytest.raises(Fault, match="there is no file"):
        sources.layers_of(sources.Stored("theirs", "schema: 2\nextends: _base.yaml\n", None, "theirs"))


def test_a_methods_share_and_its_rows_exclude_each_other() -> None:
    with pytest.raises(Fault, match="set memory_share or memory_rows, and the other to null"):
        catalog.resolve(catalog.recipe("coconut_slurp", "smoke", ["methods.er.memory_rows=24"]))
    both = ["methods.*.memory_share=null", "methods.*.memory_rows=24"]
    catalog.resolve(catalog.recipe("coconut_slurp", "smoke", both))


def test_show_says_where_each_value_came_from() -> None:
    given = ["train.lr=0.1"]
    recipe = catalog.recipe("coconut_slurp", "smoke", given)
    text = display.annotated(recipe, "coconut_slurp", given)
    origin = {line.partition(":")[0].strip(): line.rpartition("# ")[2] for line in text.splitlines()}
    assert origin["lr"] == "override"
    assert origin["checkpoint_steps"] == "coconut_slurp, profile smoke"
    assert origin["feedforward"] == "coconut/_base.yaml, profile smoke"
    assert origin["dropout"] == "coconut/_base.yaml"
    assert origin["reduction"] == "coconut/_replay.yaml"
    assert origin["accumulate"] == "default"
    assert yaml.safe_load(text) == recipe.model_dump(by_alias=True, mode="json"), "it can be pasted"


def test_a_copy_extends_and_runs_as_it_is(tmp_path: Path) -> None:
    parent = catalog.recipe("supremix_tabular", "demo")
    path = tmp_path / "My Own-recipe.yaml"
    path.write_text(display.extending("supremix_tabular", path))
    mine = catalog.recipe(str(path), "demo")
    catalog.resolve(mine)
    assert mine.name == "my_own_recipe"
    assert mine.model_dump(exclude={"name", "title"}) == parent.model_dump(exclude={"name", "title"})
    assert len(path.read_text().splitlines()) <= 10


@pytest.mark.parametrize("profiles", ["5", "[smoke]", "{smoke: 5}", "text"])
def test_profiles_of_no_mapping_are_refused_where_they_stand(profiles: str, tmp_path: Path) -> None:
    files = write(
        tmp_path, low=f"{FIVE_LINES}profiles: {profiles}\n", high="schema: 2\nextends: low.yaml\nname: high\n"
    )
    for path in files.values():
        with pytest.raises(Fault, match="'profiles' must map a profile's name to fields") as caught:
            catalog.recipe(path, "demo")
        assert caught.value.where.endswith("low.yaml")
