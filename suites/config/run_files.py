"""The JSON files of runs, invocations and studies: what each holds, and how all of them are read.

A file of the right name and the wrong content is one message that names the file and the field. Fields that a kind does
not name are kept as they are; a field without a default must be there.
"""

from __future__ import annotations

import functools
import json
import stat
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from .errors import Fault, shortened
from .names import plain
from .private import expanded

LARGEST = 64 * 2**20  # bytes of such a file
DEEPEST = 100  # levels of such a document
PUT_BACK = "put the file back as it was, or start anew with: suites run NAME"


class File(BaseModel):
    """A JSON object of ours: no value is converted into another type."""

    model_config = ConfigDict(extra="allow", strict=True)


class RunState(File):
    """``run.json``."""

    status: Literal["new", "running", "finished", "pruned", "failed", "interrupted"]
    method: str = ""
    seed: int = Field(0, ge=0)
    suite: str = ""
    uid: str = ""
    started: int = 0
    active: int = 0
    session: int = 0
    mlflow_run_id: str | None = None
    weights: dict[str, Any] | None = None


class Trained(RunState):
    """``run.json`` of a run whose weights are asked for."""

    method: str
    seed: int = Field(ge=0)
    suite: str
    uid: str


class RunEntry(File):
    """One of an invocation's runs."""

    method: str
    seed: int = Field(ge=0)
    folder: str
    git: dict[str, Any] = {}

    @field_validator("folder", mode="before")
    @classmethod
    def _lies_in_it(cls, name: Any) -> Any:
        if not plain(name):
            raise ValueError(f"a run of this invocation has no folder in it: {name!a}"[:200])
        return name


class DataFacts(File):
    """What is recorded of the data."""

    source: str = ""
    checksum: str = ""
    rows: dict[str, int] | None = None
    random_split: bool = False
    drawn: dict[str, int] = {}
    sets: dict[str, str] = {}


class TrialFacts(File):
    """Of which study an invocation is a trial."""

    study: str
    study_uid: str
    number: int
    params: dict[str, Any]


class Plan(File):
    """``invocation.json``."""

    suite: str
    profile: str | None = None
    recipe: str
    data: DataFacts
    runs: list[RunEntry]
    device: str = ""
    git: dict[str, Any] = {}
    tracking_uri: str | None = None
    uid: str = ""
    recipe_digest: str = ""
    trial: TrialFacts | None = None


class Resumable(Plan):
    """``invocation.json`` of one whose runs are started."""

    device: str
    git: dict[str, Any]
    uid: str
    recipe_digest: str
    tracking_uri: str | None


class Objective(File):
    """A metric that a study improves."""

    name: str
    direction: Literal["maximize", "minimize"]


class StudyPlan(File):
    """``study.json``."""

    schema_: Literal[1] = Field(alias="schema")
    study: str
    uid: str
    suite: str
    recipe: str
    method: str
    device: str
    params: dict[str, Any] = {}
    order: list[str] = []
    objectives: list[Objective] = Field(min_length=1)
    trials: int = Field(ge=0)
    sampler: str
    pruner: str
    seed: int
    storage: str | None
    tracking_uri: str
    git: dict[str, Any] = {}
    grid: bool = False
    methods: list[str] = []
    seeds: list[int] = []

    @field_validator("study", "suite", "method")
    @classmethod
    def _is_plain(cls, name: str) -> str:
        if not plain(name):
            raise ValueError("no plain name")
        return name

    @model_validator(mode="after")
    def _whole(self) -> StudyPlan:
        if self.order and sorted(self.order) != sorted(self.params):
            raise ValueError("order: not the names of params")
        if self.grid and not {"method", "seed"} <= self.params.keys():
            raise ValueError("grid: params has no method and seed")
        return self

    @field_validator("methods")
    @classmethod
    def _are_plain(cls, names: list[str]) -> list[str]:
        return [cls._is_plain(name) for name in names]


class StudyResult(File):
    """``result.json`` of a study."""

    best: dict[str, Any] | list[dict[str, Any]] | None = None
    trials: list[dict[str, Any]] = []


