"""What is promised, and how one command, one trial and all of them are judged."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .forks import GIB, Ended

SECONDS = 30.0  # of an answer to a wrong input
MEMORY = 2 * GIB  # that one may take, libraries included
LETTERS = 2500  # of a message
KINDS = {
    "kills": "Kills: SIGKILL at random moments, then suites resume",
    "damage": "Damaged files of runs and studies",
    "inputs": "Hostile commands, recipes and data",
    "servers": "Tracking servers that misbehave",
    "disks": "Disks that fill, or cannot be written",
}
PROMISES = {
    "numbers": "every number is that of the run that nothing disturbed, to the bit",
    "points": "the store holds each point of the journal once",
    "one run": "MLflow has one run of each",
    "parts": "no half-written file is left",
    "message": "exit code 0, 2 or 3, with one message where it is refused",
    "ending": "exit code 0, 2, 3 or 4, with one message where it failed",
    "refused": "what must be refused is refused",
    "finished": "the run ends as if nothing had been, exit code 0",
    "others": "what is damaged hides nothing else",
    "traceback": "no traceback",
    "executed": "nothing in an input is executed",
    "outside": "no file is written outside the folders that were named",
    "short": f"no message is longer than {LETTERS:,} letters",
    "memory": f"at most {MEMORY // GIB} GiB of memory, libraries included",
    "time": f"an answer within {SECONDS:.0f} s",
    "waits": f"a command takes at most {3 * SECONDS:.0f} s more than with a good server",
    "locks": "no lock file stays in the temporary folder",
}
SAID = re.compile(r"^error: .+\nwhere: .*\nnext: +\S", re.MULTILINE | re.DOTALL)


@dataclass
class Trial:
    """One trial: for each promise that it tested what was seen against it, empty where it held."""

    kind: str
    case: str
    seen: dict[str, str]
    command: str = ""
    seconds: float = 0.0
    peak: int = 0
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def held(self) -> bool:
        return not any(self.seen.values())

    def row(self) -> dict[str, Any]:
        """As a line of the file."""
        measured = {"seconds": round(self.seconds, 2), "mib": self.peak // 2**20}
        return (
            {"kind": self.kind, "case": self.case, "seen": self.seen, "command": self.command} | measured | self.facts
        )


def _listed(ended: Ended) -> bool:
    """``data check`` lists the faults of a data set on its standard output, ``doctor`` those of the machine."""
    return bool(ended.out.strip()) and ended.arguments[:1] in (("data",), ("doctor",))


def first_words(text: str, most: int = 160) -> str:
    """The beginning of what a command said, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 4] + " ..."


def of_command(ended: Ended, codes: Sequence[int] = (0, 2, 3), refused: bool = False) -> dict[str, str]:
    """What one command did against the promises about every answer."""
    said, text = first_words(ended.err), f"{ended.err}\n{ended.out}"
    seen = {"message" if 4 not in codes else "ending": "", "traceback": "", "outside": "", "short": ""}
    seen |= {"memory": "", "time": ""}
    if not ended.by:
        key = "message" if 4 not in codes else "ending"
        if ended.code not in codes:
            seen[key] = f"exit {ended.code}: {said}"
        elif ended.code and not SAID.search(ended.err) and '"error"' not in ended.out and not _listed(ended):
            seen[key] = f"exit {ended.code} without a message: {said}"
    if "Traceback (most recent call last)" in text or "Exception ignored" in text:
        seen["traceback"] = first_words(text[text.find("Traceback") :][-400:])
    if ended.outside:
        seen["outside"] = first_words("; ".join(ended.outside))
    longest = max((len(part) for part in re.split(r"\n(?=where: |next: )", ended.err)), default=0)
    if ended.code and longest > LETTERS:
        seen["short"] = f"{longest} letters: {said}"
    if ended.peak > MEMORY or ended.by == "memory":
        seen["memory"] = f"{ended.peak / GIB:.1f} GiB" + (" and ended there" if ended.by == "memory" else "")
    if ended.seconds > SECONDS or ended.by == "time":
        seen["time"] = f"{ended.seconds:.0f} s" + (" and ended there" if ended.by == "time" else "")
    if refused:
        seen["refused"] = "" if ended.code else f"exit {ended.code}: {first_words(ended.out)}"
    return seen


def merged(*parts: Mapping[str, str]) -> dict[str, str]:
    """What several commands of one trial did; of each promise the first that was broken."""
    seen: dict[str, str] = {}
    for part in parts:
        for key, value in part.items():
            seen[key] = seen.get(key) or value
    return seen


def counted(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each kind and promise how often it was tried, and how often it held."""
    tried, held = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for row in rows:
        for promise, seen in row["seen"].items():
            tried[row["kind"], promise] += 1
            held[row["kind"], promise] += not seen
    order = [(kind, promise) for kind in KINDS for promise in PROMISES if tried[kind, promise]]
    return [{"kind": k, "promise": p, "tried": tried[k, p], "held": held[k, p]} for k, p in order]


def table(counts: Sequence[Mapping[str, Any]], width: int = 80) -> str:
    """The counts as text of at most ``width`` columns."""
    lines: list[str] = []
    for kind, title in KINDS.items():
        rows = [row for row in counts if row["kind"] == kind]
        if not rows:
            continue
        lines += ["", f"{title:<{width - 16}}{'tried':>8}{'held':>8}", "-" * width]
        for row in rows:
            words = PROMISES[row["promise"]]
            room = width - 18
            words = words if len(words) <= room else words[: room - 3] + "..."
            mark = " " if row["held"] == row["tried"] else "!"
            lines.append(f"{mark} {words:<{room}}{row['tried']:>8}{row['held']:>8}")
    return "\n".join(lines[1:]) + "\n"
