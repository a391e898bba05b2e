"""Every metric that a problem, a method or a run writes is declared, with the direction that directions.py says; and a
planted better run is called better by compare, by a sweep and by the selection of weights.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.analysis.probes.translation import TranslationCheck
from holdfast.analysis.problems.classification import Classification
from holdfast.analysis.problems.groups import Groups
from holdfast.analysis.problems.regression import Regression
from holdfast.analysis.problems.speech import SpeechUnderstanding
from holdfast.datasets.core.source import Annotation, ClassInfo, RegressionInfo, ShotBins, SpeechInfo, Transcripts
from holdfast.datasets.core.table import Table
from holdfast.suites.config import catalog, measures, registry
from holdfast.suites.config.errors import Fault
from holdfast.suites.reports import compare
from holdfast.suites.runtime import build
from holdfast.suites.runtime.evaluation import Evaluation
from holdfast.suites.sweeps import outcome, search
from holdfast.suites.sweeps.studies import Study

from .directions import truth

SUITE = {
    "regression": "supremix_tabular",
    "groups": "cdvg_cmnist",
    "speech": "coconut_slurp",
    "classification": "split_digits",
    "contrastive_analysis": "sepclr_cifar_mnist",
    "multi_task": "slimmable_scenes",
    "generation": "adacad_toyfacts",
    "open_generation": "simctg_toystories",
    "multiple_choice": "lol_toyfacts",
    "yes_no": "ritual_toyscenes",
    "constrained": "awrs_toyconstraints",
}


def declared(problem: str) -> Any:
    return measures.of_recipe(catalog.recipe(SUITE[problem], "smoke"))


def directed(problem: str) -> list[str]:
    return [name for name in declared(problem) if truth(name) is not None]


@pytest.mark.parametrize("problem", SUITE)
def test_the_declared_directions_are_right(problem: str) -> None:
    known = declared(problem)
    assert len(known) > 10
    assert {name: known[name].higher_is_better for name in known} == {name: truth(name) for name in known}
    assert all(metric.title for metric in known.values())


def test_whatever_an_evaluator_scores_is_declared() -> None:
    """On rows where every measure is defined; the names equal the declared ones, so none is declared in vain."""
    g = torch.Generator().manual_seed(0)
    label = torch.arange(60.0) % 12
    label[:25], label[25:35] = 0, 1  # a many-shot, a medium-shot and few-shot labels
    table = SimpleNamespace(columns={"label": label})
    shots = ShotBins(many_above=20, few_below=4)
    regression = Regression(
        SimpleNamespace(splits={"train": table, "test": table}, info=RegressionInfo(modality="table", shots=shots))
    )
    outputs = {
        "value": (label + 0.1 * torch.arange(60)).numpy(),
        "embedding": torch.randn(60, 4, generator=g).numpy(),
        "projection": torch.randn(60, 3, generator=g).numpy(),
    }
    measured = {"regression": set(regression.measure(outputs, np.arange(60), "test").compute())}
    y, b = torch.arange(20) % 4, torch.arange(20) % 3
    part = SimpleNamespace(columns={"label": y, "bias": b})
    groups = Groups(SimpleNamespace(splits={"train": part, "test": part}, info=ClassInfo(classes=4)))
    outputs = {"label": y.numpy(), "scores": np.eye(4)[y.numpy()]}
    measured["groups"] = set(groups.measure(outputs, np.arange(20), "test").compute())
    classes = Classification(SimpleNamespace(splits={"test": part}, class_names=tuple("abcd")))
    measured["classification"] = set(classes.measure(outputs, np.arange(20), "test").compute())
    said = "a_b _SEP time _FILL ten _SEP ten"
    tokenizer: Any = SimpleNamespace(decode=lambda ids: said)
    info = SpeechInfo(
        annotations={"test": [Annotation("0", "a", "b", "ten", (("time", "ten"),))]},
        transcripts=Transcripts(tokenizer, {"test": [said]}, 4),
    )
    part = SimpleNamespace(columns={"intent": torch.zeros(1, dtype=torch.int64)})
    speech = SpeechUnderstanding(SimpleNamespace(splits={"test": part}, info=info))
    said_and_found = {"tokens": np.zeros((1, 1)), "retrieved": np.zeros(1)}
    measured["speech"] = set(speech.measure(said_and_found, np.arange(1), "test").compute())
    for problem, names in measured.items():
        assert names == {metric.name for metric in registry.problem(problem).metrics}, problem


def test_whatever_the_translation_report_says_is_declared(tmp_path: Path) -> None:
    g = torch.Generator().manual_seed(0)
    columns = {
        "image": torch.randint(256, (24, 3, 16, 16), generator=g, dtype=torch.uint8),
        "label": torch.arange(24) % 2,
        "bias": torch.arange(24) % 2,
    }
    part = Table(columns)
    splits = {"valid": part, "unbiased": part, "test": part}
    check = TranslationCheck(SimpleNamespace(splits=splits, info=ClassInfo(classes=2)))
    gate = {"action": "ignore", "max_content_moved": 0.5, "min_content_kept": 0.5}
    method = SimpleNamespace(modes=(0, 1), translate=lambda x, mode: x, gate=gate)
    metrics = check.after_stage(method, SimpleNamespace(number=0), tmp_path)
    assert {f"translator/{name}" for name in metrics} == {metric.name for metric in TranslationCheck.declared()}


@pytest.mark.parametrize("suite", ["coconut_fsc", "cdvg_cmnist", "supremix_tabular"])
def test_whatever_a_method_says_it_cost_is_declared(suite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = catalog.recipe(suite, "smoke")
    source = build.prepare_once(recipe)
    some = {"memory_rows"} if suite != "cdvg_cmnist" else {"critic_steps"}
    seen = set()
    for name in recipe.methods:
        method = build.method_of(recipe, name, source.info, 0)
        monkeypatch.setattr(method, "memory", lambda: torch.zeros(1, dtype=torch.int64))
        assert set(method.cost()) <= set(type(method).costs), name
        seen |= set(method.cost())
    assert some <= seen


def fixture(out: Path, problem: str, better: str, worse: str) -> Path:
    """Runs of two methods on three seeds: ``better`` is better in every metric at once."""
    folder, runs = out / "planted", []
    recipe = {
        "data": {"name": "x", "options": {}},
        "model": {"name": "x"},
        "methods": {better: {}, worse: {}},
        "train": {},
        "problem": problem,
        "family": FAMILY[problem],
    }
    for seed in range(3):
        for method in (better, worse):
            run = folder / f"{method}-s{seed}"
            run.mkdir(parents=True)
            sign = {name: 1.0 if truth(name) else -1.0 for name in declared(problem)}
            good = 1.0 if method == better else 0.0
            summary = {name: way * good + 0.01 * seed + (0.001 * seed * good) for name, way in sign.items()}
            (run / "run.json").write_text(json.dumps({"status": "finished"}))
            (run / "summary.json").write_text(json.dumps(summary))
            runs.append({"method": method, "seed": seed, "folder": run.name})
    document = {"suite": "planted", "recipe": json.dumps(recipe), "data": {"source": "stand-in"}, "runs": runs}
    (folder / "invocation.json").write_text(json.dumps(document))
    return folder


METHODS = {
    "regression": ("supremix", "l1"),
    "groups": ("cdvg", "erm"),
    "speech": ("coconut", "er"),
    "classification": ("er", "finetune"),
    "contrastive_analysis": ("sepclr", "simclr_like"),
    "multi_task": ("ecmt", "static_mtl"),
    "generation": ("cad", "greedy"),
    "open_generation": ("simctg", "greedy"),
    "multiple_choice": ("icd", "greedy"),
    "yes_no": ("ritual", "greedy"),
    "constrained": ("awrs", "greedy"),
}
FAMILY = {
    "regression": "supremix",
    "groups": "cdvg",
    "speech": "coconut",
    "classification": "continual",
    "contrastive_analysis": "sepclr",
    "multi_task": "slimmable",
    **dict.fromkeys(("generation", "open_generation", "multiple_choice", "yes_no", "constrained"), "decoding"),
}


@pytest.mark.parametrize("problem", SUITE)
def test_compare_calls_the_better_run_better(problem: str, tmp_path: Path) -> None:
    better, worse = METHODS[problem]
    folder = fixture(tmp_path, problem, better, worse)
    for name in directed(problem):
        costs = {cost for method in METHODS[problem] for cost in registry.method(method, FAMILY[problem]).costs}
        if name == "loss" or (name.startswith("cost/") and name[5:] not in {*costs, "steps", "seconds_per_step"}):
            continue  # of the journal, or a cost of neither method
        comparison = compare.compare([str(folder)], tmp_path, name, None)
        first, second = comparison["tasks"][0]["methods"]
        assert (first["method"], second["method"], second["verdict"]) == (better, worse, "worse"), name
        comparison = compare.compare([str(folder)], tmp_path, name, worse)
        assert comparison["tasks"][0]["methods"][0]["verdict"] == "better", name


@pytest.mark.parametrize("problem", SUITE)
def test_compare_refuses_what_says_nothing_of_better(problem: str, tmp_path: Path) -> None:
    better, worse = METHODS[problem]
    folder = fixture(tmp_path, problem, better, worse)
    run = folder / f"{better}-s0" / "summary.json"
    run.write_text(json.dumps({**json.loads(run.read_text()), "made_up/last": 1.0}))
    with pytest.raises(Fault, match=r"unknown metric 'made_up/last' .*there are: .*/average") as error:
        compare.compare([str(folder)], tmp_path, "made_up/last", None)
    assert error.value.exit_code == 2
    for name in set(declared(problem)) - set(directed(problem)):
        with pytest.raises(Fault, match="nothing of which is better"):
            compare.compare([str(folder)], tmp_path, name, None)


@pytest.mark.parametrize("problem", SUITE)
def test_a_sweep_takes_the_better_trial(problem: str, tmp_path: Path) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    recipe, method = catalog.recipe(SUITE[problem], "smoke"), METHODS[problem][0]
    known = measures.metrics(problem, [registry.method(method, FAMILY[problem])])
    checked = 0
    for name in known:
        if not name.startswith(("valid/", "cost/")) or truth(name) is None:
            continue
        (objective,) = search.objectives(recipe, [name], method)
        trials = optuna.create_study(directions=[objective.direction])
        for value in (0.0, 1.0, -1.0):
            trials.tell(trials.ask(), value)
        plan = {"study": "s", "suite": "s", "method": method, "objectives": [vars(objective)], "seed": 0}
        best = outcome.report(Study(tmp_path, plan), trials)["best"]
        assert best["value"] == (1.0 if truth(name) else -1.0), name
        assert trials.best_trial.value == best["value"]
        checked += 1
    assert checked > 10
    assert search.objectives(recipe, [], method)[0].direction == ("maximize" if truth(known.main.name) else "minimize")


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        ("valid/sperman/average", "unknown metric 'valid/sperman/average' - did you mean 'valid/spearman/average'"),
        ("valid/mae/forgetting", "unknown metric"),
        ("cost/teacher_passes", "unknown metric 'cost/teacher_passes'"),
        ("valid/mae/average:max", "would look for the worst"),
        ("valid/many/n/last", "nothing of which is better"),
        ("valid/r2/average:min", "higher is better"),
    ],
)
def test_an_objective_that_cannot_be_meant_is_refused(objective: str, message: str) -> None:
    with pytest.raises(Fault, match=message) as error:
        search.objectives(catalog.recipe("supremix_tabular", "smoke"), [objective], "l1")
    assert error.value.exit_code == 2


RULES = [(problem, rule) for problem in SUITE for rule in ("validation", "oracle")]
RULES += [(problem, "worst_class") for problem in ("classification", "groups")]


@pytest.mark.parametrize(("problem", "rule"), RULES)
def test_the_selection_keeps_the_better_epoch(problem: str, rule: str) -> None:
    main = measures.selecting(declared(problem), rule)
    assert (main.name == "worst_class") == (rule == "worst_class")
    up = truth(main.name)
    values = [0.5, 0.9, 0.9, 0.1, 0.4]  # ties keep the earlier epoch, in either direction
    asked = []

    class State:
        epoch = -1

        def state_dict(self) -> dict[str, int]:
            return {"epoch": self.epoch}

    state = State()
    strategy: Any = SimpleNamespace(method=state)
    scenario = SimpleNamespace(streams={name: [None] * 3 for name in ("train", "valid", "test")})
    evaluator: Any = registry.problem(problem)
    evaluation: Any = Evaluation(strategy, scenario, evaluator, main, lambda: None)

    def pooled(split: str, numbers: Any) -> Any:
        asked.append((split, list(numbers)))
        return {main.name: values[state.epoch]}

    evaluation.pooled, evaluation.fit = pooled, lambda number: None
    for state.epoch in range(len(values)):
        evaluation.select(rule, 1)
    assert evaluation.best == ((0.9, {"epoch": 1}) if up else (0.1, {"epoch": 3}))
    assert set(map(str, asked)) == {str(("test" if rule == "oracle" else "valid", [0, 1]))}


def test_the_worst_class_selects_where_it_is_measured() -> None:
    with pytest.raises(Fault, match=r"train.selection: worst_class is not measured by this problem, .* is mae"):
        catalog.resolve(catalog.recipe("supremix_tabular", "smoke", ["train.selection=worst_class"]))
    catalog.resolve(catalog.recipe("cdvg_cmnist", "smoke", ["train.selection=worst_class"]))


def test_claims_name_declared_metrics() -> None:
    wrong = "claims=[{metric: acuracy/last, better: er, than: finetune}]"
    with pytest.raises(Fault, match=r"claims.0.metric: unknown metric 'acuracy/last' - did you mean 'accuracy/last'"):
        catalog.resolve(catalog.recipe("coconut_slurp", "smoke", [wrong]))


def test_a_problem_that_declares_no_metric_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bare(Regression):
        metrics = ()

    monkeypatch.setattr(registry, "problem", lambda name: Bare)
    with pytest.raises(Fault, match="the main metric 'mae' is not among") as error:
        measures.metrics("bare")
    assert error.value.exit_code == 2


def test_directions_in_words() -> None:
    assert (
        measures.directions("speech", ["accuracy/last", "wer/average", "slu_f1/last"])
        == "higher of accuracy/last, slu_f1/last; lower of wer/average"
    )
