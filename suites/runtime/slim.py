"""A sub-network of a trained slimmable network, for a budget and a preference; its measures, its cost, its export."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..config.errors import Fault
from .asked import out_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ...datasets.core.multi_task import MultiTaskInfo
    from ...methods.networks.slimmable_widths import Configuration, Ratio
    from .loading import TrainedRun

ROWS = 256  # validation rows on which widths that training did not score are compared
TIMED = 15  # forwards of one image whose median is the latency
FORMATS = (".pt2", ".onnx")
ONNX = ("onnx", "onnxscript")  # of the extra `onnx`: what torch's exporter needs
NO_ONNX = "pip install 'holdfast[onnx]', or a name in .pt2"


def slim(
    target: str | Path,
    *,
    budget: float | None = None,
    macs: float | None = None,
    prefer: str | Mapping[str, float] | None = None,
    per_stage: bool = False,
    export: str | Path | None = None,
    force: bool = False,
    out: str | Path | None = None,
) -> dict[str, Any]:
    """The best sub-network of a trained slimmable network for a budget and a preference, without training.

    Args:
        budget, macs: multiply-adds of one image at most, as a share of the whole network's, or their number.
        prefer: weight of each task, as a mapping or ``seg=2,depth=1``; tasks that are not named get the narrowest
            decoder; None: all alike.
        per_stage: search a width for each stage of the encoder, too (mutation search, seconds to minutes).
        export: file for the sub-network as an ordinary program, images [B, C, H, W] in [0, 1] to outputs by task:
            ``.pt2`` (``torch.export.load``) or ``.onnx``; ``force`` overwrites it.

    Returns:
        ``encoder`` and ``decoders`` (widths), ``macs``, ``share``, ``parameters``, ``latency_ms``, ``metrics`` by task
        (on validation rows) and, with ``export``, the file.

    Raises Fault for a run that is not slimmable, an impossible budget (with the nearest possible one), unknown tasks
    and preferences that are negative or all 0.
    """
    from .loading import TrainedRun, folder_of

    slimmer = Slimmer(TrainedRun(folder_of(str(target), out_of(out))))
    if isinstance(prefer, str) or prefer is None:
        preference = preference_of(prefer, slimmer.tasks)
    else:
        preference = preference_of(",".join(f"{k}={v}" for k, v in prefer.items()), slimmer.tasks)
    if export is not None:
        check(Path(export), force)
    found = choose(slimmer, preference, budget, macs, per_stage)
    module = slimmer.model.export(found.configuration)
    document = described(slimmer, found, module)
    if export is not None:
        write(module, slimmer.info.input_shape, Path(export))
        document["export"] = str(export)
    return document


def preference_of(text: str | None, tasks: Sequence[str]) -> dict[str, float]:
    """``seg=2,depth=1`` as one number a task; tasks that are not named have 0, None: all have 1. Raises Fault."""
    if text is None:
        return dict.fromkeys(tasks, 1.0)
    found = dict.fromkeys(tasks, 0.0)
    for part in text.split(","):
        name, _, value = part.strip().partition("=")
        if name not in found:
            raise Fault.usage(
                f"no task is called '{name}' (there are: {', '.join(tasks)})", "--prefer", "--prefer TASK=1"
            )
        try:
            found[name] = float(value or 1)
        except ValueError as error:
            raise Fault.usage(f"'{value}' is no number", f"--prefer {name}", f"--prefer {name}=1") from error
    return found


class Slimmer:
    """The network of a run, and what it measures at any widths on its validation rows.

    Raises Fault for a run of another problem, of a method of one width, or on other data than it was trained on.
    """

    def __init__(self, run: TrainedRun) -> None:
        from ...methods.slimmable.sandwich import Slimmable

        run.check_data()
        method = run.method
        if not isinstance(method, Slimmable) or not method.controllable:
            what = f"the method '{run.state['method']}' has no widths of encoder and decoders to choose"
            raise Fault.usage(what, str(run.folder), "name a run of ecmt, slim_plain, usnet_kd or naive_slice")
        self.run, self.method = run, method
        self.model = cast(Any, method.model)  # a slimmable network
        self.tasks: tuple[str, ...] = self.model.tasks
        self.info: MultiTaskInfo = self.model.info
        self.grid: tuple[float, ...] = self.model.grid
        self.costs = method.pricing()
        self._found: dict[tuple[Ratio, str, float], dict[str, float]] = {}

    def macs(self, configuration: Configuration) -> int:
        return self.costs.whole(configuration).macs

    def metrics(self, width: Ratio, task: str, decoder: float) -> dict[str, float]:
        """All measures of a task at these widths on the validation rows; statistics are calibrated on training rows
        where the run has none.
        """
        place = (width, task, decoder)
        if place not in self._found:
            self._measure(width, [d for d in self.grid if (width, task, d) not in self._found])
        return self._found[place]

    def _measure(self, width: Ratio, decoders: Sequence[float]) -> None:
        import torch

        from ...analysis.metrics.tasks import measure_of
        from ...methods.networks.slimmable_widths import Configuration, key_of

        every = [Configuration(width, (d,) * len(self.tasks)) for d in decoders]
        calibrated = self._calibrated()
        missing = [c for c in every if key_of(width, c.decoders[0]) not in calibrated]
        if missing:
            self.model.calibrate(self._batches("train", 5 * 64), missing)
        measures = {(t.name, d): measure_of(t) for t in self.info.tasks for d in decoders}
        split = "valid" if len(self.run.data.splits.get("valid", ())) else "train"
        table, start = self.run.data.splits[split], 0
        with torch.no_grad():
            for x in self._batches(split, ROWS):
                rows = torch.arange(start, start + len(x))
                start += len(x)
                for configuration, outputs in self.method.passes_of(x, every):
                    for task in self.info.tasks:
                        target = table.gather(rows)[task.column].numpy()
                        measure = measures[task.name, configuration.decoders[0]]
                        measure.update(outputs[task.name].float().numpy(), target)
        for (name, d), measure in measures.items():
            self._found[width, name, d] = measure.compute()

    def _calibrated(self) -> set[str]:
        found = self.model.statistics()
        return {key for name, keys in found.items() if name.startswith("decoders.") for key in keys}

    def _batches(self, split: str, count: int) -> list[Any]:
        import torch

        table = self.run.data.splits[split]
        rows = torch.arange(min(count, len(table)))
        return [self.model.pixels(table.gather(part)) for part in rows.split(64) if len(part) > 1 or len(rows) == 1]

    def score(self, configuration: Configuration) -> float:
        """Mean relative change of the tasks' main metrics against the whole network."""
        from ...methods.networks.slimmable_search import overall

        main = {task.name: task.metric for task in self.info.tasks}
        pairs = zip(self.tasks, configuration.decoders, strict=True)
        table = {
            (width, task, d): self.metrics(width, task, d)[main[task]]
            for task, d in [*pairs]
            for width, d in ((configuration.encoder, d), (1.0, 1.0))
        }
        better = {task.name: task.higher_is_better for task in self.info.tasks}
        return overall(table, self.tasks, better)(configuration)


