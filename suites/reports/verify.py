"""``suites verify``: what a suite claims, run as far as runs are missing, and tested.

Runs are ordinary ones: an invocation of the same recipe that lies in the folder of the runs is added to, as ``--into``
does; where there is none, one is started.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import catalog, measures, sources
from ..config.errors import Fault
from ..config.evidence import DATA, Claim
from ..config.recipe import Recipe
from ..runtime import asked, extend, folders, invocation, recipes
from ..runtime.asked import Overrides
from ..runtime.executors import Workers
from ..runtime.plan import Invocation
from . import claims as judge
from . import compare, evidence, reported

if TYPE_CHECKING:
    from ..runtime.console import Console


@dataclass(frozen=True)
class Asked:
    """How the runs are made, as of ``suites run``."""

    profile: str | None
    overrides: tuple[str, ...]
    data_root: str | Path | None
    out: Path
    device: str
    tracking_uri: str | None
    workers: Workers
    console: Console


@dataclass
class Setting:
    """Claims of one suite in one setting, and the runs that they need: method -> number of seeds."""

    overrides: tuple[str, ...]
    data_seeds: bool
    claims: list[Claim] = field(default_factory=list)
    needed: dict[str, int] = field(default_factory=dict)


def verify(
    target: str | None = None,
    *,
    seeds: int | None = None,
    profile: str | None = None,
    overrides: Overrides = (),
    data_root: str | Path | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    tracking_uri: str | None = None,
    workers: int = 1,
    engine: str = "local",
    address: str | None = None,
    record: str | Path | None = None,
    verbose: bool = False,
    console: Console | None = None,
) -> dict[str, Any]:
    """Test what a suite claims, or (None) every suite that claims something: what is missing is run first.

    Args:
        target: name of a suite, or a recipe file.
        seeds: seeds 0 to N-1 for every claim; None: as many as each claim asks.
        record: folder into which the result files are written; None: ``verified`` in ``out``.
        others: as of :func:`holdfast.suites.api.run`.

    Returns:
        ``claims`` (in each ``claim``, ``verdict``, ``effect``, ``interval``, ``p``, ``n``, ``smallest_detectable``,
        ``source``), ``reported``, ``files`` that were written, ``failed`` suites of several, ``seconds``.

    Raises Fault where a recipe claims nothing, and for all that a run raises (of several suites: after the others).
    """
    texts, folder = tuple(asked.texts(overrides)), asked.out_of(out).resolve()
    if target is None and (data_root is not None or texts):
        what = "a data root and overrides belong to one suite"
        raise Fault.usage(what, "verify", "suites verify NAME --data-root DIR")
    if seeds is not None and seeds < 2:
        raise Fault.usage(f"a claim needs two seeds or more, not {seeds}", "--seeds", "--seeds 3")
    where = Workers(workers, engine, address)
    given = Asked(profile, texts, data_root, folder, device, tracking_uri, where, console or asked.console(verbose))
    if target is not None and not catalog.recipe(target, None).claims:
        raise Fault.usage(f"{target} claims nothing", "claims", "suites show NAME; claims are a list in the recipe")
    document: dict[str, Any] = {"claims": [], "reported": [], "files": [], "failed": []}
    began = time.monotonic()
    for name in [target] if target is not None else claiming():
        try:
            one = of_suite(name, seeds, given)
        except Fault as error:
            if target is not None or error.code == "interrupted":
                raise
            given.console.warning(f"{name}: {error.what} ({error.where})")
            document["failed"].append({"suite": name, **error.as_json()["error"]})
            continue
        document["claims"] += one["claims"]
        document["reported"] += one["reported"]
        document["files"].append(str(evidence.write(Path(record) if record else folder / "verified", one)))
    return {**document, "seconds": round(time.monotonic() - began, 1)}


def claiming() -> list[str]:
    """The suites that claim something."""
    return [name for name in sources.stored() if catalog.recipe(name, None).claims]


def of_suite(name: str, seeds: int | None, given: Asked) -> dict[str, Any]:
    """The result of one suite, as it is written."""
    began = time.monotonic()
    recipe = asked.recipe_to_run(name, given.profile, given.overrides, given.data_root, given.out, given.device)
    if recipe.profile == "smoke":
        given.console.warning(f"{recipe.name}: verdicts of a smoke run say nothing of a method")
    rows: dict[int, dict[str, Any]] = {}  # by the claim's identity: claims hold mappings, which have no hash
    testable = [claim for claim in recipe.claims if not _unfit(recipe, claim)]
    beside: list[dict[str, Any]] = []
    data: dict[str, Any] = {}
    used: dict[str, dict[str, Any]] = {}  # folder -> its entry, with the commit of its code
    for setting in settings(testable, seeds):
        made = _runs(name, setting, given)
        data = data or made[0].plan["data"]
        for claim in setting.claims:
            used |= {str(folder): entry for folder, entry in _entries(made, claim, seeds or claim.seeds)}
            rows[id(claim)] = judged(claim, made, seeds or claim.seeds, given.out)
        if not setting.overrides:
            beside += [row for one in made[:1] for row in reported.beside(one.recipe, one.document())]
    whole = [rows.get(id(claim)) or judge.row(claim, None, "", _unfit(recipe, claim)) for claim in recipe.claims]
    ordered = [{"suite": recipe.name, "profile": recipe.profile, **row} for row in whole]
    command = " ".join(["suites verify", name, *(["--profile", str(recipe.profile)] if recipe.profile else [])])
    command += f" --seeds {seeds}" if seeds else ""
    facts = {"suite": recipe.name, "family": recipe.family, "profile": recipe.profile, "paper": recipe.paper}
    return {
        **facts,
        "command": " ".join([command, *given.overrides]),
        "data": {key: data[key] for key in ("source", "checksum", "rows") if key in data},
        "claims": ordered,
        "reported": beside,
        "runs": _made_by(used),
        "seconds": round(time.monotonic() - began, 1),
    }


def _unfit(recipe: Recipe, claim: Claim) -> str:
    """Why the claim cannot be tested on what the recipe names; empty where it can."""
    if recipe.data.root is None and "stand-in" not in claim.where:
        return "it must hold on real data: --data-root DIR"
    return ""


def settings(claims: Sequence[Claim], seeds: int | None) -> list[Setting]:
    """The claims by what must be run for them, in their order."""
    found: dict[tuple[Any, ...], Setting] = {}
    for claim in claims:
        texts = tuple(asked.texts(claim.overrides))
        setting = found.setdefault((texts, claim.data_seeds), Setting(texts, claim.data_seeds))
        setting.claims.append(claim)
        for method in (claim.better, claim.than):
            setting.needed[method] = max(setting.needed.get(method, 0), seeds or claim.seeds)
    return list(found.values())


def _runs(name: str, setting: Setting, given: Asked) -> list[Invocation]:
    """The invocations with all runs of a setting, finished."""
    texts = (*given.overrides, *setting.overrides)

    def recipe(workers: int) -> Recipe:
        return asked.recipe_to_run(name, given.profile, texts, given.data_root, given.out, given.device, workers)

    if not setting.data_seeds:
        return [_complete(recipe(1), recipe(given.workers.count), setting.needed, given)]
    made = []
    for seed in range(max(setting.needed.values())):
        one = {method: (seed,) for method, count in setting.needed.items() if seed < count}
        of = [recipes.apply(recipe(count), {"data.options.seed": seed}) for count in (1, given.workers.count)]
        made.append(_complete(of[0], of[1], one, given))
    return made


def _complete(alone: Recipe, recipe: Recipe, needed: Mapping[str, int | tuple[int, ...]], given: Asked) -> Invocation:
    """The invocation of this recipe with the runs that are needed: one that is there, added to, or a new one."""
    asked_for = {m: tuple(range(of)) if isinstance(of, int) else of for m, of in needed.items()}
    there = _there(alone, given)
    for seeds in dict.fromkeys(asked_for.values()):
        methods = [method for method, of in asked_for.items() if of == seeds]
        if there is not None and _finished(there, methods, seeds):
            continue
        catalog.chosen_methods(alone, methods)
        there = invocation.start(
            alone if there else recipe,
            methods=methods,
            seeds=list(seeds),
            device=given.device,
            out=given.out,
            tracking_uri=given.tracking_uri,
            console=given.console,
            workers=given.workers,
            into=there,
        )
        there = Invocation(there.folder)
    assert there is not None
    return there


def _there(recipe: Recipe, given: Asked) -> Invocation | None:
    """The newest invocation that runs of this recipe may be added to."""
    for folder in reversed(folders.invocations(given.out)):
        if folder.parent != given.out:
            continue
        try:
            one = extend.opened(folder, given.out)
            extend.merged(one, recipe, given.device, given.tracking_uri)
        except (Fault, KeyError):  # of another recipe, or damaged
            continue
        return one
    return None


def _finished(one: Invocation, methods: Sequence[str], seeds: Sequence[int]) -> bool:
    done = {(r["method"], int(r["seed"])) for r in one.plan["runs"] if folders.status(one.run_folder(r)) == "finished"}
    return all((method, seed) in done for method in methods for seed in seeds)


def _entries(made: Sequence[Invocation], claim: Claim, seeds: int) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The folders of the runs that a claim is tested on, each with its entry in the plan."""
    for one in made:
        for entry in one.plan["runs"]:
            if entry["method"] in (claim.better, claim.than) and int(entry["seed"]) < seeds:
                yield one.run_folder(entry), {"git": one.plan.get("git", {}), **entry}


