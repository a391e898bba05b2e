"""Speech understanding: intent accuracy, WER of the extended transcript, SLU-F1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from ...datasets.core.source import SpeechInfo, require
from ...datasets.core.transcript import parse
from ..metrics import speech
from ..metrics.metric import Metric
from .evaluator import Data, Evaluator, Picture, Prediction


class SpeechUnderstanding(Evaluator):
    """Predictions hold ``tokens`` [L] and may hold ``retrieved``, the intent nearest in an audio-text space; the data's
    :class:`~holdfast.datasets.core.source.SpeechInfo` holds the tokenizer, targets and annotations of each split."""

    main: ClassVar[str] = "accuracy"
    metrics: ClassVar[Sequence[Metric]] = (
        Metric("accuracy", True, "share", "intent accuracy"),
        Metric("scenario_accuracy", True, "share", "scenario accuracy"),
        Metric("wer", False, "words a word", "word error rate of the extended transcript"),
        Metric("slu_f1", True, "", "SLU-F1 over entities"),
        Metric("slu_f1_macro", True, "", "SLU-F1, mean over entity types"),
        Metric("intent_f1_macro", True, "", "F1, mean over intents"),
        Metric("empty", False, "share", "outputs without a word"),
        Metric("retrieval", True, "share", "accuracy of the intent nearest in the audio-text space"),
    )
    table: ClassVar[Sequence[str]] = (
        "accuracy/average",
        "accuracy/last",
        "accuracy/forgetting",
        "wer/average",
        "slu_f1/last",
        "cost/seconds_per_step",
    )

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        info = require(data.info, SpeechInfo, "the problem 'speech'")
        self.tokenizer, self.targets = info.prepared.tokenizer, info.prepared.targets
        self.annotations = info.annotations

    def score(self, predictions: Sequence[Prediction], index: Sequence[int], split: str) -> dict[str, float]:
        texts = [self.tokenizer.decode(p["tokens"].tolist()) for p in predictions]
        gold = [self.targets[split][i] for i in index]
        annotated = [list(self.annotations[split][i].entities) for i in index]
        measures = speech.evaluate(texts, gold, parse, annotated)
        if predictions and "retrieved" in predictions[0]:
            intent = self.data.splits[split].columns["intent"]
            measures["retrieval"] = sum(
                int(p["retrieved"]) == int(intent[i]) for p, i in zip(predictions, index, strict=True)
            ) / len(index)
        return measures

    def pictures(
        self, predictions: Sequence[Prediction], index: Sequence[int], split: str
    ) -> Iterator[tuple[str, Picture]]:
        """The confusion of scenarios; an output that names none of them has a column of its own."""
        from ..plots.speech import confusion

        gold = [parse(self.targets[split][i]).scenario for i in index]
        said = [parse(self.tokenizer.decode(p["tokens"].tolist())).scenario for p in predictions]
        yield "scenarios.png", lambda path: confusion(gold, said, path)


PROBLEM = SpeechUnderstanding
