"""Ridge and gradient boosting as tensors: equal to scikit-learn's predictions; overlap of texts by plain counting."""

from __future__ import annotations

import io
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.datasets.core.source import RegressionInfo, Source
from holdfast.datasets.core.table import Ragged, Table
from holdfast.datasets.supremix import stsb as supremix_stsb
from holdfast.datasets.supremix import tabular as supremix_tabular
from holdfast.methods.networks import regression as networks
from holdfast.methods.supremix.gradient_boosting import GradientBoosting
from holdfast.methods.supremix.reference import Reference, overlap
from holdfast.methods.supremix.ridge import Ridge
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import Ridge as SklearnRidge

from .miniature import view_of


def fitted(kind: type[Reference], source: Source, **fields: Any) -> Any:
    model = networks.build(networks.Config(hidden=8, projection=8), source.info, 0)
    method = kind(kind.Config(**fields), model, 3)
    view = view_of(source)
    method.before_experience(view)
    for stage in method.stages(view):
        assert stage.epochs == 0
        method.before_stage(stage, view)
    return method


def all_test_rows(source: Source) -> dict[str, torch.Tensor]:
    table = source.splits["test"]
    return table.gather(torch.arange(len(table)))


@pytest.fixture(scope="module")
def source() -> Source:
    return supremix_tabular.load(supremix_tabular.Config(n_train=150, n_test=60), None)


def arrays(source: Source, split: str) -> tuple[Any, Any]:
    columns = source.splits[split].columns
    return columns["x"].double().numpy(), columns["label"].numpy()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "fields", [{}, {"trees": 7, "depth": 1}, {"trees": 20, "depth": 6, "learning_rate": 0.3, "subsample": 0.5}]
)
def test_boosting_predicts_what_scikit_learn_predicts(source: Source, fields: dict[str, Any]) -> None:
    method = fitted(GradientBoosting, source, **fields)
    names = {"trees": "n_estimators", "depth": "max_depth"}
    own = GradientBoostingRegressor(**{names.get(k, k): v for k, v in fields.items()}, random_state=3).fit(
        *arrays(source, "train")
    )
    value = method.predict(all_test_rows(source))["value"]
    np.testing.assert_allclose(value.numpy(), own.predict(arrays(source, "test")[0]), rtol=1e-12)


def test_ridge_predicts_what_scikit_learn_predicts_for_its_penalty(source: Source) -> None:
    x, y = arrays(source, "train")
    scale, middle = x.std(0), x.mean(0)
    errors = {}
    for alpha in np.geomspace(0.1, 1e3, 5):  # leave-one-out, one row after the other
        z = (x - middle) / scale
        errors[alpha] = sum(
            (y[i] - SklearnRidge(alpha).fit(np.delete(z, i, 0), np.delete(y, i)).predict(z[i : i + 1])[0]) ** 2
            for i in range(len(y))
        )
    best = min(errors, key=lambda alpha: errors[alpha])
    own = SklearnRidge(best).fit((x - middle) / scale, y).predict((arrays(source, "test")[0] - middle) / scale)
    value = fitted(Ridge, source, lowest=0.1, highest=1e3, count=5).predict(all_test_rows(source))["value"]
    np.testing.assert_allclose(value.numpy(), own, rtol=1e-9)


@pytest.mark.parametrize("kind", [Ridge, GradientBoosting])
def test_what_was_fitted_is_in_the_state(kind: type[Reference], source: Source) -> None:
    method = fitted(kind, source)
    file = io.BytesIO()
    torch.save(method.state_dict(), file)
    file.seek(0)
    model = networks.build(networks.Config(hidden=8, projection=8), source.info, 0)
    again = kind(kind.Config(), model, 3)
    again.load_state_dict(torch.load(file, weights_only=True))
    rows = all_test_rows(source)
    assert torch.equal(again.predict(rows)["value"], method.predict(rows)["value"])
    assert float((method.predict(rows)["value"] - rows["label"]).abs().mean()) < 3  # the median's is about 4
    assert method.predict({k: v[:1] for k, v in rows.items()})["value"].shape == (1,)


