"""What the tests against Linux share: a namespace with a tap, and programs in it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from bench.network.lab import Lab
from bench.result import Unavailable


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A client's namespace with tap0 in it; the test is skipped where there can be none."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    try:
        made = Lab()
    except Unavailable as reason:
        pytest.skip(str(reason))
    try:
        made.tap()
        yield made
    finally:
        made.close()
