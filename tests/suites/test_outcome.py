"""What comes out of a study: importances by fANOVA, and whether the best recipe is better on fresh seeds."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from holdfast.suites.config import catalog
from holdfast.suites.runtime import invocation
from holdfast.suites.runtime.console import Console
from holdfast.suites.sweeps import outcome, screen, studies

REAL_PICTURES = True


def study(out: Path) -> studies.Study:
    """Of an error: less is better."""
    asked = studies.Search(methods=["l1"], trials=3, sampler="random")
    return studies.create(catalog.recipe("supremix_tabular", "smoke"), asked, device="cpu", out=out, tracking_uri=None)


def deciding(trials: int = 40) -> Any:
    """Above some learning rate nothing is learnt, below it all is well; another field decides 0.01."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    made = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))

    def objective(trial: Any) -> float:
        lr = trial.suggest_float("train.lr", 1e-4, 1e-1, log=True)
        clip = trial.suggest_float("train.clip", 0.0, 1.0)
        trial.suggest_categorical("model.options.layers", [1, 2, 3])
        return float((0.8 if lr < 3e-3 else 0.1) + 0.01 * clip)

    made.optimize(objective, trials)
    return made


def test_the_parameter_that_decides_everything_has_the_importance() -> None:
    """Optuna's default asks what sets the best tenth of the trials apart and gives the learning rate less than 0.1."""
    from optuna.importance import get_param_importances

    assert get_param_importances(deciding())["train.lr"] < 0.1
    importances = outcome.importances(deciding(), 0)
    assert importances is not None
    assert importances["evaluator"] == "fANOVA"
    assert importances["values"]["train.lr"] > 0.8
    assert next(iter(importances["values"])) == "train.lr"
    assert sum(importances["values"].values()) == pytest.approx(1)
    assert outcome.importances(deciding(), 0) == importances
    line = next(screen.closing({"importances": importances}))
    assert line.startswith("importances by fANOVA: train.lr 1.00, ")


def test_equal_or_too_few_trials_have_no_importances() -> None:
    import optuna

    made = optuna.create_study()
    for _ in range(3):
        made.optimize(lambda trial: 0.0 * trial.suggest_float("a", 0, 1), 1)
        assert outcome.importances(made, 0) is None


def test_the_pictures_name_the_objective_its_direction_and_the_evaluator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    titles: list[str] = []
    monkeypatch.setattr(Axes, "set_title", lambda self, text, **options: titles.append(text))
    monkeypatch.setattr(Figure, "supxlabel", lambda self, text, **options: titles.append(text))
    made = study(tmp_path)
    outcome.draw_pictures(made, deciding(8), Console(json=True, quiet=True))
    assert titles == [
        "8 trials: lower is better",
        "later trials are darker; lower is better",
        "Importances by fANOVA",
    ]
    names = ("history", "slice", "importances")
    assert {path.name for path in (made.folder / "plots").iterdir()} == {f"{name}.png" for name in names}


@pytest.mark.parametrize(
    ("best", "default", "words"),
    [
        ([0.30, 0.31, 0.32], [0.26, 0.28, 0.30], "= +0.0300 (95 %: +0.0052 to +0.0548): worse"),
        ([0.26, 0.28, 0.30], [0.30, 0.31, 0.32], "= -0.0300 (95 %: -0.0548 to -0.0052): better"),
        ([0.26, 0.31], [0.30, 0.30], ": better, not significant"),
        ([0.3], [0.26], "= +0.0400: worse, not significant"),
    ],
)
def test_the_best_again_on_fresh_seeds_is_called_better_or_worse(
    best: list[float], default: list[float], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an error: a larger one is worse."""
    made = study(tmp_path)

    def start(recipe: Any, *, seeds: Any, out: Path, **options: Any) -> Any:
        values = best if out.name == "rerun-best" else default
        runs = [
            {"metrics": {"mae/average": v}, "seed": s, "folder": f"{out}/s{s}"}
            for s, v in zip(seeds, values, strict=True)
        ]
        return SimpleNamespace(document=lambda: {"runs": runs})

    monkeypatch.setattr(invocation, "start", start)
    document = {"best": {"params": {}, "number": 0}}
    again = outcome.rerun_best(made, document, len(best), Console(json=True, quiet=True))
    (line,) = screen.closing({"rerun": again})
    assert line.startswith("fresh seeds, mae/average (lower is better): best - untuned = ")
    assert line.endswith(words)


OBJECTIVE = [{"name": "valid/wer/average", "direction": "minimize"}]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.25, 0.25, 0.25], "all 3 finished trials have the same valid/wer/average, 0.2500"),
        ([0.25, 0.25, 0.5, 0.75], "2 of 4 finished trials share the best valid/wer/average, 0.2500"),
        ([0.25, 0.25, 0.5, 0.75, 1.0], None),
        ([0.25, 0.5], None),
        ([0.25], None),
        ([0.25, 0.5, 0.5, 0.5], None),
    ],
)
def test_trials_that_tie_are_a_warning(values: list[float], words: str | None) -> None:
    text = screen.tied({"ties": outcome.ties(values, min(values)), "objectives": OBJECTIVE})
    assert (text is None) == (words is None)
    assert words is None or words in str(text)


def test_the_last_line_is_the_best_trial_and_can_be_copied() -> None:
    params = {"train.lr": 1e-05, "train.clip": None, "data.options.name": "two words", "train.compile": True}
    best = {"number": 7, "value": 0.123456, "params": params}
    *_, recipe, line = screen.closing({"best": best, "objectives": OBJECTIVE, "out": "/runs/study-a"})
    assert recipe == "recipe: suites run /runs/study-a/best.yaml"
    head, _, fields = line.partition(", train")
    assert head == "best: trial 7, valid/wer/average 0.1235"
    words = shlex.split(f"train{fields}")
    assert words == ["train.lr=1e-05", "train.clip=null", "data.options.name=two words", "train.compile=true"]
    read = catalog.recipe("supremix_tabular", "smoke", words[:2])
    assert (read.train.lr, read.train.clip) == (1e-05, None)
