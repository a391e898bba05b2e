"""What a speech run says about recordings: scenario, action, entities, transcript."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import registry, run_files

if TYPE_CHECKING:
    from ...datasets.core.source import SpeechInfo
    from .answers import Answer
    from .loading import TrainedRun

BATCH = 32


def of_files(run: TrainedRun, files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """One document a file, in order: file, scenario, action, intent, entities, transcript; or file and error where
    it cannot be read.

    The data is not needed: ``model.json`` holds what the network has to know. Raises Fault where there is no whole
    checkpoint.
    """
    module = registry.network(run.recipe.model.name)
    config = module.Config(**run.recipe.model.options)
    info: SpeechInfo = module.from_document(run_files.read(run.folder / "model.json"))
    method = run.method_for(info)

    def documents() -> Iterator[dict[str, Any]]:
        import torch

        for start in range(0, len(files), BATCH):
            part = list(files[start : start + BATCH])
            features, errors = _features(part, info)
            outputs: dict[Path, str] = {}
            if features:
                with torch.no_grad():
                    tokens = method.predict(module.batch_of(config, info, list(features.values())))["tokens"]
                tokenizer = info.prepared.tokenizer
                outputs = {file: tokenizer.decode(t.tolist()) for file, t in zip(features, tokens, strict=True)}
            for file in part:
                said = {"error": errors[file]} if file in errors else _document(outputs[file])
                yield {"file": str(file), **said}

    return documents()


def answer_of(run: TrainedRun) -> Answer:
    """What makes documents of a row's tokens."""
    from ...datasets.core.source import SpeechInfo, require

    tokenizer = require(run.data.info, SpeechInfo, "a prediction").prepared.tokenizer
    return lambda outputs: _document(tokenizer.decode(outputs["tokens"].tolist()))


def _features(files: Sequence[Path], info: SpeechInfo) -> tuple[dict[Path, Any], dict[Path, str]]:
    """Features of the recordings that can be read, and what is wrong with the others."""
    from ...datasets.core.errors import DataError
    from ...datasets.readers import audio
    from ...datasets.spoken import recordings

    features: dict[Path, Any] = {}
    errors: dict[Path, str] = {}
    for file in files:
        try:
            if fault := audio.fault_of(file):
                raise DataError(fault)
            features[file] = recordings.features_of(file, info.features)
        except DataError as error:
            errors[file] = str(error)
    return features, errors


def _document(output: str) -> dict[str, Any]:
    """An output of the model, taken apart."""
    from ...datasets.core.transcript import parse

    transcript = parse(output)
    return {
        "scenario": transcript.scenario,
        "action": transcript.action,
        "intent": transcript.intent,
        "entities": [{"type": kind, "filler": filler} for kind, filler in transcript.entities],
        "transcript": transcript.words,
    }
