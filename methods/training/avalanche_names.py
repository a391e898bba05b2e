"""Avalanche's strategies by name, and the arguments that they take, read from its source: Avalanche is not imported, so
that a recipe is checked at once.
"""

from __future__ import annotations

import ast
import difflib
import functools
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Filled in from the recipe, the network and the run.
OURS = frozenset(
    {
        "model",
        "feature_extractor",
        "classifier",
        "optimizer",
        "criterion",
        "train_mb_size",
        "train_epochs",
        "eval_mb_size",
        "device",
        "plugins",
        "evaluator",
        "eval_every",
        "peval_mode",
        "buffer_transform",
    }
)
REFUSED = {
    "JointTraining": "it trains on all experiences at once, which the method 'joint' does",
    "OnlineNaive": "it is Naive under an old name",
    "PNNStrategy": "it brings a network of its own (progressive networks)",
    "PackNet": "it needs a network whose layers can be pruned (PackNetModel)",
    "AR1": "it brings a network of its own (MobileNet)",
    "StreamingLDA": "it needs a pretrained network and fits its head row by row",
    "LearningToPrompt": "it brings a network of its own (a vision transformer with prompts)",
    "CoPE": "it trains an embedding, and prototypes answer in the place of the network's head",
    "ExpertGateStrategy": "it brings networks of its own (an AlexNet and autoencoders)",
    "GenerativeReplay": "it brings networks of its own (a VAE)",
    "AETraining": "it trains an autoencoder, not a classifier",
    "VAETraining": "it trains an autoencoder, not a classifier",
    "ER_AML": "it waits without end where a class's part of the memory is smaller than a batch, and holds generators",
    "FeatureReplay": "it splits the network at a layer that only Avalanche's own networks name",
    "SCR": "it needs augmentations, which are functions, and a network with a projector",
}


@dataclass(frozen=True)
class Signature:
    """Arguments of a strategy that a recipe may give, those of them that it must, and those that are filled in."""

    arguments: tuple[str, ...]
    required: tuple[str, ...]
    filled: frozenset[str]


@functools.cache
def signatures() -> dict[str, Signature]:
    """Every strategy that Avalanche exports, those that are refused included."""
    folder = _folder()
    exported = _exported(folder / "__init__.py")
    found = {}
    for path in sorted(folder.glob("*.py")):
        names = exported.get(path.stem, ())
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and ("*" in names or node.name in names) and _is_strategy(node):
                found[node.name] = _signature(node)
    return dict(sorted(found.items()))


def _folder() -> Path:
    spec = importlib.util.find_spec("avalanche")  # finds the package and does not import it
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "training" / "supervised"


def _exported(package: Path) -> dict[str, tuple[str, ...]]:
    """Module -> the names that the package imports of it; ``*``: all."""
    imports = [node for node in ast.parse(package.read_text(encoding="utf-8")).body if isinstance(node, ast.ImportFrom)]
    return {str(node.module): tuple(alias.name for alias in node.names) for node in imports}


def _is_strategy(node: ast.ClassDef) -> bool:
    return any("Template" in ast.unparse(base) for base in node.bases)


def _signature(node: ast.ClassDef) -> Signature:
    (init,) = [part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"]
    plain = [argument.arg for argument in (*init.args.posonlyargs, *init.args.args)][1:]
    without = plain[: len(plain) - len(init.args.defaults)]
    named = [argument.arg for argument in init.args.kwonlyargs]
    without += [name for name, default in zip(named, init.args.kw_defaults, strict=True) if default is None]
    every = [*plain, *named]
    return Signature(
        tuple(name for name in every if name not in OURS),
        tuple(name for name in without if name not in OURS),
        frozenset(every) & OURS,
    )


def names() -> list[str]:
    """The strategies that a recipe may name."""
    return [name for name in signatures() if name not in REFUSED]


def errors_of(strategy: str, arguments: Mapping[str, Any]) -> list[str]:
    """What is wrong with a strategy's name and arguments: field (``strategy`` or ``arguments...``) and message."""
    known = signatures()
    if strategy not in known:
        near = difflib.get_close_matches(strategy, names(), n=1, cutoff=0.5)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        return [f"strategy: Avalanche has no strategy '{strategy}'{hint} (there are: {', '.join(names())})"]
    if strategy in REFUSED:
        return [f"strategy: {strategy} cannot run here: {REFUSED[strategy]} (there are: {', '.join(names())})"]
    signature = known[strategy]
    takes = f"{strategy} takes: {', '.join(signature.arguments) or 'none'}"
    errors = []
    for name in arguments:
        if name in OURS:
            errors.append(f"arguments.{name}: this comes from the recipe or its network; leave it out")
        elif name not in signature.arguments:
            errors.append(f"arguments.{name}: no such argument ({takes})")
    errors += [f"arguments.{name}: is missing ({takes})" for name in signature.required if name not in arguments]
    return errors


# What a loop of Avalanche knows nothing of, with the value that asks for nothing.
PLAIN: dict[str, Any] = {
    "train.schedule": "constant",
    "train.warmup_steps": 0,
    "train.clip": None,
    "train.accumulate": 1,
    "train.precision": "fp32",
    "train.compile": False,
    "train.path": "memory",
    "train.selection": "last",
    "diagnostics.gradients": 0,
}


def unfit_settings(settings: Mapping[str, Any]) -> list[str]:
    """Fields of a recipe that ask a strategy of Avalanche for what its loop has not; ``settings``: last part of the
    field's name -> value, what is absent asks for nothing.
    """
    changed = [
        (field, plain) for field, plain in PLAIN.items() if settings.get(field.rpartition(".")[2], plain) != plain
    ]
    return [
        f"{field}: a strategy of Avalanche has a loop of its own, without it: leave it at {plain!r}, or run the "
        "methods apart"
        for field, plain in changed
    ]
