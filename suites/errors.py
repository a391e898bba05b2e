"""What goes wrong for a person, said once: what, where, and what to do next."""

from __future__ import annotations

from typing import Literal

from .private import redact

Code = Literal["usage", "recipe", "data", "run_failed", "interrupted"]
EXIT: dict[str, int] = {"usage": 2, "recipe": 2, "data": 3, "run_failed": 4, "interrupted": 130}


class Fault(Exception):  # noqa: N818 - the word of the house
    """A wrong input or a failed run; never shown as a traceback, and without passwords."""

    def __init__(self, *, code: Code, what: str, where: str, next: str) -> None:
        what, where, next = redact(what), redact(where), redact(next)
        super().__init__(what)
        self.code, self.what, self.where, self.next = code, what, where, next

    @property
    def exit_code(self) -> int:
        """2 usage or recipe, 3 data, 4 run failed, 130 interrupted."""
        return EXIT[self.code]

    def as_json(self) -> dict[str, dict[str, str]]:
        return {"error": {"code": self.code, "what": self.what, "where": self.where, "next": self.next}}
