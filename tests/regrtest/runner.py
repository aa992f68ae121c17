"""Run modules of CPython's own test suite, one after the other, and print one JSON line for each.

This one file is the application of an image and, as a Linux process, its own control: both sides run the same tests in
the same order under the same switches, so only the system beneath differs. The switches are CPython's own for systems
without processes (made for WASI and Emscripten).

Usage: runner.py [--timeout SECONDS] [--ignore TEST]... MODULE..., where MODULE is a name in the package `test`:
test_json, or test_asyncio.test_queues.
"""

import faulthandler
import importlib
import os
import signal
import sys
import tempfile
import time
import traceback
import unittest
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.regrtest import telling
else:
    import telling

STDERR = 2
"""The descriptor, for tests replace sys.stderr by what has none."""

NEEDS_LOOPBACK = {"test_socketserver"}
"""Modules that ask for the resource `network` and use this host alone; for others it means the Internet."""

NEEDS_PROCESSES_IN_PART = {"test_doctest", "test_pdb", "test_webbrowser", "test_zipimport_support"}
"""Modules that skip themselves as a whole where there are no processes, and of which most tests need none."""

_ErrorInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


class Recorder(unittest.TestResult):
    """Keep the outcome of every test by its id, and end the process if one test takes too long."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__()
        self.timeout_s = timeout_s
        self.outcomes: dict[str, str] = {}
        self.details: dict[str, str] = {}

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        tell(test=_name(test))
        faulthandler.dump_traceback_later(self.timeout_s, exit=True, file=STDERR)

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        # For what runs between two tests, such as tearDownClass.
        faulthandler.dump_traceback_later(self.timeout_s, exit=True, file=STDERR)

    def addSuccess(self, test: unittest.TestCase) -> None:
        self._note(test, "passed")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self._note(test, "skipped", reason)

    def addExpectedFailure(self, test: unittest.TestCase, err: _ErrorInfo) -> None:  # noqa: ARG002
        self._note(test, "passed")

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        self._note(test, "failed", "unexpected success")

    def addFailure(self, test: unittest.TestCase, err: _ErrorInfo) -> None:
        self._note(test, "failed", _summary(err))

    def addError(self, test: unittest.TestCase, err: _ErrorInfo) -> None:
        self._note(test, "failed", _summary(err))

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: _ErrorInfo | None) -> None:
        if err is not None:
            self._note(test, "failed", f"{_name(subtest)}: {_summary(err)}")

    def _note(self, test: unittest.TestCase, outcome: str, detail: str = "") -> None:
        """Keep the worst outcome of `test` (it may have subtests and a tearDown) and the first detail of that kind."""
        name = _name(test)
        order = ("passed", "skipped", "failed")
        old = self.outcomes.get(name, "passed")
        if name not in self.outcomes or order.index(outcome) > order.index(old):
            self.outcomes[name] = outcome
            if detail:
                self.details[name] = detail


def _name(test: unittest.TestCase) -> str:
    """Return the id of `test`, which may have an attribute `id` of its own."""
    return type(test).id(test)


def _summary(err: _ErrorInfo) -> str:
    """Return the exception in one line, and the innermost line of the traceback."""
    kind, value, trace = err
    frames = traceback.extract_tb(trace)
    place = f" ({frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno})" if frames else ""
    text = "".join(traceback.format_exception_only(kind, value)).strip().replace("\n", " | ")
    return text[-300:] + place


def tell(**values: Any) -> None:
    """Print one line for the host, past whatever the tests did to sys.stdout."""
    stream = sys.__stdout__
    assert stream is not None
    stream.write(telling.line(**values))
    stream.flush()


def selected(suite: unittest.TestSuite, ignored: Sequence[str]) -> unittest.TestSuite:
    """Return `suite`, nested as it was, without the tests whose id matches one of `ignored`."""
    kept: list[unittest.TestCase | unittest.TestSuite] = []
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            kept.append(selected(item, ignored))
        elif not telling.is_covered(item.id(), ignored):
            kept.append(item)
    return type(suite)(kept)


def run_module(name: str, timeout_s: float, ignored: Sequence[str]) -> None:
    """Import test.`name`, run its tests but the `ignored`, and tell what came of each."""
    recorder = Recorder(timeout_s)
    started = time.monotonic()
    tell(start=name)
    skipped = ""
    failed = ""
    faulthandler.dump_traceback_later(timeout_s, exit=True, file=STDERR)
    try:
        from test import support  # type: ignore[import-not-found, unused-ignore]

        support.use_resources = ["network"] if name in NEEDS_LOOPBACK else []
        support.has_subprocess_support = name in NEEDS_PROCESSES_IN_PART
        module = importlib.import_module(f"test.{name}")
        suite = unittest.TestLoader().loadTestsFromModule(module)
        selected(suite, ignored).run(recorder)
    except unittest.SkipTest as reason:
        skipped = str(reason) or "no reason given"
    except Exception:
        failed = _summary(sys.exc_info())
    finally:
        faulthandler.cancel_dump_traceback_later()
    tell(
        module=name,
        seconds=round(time.monotonic() - started, 3),
        skipped=skipped,
        failed=failed,
        outcomes=recorder.outcomes,
        details=recorder.details,
    )


def main() -> int:
    """Run the modules that the command line names; status 0 if every module could be run, whatever its tests said."""
    options = telling.options(str(__doc__), "modules")
    faulthandler.enable(file=STDERR)

    # Both sides begin alike: no packages of this machine, and Ctrl-C as Python sets it (a background job ignores it).
    sys.path[:] = [path for path in sys.path if "site-packages" not in path and "dist-packages" not in path]
    signal.signal(signal.SIGINT, signal.default_int_handler)

    # Modules that the interpreter's own suite lacks lie beside this file (staging.py).
    import test  # type: ignore[import-not-found, unused-ignore]

    beside = Path(__file__).resolve().parent
    test.__path__.append(str(beside))
    if (beside / "test").is_dir():  # the whole suite, for an interpreter without
        test.__path__.insert(0, str(beside / "test"))
    from test import support  # type: ignore[import-not-found, unused-ignore]

    support.has_fork_support = False
    support.has_subprocess_support = False
    importlib.import_module("test.support.script_helper")  # It asks once: nothing starts a process by it.
    support.use_resources = []
    support.verbose = 0
    support.junit_xml_list = None
    with tempfile.TemporaryDirectory(prefix="regrtest-") as folder:
        os.chdir(folder)
        for module in options.modules:
            run_module(module, options.timeout, options.ignore)
        os.chdir("/")
    tell(done=True)
    return 0


if __name__ == "__main__":
    # Tests leave threads, atexit handlers and broken streams behind; what was to be said is said.
    status = main()
    os._exit(status)
