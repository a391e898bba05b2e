"""Writes docs/reliability.md from docs/results/sources/reliability.json, which is made of files of trials.

    python docs/generate/reliability.py                       writes the page
    python docs/generate/reliability.py --record FILE ...     first the file, of the lines that tests/trials wrote
    python docs/generate/reliability.py --check               writes nothing; exit code 1 where the page differs

Of each kind of trial the last file that has it counts; the first figures of a kind stay beside the last.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import runpy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1]
FILE, PAGE = DOCS / "results" / "sources" / "reliability.json", DOCS / "reliability.md"
ADVISORIES = DOCS / "generate" / "advisories.yaml"
COMMAND = "python docs/generate/reliability.py"
LISTED = 40  # cases of a kind that are named on the page
INTRODUCTION = """\
What is promised under kills, damaged files, hostile inputs, bad servers and full disks, how often that was tried, and
how often it held. The trials are drawn by a seed: the command beside a table makes the same ones again, and
`--case 'TEXT'` those alone whose name holds TEXT. `make trials` runs the small size (minutes), `make trials-nightly`
the large one; both end with exit code 1 where something does not hold.

What does not hold stands here too. Not tried: a loss of power (the disk's own cache), other file systems than that of
the machine and one in memory, Windows and macOS, a GPU."""
DEPENDENCIES = """\
## Dependencies

`make audit` compares the installed versions with the advisories in `docs/generate/advisories.yaml` and writes a bill
of materials (CycloneDX, JSON) to `build/`. There was no internet where this was made: the file holds what was entered
by hand on {date}, {count} advisories, and is no substitute for a current data base. Where there is internet,
`pip-audit -r constraints.txt` asks one."""
SHORTER = (
    (re.compile(r"/\S*?holdfast-trials-\w+/trials/\d+"), "DIR"),
    (re.compile(r"/\S*?holdfast-trials-\w+"), "DIR"),
    (re.compile(r"\b[a-z]\w*-\d{8}T\d{6}Z-[0-9a-f]{4}"), "INVOCATION"),
    (re.compile(r"/(?:tmp|root|home|work)/\S+"), "PATH"),
)


def promises() -> Any:
    """The module that says what is promised; a test has it already."""
    if "tests.trials.promises" not in sys.modules:
        runpy.run_path(str(DOCS.parent / "tests" / "trials" / "__main__.py"))["make_known"]()
    return importlib.import_module("tests.trials.promises")


def shortened(text: str, most: int = 220) -> str:
    for pattern, to in SHORTER:
        text = pattern.sub(to, text)
    return text if len(text) <= most else text[: most - 4] + " ..."


def recorded(paths: Sequence[Path], before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The versioned document of files of trials: counts, and every case that did not hold.

    Of the document ``before`` it keeps kinds that were not tried again, and of the others what was found at first.
    """
    old: Mapping[str, Any] = (before or {}).get("kinds", {})
    kinds: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {}
    for path in paths:
        head, own = dict[str, Any](), dict[str, list[dict[str, Any]]]()
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if "kind" in row:
                own.setdefault(row["kind"], []).append(row)
            else:
                head = row
        kinds.update({kind: (head, rows) for kind, rows in own.items()})
    document: dict[str, Any] = {"schema": 1, "kinds": dict(old)}
    for kind, (head, rows) in kinds.items():
        failed = [
            {"case": shortened(row["case"], 120), "promise": promise, "seen": shortened(seen)}
            for row in rows
            for promise, seen in row["seen"].items()
            if seen
        ]
        document["kinds"][kind] = {
            **{name: head.get(name, "") for name in ("command", "date", "commit", "note")},
            "trials": len(rows),
            "held": sum(not any(row["seen"].values()) for row in rows),
            "kills": sum(row.get("kills", 0) for row in rows),
            "slowest": max((row["seconds"] for row in rows), default=0),
            "mib": max((row["mib"] for row in rows), default=0),
            "counts": [{k: v for k, v in row.items() if k != "kind"} for row in promises().counted(rows)],
            "failed": sorted(failed, key=lambda row: (row["promise"], row["case"])),
        }
        if kind in old:
            first = old[kind].get("first") or {name: old[kind][name] for name in ("date", "commit", "trials", "held")}
            document["kinds"][kind]["first"] = first
    return document


def cell(text: object) -> str:
    return re.sub(r"([|<*_`\[\]])", r"\\\1", " ".join(str(text).split()))


def page(document: dict[str, Any], advisories: dict[str, Any]) -> str:
    known = promises()
    parts = [f"<!-- Generated by: {COMMAND} (do not edit by hand) -->", "# Reliability", INTRODUCTION]
    for kind, title in known.KINDS.items():
        if kind not in document["kinds"]:
            parts.append(f"## {title}\n\nNot run for this page.")
            continue
        one = document["kinds"][kind]
        facts = f"{one['trials']:,} trials, {one['held']:,} of them with every promise held"
        note = f" {one['note']}" if one["note"] else ""
        if first := one.get("first"):
            note += f" At first, with commit {first['commit']}, {first['held']:,} of {first['trials']:,} did."
        facts += f"; {one['kills']} kills landed" if kind == "kills" else ""
        facts += f"; the largest took {one['mib']:,} MiB, libraries included, the slowest answer {one['slowest']:.0f} s"
        parts.append(
            f"## {title}\n\n```sh\n{one['command']}\n```\n\n{one['date']}, commit {one['commit']}: {facts}.{note}"
        )
        rows = [f"| {cell(known.PROMISES[r['promise']])} | {r['tried']:,} | {r['held']:,} |" for r in one["counts"]]
        parts.append("\n".join(["| promise | tried | held |", "|---|---|---|", *rows]))
        if one["failed"]:
            parts.append(_failed(one["failed"]))
    parts.append(DEPENDENCIES.format(date=advisories["entered"], count=len(advisories["advisories"])))
    return "\n\n".join(parts) + "\n"


def _failed(failed: Sequence[dict[str, str]]) -> str:
    words = promises().PROMISES
    head = ["What did not hold:", "", "| case | promise | what was seen |", "|---|---|---|"]
    rows = [f"| {cell(r['case'])} | {cell(words[r['promise']])} | {cell(r['seen'])} |" for r in failed[:LISTED]]
    more = len(failed) - LISTED
    link = f"[the file](results/sources/{FILE.name})"
    return "\n".join([*head, *rows, *(["", f"And {more} more: {link}."] if more > 0 else [])])


def read() -> tuple[dict[str, Any], dict[str, Any]]:
    """The document of the trials, and the advisories."""
    import yaml

    return json.loads(FILE.read_text(encoding="utf-8")), yaml.safe_load(ADVISORIES.read_text(encoding="utf-8"))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="docs/reliability.md from the files of the trials")
    parser.add_argument("--record", nargs="+", type=Path, metavar="FILE", help="what tests/trials wrote")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 where the page differs")
    given = parser.parse_args(arguments)
    if given.record:
        before = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else None
        document = recorded(given.record, before)
        FILE.write_text(json.dumps(document, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")
    text = page(*read())
    same = PAGE.exists() and PAGE.read_text(encoding="utf-8") == text
    if not same and not given.check:
        PAGE.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{PAGE.name}: {'as it was' if same else 'differs' if given.check else 'written'}\n")
    return int(given.check and not same)


if __name__ == "__main__":
    raise SystemExit(main())