class RunFacts(File):
    """What MLflow gets of a run besides its points."""

    run_uid: str
    suite: str
    invocation_uid: str
    method: str
    seed: int
    params: dict[str, str]
    tags: dict[str, str]
    dataset: dict[str, str]
    name: str = ""  # by default <method>-s<seed>
    parent_name: str = ""  # by default the folder of the invocation
    note: str = ""  # Markdown on the run's page
    experiment_note: str = ""  # on that of the experiment, where it has none
    view: str = ""  # of the experiment's runs (tracking.shown.view_state)
    shown: dict[str, Any] | None = None  # which points are sent (tracking.shown.Shown); None: all
    started: int | None = None  # milliseconds since 1970
    matrix: list[dict[str, str]] | None = None  # name and digest of each test experience; None: no matrix is sent


class Identity(RunFacts):
    """``identity.json``."""

    uri: str


class StoreState(File):
    """What one store holds of a run."""

    run_id: str | None
    delivered: int = Field(ge=0)
    artifacts: dict[str, str] | list[str] = {}
    ended: str | None = None
    inputs: bool = False
    best: bool = False
    matrix: bool = False
    sent: dict[str, Any] = {}


class Tracker(File):
    """``tracker.json``; each state is checked by itself."""

    last: str | None = None
    stores: dict[str, Any]


class Environment(File):
    """``environment.json``."""

    data: DataFacts
    versions: dict[str, str] = {}
    git: dict[str, Any] = {}
    machine: dict[str, Any] = {}
    device: str = ""
    threads: int = 0


class Summary(RootModel[dict[str, float]]):
    """``summary.json``: the metrics at a run's end."""

    model_config = ConfigDict(strict=True)


class Sidecar(File):
    """What lies beside a checkpoint."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class CheckpointState(File):
    """What a checkpoint of a run holds."""

    strategy: dict[str, Any]
    journal: int = Field(ge=0)
    matrix: dict[str, Any]
    next_experience: int = Field(ge=0)
    training: bool
    evaluating: str = ""
    seconds: float
    steps: int = Field(ge=0)
    best: list[Any] | None
    summarised: bool
    checks: dict[str, float] = {}


class Question(File):
    """What a trial's worker asks the driver."""

    step: int = Field(ge=0)
    value: float


class Answer(File):
    """What the driver answers."""

    prune: bool


BY_NAME: dict[str, type[BaseModel]] = {
    "invocation.json": Resumable,
    "run.json": Trained,
    "identity.json": Identity,
    "tracker.json": Tracker,
    "environment.json": Environment,
    "summary.json": Summary,
    "study.json": StudyPlan,
    "result.json": StudyResult,
}


def load(path: Path) -> Any:
    """The JSON document of a file. Raises ValueError with what is wrong with it, and OSError."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("no regular file")
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"more than {LARGEST // 2**20} MiB")
    try:
        document = json.loads(data.decode("utf-8"))
        _require_shallow(document)
        json.dumps(document, ensure_ascii=False).encode("utf-8")  # half a character cannot be shown or sent
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return document


def _require_shallow(document: Any) -> None:
    level = [document]
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise ValueError(f"nested more than {DEEPEST} levels deep")


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def problem_of(document: Any, kind: Any) -> str:
    """What of ``document`` is not as ``kind`` says, in words; empty where all is."""
    try:
        _adapter(kind).validate_python(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        message = first["msg"].partition(" or instance of ")[0].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
        return shortened(f"{where}: {message}" if where else message, 300)
    return ""


def read(path: Path, kind: Any = None, next_step: str = PUT_BACK) -> Any:
    """The document of ``path``, checked as ``kind`` (None: any JSON), with whole paths.

    Raises Fault where it is missing (exit 2), or damaged (exit 3): then it names the field.
    """
    try:
        document = load(path)
    except FileNotFoundError as error:
        raise Fault.usage(f"{path.name} is missing", str(path.parent), "suites runs list") from error
    except (OSError, ValueError) as error:
        raise Fault.data(f"{path.name} is damaged: {error}", str(path), next_step) from error
    problem = "" if kind is None else problem_of(document, kind)
    if problem:
        raise Fault.data(f"{path.name} is damaged: {problem}", str(path), next_step)
    return expanded(document)
