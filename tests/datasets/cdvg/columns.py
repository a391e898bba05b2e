"""Columns of a data set of biased images."""

from __future__ import annotations

from typing import Any


def columns(source: Any, split: str = "train") -> Any:
    return source.splits[split].columns


def aligned(source: Any, split: str) -> float:
    found = columns(source, split)
    return float((found["label"] == found["bias"]).double().mean())