def choose(
    slimmer: Slimmer,
    preference: Mapping[str, float],
    budget: float | None,
    macs: float | None,
    per_stage: bool = False,
) -> Any:
    """The configuration (:class:`~...methods.networks.slimmable_search.Found`). Raises Fault for an impossible budget,
    with the nearest possible one, and for a preference that is none.
    """
    from ...methods.networks.slimmable_search import BudgetError, search, search_by_stage
    from ...methods.networks.slimmable_widths import Configuration

    full = slimmer.macs(Configuration(1.0, (1.0,) * len(slimmer.tasks)))
    if (budget is None) == (macs is None):
        raise Fault.usage("one budget is needed", "--budget", "--budget 0.5 (a share), or --macs 2000000")
    if budget is not None and not 0 < budget <= 1:
        raise Fault.usage(f"a budget is a share above 0 and at most 1, not {budget:g}", "--budget", "--budget 0.5")
    limit = budget * full if budget is not None else float(macs or 0)
    r = [preference[task] for task in slimmer.tasks]
    try:
        found = search(r, limit, slimmer.grid, slimmer.macs, slimmer.score)
        if per_stage:
            stages = slimmer.model.encoder.stages
            found = search_by_stage(found, stages, limit, slimmer.grid, slimmer.macs, slimmer.score)
    except BudgetError as error:
        share = -(-error.least * 10_000 // full) / 10_000  # rounded up: this share is possible
        nearest = f"--budget {share:g}" if budget is not None else f"--macs {error.least:.0f}"
        raise Fault.usage(str(error), "--budget" if budget is not None else "--macs", nearest) from error
    except ValueError as error:
        raise Fault.usage(str(error), "--prefer", f"--prefer {slimmer.tasks[0]}=1") from error
    return found


def described(slimmer: Slimmer, found: Any, module: nn.Module) -> dict[str, Any]:
    """What the sub-network costs and measures, ready for JSON."""
    from ...methods.networks.slimmable_widths import Configuration

    chosen = found.configuration
    cost = slimmer.costs.whole(chosen)
    full = slimmer.macs(Configuration(1.0, (1.0,) * len(slimmer.tasks)))
    pairs = dict(zip(slimmer.tasks, chosen.decoders, strict=True))
    each = {task: slimmer.metrics(chosen.encoder, task, d) for task, d in pairs.items()}
    main = {task.name: task.metric for task in slimmer.info.tasks}
    return {
        "encoder": chosen.encoder,
        "decoders": pairs,
        "macs": cost.macs,
        "share": cost.macs / full,
        "parameters": cost.parameters,
        "latency_ms": latency(module, slimmer.info.input_shape),
        "score": found.score,
        "metrics": {task: {main[task]: values[main[task]], "loss": values["loss"]} for task, values in each.items()},
        "measured_on": f"{ROWS} validation rows at most, statistics from training rows",
    }


def latency(module: nn.Module, shape: Sequence[int]) -> float:
    """Median time in ms of a forward of one image on this machine's processor."""
    import torch

    x, seconds = torch.zeros(1, *shape), list[float]()
    with torch.no_grad():
        for _ in range(TIMED):
            start = time.perf_counter()
            module(x)
            seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds)


