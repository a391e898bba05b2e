"""What is measured batch by batch is what is measured at once, and grows with groups and labels, not with rows."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.analysis.metrics.speech import f1, slu_counts, slu_f1, wer
from holdfast.analysis.problems.classification import Classification, ClassificationMeasurement
from holdfast.analysis.problems.evaluator import Evaluator, Measurement
from holdfast.analysis.problems.groups import Groups, GroupsMeasurement
from holdfast.analysis.problems.regression import Regression
from holdfast.analysis.problems.speech import SpeechMeasurement, SpeechUnderstanding
from holdfast.datasets.core.source import Annotation, ClassInfo, RegressionInfo, ShotBins, SpeechInfo, Transcripts
from holdfast.datasets.core.transcript import parse

SAID = (
    "a_b _SEP time _FILL ten _SEP at ten",
    "a_c _SEP time _FILL ten past _SEP at ten past",
    "d_b _SEP at",
    "",
    "nothing",
)


def _groups(n: int) -> tuple[Evaluator, dict[str, Any]]:
    g = np.random.default_rng(0)
    label, bias = torch.arange(n) % 4, torch.from_numpy(g.integers(0, 3, n))
    part = SimpleNamespace(columns={"label": label, "bias": bias})
    return Groups(SimpleNamespace(splits={"test": part}, info=ClassInfo(classes=4))), {"label": g.integers(0, 4, n)}


def _classification(n: int) -> tuple[Evaluator, dict[str, Any]]:
    g = np.random.default_rng(0)
    part = SimpleNamespace(columns={"label": torch.arange(n) % 4})
    scores = g.normal(size=(n, 5)).astype(np.float32)
    data = SimpleNamespace(splits={"test": part}, class_names=tuple("abcde"))
    return Classification(data), {"label": scores.argmax(1), "scores": scores}


def _regression(n: int) -> tuple[Evaluator, dict[str, Any]]:
    g = np.random.default_rng(0)
    part = SimpleNamespace(columns={"label": torch.from_numpy(g.normal(size=n)).float()})
    info = RegressionInfo(modality="table", shots=ShotBins(many_above=9, few_below=3))
    outputs = {"value": g.normal(size=n).astype(np.float32), "embedding": g.normal(size=(n, 4)).astype(np.float32)}
    return Regression(SimpleNamespace(splits={"train": part, "test": part}, info=info)), outputs


def _speech(n: int) -> tuple[Evaluator, dict[str, Any]]:
    g = np.random.default_rng(0)
    gold = [SAID[k] for k in g.integers(0, 3, n)]
    annotations = [Annotation(str(k), "a", "b", "", parse(text).entities) for k, text in enumerate(gold)]
    tokenizer: Any = SimpleNamespace(decode=lambda ids: SAID[int(ids[0])])
    info = SpeechInfo(annotations={"test": annotations}, transcripts=Transcripts(tokenizer, {"test": gold}, 4))
    part = SimpleNamespace(columns={"intent": torch.zeros(n, dtype=torch.int64)})
    outputs = {"tokens": g.integers(0, len(SAID), (n, 1)), "retrieved": g.integers(0, 2, n)}
    return SpeechUnderstanding(SimpleNamespace(splits={"test": part}, info=info)), outputs


def _in_batches(problem: Evaluator, outputs: dict[str, Any], rows: Any, size: int) -> Measurement:
    measurement = problem.measurement("test")
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        measurement.update({name: value[part] for name, value in outputs.items()}, rows[part])
    return measurement


@pytest.mark.parametrize("make", [_groups, _classification, _regression, _speech])
def test_batches_give_what_all_rows_give(make: Any) -> None:
    problem, outputs = make(60)
    rows = np.arange(60)
    whole = problem.measure(outputs, rows, "test").compute()
    assert len(whole) >= (5 if make is _classification else 7)
    for size in (1, 7, 60):
        assert _in_batches(problem, outputs, rows, size).compute() == whole
    order = np.random.default_rng(1).permutation(60)
    shuffled = _in_batches(problem, {name: value[order] for name, value in outputs.items()}, order, 7).compute()
    for name, value in whole.items():  # thinning and float sums depend on the order of rows
        if not name.endswith(("ordinality", "neighbour_mae")):
            assert shuffled[name] == pytest.approx(value, rel=1e-9), name


def test_counts_do_not_grow_with_rows() -> None:
    def sizes(n: int) -> tuple[int, int, int]:
        problem, outputs = _groups(n)
        groups = problem.measure(outputs, np.arange(n), "test")
        problem, outputs = _classification(n)
        classes = problem.measure(outputs, np.arange(n), "test")
        assert isinstance(classes, ClassificationMeasurement)
        problem, outputs = _speech(n)
        speech = problem.measure(outputs, np.arange(n), "test")
        assert isinstance(groups, GroupsMeasurement)
        assert isinstance(speech, SpeechMeasurement)
        held = [dict(speech.counts.intents), dict(speech.counts.entities), dict(speech.scenarios)]
        kept = [groups.counts, (classes.confusion, classes.calibration), held]
        return len(pickle.dumps(kept[0])), len(pickle.dumps(kept[1])), len(pickle.dumps(kept[2]))

    assert all(many <= few + 64 for few, many in zip(sizes(40), sizes(4000), strict=True))


def test_nothing_measured_has_no_number_that_needs_a_row() -> None:
    assert _groups(4)[0].measurement("test").compute() == {}
    assert _classification(4)[0].measurement("test").compute() == {}
    assert "mae" not in _regression(4)[0].measurement("test").compute()


def test_the_speech_measures_are_those_of_the_functions() -> None:
    problem, outputs = _speech(40)
    measured = problem.measure(outputs, np.arange(40), "test").compute()
    assert isinstance(problem, SpeechUnderstanding)
    said, gold = [SAID[int(k)] for k in outputs["tokens"][:, 0]], problem.targets["test"]
    entities = [a.entities for a in problem.annotations["test"]]
    assert measured["wer"] == wer(gold, said)
    assert measured["slu_f1"] == slu_f1(entities, [parse(text).entities for text in said])
    assert measured["slu_f1_macro"] == f1(slu_counts(entities, [parse(t).entities for t in said])[0], "macro")[2]
    right = [parse(a).intent == parse(b).intent for a, b in zip(said, gold, strict=True)]
    assert measured["accuracy"] == sum(right) / 40
    assert measured["retrieval"] == float((outputs["retrieved"] == 0).mean())
