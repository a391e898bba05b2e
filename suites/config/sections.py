"""The sections of a recipe, with the range of every field."""

from __future__ import annotations

import re
import typing
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from .documents import suggestion


class Section(BaseModel):
    """Unknown fields are errors; values keep their YAML type."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class TransformSection(Section):
    """A change of rows between reader and model, made once and cached."""

    name: str = Field(description="a module of holdfast.datasets.transforms")
    options: dict[str, Any] = Field(default_factory=dict, description="fields of the transform's Config")
    seed: int = Field(0, ge=0, description="seed of what it draws; the seed of a run does not change it")


class SplitTransformSection(TransformSection):
    """A transform of the data that is trained on."""

    splits: tuple[str, ...] = Field(("train",), min_length=1, description="splits whose rows it changes")


class DataSection(Section):
    """Where the rows come from and how they are split into experiences."""

    name: str = Field(description="data set: a module of holdfast.datasets")
    root: str | None = Field(None, description="folder of the real data; without it the stand-in is generated")
    experiences: int = Field(1, ge=1, le=1000, description="number of experiences N")
    split: Literal["classes", "range", "given"] = Field(
        "classes",
        description=(
            "what an experience is: a group of classes of the column label; a range of its values; "
            "or what the data set's column experience says"
        ),
    )
    class_order: str | tuple[str, ...] = Field(
        "seeded",
        description=(
            "order of the classes or ranges over experiences: seeded; alphabetical (by name or ascending); "
            "or all class names in their order"
        ),
    )
    store: Literal["memory", "mapped"] = Field(
        "memory",
        description=(
            "where columns lie: in memory, or in files of the cache that are mapped: the same numbers, and the memory "
            "that is needed does not grow with the data"
        ),
    )
    max_gib: float | None = Field(
        None,
        gt=0,
        le=1_000_000,
        description=(
            "most memory (GiB) that one file, the indicators of one column or the weights of one method may take, "
            "by an estimate before anything is allocated; null: half of the machine's memory"
        ),
    )
    hidden_from_training: tuple[str, ...] = Field((), description="columns that no method may see")
    options: dict[str, Any] = Field(default_factory=dict, description="fields of the data set's Config")
    transforms: tuple[SplitTransformSection, ...] = Field(
        (), description="changes of the rows, in this order; none of validation and test where not said so"
    )

    @field_validator("class_order", mode="before")
    @classmethod
    def _an_order(cls, value: Any) -> Any:
        known = ("seeded", "alphabetical")
        if isinstance(value, str) and value not in known:
            raise ValueError(
                f"no such order{suggestion(value, known)} (there are: seeded, alphabetical, a list of all class names)"
            )
        listed = isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value)
        if not isinstance(value, str) and not listed:
            raise ValueError("seeded, alphabetical, or a list of all class names")
        return value

    @model_validator(mode="after")
    def _named_classes(self) -> DataSection:
        if not isinstance(self.class_order, str) and self.split != "classes":
            raise ValueError("class_order: names belong to split: classes")
        return self


class ModelSection(Section):
    """The model that every method of the suite trains."""

    name: str = Field(description="a module of holdfast.methods.networks")
    options: dict[str, Any] = Field(default_factory=dict, description="fields of the model's Config")
    weights: str | None = Field(
        None,
        description=(
            "a finished run (folder or name) whose model's weights every run starts from; "
            "of an invocation the run of the same seed and method; null: new ones"
        ),
    )


Schedule = Literal["constant", "cosine", "multistep"]


class ScheduleSection(Section):
    """A scheduler of torch."""

    name: str = Field(description="a class of torch.optim.lr_scheduler; it moves once an optimizer step")
    options: dict[str, Any] = Field(
        default_factory=dict,
        description=(
            "its arguments; total_steps, T_max and total_iters (PolynomialLR) are those of the stage, "
            "and max_lr (OneCycleLR) is train.lr, where they are not given"
        ),
    )


class TrainSection(Section):
    """How every method of the suite is trained."""

    epochs: int = Field(1, ge=1, le=100_000, description="epochs an experience")
    epochs_first: int | None = Field(
        None, ge=1, le=100_000, description="epochs of the first experience; null: as the others"
    )
    batch_size: int = Field(32, ge=1, le=1_000_000, description="rows a batch")
    optimizer: str = Field("AdamW", description="a class of torch.optim, LARS or LAMB; new in every stage")
    lr: float = Field(1e-3, gt=0, le=100, description="learning rate")
    weight_decay: float = Field(0.0, ge=0, le=10, description="weight decay")
    betas: tuple[float, float] = Field((0.9, 0.999), description="decay of the moments, where the optimizer has two")
    eps: float = Field(1e-8, gt=0, le=1, description="added to denominators, where the optimizer has one such number")
    optimizer_options: dict[str, Any] = Field(
        default_factory=dict, description="the optimizer's other arguments, such as momentum"
    )
    schedule: Schedule | ScheduleSection = Field(
        "constant",
        description=(
            "of the learning rate within a stage; multistep: times gamma from each of the milestones on; "
            "or {name: OneCycleLR, options: {}}: any scheduler of torch"
        ),
    )
    milestones: tuple[int, ...] = Field((), description="of multistep: epochs of a stage, counted from 0, ascending")
    gamma: float = Field(0.1, gt=0, le=1, description="of multistep: factor of the learning rate at a milestone")
    warmup_steps: int = Field(0, ge=0, description="linear warm-up at the start of a stage")
    clip: float | None = Field(None, gt=0, description="largest gradient norm; null: no clipping")
    accumulate: int = Field(1, ge=1, le=10_000, description="batches an optimizer step")
    precision: Literal["fp32", "bf16", "fp16"] = Field("fp32", description="autocast type; fp16 with a gradient scaler")
    compile: bool = Field(False, description="torch.compile the model")
    threads: int = Field(
        0, ge=0, le=1024, description="torch threads; 0: one a core. Bitwise equality holds for one number of threads"
    )
    selection: Literal["last", "validation", "worst_class", "oracle"] = Field(
        "last",
        description=(
            "weights kept of an experience: the last; "
            "those of the epoch that is best on validation rows of the training distribution; "
            "worst_class: on the same rows by the accuracy of the worst class, which needs no group labels; "
            "oracle: best on test rows, which nobody has who trains: an upper bound, named so wherever it is shown"
        ),
    )
    path: Literal["memory", "loader"] = Field(
        "memory", description="batches by index from memory, or through a DataLoader"
    )
    workers: int = Field(
        0,
        ge=0,
        le=64,
        description="of path: loader: processes that gather (and decode) batches ahead, evaluation's too; 0: none",
    )
    log_every: int = Field(20, ge=1, description="steps a journal point")
    checkpoint_steps: int = Field(500, ge=0, description="steps between checkpoints within an experience; 0: none")
    checkpoint_seconds: float = Field(
        60.0, ge=0, description="seconds between checkpoints within an experience; 0: none"
    )

    @field_validator("schedule", mode="before")
    @classmethod
    def _schedule(cls, value: Any) -> Any:
        known = typing.get_args(Schedule)
        if isinstance(value, ScheduleSection) or (isinstance(value, str) and value in known):
            return value
        if isinstance(value, dict):
            fields_fit = isinstance(value.get("name"), str) and isinstance(value.get("options", {}), dict)
            if fields_fit and not value.keys() - {"name", "options"}:
                return value
        elif isinstance(value, str):
            raise ValueError(f"no such schedule{suggestion(value, known)}; a scheduler of torch is {{name: {value}}}")
        raise ValueError("constant, cosine, multistep, or {name: a scheduler of torch, options: {its arguments}}")

    @model_validator(mode="after")
    def _loaders(self) -> TrainSection:
        if self.workers and self.path != "loader":
            raise ValueError(f"workers: {self.workers} gather batches for path: loader, not for path: memory")
        return self

    @model_validator(mode="after")
    def _own_warmup(self) -> TrainSection:
        if isinstance(self.schedule, ScheduleSection) and self.warmup_steps:
            raise ValueError("warmup_steps belongs to constant, cosine and multistep, not to a scheduler of torch")
        return self

    @model_validator(mode="after")
    def _betas(self) -> TrainSection:
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must lie in [0, 1), not {self.betas}")
        return self

    @model_validator(mode="after")
    def _milestones(self) -> TrainSection:
        if (self.schedule == "multistep") != bool(self.milestones):
            raise ValueError("schedule: multistep and milestones belong together")
        if list(self.milestones) != sorted(set(self.milestones)) or any(m < 1 for m in self.milestones):
            raise ValueError(f"milestones are epochs from 1 on, ascending, not {list(self.milestones)}")
        return self


class SetDataSection(Section):
    """Another data set, whose rows are those of an evaluation set."""

    name: str = Field(description="data set: a module of holdfast.datasets")
    root: str | None = Field(None, description="folder of the real data; without it the stand-in is generated")
    options: dict[str, Any] = Field(default_factory=dict, description="fields of the data set's Config")


class SetSection(Section):
    """Rows that are evaluated beside validation and test; nothing is selected on them."""

    split: str = Field("test", description="split of the data whose rows they are")
    data: SetDataSection | None = Field(None, description="another data set of the same kind; null: that of training")
    transforms: tuple[TransformSection, ...] = Field((), description="changes of these rows, in this order")


RESERVED_SETS = ("train", "valid", "test", "loss", "gradient", "cost", "system")


class EvaluateSection(Section):
    """How predictions are made for the metrics, and of what."""

    batch_size: int = Field(128, ge=1, description="rows a batch in evaluation")
    fit_rows: int | None = Field(
        20_000,
        ge=2,
        description=(
            "training rows at most on which a problem fits what it measures with (the probes of contrastive_analysis), "
            "drawn by the run's seed of those seen so far; null: all"
        ),
    )
    predictions: bool = Field(
        False,
        description=(
            "keep what is predicted in the evaluation after an experience (of the newest one) as Parquet files in the "
            "run's folder; an evaluation that was killed goes on behind them"
        ),
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="fields of the problem's Config, where it has one: what it measures beside"
    )
    predictions_mib: int = Field(512, ge=1, description="of predictions: most that a run keeps")
    future: bool = Field(
        False,
        description=(
            "after each experience the test rows of those still to come are measured too, for "
            "MAIN/generalisability; where they bring new classes, accuracy on them is 0"
        ),
    )
    sets: dict[str, SetSection] = Field(
        default_factory=dict, description="name -> rows that are evaluated too; their metrics are NAME/METRIC/last, ..."
    )

    @field_validator("sets")
    @classmethod
    def _plain(cls, value: dict[str, SetSection]) -> dict[str, SetSection]:
        for name in value:
            if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name) or name in RESERVED_SETS:
                raise ValueError(
                    f"'{name}' cannot name a set: small letters, digits and _, and none of {', '.join(RESERVED_SETS)}"
                )
        return value


class TrackingSection(Section):
    """What MLflow gets; the journal of a run holds every point."""

    metrics: Literal["main", "all"] = Field(
        "main",
        description=(
            "main: curves of the main metric, losses and the final values of the screen's table, 15 at most; "
            "all: every point of the journal"
        ),
    )


class DiagnosticsSection(Section):
    """Measurements of training itself; they change no number of it."""

    gradients: int = Field(
        0,
        ge=0,
        description=(
            "every so many steps: norm and share of each loss term's gradient on the encoder, "
            "and how many steps are clipped; 0: off"
        ),
    )


class Range(Section):
    """Values that a sweep may try: ``choices``, or ``low`` to ``high``.

    ``log``: evenly in the logarithm; ``step``: on a raster.
    """

    low: float | int | None = None
    high: float | int | None = None
    log: bool = False
    step: float | int | None = Field(None, gt=0)
    choices: tuple[float | int | str | bool | None, ...] | None = None

    @model_validator(mode="after")
    def _form(self) -> Range:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log or self.step:
                raise ValueError("either choices, or low and high")
            if not self.choices:
                raise ValueError("choices is empty")
            return self
        if self.low is None or self.high is None:
            raise ValueError("give choices, or low and high")
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high})")
        if self.log and (self.low <= 0 or self.step):
            raise ValueError("log needs low above 0 and no step")
        return self


class SweepSection(Section):
    """What ``suites sweep`` tunes."""

    method: str | None = Field(None, description="the method that is tuned; null: the first default")
    objective: tuple[str, ...] = Field(
        (), description="metrics of the validation stream or costs, METRIC[:min|max]; empty: the problem's main one"
    )
    params: dict[str, Range] = Field(
        default_factory=dict, description="recipe path -> range; empty: the ranges of the method's own fields"
    )
    trials: int = Field(20, ge=1, le=100_000, description="trials")
    sampler: Literal["tpe", "random", "grid", "cmaes", "nsga2"] = Field("tpe", description="how values are chosen")
    pruner: Literal["none", "median", "hyperband"] = Field(
        "none", description="when a poor trial is stopped after an experience"
    )
    threads: int = Field(1, ge=1, le=1024, description="torch threads a trial")
    cpus: float | None = Field(None, gt=0, description="CPUs that a trial asks of Ray; null: its threads")
    gpus: float = Field(0.0, ge=0, description="GPUs, or a fraction of one, that a trial asks of Ray")
