"""What a trained run says about new recordings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import registry
from ..config.errors import Fault
from . import loading

if TYPE_CHECKING:
    from ...datasets.core.source import SpeechInfo

BATCH = 32


def predict(target: str, files: Sequence[Path], out: Path) -> Iterator[dict[str, Any]]:
    """One document a file, in order: file, scenario, action, intent, entities, transcript; or file and error where
    it cannot be read.

    Raises Fault where the run is no speech run or has no whole checkpoint.
    """
    import torch

    folder = loading.folder_of(target, out, "suites predict {} FILE.wav")
    recipe = loading.TrainedRun(folder).recipe
    if recipe.problem != "speech" or not (folder / "model.json").exists():
        what = f"a run of '{recipe.name}' does not take recordings"
        raise Fault.usage(what, str(folder), "name a run of a speech suite")
    module = registry.network(recipe.model.name)
    config = module.Config(**recipe.model.options)
    info: SpeechInfo = module.from_document(json.loads((folder / "model.json").read_text()))
    method = loading.trained(folder, recipe, info)
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
            yield {"file": str(file), "error": errors[file]} if file in errors else _document(file, outputs[file])


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


def _document(file: Path, output: str) -> dict[str, Any]:
    """An output of the model, taken apart."""
    from ...datasets.core.transcript import parse

    transcript = parse(output)
    return {
        "file": str(file),
        "scenario": transcript.scenario,
        "action": transcript.action,
        "intent": transcript.intent,
        "entities": [{"type": kind, "filler": filler} for kind, filler in transcript.entities],
        "transcript": transcript.words,
    }
