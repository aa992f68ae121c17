"""Tests in several processes at once (pytest -n, pytest-xdist): which go together, in which order, and which alone.

Tests that share what a fixture of their file made stay in one process, or it would be made again. What takes long comes
first, so that the processes end at about the same time. Those marked `alone` come last and run when no other test does.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

FOLDER = "sarab_folder"
"""What the processes share: a file of groups, and one to lock."""


class Groups(LoadScopeScheduling):
    """Give out a group at a time. xdist's own `loadgroup` does nothing under pytest 9.2, which knows other names."""

    def __init__(self, config: pytest.Config, log: Producer | None, folder: Path) -> None:
        super().__init__(config, log)
        self._folder = folder
        self._groups: dict[str, str] | None = None

    def _split_scope(self, nodeid: str) -> str:
        if self._groups is None:
            self._groups = json.loads((self._folder / "groups").read_text())
        return self._groups.get(nodeid, nodeid)


class Controller:
    """In the process that started the others."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="sarab-tests-"))

    def pytest_configure_node(self, node: WorkerController) -> None:
        node.workerinput[FOLDER] = str(self._folder)

    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Producer) -> Groups:
        config.option.loadscopereorder = False
        return Groups(config, log, self._folder)

    def pytest_unconfigure(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


class Worker:
    """In each process that tests."""

    def __init__(self, inputs: dict[str, str]) -> None:
        self._folder, self._name = Path(inputs[FOLDER]), inputs["workerid"]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=_turn)
        groups = {item.nodeid: group for item in items if (group := _group(item))}
        made = self._folder / self._name
        made.write_text(json.dumps(groups))
        made.replace(self._folder / "groups")  # the same from everybody

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Wait for one's turn, before the test's own time begins."""
        alone = item.get_closest_marker("alone") is not None
        with (self._folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            return (yield)


def _group(item: pytest.Item) -> str:
    """Return the name of what has to be in one process, or nothing: a file with a fixture for several of its tests."""
    if item.get_closest_marker("alone") is not None:
        return "alone"
    found = getattr(item, "_fixtureinfo", None)  # a script of packetdrill has none
    file = item.nodeid.partition("::")[0]
    for definitions in () if found is None else found.name2fixturedefs.values():
        if any(each.scope in ("class", "module") and each.baseid.startswith(file) for each in definitions):
            return file
    return ""


def _turn(item: pytest.Item) -> int:
    if item.get_closest_marker("alone") is not None:
        return 2
    return int(item.get_closest_marker("slow") is None and item.get_closest_marker("boot") is None)