def check(file: Path, force: bool) -> None:
    """Raise Fault for another suffix than :data:`FORMATS`, a file that is there, ONNX without its exporter."""
    if file.suffix not in FORMATS:
        raise Fault.usage(
            f"no such format: {file.suffix or file.name}", "--export", f"a name in {' or '.join(FORMATS)}"
        )
    if file.exists() and not force:
        raise Fault.data(f"{file} exists", "--export", "another name, or --force")
    absent = [name for name in ONNX if find_spec(name) is None]
    if file.suffix == ".onnx" and absent:
        raise Fault.usage(f"torch's ONNX exporter needs {' and '.join(absent)}", "--export", NO_ONNX)


def write(module: nn.Module, shape: Sequence[int], file: Path) -> None:
    """The module as a program of ``torch.export`` (.pt2) or ONNX (.onnx: input ``image``, outputs by task), for any
    number of images. Raises Fault where torch's ONNX exporter lacks a package.
    """
    import torch

    example = torch.zeros(2, *shape)
    rows = torch.export.Dim("rows", min=1)
    part = file.with_name(f".{file.name}.part{file.suffix}")
    try:
        if file.suffix == ".pt2":
            program = torch.export.export(module, (example,), dynamic_shapes=({0: rows},))
            torch.export.save(program, part)
        else:
            _write_onnx(module, example, rows, part)
        part.replace(file)
    except ImportError as error:
        raise Fault.usage(f"torch's ONNX exporter lacks a package ({error})", "--export", NO_ONNX) from error
    finally:
        part.unlink(missing_ok=True)


def _write_onnx(module: nn.Module, example: Tensor, rows: Any, file: Path) -> None:
    """ONNX by torch's exporter, without the places in the source that it notes at every node: they name this machine's
    folders.
    """
    import torch

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the exporter, on torch's own older names
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            dynamic_shapes=({0: rows},),
            input_names=["image"],
            output_names=list(module(example)),
            verbose=False,
        )
    assert program is not None  # of dynamo
    for node in program.model.graph:
        node.metadata_props.clear()
    program.save(file, external_data=False)
