"""Run files of another project's own test suite by pytest, and print one JSON line for each.

This one file is the application of an image and, as a Linux process, its own control: both sides run the same tests in
the same order with the same plug-ins, so only the system beneath differs. The suites lie packed beside this file
(staging.py) and are unpacked into a folder of /tmp, which becomes the working folder.

Usage: runner.py [--timeout SECONDS] [--ignore TEST]... FILE..., all FILEs of one suite: uvicorn/test_server.py.
"""

import faulthandler
import json
import os
import signal
import sys
import tarfile
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.regrtest import telling
else:
    import telling

ORDER = ("passed", "skipped", "failed")
"""Of what the phases of one test say, the last of these counts."""

DETAIL_CHARACTERS_MAX = 300


class Recorder:
    """A plug-in of pytest: keeps the outcome of every test and tells it file by file.

    `console` is a descriptor that no test replaces; `names` maps a file's path below the suite's folder to its name.
    """

    def __init__(self, console: int, names: dict[str, str], timeout_s: float, ignored: list[str]) -> None:
        self.console = console
        self.names = names
        self.timeout_s = timeout_s
        self.ignored = ignored
        self.begun = ""
        self.waiting: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self.outcomes: dict[str, dict[str, str]] = {name: {} for name in names.values()}
        self.details: dict[str, dict[str, str]] = {name: {} for name in names.values()}
        self.broken: dict[str, tuple[str, str]] = {}

    def tell(self, **values: Any) -> None:
        """Print one line for the host, past whatever the tests did to standard output."""
        left = telling.line(**values).encode()
        while left:
            left = left[os.write(self.console, left) :]

    def place(self, nodeid: str) -> tuple[str, str]:
        """Return the file's name and the test's id for one of pytest's node ids."""
        path, colons, rest = nodeid.partition("::")
        name = self.names.get(path, path)
        return name, name + colons + rest

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a file that cannot be imported, or that skips itself."""
        if report.outcome != "passed":
            name, _ = self.place(report.nodeid)
            self.broken[name] = (report.outcome, summary(report))

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out the tests that the host names."""
        del config
        items[:] = [item for item in items if not telling.is_covered(self.place(item.nodeid)[1], self.ignored)]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Count what each file has, and tell of the files that have nothing."""
        self.waiting = Counter(self.place(item.nodeid)[0] for item in session.items)
        for name in self.names.values():
            if not self.waiting[name]:
                self.finish(name)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Tell which test begins: if it ends the machine, this was its last word."""
        name, test = self.place(nodeid)
        if name != self.begun:
            self.begun = name
            self.tell(start=name)
        self.tell(test=test)
        faulthandler.dump_traceback_later(self.timeout_s, exit=True, file=self.console)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the worst outcome of a test's three phases, and why."""
        name, test = self.place(report.nodeid)
        outcome = report.outcome
        if outcome == "skipped" and hasattr(report, "wasxfail"):
            outcome = "passed"  # It failed as its project expects.
        self.seconds[name] += report.duration  # type: ignore[assignment]  # a Counter adds floats as well
        old = self.outcomes[name].get(test)
        if old is None or ORDER.index(outcome) > ORDER.index(old):
            self.outcomes[name][test] = outcome
            if outcome != "passed":
                self.details[name][test] = summary(report)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Tell of the file when its last test is over."""
        faulthandler.cancel_dump_traceback_later()
        name, _ = self.place(nodeid)
        self.waiting[name] -= 1
        if not self.waiting[name]:
            self.finish(name)

    def finish(self, name: str) -> None:
        """Tell the outcomes of one file."""
        outcome, why = self.broken.get(name, ("passed", ""))
        self.tell(
            module=name,
            seconds=round(self.seconds[name], 3),
            skipped=why if outcome == "skipped" else "",
            failed=why if outcome == "failed" else "",
            outcomes=self.outcomes[name],
            details=self.details[name],
        )


def summary(report: pytest.CollectReport | pytest.TestReport) -> str:
    """Return the exception, or the reason to skip, in one line."""
    why = report.longrepr
    if isinstance(why, tuple):
        text = f"{why[2]}"
    else:
        crash = getattr(why, "reprcrash", None)
        text = f"{crash.message} ({crash.path.rpartition('/')[2]}:{crash.lineno})" if crash else str(why)
    text = " | ".join(line for line in text.splitlines() if line.strip())
    return text[-DETAIL_CHARACTERS_MAX:]


def main() -> int:
    """Run the files that the command line names; status 0 if they could be run, whatever their tests said."""
    options = telling.options(str(__doc__), "files")
    console = os.dup(1)
    faulthandler.enable(file=console)
    signal.signal(signal.SIGINT, signal.default_int_handler)

    packed = Path(__file__).resolve().parent / "suitefiles"
    suite = options.files[0].partition("/")[0]
    settings = json.loads((packed / "suites.json").read_text())[suite]
    with tempfile.TemporaryDirectory(prefix="suites-") as folder:
        with tarfile.open(packed / f"{suite}.tar") as archive:
            archive.extractall(folder)  # our own archive (staging.py)
        os.chdir(folder)
        sys.path.insert(0, folder)
        names = {f"{settings['tests']}/{name.partition('/')[2]}": name for name in options.files}
        recorder = Recorder(console, names, options.timeout, [*settings["ignored"], *options.ignore])
        started = time.monotonic()
        status = pytest.main([*settings["options"], *names], plugins=[recorder])
        print(f"pytest: status {int(status)} after {time.monotonic() - started:.1f} s", flush=True)
        os.chdir("/")
    if status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
        recorder.tell(done=True)
        return 0
    if recorder.broken and status == pytest.ExitCode.INTERRUPTED:  # Files that cannot be imported.
        recorder.tell(done=True)
        return 0
    return 1


if __name__ == "__main__":
    # Tests leave threads, atexit handlers and broken streams behind; what was to be said is said.
    status = main()
    os._exit(status)
