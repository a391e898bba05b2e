"""Pickles of this installation: sealed with a key that stays on the machine, and loaded nowhere else.

A pickle can run any code when it is read, so one is read only where this installation wrote it: the key lies beside the
cache, readable for its owner alone, and a file that somebody else made has no valid seal.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from contextlib import suppress

from ...datasets.core.cache import PICKLE_KEY, make_root

BYTES = 32


class ForeignPickleError(ValueError):
    """A pickle that this installation did not write."""


def key() -> bytes:
    """The key of this installation, made when it is first asked for."""
    path = make_root() / PICKLE_KEY
    with suppress(FileExistsError):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(BYTES))
    made = path.read_bytes()
    if len(made) != BYTES:
        raise ForeignPickleError(f"{path} is damaged: remove it, and begin runs of Avalanche's strategies anew")
    return made


def seal(data: bytes) -> str:
    """The seal of a pickle that is written."""
    return hmac.new(key(), data, hashlib.sha256).hexdigest()


def check(data: bytes, given: str) -> None:
    """Raise ForeignPickleError where the seal of a pickle that is to be read is not ours."""
    if not hmac.compare_digest(seal(data), given):
        raise ForeignPickleError(
            "the checkpoint of this Avalanche strategy is a pickle that another installation wrote (or this one with "
            "another cache folder): it is not read, since a pickle can run any code. Continue the run where it was "
            "begun, or begin it anew"
        )
