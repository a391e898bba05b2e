"""Fair comparisons: what methods of a suite share, exceptions with reasons, one value for all, changes by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from holdfast.suites.config import catalog, protocol, registry, sources
from holdfast.suites.config.errors import Fault
from holdfast.suites.config.recipe import Recipe

from .process import CommandLine

PROFILES = ("smoke", "demo", "paper")
# a profile's change that makes one method unlike the others, by suite
PLANTED = {
    "coconut_fsc": ("er: {memory_share: 0.5}", "memory_share: the methods do not share it: 0.5 (er)"),
    "coconut_slurp": ("mm: {projection: 8}", "projection: the methods do not share it: "),
    "supremix_agedb": ("rnc: {second_epochs: 7}", "second_epochs: the methods do not share it: "),
    "supremix_tabular": ("l1: {augment: true}", "augment: the methods do not share it: "),
    "cdvg_cmnist": ("cdvg_ce: {translator_epochs: 3}", "translator_epochs: the methods do not share it: "),
}


def write(folder: Path, name: str, changes: dict[str, str]) -> str:
    """A copy of a built-in recipe with texts replaced."""
    text = catalog.text(name)
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new, 1)
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize("profile", PROFILES)
def test_a_difference_in_any_profile_is_refused(name: str, profile: str, tmp_path: Path) -> None:
    entry, message = PLANTED[name]
    document = yaml.safe_load(catalog.text(name))
    layer = document["profiles"][profile].setdefault("methods", {})
    for method, fields in yaml.safe_load(entry).items():
        layer[method] = layer.get(method, {}) | fields
    path = tmp_path / "planted.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    with pytest.raises(Fault) as caught:
        catalog.resolve(catalog.recipe(str(path), profile))
    assert caught.value.exit_code == 2
    assert message in caught.value.what
    assert "'unequal'" in caught.value.what


def test_the_papers_profiles_that_were_unequal_are_equal() -> None:
    """coconut_fsc gave er and coconut a memory of 1 % and ten others 3 %.

    STS-B gave three methods 100 second epochs and six 10.
    """
    fsc = catalog.recipe("coconut_fsc", "paper")
    table = protocol.settings(fsc, registry.kinds(fsc))
    assert set(table["memory_share"].values()) == {0.01}
    assert set(table["projection"].values()) == {512}
    for name in ("stsb", "tabular", "timeseries", "volumes", "agedb", "imdb_wiki"):
        recipe = catalog.recipe(f"supremix_{name}", "paper")
        assert {"yaware", "adacon"} <= set(recipe.methods)
        table = protocol.settings(recipe, registry.kinds(recipe))
        assert set(table["second_epochs"].values()) == {100}, name
    for name in ("agedb", "imdb_wiki"):
        train = catalog.recipe(f"supremix_{name}", "paper").train
        assert (train.schedule, train.milestones, train.gamma) == ("multistep", (80,), 0.1)
        assert "supremix_finetune" in catalog.recipe(f"supremix_{name}", "paper").methods
    for row in catalog.recipes():
        if row["family"] == "cdvg":
            recipe = catalog.recipe(row["name"], "paper")
            assert recipe.methods["disent"]["swap_after"] == recipe.methods["cdvg_disent"]["swap_after"] == 10_000


@pytest.mark.parametrize("name", sorted(sources.stored()))
def test_every_built_in_recipe_is_fair_in_every_profile(name: str) -> None:
    for profile in (None, *PROFILES):
        recipe = catalog.recipe(name, profile)
        catalog.resolve(recipe)
        table = protocol.settings(recipe, registry.kinds(recipe))
        assert protocol.BUDGET not in recipe.unequal
        trained = len(table.get(protocol.BUDGET, {}))  # none where all methods decode with a model that is given
        assert len(set(map(str, table.get(protocol.BUDGET, {}).values()))) == min(1, trained), profile


def test_regressors_end_to_end_get_the_budget_of_both_stages() -> None:
    """With the paper's 100 + 100 epochs the plain regressor had 100."""
    for name, total in (("stsb", 200), ("tabular", 200), ("timeseries", 200), ("volumes", 200), ("agedb", 200)):
        recipe = catalog.recipe(f"supremix_{name}", "paper")
        budget = protocol.settings(recipe, registry.kinds(recipe))[protocol.BUDGET]
        assert budget["l1"] == budget["fds"] == budget["supcon"] == budget["supremix"] == total, name
        assert "ridge" not in budget
    recipe = catalog.recipe("supremix_tabular", "demo", ["train.epochs=5"])  # the budget follows, nothing is unequal
    catalog.resolve(recipe)
    assert protocol.warnings_of(recipe) == []
    assert set(protocol.settings(recipe, registry.kinds(recipe))[protocol.BUDGET].values()) == {35}


