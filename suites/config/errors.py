"""What goes wrong for a person: what, where, and what to do next."""

from __future__ import annotations

from typing import Literal

from .private import redact

LONGEST = 2000  # characters of a message; a value that fills it is cut in its middle
Code = Literal["usage", "recipe", "data", "run_failed", "interrupted"]
EXIT: dict[str, int] = {"usage": 2, "recipe": 2, "data": 3, "run_failed": 4, "interrupted": 130}


def shortened(text: str, longest: int = LONGEST) -> str:
    """``text`` of at most ``longest`` characters: its beginning and its end, where the place and the reason stand."""
    if len(text) <= longest:
        return text
    head = longest * 2 // 3
    return f"{text[:head]} … [{len(text) - longest} characters] … {text[head - longest :]}"


class Fault(Exception):  # noqa: N818 - a wrong input is a fault of no program
    """A wrong input or a failed run; never shown as a traceback, and without passwords.

    Made by the constructors of its kind: ``raise Fault.usage(what, where, next)``.
    """

    def __init__(self, *, code: Code, what: str, where: str, next: str) -> None:
        what, where, next = (shortened(redact(text)) for text in (what, where, next))
        super().__init__(what)
        self.code, self.what, self.where, self.next = code, what, where, next

    @classmethod
    def usage(cls, what: str, where: str, next: str) -> Fault:
        """The command line asks for what is not there (exit 2)."""
        return cls(code="usage", what=what, where=where, next=next)

    @classmethod
    def recipe(cls, what: str, where: str, next: str) -> Fault:
        """A recipe is wrong (exit 2)."""
        return cls(code="recipe", what=what, where=where, next=next)

    @classmethod
    def data(cls, what: str, where: str, next: str) -> Fault:
        """Data is missing or broken (exit 3)."""
        return cls(code="data", what=what, where=where, next=next)

    @classmethod
    def run_failed(cls, what: str, where: str, next: str) -> Fault:
        """A run or its environment failed (exit 4)."""
        return cls(code="run_failed", what=what, where=where, next=next)

    @classmethod
    def interrupted(cls, what: str, where: str, next: str) -> Fault:
        """A person or a signal stopped it (exit 130)."""
        return cls(code="interrupted", what=what, where=where, next=next)

    @property
    def exit_code(self) -> int:
        """2 usage or recipe, 3 data, 4 run failed, 130 interrupted."""
        return EXIT[self.code]

    def as_json(self) -> dict[str, dict[str, str]]:
        return {"error": {"code": self.code, "what": self.what, "where": self.where, "next": self.next}}
