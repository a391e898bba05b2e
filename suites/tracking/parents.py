"""The run in MLflow above others: of an invocation or a study, with what its runs say together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..config.private import written
from . import deadline
from . import state as tracker
from .sender import NOTE, RunIdentity, Sender
from .store import problem_of

TABLE = "table.json"
SECONDS = 60.0  # that one may take, with all its requests


@dataclass(frozen=True)
class Summary:
    """What the run above others holds: metrics, parameters, tags, a note in Markdown, files, a table (``columns`` and
    ``data``, rows of texts), when the last of its runs ended (milliseconds since 1970; None: now), and titles and
    folders of runs that the note leads to.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    paths: Sequence[Path] = ()
    table: Mapping[str, Any] | None = None
    ended: int | None = None
    links: Sequence[tuple[str, Path]] = ()


def send(folder: Path, identity: RunIdentity, uri: str, summary: Summary) -> str | None:
    """Bring the run above that of ``identity`` (found or made) to what ``summary`` says; what went wrong, or None.

    Sent twice it changes nothing. ``folder``: of a run below it, or of the study. No password and no home leaves the
    machine with it.
    """
    try:
        with deadline.within(SECONDS):
            _send(folder, identity, uri, summary)
    except Exception as error:
        return problem_of(error)
    return None


def _send(folder: Path, identity: RunIdentity, uri: str, summary: Summary) -> None:
    client, parent = Sender(folder, identity, uri).parent()
    run = client.get_run(parent)
    known, links = run.data, _links(summary.links, run.info.experiment_id, uri)
    first, gap, rest = summary.note.partition("\n\n")  # MLflow folds all but the first lines
    note = f"{first}{links}{gap}{rest}"
    params, tags = written(dict(summary.params)), written({**summary.tags, NOTE: note})
    for key, text in params.items():
        if key not in known.params:
            client.log_param(parent, key, text[:6000])
        elif known.params[key] != text[:6000]:  # MLflow changes no parameter: what it is now stands as a tag
            tags[key] = text
    for key, value in summary.values.items():
        if known.metrics.get(key) != value:
            client.log_metric(parent, key, value)
    for key, text in tags.items():
        if text and known.tags.get(key) != text:
            client.set_tag(parent, key, text)
    for path in summary.paths:
        if path.is_dir():
            for picture in sorted(path.glob("*.png")):  # their PDFs are for papers, and stay
                client.log_artifact(parent, str(picture), artifact_path=path.name)
        elif path.exists():
            client.log_artifact(parent, str(path))
    if summary.table is not None:
        client.log_dict(parent, dict(summary.table), TABLE)
        client.set_tag(parent, "mlflow.loggedArtifacts", json.dumps([{"path": TABLE, "type": "table"}]))
    client.set_terminated(parent, "FINISHED", end_time=summary.ended)


def _links(runs: Sequence[tuple[str, Path]], experiment: str, uri: str) -> str:
    """Links to runs that the store at ``uri`` holds, within its own pages."""
    links = []
    for title, folder in runs:
        run_id = tracker.state_of(folder, uri)["run_id"]
        if run_id is not None:
            links.append(f"[{title}](#/experiments/{experiment}/runs/{run_id})")
    return f"\n\nRuns: {', '.join(links)}" if links else ""