@pytest.mark.parametrize(
    ("name", "change", "field"),
    [
        ("supremix_agedb", {"  supcon: {}": "  supcon: {epochs: 3}"}, "total_epochs"),
        ("supremix_agedb", {"  rnc: {}": "  rnc: {standardise_features: false}"}, "standardise_features"),
        ("cdvg_cmnist", {"  cdvg_lff: {}": "  cdvg_lff: {width: 64}"}, "width"),
        ("cdvg_cmnist", {"  cdvg_lff: {}": "  cdvg_lff: {n_critic: 1}"}, "n_critic"),
        ("cdvg_cmnist", {"  biascon_oracle: {}": "  biascon_oracle: {projection: 256}"}, "projection"),
        ("cdvg_cmnist", {"  cdvg_augment: {}": "  cdvg_augment: {objective: two_stage}"}, "total_epochs"),
        ("coconut_slurp", {"  er: {}": "  er: {fixed_memory: false}"}, "fixed_memory"),
    ],
)
def test_no_part_of_the_protocol_is_left_out(name: str, change: dict[str, str], field: str, tmp_path: Path) -> None:
    with pytest.raises(Fault, match=rf"\n  {field}: the methods do not share it: "):
        catalog.resolve(catalog.recipe(write(tmp_path, name, change), "demo"))


FACES = {"train.epochs": 100, "train.lr": 0.001, "train.batch_size": 64, "train.milestones": (80,), "second_lr": 0.001}
# Of the paper profiles; a field without a dot is one of every method that has it.
IN_THE_PAPERS: dict[str, dict[str, Any]] = {
    "coconut_slurp": {"memory_share": 0.01, "projection": 512, "train.lr": 5e-5, "train.betas": (0.9, 0.98)},
    "coconut_fsc": {"memory_share": 0.01, "projection": 512, "train.lr": 5e-5, "train.weight_decay": 0.1},
    "coconut_manifest": {"projection": 512, "train.lr": 5e-5},
    "cdvg_cmnist": {
        "projection": 128,
        "n_critic": 5,
        "translator_batch": 16,
        "translator_lr": 1e-4,
        "critic_width": 64,
    },
    "cdvg_ccifar10": {"projection": 128, "n_critic": 5, "lambda_dis": 1, "lambda_swap_align": 1, "train.epochs": 200},
    "cdvg_bffhq": {"projection": 128, "lambda_dis": 2, "lambda_swap": 0.1, "train.lr": 1e-4, "lr": 1e-4},
    "supremix_agedb": FACES,
    "supremix_imdb_wiki": FACES,
    "supremix_stsb": {"bins": 50, "bin_width": 2, "finetune_lr": 1e-4, "train.lr": 1e-4, "train.batch_size": 128},
    "supremix_tabular": {"finetune_lr": 0.01, "train.lr": 0.01, "train.batch_size": 16, "train.epochs": 100},
}


@pytest.mark.parametrize("name", IN_THE_PAPERS)
def test_the_papers_profiles_have_the_papers_values(name: str) -> None:
    recipe = catalog.recipe(name, "paper")
    kinds = registry.kinds(recipe)
    entries = {m: {f: v for f, v in entry.items() if f != "use"} for m, entry in recipe.methods.items()}
    configs = [kinds[m].Config(**entry) for m, entry in entries.items()]
    for field, value in IN_THE_PAPERS[name].items():
        section, _, inner = field.rpartition(".")
        if section:
            values = {getattr(recipe.train, inner)}
        else:
            values = {getattr(c, field) for c in configs if field in type(c).model_fields}
            values -= {0.02} if field == "memory_share" else set()  # er_double
        assert values == {value}, field
    if name == "supremix_stsb":
        assert {recipe.methods[m]["window"] for m in ("supremix", "supremix_probe", "mix_pos")} == {10}


def test_the_papers_translators_take_stargans_200_000_steps() -> None:
    for name, images in (("cmnist", 60_000), ("ccifar10", 50_000), ("bffhq", 19_200)):
        entry = catalog.recipe(f"cdvg_{name}", "paper").methods["cdvg"]
        steps = entry["translator_epochs"] * images / entry["translator_batch"]
        assert steps == pytest.approx(200_000, rel=0.01), name


