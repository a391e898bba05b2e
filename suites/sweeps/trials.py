"""The trials of a study as plain data."""

from __future__ import annotations

from typing import Any

from .studies import Study


def trials_of(study: Study, optuna_study: Any) -> list[dict[str, Any]]:
    """A row a trial: number, params, state, folder, value (or values of several objectives), error."""
    rows = []
    for t in optuna_study.get_trials(deepcopy=False):
        row: dict[str, Any] = {
            "number": t.number,
            "params": dict(t.params),
            "state": t.state.name.lower(),
            "folder": str(study.trial_folder(t.number)),
        }
        row |= {"value": t.value} if len(study.objectives) == 1 else {"values": t.values}
        row["error"] = t.user_attrs.get("error")
        rows.append(row)
    return rows
