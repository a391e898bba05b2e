"""What a forked child runs."""

from __future__ import annotations


def suites() -> None:
    """The command line; its pictures have no pixels, since to draw their letters takes half of a smoke run."""
    import pytest
    from holdfast.suites.cli.app import main

    from ..suites.process import blank_pictures

    blank_pictures(pytest.MonkeyPatch())
    main()