def _made_by(used: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """How many runs there are, the minutes that they took, and the commits of their code."""
    active = [folders.state_of(Path(folder)).get("active", 0) for folder in used]
    commits = sorted({str(entry["git"].get("commit", "")) for entry in used.values()} - {""})
    return {"count": len(used), "minutes": round(sum(active) / 60_000, 2), "commits": commits}


def judged(claim: Claim, made: Sequence[Invocation], seeds: int, out: Path) -> dict[str, Any]:
    tasks, _ = compare.collect([str(folder) for folder, _ in _entries(made, claim, seeds)], out)
    (task,) = tasks
    metric = measures.look_up(measures.of_recipe(made[0].recipe), claim.metric, "claims", "suites validate NAME")
    by_method = {entrant.method: values for entrant, values in compare.by_entrant(task, claim.metric)}
    kind = "real" if task.data["data.source"] == "real" else "stand-in"
    reason = "" if kind in claim.where else f"it must hold on {' and '.join(DATA[w] for w in claim.where)}"
    used = "resampled" if task.resampled else "student"
    if claim.test not in ("auto", used):
        reason = reason or f"the claim asks for the {claim.test} test, the data for: {task.test}"
    if missing := [m for m in (claim.better, claim.than) if not by_method.get(m)]:
        return judge.row(claim, None, task.test, f"no run of {', '.join(missing)} has a finite {claim.metric}")
    overlap = task.overlap if task.resampled else 0.0
    higher = bool(metric.higher_is_better)
    difference = judge.tested(by_method[claim.better], by_method[claim.than], higher, overlap)
    each = {
        str(key[0] if isinstance(key, tuple) else key): (value - by_method[claim.than][key]) * (1 if higher else -1)
        for key, value in sorted(by_method[claim.better].items())
        if key in by_method[claim.than]
    }
    return {**judge.row(claim, difference, task.test, reason), "data": kind, "differences": each}
