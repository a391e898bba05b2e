"""A stand-in for back translation: phrases said in other words by a small table of our own, contractions written out or
drawn together, and an adverb of time moved. It knows no other language.
"""

from __future__ import annotations

import random
import re

VERSION = "1"  # raised with every change of what it makes
SHARE = 0.7  # of the phrases found, how many are said otherwise

_PHRASES = """
a lot of|many
a number of|several
in order to|to
due to|because of
as well as|and also
at the moment|now
in spite of|despite
for instance|for example
is able to|can
has to|must
have to|must
going to|about to
kind of|sort of
at last|finally
of course|naturally
once again|again
on the other hand|however
such as|like
as if|as though
right away|immediately
does not|fails to
very|really
good|fine
bad|poor
great|excellent
terrible|awful
big|large
small|little
film|movie
boring|dull
funny|amusing
story|plot
begin|start
buy|purchase
whole|entire
often|many times
perhaps|maybe
"""
_CONTRACTIONS = """
do not|don't
does not|doesn't
did not|didn't
is not|isn't
are not|aren't
was not|wasn't
were not|weren't
has not|hasn't
have not|haven't
can not|can't
cannot|can't
could not|couldn't
would not|wouldn't
should not|shouldn't
will not|won't
it is|it's
that is|that's
there is|there's
i am|i'm
you are|you're
we are|we're
they are|they're
i have|i've
let us|let's
"""
_MOVED = ("today", "yesterday", "tomorrow", "now", "again", "finally", "really")


def _table(lines: str) -> dict[str, str]:
    there: dict[str, str] = dict(line.split("|") for line in lines.split("\n") if line)
    return there | {b: a for a, b in reversed(there.items())}


_OTHERWISE = _table(_PHRASES) | _table(_CONTRACTIONS)
_PATTERN = re.compile(
    r"\b(" + "|".join(re.escape(phrase) for phrase in sorted(_OTHERWISE, key=len, reverse=True)) + r")\b", re.IGNORECASE
)


def said_otherwise(text: str, draws: random.Random) -> str:
    """``text`` with most of the phrases that the table knows in other words; one without any is as it was."""

    def other(match: re.Match[str]) -> str:
        found = match.group(0)
        if draws.uniform(0, 1) > SHARE:
            return found
        new = _OTHERWISE[found.lower()]
        return new[0].upper() + new[1:] if found[0].isupper() else new

    return _reordered(_PATTERN.sub(other, text), draws)


def _reordered(text: str, draws: random.Random) -> str:
    """An adverb at the end of the text comes first, or the other way round, half of the time."""
    body, stop = re.fullmatch(r"(.*?)([\s.!?]*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    words = body.split(" ")
    if len(words) < 3 or draws.uniform(0, 1) > 0.5:
        return text
    first, last = words[0].strip(",").lower(), words[-1].lower()
    if last in _MOVED and not words[-2].endswith(","):
        return " ".join([words[-1], *words[:-1]]) + stop
    if first in _MOVED:
        return " ".join([*words[1:], first]) + stop
    return text
