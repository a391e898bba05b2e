"""The factors of an utterance that a plan may set, what they may be, and what they are where a plan says nothing."""

from __future__ import annotations

from typing import Any

from ..spoken import speaker

# Accent -> what each synthesiser calls it. The languages read English by their own rules of spelling: strong accents.
ACCENTS: dict[str, dict[str, str]] = {
    "gb": {"espeak": "en", "pico": "en-GB"},
    "us": {"espeak": "en-US", "pico": "en-US"},
    "scotland": {"espeak": "en-GB-scotland"},
    "lancaster": {"espeak": "en-GB-x-gbclan"},
    "midlands": {"espeak": "en-GB-x-gbcwmd"},
    "rp": {"espeak": "en-GB-x-rp"},
    "caribbean": {"espeak": "en-029"},
    "german": {"espeak": "de", "pico": "de-DE"},
    "spanish": {"espeak": "es", "pico": "es-ES"},
    "french": {"espeak": "fr", "pico": "fr-FR"},
    "italian": {"espeak": "it", "pico": "it-IT"},
}
# In the order in which they are drawn: a bias's factor comes after the one that it follows.
NAMED: dict[str, tuple[str, ...]] = {
    "synthesiser": tuple(speaker.SYNTHESISERS),
    "accent": tuple(ACCENTS),
    "voice": speaker.VARIANTS,
}
MEASURED: dict[str, tuple[float, float]] = {  # name -> lowest and highest value
    "rate": (80, 400),
    "pitch": (0, 99),
    "noise": (-20, 80),
    "room": (0, 2),
}
FACTORS = (*NAMED, *MEASURED)
OF = ("scenario", "intent", *NAMED)  # what a bias may follow
LEVELS = 5  # equal parts of a range, where a bias plants one of them
DEFAULTS: dict[str, Any] = {
    "synthesiser": ["espeak"],
    "accent": ["gb", "us", "scotland", "caribbean"],
    "voice": list(speaker.VARIANTS),
    "rate": [140, 190],
    "pitch": [30, 70],
    "noise": [15, 35],
    "room": [0.0, 0.3],
}