def test_an_exception_needs_a_reason_and_a_difference(tmp_path: Path) -> None:
    changes = {"  er_double: {use: er, memory_share: 0.1}": "  er_double: {use: er}"}
    with pytest.raises(Fault, match=r"unequal.memory_share.er_double: it has the value of the others"):
        catalog.resolve(catalog.recipe(write(tmp_path, "coconut_slurp", changes), "demo"))
    changes = {"replay with twice the memory shows what a better method is worth in rows": "because"}
    with pytest.raises(Fault) as caught:
        catalog.recipe(write(tmp_path, "coconut_slurp", changes), "demo")
    assert caught.value.what == "1 error:\n  unequal: memory_share.er_double: a reason is a sentence, not 'because'"
    changes = {"  memory_share: {er_double": "  memory_sise: {er_double"}
    with pytest.raises(Fault, match=r"unequal.memory_sise: no method has such a protocol field - did you mean"):
        catalog.resolve(catalog.recipe(write(tmp_path, "coconut_slurp", changes), "demo"))


def test_one_value_for_every_method_that_has_the_field(tmp_path: Path) -> None:
    recipe = catalog.recipe("coconut_slurp", "demo", ["methods.*.memory_share=0.2"])
    assert recipe.methods["er"]["memory_share"] == recipe.methods["mm"]["memory_share"] == 0.2
    assert "memory_share" not in recipe.methods["finetune"]
    assert protocol.EVERY not in recipe.methods
    with pytest.raises(Fault, match=r"methods.\*.memory_sise: no method of the recipe has this field"):
        catalog.recipe("coconut_slurp", "demo", ["methods.*.memory_sise=0.2"])
    changes = {"'*': {memory_share: 0.05": "'*': {memory_sice: 0.05"}
    with pytest.raises(Fault, match=r'methods."\*".memory_sice: no method of the recipe has this field'):
        catalog.recipe(write(tmp_path, "coconut_slurp", changes), "demo")


def test_a_change_by_hand_is_written_down_and_said() -> None:
    recipe = catalog.recipe("coconut_slurp", "demo", ["methods.coconut.memory_share=0.2"])
    catalog.resolve(recipe)
    reasons = recipe.unequal["memory_share"]
    assert isinstance(reasons, dict)
    assert reasons["coconut"] == "changed for this run: methods.coconut.memory_share=0.2"
    (line,) = protocol.warnings_of(recipe)
    assert line.startswith("memory_share of coconut is not that of the suite's other methods")
    assert protocol.warnings_of(catalog.recipe("coconut_slurp", "demo")) == []
    # an exception that a change makes needless goes
    recipe = catalog.recipe("coconut_slurp", "demo", ["methods.er_double.memory_share=0.05"])
    catalog.resolve(recipe)
    assert "memory_share" not in recipe.unequal


def test_validate_and_show_on_the_command_line(tmp_path: Path, cli: CommandLine) -> None:
    """One profile's inequality is found whatever profile is asked for; exceptions are shown with their reasons."""
    every = "      '*': {projection: 512, memory_share: 0.01}\n"
    planted = write(tmp_path, "coconut_fsc", {every: f"{every}      er: {{memory_share: 0.5}}\n"})
    done = cli.here("validate", planted, out=tmp_path, code=2)
    assert "memory_share: the methods do not share it: 0.5 (er), 0.01 (coconut, " in done.stderr
    assert "profile paper" in done.stderr
    done = cli.here("validate", "coconut_fsc", "--json", out=tmp_path)
    assert [row["profile"] for row in done.document] == [None, *PROFILES]
    shown = cli.here("show", "coconut_slurp", out=tmp_path).stdout
    assert "er_double: replay with twice the memory" in shown
    document = cli.here("show", "coconut_slurp", "--json", out=tmp_path).document
    fields = document["method_fields"]["coconut"]["fields"]
    assert [fields[name]["protocol"] for name in ("memory_share", "projection", "temperature")] == [True, True, False]


def test_every_protocol_field_is_found() -> None:
    """A field that a comparison must hold equal and that nobody marked would be silent."""
    marked: set[str] = set()
    for row in catalog.recipes():
        recipe: Recipe = catalog.recipe(row["name"], "demo")
        marked |= set(protocol.settings(recipe, registry.kinds(recipe)))
    shared = {
        "batching",
        "augment",
        "total_epochs",
        "fixed_memory",
        "memory_share",
        "memory_rows",
        "projection",
        "views",
    }
    translators = {"translator_epochs", "translator_batch", "width", "blocks", "critic_width", "n_critic"}
    stages = {"second", "second_epochs", "second_lr", "finetune_lr", "label_scale", "standardise_features"}
    groups = {"least_rows", "decoder_hidden"}
    widths = {"budget", "calibration_batches", "calibration_rows", "evaluate", "passes", "preferences", "score_rows"}
    language = {"lm_epochs", "lm_lr", "lm_batch_size", "lm_blind", "max_new_tokens"}
    assert marked == shared | translators | stages | groups | widths | language | {"balanced"}
