"""What `make test` runs, and what runs at the same time (tests/parallel.py)."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Generator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.parallel import FOLDER, Worker

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def dear() -> list[str]:
    return []


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker({FOLDER: str(tmp_path), "workerid": "gw0"})


def test_no_folder_of_tests_is_passed_over(pytestconfig: pytest.Config) -> None:
    """pytest itself would pass over any folder called `build`."""
    patterns = pytestconfig.getini("norecursedirs")
    names = {name for file in TESTS.rglob("test_*.py") for name in file.relative_to(TESTS).parts[:-1]}
    assert len(names) > 20
    assert not {name for name in names for pattern in patterns if fnmatch(name, pattern)}


def test_who_shares_a_fixture_of_the_file_stays_together(
    request: pytest.FixtureRequest, worker: Worker, tmp_path: Path, dear: list[str]
) -> None:
    node = request.node
    worker.pytest_collection_modifyitems([node])
    assert json.loads((tmp_path / "groups").read_text()) == {node.nodeid: "tests/unit/test_parallel.py"}


def test_who_shares_nothing_goes_anywhere(request: pytest.FixtureRequest, worker: Worker, tmp_path: Path) -> None:
    worker.pytest_collection_modifyitems([request.node])
    assert json.loads((tmp_path / "groups").read_text()) == {}


def test_what_is_slow_comes_first_and_what_is_alone_last(request: pytest.FixtureRequest, worker: Worker) -> None:
    items = [_Item("alone"), _Item(), _Item("slow"), _Item("boot"), _Item("slow", "alone")]
    worker.pytest_collection_modifyitems(items)  # type: ignore[arg-type]
    assert [item.marks for item in items] == [("slow",), ("boot",), (), ("alone",), ("slow", "alone")]


def test_nothing_runs_beside_what_is_alone(worker: Worker, tmp_path: Path) -> None:
    for item, others in ((_Item(), True), (_Item("alone"), False)):
        turn = worker.pytest_runtest_protocol(item)  # type: ignore[arg-type]
        next(turn)
        assert _may(tmp_path, fcntl.LOCK_SH) is others
        assert not _may(tmp_path, fcntl.LOCK_EX)
        _end(turn)
        assert _may(tmp_path, fcntl.LOCK_EX)


class _Item:
    """As much of a test as is asked for."""

    def __init__(self, *marks: str) -> None:
        self.marks, self.nodeid = marks, f"x.py::{marks}"

    def get_closest_marker(self, name: str) -> str | None:
        return name if name in self.marks else None


def _may(folder: Path, kind: int) -> bool:
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _end(turn: Generator[None, object, object]) -> None:
    with pytest.raises(StopIteration):
        next(turn)
