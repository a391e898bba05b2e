"""What a recipe says of results: claims that are tested, published values, and where tuned settings are from."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from .sections import Section

DATA = {"stand-in": "stand-in data", "real": "real data"}


class Claim(Section):
    """What the suite must show: ``better`` beats ``than`` by more than ``by`` in ``metric``, in its direction; or
    (``direction: equal``) the two differ by less than ``by``. ``suites verify`` tests it over seeds."""

    metric: str = Field(description="name in the summary")
    better: str = Field(description="method of the recipe")
    than: str = Field(description="method of the recipe that it is compared with on the same seeds")
    direction: Literal["better", "equal"] = Field("better", description="what is claimed of the difference")
    by: float = Field(0.0, description="margin in the metric's unit; below 0: worse by less than so much")
    seeds: int = Field(3, ge=2, le=1000, description="seeds 0 to N-1 on which it is tested")
    test: Literal["auto", "student", "resampled"] = Field(
        "auto",
        description=(
            "auto: as the data ask; student: of independent values; "
            "resampled: of random splits of one table that share rows (Nadeau and Bengio)"
        ),
    )
    data_seeds: bool = Field(False, description="the data are drawn anew with each seed (data.options.seed)")
    overrides: dict[str, Any] = Field(default_factory=dict, description="path -> value: the setting it is claimed of")
    whose: Literal["paper", "ours"] = Field("ours", description="who claims it")
    source: str = Field("", description="where it stands: section or table of the paper, or a page of ours")
    where: tuple[Literal["stand-in", "real"], ...] = Field(
        ("stand-in", "real"), min_length=1, description="data on which it must hold"
    )

    @model_validator(mode="after")
    def _equal_within(self) -> Claim:
        if self.direction == "equal" and self.by <= 0:
            raise ValueError("direction: equal needs the difference that counts as none: by above 0")
        if self.better == self.than:
            raise ValueError(f"a claim compares two methods, not {self.better} with itself")
        if self.whose == "paper" and not self.source:
            raise ValueError("a claim of the paper says where it stands (source)")
        return self

    @field_validator("overrides")
    @classmethod
    def _paths(cls, value: dict[str, Any]) -> dict[str, Any]:
        for path in value:
            if not re.fullmatch(r"[a-z][\w*]*(\.[\w*]+)+", path):
                raise ValueError(f"'{path}' is no path of a field, such as data.options.rho")
        return value

    @property
    def words(self) -> str:
        """The claim as a sentence."""
        setting = ", ".join(f"{path}={value}" for path, value in self.overrides.items())
        return self.said + (f" ({setting})" if setting else "")

    @property
    def said(self) -> str:
        """The claim without the setting it is claimed of."""
        if self.direction == "equal":
            return f"{self.better} and {self.than} differ by less than {self.by:g} in {self.metric}"
        if self.by < 0:
            return f"{self.better} is worse than {self.than} by less than {-self.by:g} in {self.metric}, or better"
        margin = f" by more than {self.by:g}" if self.by else ""
        return f"{self.better} beats {self.than}{margin} in {self.metric}"


class Reported(Section):
    """A published value, to stand beside what is reproduced on real data."""

    method: str = Field(description="method of the recipe that it is the value of")
    metric: str = Field(description="name in the summary")
    value: float = Field(description="as published, in the metric's unit")
    source: str = Field(min_length=1, description="paper and table")
    protocol: str = Field(min_length=1, description="data, model, budget and seeds behind it")
    differs: str = Field("", description="in what our paper profile is known to differ; then the two are not compared")


class Tuned(Section):
    """A study whose best trial gave fields of one method."""

    study: str = Field(description="name of the study")
    method: str = Field(description="the method whose fields were tuned")
    data: str = Field(description="data set on which they were tuned")
    fields: tuple[str, ...] = Field((), description="paths of the fields that were taken")
    same_data: bool = Field(False, description="they were tuned on the very data set that they are judged on")

    @property
    def words(self) -> str:
        """For a row of a table."""
        where = "on this data set's validation rows" if self.same_data else f"on {self.data}"
        return f"tuned {where} (study {self.study})"
