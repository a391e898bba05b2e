"""Speech understanding: intent accuracy, WER of the extended transcript, SLU-F1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...datasets.core.libraries import speechbrain
from ...datasets.core.source import Annotation, SpeechInfo, require
from ...datasets.core.transcript import Tokenizer, parse
from ..metrics import speech
from ..metrics.metric import Metric
from .evaluator import Data, Evaluator, Measurement, Outputs, Picture, Rows

ALIGNED = 2000  # rows whose words are aligned for the file of errors


class SpeechUnderstanding(Evaluator):
    """Predictions hold ``tokens`` [B, L] and may hold ``retrieved`` [B], the intent nearest in an audio-text space; the
    data's :class:`~holdfast.datasets.core.source.SpeechInfo` holds the tokenizer, targets and annotations of each
    split.
    """

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

    def measurement(self, split: str) -> SpeechMeasurement:
        intents = self.data.splits[split].columns.get("intent")
        return SpeechMeasurement(self.tokenizer, self.targets[split], self.annotations[split], intents)

    def row_errors(self, outputs: Outputs, rows: Rows, split: str) -> NDArray[Any]:
        """Word errors of the extended transcript."""
        said = [self.tokenizer.decode(tokens.tolist()) for tokens in outputs["tokens"]]
        errors = [
            speech.word_edits(self.targets[split][row], words)[0]
            for row, words in zip(rows.tolist(), said, strict=True)
        ]
        return np.array(errors, np.float64)


class SpeechMeasurement(Measurement):
    """Counts of words, intents and entities, and which scenario was said of which.

    ``targets`` and ``annotations``: of each row of the split; ``intents``: their numbers, where the data has them.
    """

    def __init__(
        self, tokenizer: Tokenizer, targets: Sequence[str], annotations: Sequence[Annotation], intents: Any
    ) -> None:
        self.tokenizer, self.targets, self.annotations, self.intents = tokenizer, targets, annotations, intents
        self.counts = speech.SpeechCounts()
        self.scenarios: Counter[tuple[str, str]] = Counter()  # (gold, said) -> rows
        self.retrieved: int | None = None
        self.first: list[tuple[str, str]] = []  # (gold, said) of rows whose words are aligned

    def update(self, outputs: Outputs, rows: Rows) -> None:
        for k, row in enumerate(rows.tolist()):
            said, gold = self.tokenizer.decode(outputs["tokens"][k].tolist()), self.targets[row]
            parsed, parsed_gold = parse(said), parse(gold)
            self.counts.add(said, gold, parsed, parsed_gold, self.annotations[row].entities)
            self.scenarios[parsed_gold.scenario, parsed.scenario] += 1
            if len(self.first) < ALIGNED:
                self.first.append((gold, said))
        if "retrieved" in outputs:
            right = int((outputs["retrieved"] == self.intents[rows].numpy()).sum())
            self.retrieved = (self.retrieved or 0) + right

    def compute(self) -> dict[str, float]:
        measures = self.counts.measures()
        if self.retrieved is not None:
            measures["retrieval"] = self.retrieved / self.counts.rows
        return measures

    def pictures(self) -> Iterator[tuple[str, Picture]]:
        """The confusion of scenarios; an output that names none of them has a column of its own. And the kinds of word
        errors, a text.
        """
        from ..plots.speech import confusion

        yield "scenarios.png", lambda path: confusion(self.scenarios, path)
        yield "word_errors.txt", lambda path: word_errors(self.first, self.counts.rows, path)


def word_errors(rows: Sequence[tuple[str, str]], total: int, path: Path) -> None:
    """A text file of (gold, said): insertions, deletions and substitutions of words in all, then each row's alignment.

    By SpeechBrain's ErrorRateStats, in its own form.
    """
    stats = speechbrain("utils.metric_stats").ErrorRateStats()
    ids = [f"row {number}" for number in range(len(rows))]
    stats.append(ids, [said.split() for _, said in rows], [gold.split() for gold, _ in rows])
    with path.open("w", encoding="utf-8") as file:
        if total > len(rows):
            file.write(f"the first {len(rows)} of {total} rows\n")
        stats.write_stats(file)


PROBLEM = SpeechUnderstanding
