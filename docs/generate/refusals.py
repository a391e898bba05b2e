"""Writes docs/bad-inputs.md from docs/bad-inputs.jsonl, which a recording of the tests gives (``make refusals``).

    python docs/generate/refusals.py                writes the page
    python docs/generate/refusals.py --record RAW   first the file, of the lines that HOLDFAST_REFUSALS wrote to RAW
    python docs/generate/refusals.py --check        writes nothing; exit code 1 where the page differs

One row is one kind of mistake: of messages that differ in names, numbers and paths alone the first is kept. Paths of
the machine are shortened, a folder of a test to DIR.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1]
FILE, PAGE = DOCS / "bad-inputs.jsonl", DOCS / "bad-inputs.md"
COMMAND = "python docs/generate/refusals.py"
LONGEST = 300  # letters of a message on the page
SHORTER = (
    (re.compile(r"/[^\s'\"]*?pytest-of-[^/]+/pytest-\d+(?:/popen-gw\d+)?/[^/\s'\":,;)]+"), "DIR"),
    (re.compile(r"\b[a-z]\w*-\d{8}T\d{6}Z-[0-9a-f]{4}"), "INVOCATION"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "SHA256"),
    (re.compile(r"(?:127\.0\.0\.1|localhost):\d+"), "HOST:PORT"),
)
PRIVATE = re.compile(r"/(?:tmp|root|home|work|Users)/")
GROUPS = {
    "Recipes": "A recipe, a profile, a field or a method that is not there or not fair.",
    "The command line": "Options and names.",
    "Data files": "`--data-root` and what lies there, as the command line says it. Exit code 3.",
    "Runs and comparisons": "Folders of runs: resume, compare, predict, remove.",
    "While it runs": "Found by a run that has begun; what it has done is saved.",
    "Stores": "MLflow.",
}
HEAD = """<!-- Generated from bad-inputs.jsonl by: python docs/generate/refusals.py (do not edit by hand) -->

# What a wrong input gets

One message: what is wrong, where, and what to do next; never a traceback, and nothing half-written. Exit codes: 2
a wrong command or recipe, 3 missing or faulty data, 4 failed while it ran.

The rows are what the tests saw when they were recorded (`make refusals`), one for each kind of mistake. DIR stands for
a folder, INVOCATION for that of a run; in brackets is what a test is about, where its command alone does not say what
is wrong. A slash between spaces is a new line of the message.
"""


def shortened(text: str) -> str:
    for pattern, to in SHORTER:
        text = pattern.sub(to, text)
    return text


def kind_of(text: str) -> str:
    """The message without names, numbers and paths: equal for mistakes of one kind."""
    text = re.sub(r"\(there are: .*?\)|\(it has: .*?\)|\s*-? did you mean .*", "", text, flags=re.DOTALL)
    text = re.sub(r"'[^']*'|\"[^\"]*\"", "'", text)
    text = re.sub(r"\S*[/.]\S*", "/", text)
    return " ".join(re.sub(r"\d+", "0", text).split())


def group_of(row: dict[str, Any]) -> str:
    verb = row["arguments"][0] if row["arguments"] else ""
    if verb in ("sync", "ui") or "MLflow" in row["what"] or "tracking-uri" in " ".join(row["arguments"]):
        return "Stores"
    if verb in ("resume", "runs", "predict", "compare"):
        return "Runs and comparisons"
    if row["exit"] == 4:
        return "While it runs"
    if row["exit"] == 3:
        return "Data files"
    recipe = "suites validate FILE" in row["next"] or verb in ("validate", "copy", "migrate")
    return "Recipes" if recipe else "The command line"


def words(row: dict[str, Any]) -> str:
    """What the test is about: its case where that has a name, else its own name."""
    case, test = row["case"] or "", row["test"].replace("_", " ")
    if re.fullmatch(r"[A-Za-z][A-Za-z:., -]* [A-Za-z0-9:., -]+", case):
        return case
    return f"{test} ({case})" if re.fullmatch(r"[\w .,-]{1,40}", case) else test


def rows_of(raw: Iterable[str]) -> list[dict[str, Any]]:
    """The rows of the versioned file from the lines of a recording."""
    kept: dict[tuple[str, ...], dict[str, Any]] = {}
    for line in raw:
        row = json.loads(line)
        row["arguments"] = [shortened(one) for one in row.get("arguments", []) if one != "--json"]
        made = {key: shortened(row.get(key, "")) for key in ("what", "where", "next")} | {"exit": row["exit"]}
        if row["kind"] == "data":
            reader = Path(row["file"]).stem.removeprefix("test_")
            made |= {"group": "Faults of files", "did": reader, "case": words(row)}
        else:
            hidden = re.search(r"\bDIR\b|INVOCATION|\w\.ya?ml|(?<= )last\b", " ".join(row["arguments"]))
            told = row["case"] == " ".join(row["arguments"])  # the test is named by its command
            case = words(row) if (hidden or row["exit"] == 4) and not told else ""
            made |= {"group": group_of({**row, **made}), "did": shlex.join(["suites", *row["arguments"]]), "case": case}
        if PRIVATE.search(json.dumps(made)) or not made["what"].strip():
            continue
        place = made["did"] if row["kind"] == "data" else ""
        key = (made["group"], place, str(made["exit"]), kind_of(made["what"]))
        if key not in kept or (len(made["did"]), made["did"]) < (len(kept[key]["did"]), kept[key]["did"]):
            kept[key] = made
    return sorted(kept.values(), key=lambda row: (row["group"], row["did"], row["case"], row["what"]))


def cell(text: str) -> str:
    """A message in a cell of a table."""
    text = " / ".join(part.strip() for part in text.splitlines() if part.strip())
    text = text if len(text) <= LONGEST else text[: LONGEST - 4].rstrip() + " ..."
    return re.sub(r"([|<*_\[\]`])", r"\\\1", " ".join(text.split()))


def command_cell(row: dict[str, Any]) -> str:
    return f"`{row['did'].replace('|', chr(92) + '|')}`" + (f" ({cell(row['case'])})" if row["case"] else "")


def page(rows: Sequence[dict[str, Any]]) -> str:
    parts = [HEAD]
    for group, said in GROUPS.items():
        lines = [
            f"| {command_cell(row)} | {row['exit']} | {cell(row['what'])} | {cell(row['next'])} |"
            for row in rows
            if row["group"] == group
        ]
        if lines:
            head = "| command | exit | message | next |\n|---|---|---|---|"
            parts.append(f"## {group}\n\n{said}\n\n{head}\n" + "\n".join(lines) + "\n")
    faults = [row for row in rows if row["group"] == "Faults of files"]
    if faults:
        said = "What a reader says of files that are damaged or not in its form (exit code 3), by its tests."
        lines = [f"| {row['did'].replace('_', ' ')} | {cell(row['case'])} | {cell(row['what'])} |" for row in faults]
        head = "| reader | fault | message |\n|---|---|---|"
        parts.append(f"## Faults of files\n\n{said}\n\n{head}\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def read() -> list[dict[str, Any]]:
    return [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="docs/bad-inputs.md from what the tests saw")
    parser.add_argument("--record", type=Path, metavar="RAW", help="lines that HOLDFAST_REFUSALS wrote")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 where the page differs")
    given = parser.parse_args(arguments)
    if given.record:
        rows = rows_of(given.record.read_text(encoding="utf-8").splitlines())
        FILE.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    text = page(read())
    if given.check:
        return int(PAGE.read_text(encoding="utf-8") != text)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
