"""The problem text_classification: F1, separation by layer, shift of alterations, accuracy over their strength."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.analysis.metrics import representation
from holdfast.analysis.metrics.metric import Metrics
from holdfast.analysis.plots.figure import headed
from holdfast.analysis.problems import text_classification
from holdfast.analysis.problems.text_classification import TextClassification
from holdfast.datasets.core import texts
from PIL import Image
from sklearn.metrics import f1_score

N, H, LAYERS = 24, 6, 3
LABEL = np.arange(N) % 2
RNG = np.random.default_rng(0)
FEATURE = RNG.normal(size=(N, H)) + LABEL[:, None] * np.linspace(0, 2, H)
LAYER = RNG.normal(size=(N, LAYERS, H)) + LABEL[:, None, None]


def part(n: int = N, altered: int = 0, **columns: Any) -> Any:
    """``n`` rows, each of a source, and behind them ``altered`` alterations of the first ones."""
    rows = [*range(n), *range(altered)]
    sentences = [f"text {k}" for k in range(n)] + [f"text {k}" if k % 4 == 0 else f"other {k}" for k in range(altered)]
    given = {
        "first": texts.packed(sentences),
        "label": torch.tensor([k % 2 for k in rows]),
        "source_id": torch.tensor([100 + k for k in rows]),
        "altered": torch.tensor([int(i >= n) for i in range(len(rows))]),
        **columns,
    }
    return SimpleNamespace(columns=given)


def problem(**splits: Any) -> TextClassification:
    return TextClassification(SimpleNamespace(splits=splits, class_names=("no", "yes"), info=None))


def outputs(rows: Any, **more: Any) -> dict[str, Any]:
    label = np.where(np.asarray(rows) % 5 == 0, 1 - LABEL[rows], LABEL[rows])
    return {"label": label, "feature": FEATURE[rows], "layers": LAYER[rows], **more}


def measured(one: TextClassification, split: str, rows: Any, made: dict[str, Any], size: int = 7) -> dict[str, float]:
    measurement = one.measurement(split)
    for start in range(0, len(rows), size):
        chosen = slice(start, start + size)
        measurement.update({name: value[chosen] for name, value in made.items()}, rows[chosen])
    return measurement.compute()


def test_classes_lie_apart_as_the_plain_measures_say() -> None:
    rows = RNG.permutation(N)
    found = measured(problem(test=part()), "test", rows, outputs(rows))
    wanted = representation.separation(FEATURE, LABEL)
    assert {k: found[f"representation/{k}"] for k in wanted} == pytest.approx(wanted)
    for k in range(LAYERS):
        one = representation.separation(LAYER[:, k], LABEL)
        assert found[f"layer/{k}/separation"] == pytest.approx(one["separation"])
    truth, predicted = LABEL, outputs(np.arange(N))["label"]
    assert found["macro_f1"] == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert found["accuracy_f1"] == pytest.approx((found["accuracy"] + found["macro_f1"]) / 2)
    assert 0 <= found["representation/probe"] <= 1
    assert not {"representation/shift", "unaltered", "copies/separation"} & found.keys()


def test_every_name_is_declared() -> None:
    table = part(altered=8)
    rows = np.concatenate([np.arange(N), np.arange(8)])
    one = problem(test=table)
    found = measured(one, "test", np.arange(N + 8), outputs(rows))
    known = Metrics(one.main, one.metrics, sets=("eda_30",))
    assert all(f"{name}/last" in known and f"eda_30/{name}/last" in known for name in found)
    assert {"copies/separation", "layer/0/copies_separation", "representation/shift", "layer/2/shift"} <= found.keys()
    assert all(name in known for name in one.table if not name.startswith("cost/"))


def test_copies_and_originals_of_one_split() -> None:
    table = part(altered=8)
    rows = np.concatenate([np.arange(N), np.arange(8)])
    made = outputs(rows)
    made["feature"] = np.concatenate([FEATURE, -FEATURE[:8]])
    found = measured(problem(trained=table), "trained", np.arange(N + 8), made)
    assert found["representation/separation"] == pytest.approx(representation.separation(FEATURE, LABEL)["separation"])
    assert found["copies/gap"] == pytest.approx(representation.separation(FEATURE[:8], LABEL[:8])["gap"])
    within = representation.separation(FEATURE[:8], LABEL[:8])["within"]
    assert found["representation/shift"] == pytest.approx(2 / within)
    assert found["unaltered"] == 2 / 8


def test_an_altered_set_is_paired_with_the_test_rows_of_its_sources() -> None:
    altered = part(strength=torch.full((N,), 0.3, dtype=torch.float64))
    altered.columns["altered"] = torch.ones(N, dtype=torch.int64)
    order = RNG.permutation(N)
    one = problem(test=part(), eda_30=altered)
    measured(one, "test", order, outputs(order))
    found = measured(one, "eda_30", np.arange(N), outputs(np.arange(N)))
    assert found["representation/shift"] == pytest.approx(0, abs=1e-12)
    moved = measured(one, "eda_30", np.arange(N), outputs(np.arange(N), layers=-LAYER))
    assert moved["layer/1/shift"] == pytest.approx(2 / representation.separation(LAYER[:, 1], LABEL)["within"])
    alone = measured(problem(test=part(), eda_30=altered), "eda_30", np.arange(N), outputs(np.arange(N)))
    assert "representation/shift" not in alone
    assert "representation/separation" in alone


def test_robustness_is_the_mean_over_strengths() -> None:
    sets = {f"eda_{k}": part(strength=torch.full((N,), k / 100, dtype=torch.float64)) for k in (10, 30)}
    one = problem(test=part(), other=part(), **sets)
    values = {"test": 1.0, "other": 0.1, "eda_10": 0.8, "eda_30": 0.4}
    found = one.across({name: {"accuracy": value} for name, value in values.items()})
    assert found == {"robustness": pytest.approx((0.9 * 0.1 + 0.6 * 0.2) / 0.3)}
    assert one.curve == {0.0: 1.0, 0.1: 0.8, 0.3: 0.4}
    assert one.across({"test": {"accuracy": 1.0}, "other": {"accuracy": 1.0}}) == {}


def test_one_class_and_no_representations_leave_measures_out() -> None:
    rows = np.arange(0, N, 2)
    found = measured(problem(test=part()), "test", rows, outputs(rows))
    assert not [name for name in found if name.startswith(("representation/", "layer/"))]
    assert "accuracy" in found
    bare = measured(problem(test=part()), "test", rows, {"label": LABEL[rows]})
    assert set(bare) == {"accuracy", "balanced_accuracy", "worst_class", "macro_f1", "accuracy_f1"}


def test_representations_of_a_large_split_are_of_some_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_classification, "SOURCES", 10)
    one = problem(test=part(), altered=part())
    assert one.splits["test"].kept.sum() == 10
    assert np.array_equal(one.splits["test"].kept, one.splits["altered"].kept)
    measured(one, "test", np.arange(N), outputs(np.arange(N)))
    assert len(one.test) == 10


def test_pictures(tmp_path: Path) -> None:
    """Without their PDFs, as a smoke run has them."""
    one = problem(test=part(altered=8))
    measurement = one.measurement("test")
    rows = np.concatenate([np.arange(N), np.arange(8)])
    measurement.update(outputs(rows), np.arange(N + 8))
    measurement.compute()
    one.across({"test": {"accuracy": 0.7}})
    one.curve = {0.0: 0.9, 0.3: 0.6}
    names = []
    for name, draw in measurement.pictures():
        names.append(name)
        if name in ("confusion.png", "reliability.png", "representations.png"):
            continue  # drawn by other tests
        with headed("", draft=True):
            draw(tmp_path / name)
        if name.endswith(".png"):
            with Image.open(tmp_path / name) as image:
                assert min(image.size) > 100
    assert {"layers.png", "shift.png", "robustness.png", "representations.png", "coordinates.csv"} <= set(names)
    lines = (tmp_path / "coordinates.csv").read_text().splitlines()
    assert lines[0] == "row,class,x,y"
    assert len(lines) == N + 9
