"""`pytest --sarab`: the tests that pytest has collected here run inside an image, and are reported here as usual.

The image holds pytest with the plugins that are in use, what the tests import, and the test folders as they are. One
machine runs the tests in their order. One that dies, or whose test takes too long, fails that test, and the rest go on
in a fresh one.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sarab.testing import stage
from sarab.testing.guest import PROJECT
from sarab.testing.plugin import INSIDE

BOOT_SECONDS = 120.0
"""Before the first test begins: the machine starts, Python starts, pytest imports the tests."""
GRACE_SECONDS = 1.0
"""After the test's own time, for the machine to print where it is."""
CONSOLE_LINES = 60
"""Of the console, shown with a test whose machine died."""
IDLE_STEP_NS = 200_000_000


class Dead(Exception):
    """The machine ended before it had run everything; the text says how."""


class Inside:
    """The plugin behind --sarab."""

    def __init__(self, config: pytest.Config) -> None:
        from sarab.errors import SarabError
        from sarab.machine.options import MachineOptions, parse_memory, parse_tmp

        option = config.option
        try:
            parse_tmp(option.sarab_tmp)
            self._options = MachineOptions(
                machine=option.sarab_machine, memory_mib=parse_memory(option.sarab_memory), accel=option.sarab_accel
            )
        except SarabError as error:
            raise pytest.UsageError(f"--sarab: {error}") from None
        if getattr(option, "numprocesses", None):
            raise pytest.UsageError("--sarab and -n: there is one machine; leave one of them out")
        self._config = config
        self._timeout_s: float = option.sarab_timeout
        self._show = option.capture == "no"
        self._lines: deque[str] = deque(maxlen=CONSOLE_LINES)
        self._collect_errors: dict[str, str] = {}
        self._is_done = False
        self._status = 0
        """Pytest's own, inside."""

    def header(self) -> str:
        """Return a line for pytest's head."""
        return f"sarab: the tests run inside an image ({self._options.machine}, {self._options.memory_mib} MiB)"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """In the place of pytest's own loop over the tests."""
        option = session.config.option
        if option.collectonly or (session.testsfailed and not option.continue_on_collection_errors):
            return None  # pytest's own says it
        if not session.items:
            return True
        with tempfile.TemporaryDirectory(prefix="sarab-tests-") as folder:
            image = self._build(session, Path(folder))
            pending = {item.nodeid: item for item in session.items}
            while pending:
                before = len(pending)
                self._boot(session, image, pending)
                if len(pending) == before:
                    raise pytest.exit.Exception(f"sarab: the machine ran no test: {self._tail()}", 3)
        return True

    def _build(self, session: pytest.Session, folder: Path) -> Path:
        from sarab.build.builder import BuildOptions, build
        from sarab.build.errors import BuildError

        project = self._project = stage.stage(session, folder / "application")
        image = folder / "tests.elf"
        option = self._config.option
        options = BuildOptions(
            output=image,
            with_source=True,
            include=(*project.modules, *option.sarab_include),
            tmp=option.sarab_tmp,
            environment=(("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1"), (INSIDE, "1")),
        )
        before = sys.path
        sys.path = [str(folder), *project.search_path, *before]  # the first is a script's own folder, and not looked at
        try:
            build(str(project.program), options)
        except BuildError as error:
            raise pytest.UsageError(f"--sarab: the image of the tests cannot be built: {error}") from None
        finally:
            sys.path = before
        return image

    # ---- one machine ---------------------------------------------------------------------------------------------

    def _boot(self, session: pytest.Session, image: Path, pending: dict[str, pytest.Item]) -> None:
        """Run the tests in `pending` in one machine, and take out those that have ended."""
        run = _Run(session, pending)
        why = ""
        self._is_done = False
        try:
            for line in self._machine(image, pending, run):
                self._hear(line, run)
                if session.shouldfail:
                    raise session.Failed(session.shouldfail)
                if session.shouldstop:
                    raise session.Interrupted(session.shouldstop)
        except Dead as dead:
            why = str(dead)
        if run.current is not None:
            run.bury(why or "the machine ended", self._tail())
        elif self._is_done:
            for nodeid in tuple(pending):
                run.missing(nodeid, self._why_missing(nodeid))

    def _machine(self, image: Path, pending: dict[str, pytest.Item], run: _Run) -> Iterator[str]:
        """Give what a machine says to us, message by message. Raises Dead."""
        from dataclasses import replace

        from sarab.machine.errors import MachineError
        from sarab.machine.outcome import Ending
        from sarab.machine.qemu import Qemu

        word = f"@{secrets.token_hex(8)} "
        job = self._project.job(list(pending), self._timeout_s)
        read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        rest = ""
        try:
            with Qemu(image, replace(self._options, arguments=(word,))).start(output=write, keep=False) as machine:
                machine.write(json.dumps(job).encode() + b"\n")
                machine.close_input()
                killed = ""
                while not machine.finished:
                    machine.step(time.monotonic_ns() + IDLE_STEP_NS)
                    rest += _drain(read)
                    *lines, rest = rest.split("\n")
                    for line in lines:
                        if line.startswith(word):
                            yield line.removeprefix(word)
                        elif line.strip():
                            self._other(line.rstrip("\r"))
                    if run.is_late(self._timeout_s) and not killed:
                        killed = run.lateness(self._timeout_s)
                        machine.kill()
                outcome = machine.close()
        except MachineError as error:
            raise pytest.UsageError(f"--sarab: {error}".replace("(--memory)", "(--sarab-memory)")) from None
        finally:
            os.close(read)
            os.close(write)
        if not self._is_done:
            text = killed or outcome.sentence or f"its program ended with status {outcome.status}"
            raise Dead(text if killed or outcome.ending is not Ending.EXITED else f"the machine died: {text}")

    def _other(self, line: str) -> None:
        self._lines.append(line)
        if self._show:
            print(line)

    def _hear(self, line: str, run: _Run) -> None:
        message = json.loads(line)
        match message["kind"]:
            case "start":
                run.start(message["nodeid"])
                self._lines.clear()
            case "report":
                run.report(message["report"])
            case "finish":
                run.finish(message["nodeid"])
            case "collect":
                self._collect_errors[message["nodeid"]] = message["text"]
            case "done":
                self._is_done = True
                self._status = message["status"]

    def _why_missing(self, nodeid: str) -> str:
        text = f"inside the image there is no such test\n{self._tail()}"
        if self._status in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.INTERNAL_ERROR):
            text = f"inside the image pytest could not begin:\n{self._tail()}"
        for collector, error in self._collect_errors.items():
            if nodeid == collector or nodeid.startswith((f"{collector}::", f"{collector}/")) or not collector:
                text = f"this test could not be collected inside the image:\n{error}"
        absent = re.search(r"No module named '([\w.]+)'", text)
        if absent is not None:
            text += f"\nIs {absent[1]} imported by its name only? --sarab-include {absent[1]} has it in the image."
        return text

    def _tail(self) -> str:
        return "\n".join(self._lines)


