"""The command line."""

from __future__ import annotations

import sys


def main() -> None:
    """The command ``suites``. Ctrl-C while it is imported ends as anywhere else: a message, and exit code 130."""
    try:
        from .app import main as begin

        begin()
    except KeyboardInterrupt:
        sys.stderr.write("error: stopped\nwhere: suites\nnext:  start the command again\n")
        sys.exit(130)