def test_a_constant_input_and_equal_rows_do_no_harm() -> None:
    x = torch.tensor([[1.0, 2.0], [1.0, 2.0], [1.0, 5.0], [1.0, 7.0]])
    table = Table({"x": x, "label": torch.tensor([0.0, 1.0, 2.0, 3.0], dtype=torch.float64)})
    source = Source({"train": table, "test": table}, (), RegressionInfo(modality="table", input_shape=(2,)), "here", "")
    for kind in (Ridge, GradientBoosting):
        value = fitted(kind, source).predict(all_test_rows(source))["value"]
        assert bool(value.isfinite().all())
        assert value[0] == value[1]


def test_nan_labels_are_refused(source: Source) -> None:
    table = source.splits["train"]
    label = table.columns["label"]
    assert isinstance(label, torch.Tensor)
    broken = Table({**table.columns, "label": torch.where(torch.arange(len(label)) == 3, torch.nan, label)})
    with pytest.raises(ValueError, match="NaN"):
        fitted(Ridge, Source({**source.splits, "train": broken}, (), source.info, "here", ""))


def by_counting(a: list[int], b: list[int], idf: list[float]) -> list[float]:
    first, second = (Counter(w for w in words if 2 <= w < len(idf)) for words in (a, b))

    def cosine(weight: list[float]) -> float:
        dot = sum(first[w] * second[w] * weight[w] ** 2 for w in first)
        norms = [math.sqrt(sum((n * weight[w]) ** 2 for w, n in bag.items())) for bag in (first, second)]
        return dot / (norms[0] * norms[1]) if all(norms) else 0.0

    shared, either = len(first.keys() & second.keys()), len(first.keys() | second.keys())
    shorter = min(len(first), len(second))
    return [
        cosine(idf),
        cosine([1.0] * len(idf)),
        shared / either if either else 0.0,
        shared / shorter if shorter else 0.0,
        abs(sum(first.values()) - sum(second.values())),
    ]


def test_overlap_against_counting() -> None:
    g = np.random.default_rng(0)
    for _ in range(60):
        size = int(g.integers(3, 12))
        idf = g.uniform(0.5, 3, size)
        rows = [[g.integers(1, size + 2, g.integers(1, 7)).tolist() for _ in range(2)] for _ in range(3)]
        first, second = (
            Ragged.from_list([torch.tensor(row[k]) for row in rows]).gather(torch.arange(3))[0] for k in (0, 1)
        )
        made = overlap(first, second, torch.from_numpy(idf))
        wanted = [by_counting(a, b, idf.tolist()) for a, b in rows]
        np.testing.assert_allclose(made.numpy(), wanted, atol=1e-9)
        np.testing.assert_allclose(
            overlap(second, first, torch.from_numpy(idf)).numpy(), wanted, atol=1e-9
        )  # symmetric


def test_sentence_pairs_are_learnt_from_their_overlap() -> None:
    source = supremix_stsb.load(supremix_stsb.Config(n_train=300, n_test=100), None)
    rows = all_test_rows(source)
    label = rows["label"]
    for kind in (Ridge, GradientBoosting):
        value = fitted(kind, source).predict(rows)["value"]
        assert float(np.corrcoef(value.numpy(), label.numpy())[0, 1]) > 0.5


def test_texts_in_one_sequence_are_refused() -> None:
    source = supremix_stsb.load(supremix_stsb.Config(n_train=30, n_test=20), None)
    table = Table({k: v for k, v in source.splits["train"].columns.items() if k != "first"})
    with pytest.raises(ValueError, match="pair=apart"):
        fitted(Ridge, Source({**source.splits, "train": table}, (), source.info, "here", ""))
