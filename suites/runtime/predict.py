"""What a trained run says about new recordings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..config import registry
from ..config.errors import Fault
from ..config.recipe import load
from . import build, folders
from .checkpoints import Checkpoints

BATCH = 32


def _run(target: str, out: Path) -> Path:
    """The folder of one run. Raises Fault for an invocation of several."""
    invocation, names = folders.find(target, out.resolve())
    if len(names) != 1:
        raise Fault.usage(f"'{target}' holds {len(names)} runs ({', '.join(names)})", str(invocation), f"name one: suites predict {invocation / names[0] if names else invocation} FILE.wav")  # fmt: skip
    return invocation / names[0]


def predict(target: str, files: Sequence[Path], out: Path) -> Iterator[dict[str, Any]]:
    """One document a file, in order: file, scenario, action, intent, entities, transcript; or file and error where it cannot be read.

    Raises Fault where the run is no speech run or has no whole checkpoint.
    """
    import torch

    from ...datasets.core.errors import DataError
    from ...datasets.core.source import SpeechInfo
    from ...datasets.core.transcript import parse
    from ...datasets.readers import audio
    from ...datasets.spoken import recordings

    folder = _run(target, out)
    recipe = load((folder / "recipe.yaml").read_text(), None, [])
    if recipe.problem != "speech" or not (folder / "model.json").exists():
        raise Fault.usage(f"a run of '{recipe.name}' does not take recordings", str(folder), "name a run of a speech suite")  # fmt: skip
    warnings: list[str] = []
    state = Checkpoints(folder / "checkpoint").load(warnings.append)
    if state is None:
        raise Fault.data("there is no whole checkpoint" + "".join(f"; {w}" for w in warnings), str(folder), "suites resume last")  # fmt: skip
    module = registry.network(recipe.model.name)
    config = module.Config(**recipe.model.options)
    info: SpeechInfo = module.from_document(json.loads((folder / "model.json").read_text()))
    document = folders.read_json(folder / "run.json")
    method = build.method_of(recipe, document["method"], info, document["seed"])
    method.load_state_dict(state["strategy"]["method"])
    method.eval()
    for start in range(0, len(files), BATCH):
        part = list(files[start : start + BATCH])
        rows, read, errors = [], [], {}
        for file in part:
            try:
                if fault := audio.fault_of(file):
                    raise DataError(fault)
                rows.append(recordings.features_of(file, info.features))
                read.append(file)
            except DataError as error:
                errors[file] = str(error)
        found = {}
        if rows:
            with torch.no_grad():
                output = method.predict(module.batch_of(config, info, rows))["tokens"]
            tokenizer = info.prepared.tokenizer
            found = {file: tokenizer.decode(tokens.tolist()) for file, tokens in zip(read, output, strict=True)}
        for file in part:
            if file in errors:
                yield {"file": str(file), "error": errors[file]}
                continue
            said = parse(found[file])
            yield {
                "file": str(file), "scenario": said.scenario, "action": said.action, "intent": said.intent,
                "entities": [{"type": t, "filler": f} for t, f in said.entities], "transcript": said.words,
            }  # fmt: skip
