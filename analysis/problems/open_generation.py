"""Text that nothing but its prompt determines, as stories: an answer word for word is no measure of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from .generation import Generation


class OpenGeneration(Generation):
    """:class:`~.generation.Generation` with the diversity of the text as the main metric, which repetition lowers. Text
    at random is diverse, too: what makes no sense shows in ``coherence`` and ``well_formed``, which stand beside it.
    """

    called: ClassVar[str] = "open_generation"
    main: ClassVar[str] = "diversity"
    table: ClassVar[Sequence[str]] = (
        "diversity/last",
        "rep_4/last",
        "coherence/last",
        "well_formed/last",
        "chair_i/last",
        "mauve/last",
        "frechet/last",
        "forwards/last",
    )


PROBLEM = OpenGeneration
