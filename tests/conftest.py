"""What every test shares: a cache of its own, and the one place that knows what cannot be tested here."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from sarab.machine.qemu import INSTALL, PROGRAM

ROOT = Path(__file__).parents[1]
KERNEL = ROOT / "src/sarab/build/kernel.elf"

os.environ["SARAB_CACHE"] = str(ROOT / "build" / "cache")


def missing() -> str:
    """Why nothing can be booted here; nothing if it can."""
    if shutil.which(PROGRAM) is None:
        return f"QEMU is not installed ({INSTALL})"
    if not KERNEL.exists():
        return "the kernel is not built (make kernel)"
    return ""


def pytest_configure(config: pytest.Config) -> None:
    """Have tests that run in several processes (-n) go where they can."""
    if hasattr(config, "workerinput"):
        from tests.parallel import Worker

        config.pluginmanager.register(Worker(config.workerinput))
    elif config.getoption("numprocesses", None):
        from tests.boot import programs
        from tests.parallel import Controller

        programs.accelerator()  # KVM is tried once, before the others all do
        config.pluginmanager.register(Controller())


def pytest_report_header() -> str:
    reason = missing()
    return f"sarab: every test marked `boot` is SKIPPED: {reason}" if reason else f"sarab: boots under {PROGRAM}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = missing()
    for item in items:
        if reason and item.get_closest_marker("boot") is not None:
            item.add_marker(pytest.mark.skip(reason=reason))