class _Run:
    """What one machine has told of the tests."""

    def __init__(self, session: pytest.Session, pending: dict[str, pytest.Item]) -> None:
        self._session, self._pending = session, pending
        self.current: pytest.Item | None = None
        self._phases: list[str] = []
        self._began = time.monotonic()

    def start(self, nodeid: str) -> None:
        """A test begins."""
        item = self.current = self._pending[nodeid]
        self._phases = []
        self._began = time.monotonic()
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)

    def report(self, data: dict[str, Any]) -> None:
        """A phase of the test is over."""
        config: Any = self._session.config
        _bring_home(data, config.rootpath)
        report = config.hook.pytest_report_from_serializable(config=config, data=data)
        self._phases.append(report.when)
        self._log(report)

    def finish(self, nodeid: str) -> None:
        """The test is over."""
        item = self._pending.pop(nodeid)
        self.current = None
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)

    def is_late(self, timeout_s: float) -> bool:
        """Whether the machine has said nothing for too long."""
        limit = BOOT_SECONDS + timeout_s if self.current is None else timeout_s + GRACE_SECONDS
        return time.monotonic() - self._began > limit

    def lateness(self, timeout_s: float) -> str:
        """Return why the machine is killed."""
        if self.current is None:
            return f"the machine was killed: no test began within {BOOT_SECONDS + timeout_s:g} s"
        return f"the machine was killed: the test took more than {timeout_s:g} s (--sarab-timeout)"

    def bury(self, why: str, console: str) -> None:
        """The machine has ended in the middle of a test."""
        item = self.current
        assert item is not None
        self._fail(item, why, console)
        self.finish(item.nodeid)

    def missing(self, nodeid: str, why: str) -> None:
        """A test was not run at all."""
        self.start(nodeid)
        self._fail(self._pending[nodeid], why, "")
        self.finish(nodeid)

    def _fail(self, item: pytest.Item, why: str, console: str) -> None:
        phase: Any = ("setup", "call", "teardown")[min(len(set(self._phases)), 2)]
        if not self._phases:
            setup = pytest.TestReport(item.nodeid, item.location, _keywords(item), "passed", None, "setup")
            self._log(setup)
            phase = "call"
        sections = [("Console of the machine", console)] if console else []
        seconds = time.monotonic() - self._began
        keywords = _keywords(item)
        self._log(
            pytest.TestReport(item.nodeid, item.location, keywords, "failed", why, phase, sections, duration=seconds)
        )

    def _log(self, report: pytest.TestReport) -> None:
        item = self._pending[report.nodeid]
        item.ihook.pytest_runtest_logreport(report=report)


def _keywords(item: pytest.Item) -> dict[str, Any]:
    return dict.fromkeys(item.keywords, 1)


def _drain(descriptor: int) -> str:
    pieces = []
    while True:
        try:
            pieces.append(os.read(descriptor, 65536))
        except BlockingIOError:
            return b"".join(pieces).decode("utf-8", "replace")


def _bring_home(data: dict[str, Any], root: Path) -> None:
    """Change a report so that it names files of this machine, and has the tuples that JSON does not know."""

    def home(path: str) -> str:
        return str(root / path.removeprefix(f"{PROJECT}/")) if path.startswith(f"{PROJECT}/") else path

    why = data.get("longrepr")
    if isinstance(why, list):
        data["longrepr"] = (home(why[0]), *why[1:])
    elif isinstance(why, dict) and isinstance(why.get("reprcrash"), dict):
        why["reprcrash"]["path"] = home(why["reprcrash"]["path"])
    data["location"] = tuple(data["location"])
    data["user_properties"] = [tuple(each) for each in data["user_properties"]]
    data["sections"] = [tuple(each) for each in data["sections"]]
