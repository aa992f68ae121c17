"""Where the boot tests run: under KVM where it is usable, and those marked `emulated_too` under TCG as well.

The marked ones are few, and take the ways that differ: entry, faults, clocks, interrupts, cards. Where KVM is not
usable all tests are emulated once.
"""

from __future__ import annotations

import pytest

from tests.boot import programs
from tests.conftest import missing


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("emulated_too") is None:
        return
    ways = ["kvm", "tcg"] if not missing() and programs.accelerator() == "kvm" else ["tcg"]
    metafunc.parametrize("boots_under", ways, indirect=True)


@pytest.fixture(autouse=True)
def boots_under(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the boots of this test use."""
    way: str = getattr(request, "param", programs.ACCELERATOR)
    monkeypatch.setattr(programs, "ACCELERATOR", way)
    return way
