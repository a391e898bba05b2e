"""The coloured digits that the tests of this folder share."""

from __future__ import annotations

import pytest
from holdfast.datasets.cdvg import cmnist as cdvg_cmnist
from holdfast.datasets.core.source import Source


@pytest.fixture(scope="module")
def source() -> Source:
    return cdvg_cmnist.load(cdvg_cmnist.Config(n_train=120, n_test=60, n_valid=40), None)
