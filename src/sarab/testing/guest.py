"""In an image: runs the tests that the host names, and tells it what became of each (sarab.testing.inside).

A message is a line of the console: a word that only the two of us know, and JSON. The first line of standard input is
what is to be run.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

PROJECT = "/tmp/project"


class Teller:
    """A plugin of pytest that tells the host everything."""

    def __init__(self, word: str, wanted: list[str], timeout_s: float) -> None:
        self._word, self._wanted, self._timeout_s = word, wanted, timeout_s
        self._console = os.dup(1)  # which no test replaces

    def tell(self, **values: Any) -> None:
        """Print one message."""
        left = f"\n{self._word}{json.dumps(values)}\n".encode()
        while left:
            left = left[os.write(self._console, left) :]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Tell of a file that cannot be imported here."""
        if report.failed:
            self.tell(kind="collect", nodeid=report.nodeid, text=report.longreprtext)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Have the tests that the host has chosen, in its order."""
        found = {item.nodeid: item for item in items}
        items[:] = [found[nodeid] for nodeid in self._wanted if nodeid in found]

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Tell which test begins: if it ends the machine, this was its last word."""
        self.tell(kind="start", nodeid=nodeid)
        faulthandler.dump_traceback_later(self._timeout_s, file=self._console)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Tell a phase of a test."""
        config: Any = self._config
        data = config.hook.pytest_report_to_serializable(config=config, report=report)
        self.tell(kind="report", report=data)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Tell that a test is over."""
        faulthandler.cancel_dump_traceback_later()
        self.tell(kind="finish", nodeid=nodeid)

    def pytest_configure(self, config: pytest.Config) -> None:
        """Know what reports are made by."""
        self._config = config


def main(archive: Path) -> None:
    """Run the tests, and end the program."""
    word = sys.argv[1]
    job = json.loads(sys.stdin.readline())
    os.makedirs(PROJECT)
    with tarfile.open(archive) as tar:
        if hasattr(tarfile, "data_filter"):
            tar.extractall(PROJECT, filter="data")
        else:
            tar.extractall(PROJECT)  # before Python 3.11.4; the archive is our own
    os.chdir(Path(PROJECT, job["folder"]))
    sys.path[:0] = [str(Path(PROJECT, folder)) for folder in job["path"]]
    teller = Teller(word, job["tests"], job["timeout"])
    faulthandler.enable(file=teller._console)
    status = pytest.main([*job["options"], f"--rootdir={PROJECT}", *job["files"]], plugins=[teller])
    teller.tell(kind="done", status=int(status))
    os._exit(0)  # tests leave threads and atexit handlers behind
