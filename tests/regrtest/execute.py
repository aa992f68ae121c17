"""Run runner.py as a Linux process (the control) and as the application of an image, until each module has a report."""

import importlib.machinery
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from tests.regrtest.outcomes import DIED, Report, Transcript, read
from tests.regrtest.staging import not_python, staged_modules

BATCH_SIZE = 30
"""Modules in one process or boot: their names must fit into a kernel command line of 2 KiB."""
DEATHS_MAX = 4
"""Tests of one module that may end the process; with one more the module counts as dead."""

FLAGS = ("-S", "-P", "-s", "-B", "-X", "frozen_modules=on")
ENVIRONMENT = {"LC_ALL": "C", "HOME": "/tmp", "PATH": os.defpath}
"""How an image starts its interpreter (its file /boot/start); the control is started alike."""

NOT_INCLUDED = {"antigravity", "idlelib", "tkinter", "turtle", "turtledemo", "this"}
"""What would open a window or a browser, or prints when it is imported."""

ONLY_FOR_TESTS = {
    *("test", "__hello__", "__phello__"),
    *("_ctypes_test", "_testbuffer", "_testcapi", "_testclinic", "_testimportmultiple", "_testinternalcapi"),
    *("_testmultiphase", "_xxsubinterpreters", "_xxtestfuzz", "xxlimited", "xxlimited_35"),
}
"""What the suite imports and `sys.stdlib_module_names` does not name; an interpreter may lack some."""

Launch = Callable[[Sequence[str]], Iterator[str]]
"""Start the runner with these arguments and yield the lines it prints, until it ends."""


class NoStart(Exception):
    """The image cannot be built, or the runner did not get to its first module; the message has what was printed."""


def interpreter() -> Path:
    """Return the interpreter that an image gets: the one beneath this virtual environment."""
    return Path(os.path.realpath(sys.executable))


def control(runner: Path) -> Launch:
    """Return what launches `runner` as a Linux process."""

    def launch(arguments: Sequence[str]) -> Iterator[str]:
        environment = {**ENVIRONMENT, "PYTHONPATH": str(runner.parent)}
        return output_lines([str(interpreter()), *FLAGS, str(runner), *arguments], environment)

    return launch


def over_our_stack(runner: Path) -> Launch:
    """Return what launches `runner` as a Linux process over sarab's loopback: quick to try, no image needed."""
    source = Path(__file__).parents[2] / "src"
    # A tap is named so that start.py installs the network; without cards it is never opened.
    environment = {
        **ENVIRONMENT,
        "PYTHONPATH": f"{source}:{runner.parent}",
        "SARAB_TAP": "none",
        "SARAB_NET": "none",
    }
    start = str(source / "sarab" / "runtime" / "start.py")

    def launch(arguments: Sequence[str]) -> Iterator[str]:
        return output_lines([str(interpreter()), *FLAGS, start, "script", str(runner), *arguments], environment)

    return launch


def in_image(image: Path, timeout_s: float, options: Sequence[str] = ()) -> Launch:
    """Return what launches the runner inside `image` by `sarab run`."""
    sarab = Path(sys.executable).with_name("sarab")

    def launch(arguments: Sequence[str]) -> Iterator[str]:
        return output_lines([str(sarab), "run", "--timeout", str(timeout_s), *options, str(image), "--", *arguments])

    return launch


def build(runner: Path, modules: Collection[str], image: Path, tmp: str) -> None:
    """Build the image of `runner` that can run `modules`, with source and data of the whole standard library: its tests
    import by name.

    Raises NoStart, with what `sarab build` said, if that fails.
    """
    sarab = Path(sys.executable).with_name("sarab")
    command = [str(sarab), "build", str(runner), "-o", str(image), "--with-source", "--tmp", tmp]
    for module in (*library_modules(modules), *staged_modules(runner)):
        command += ["--include", module]
    others = not_python(runner)
    for module in others:
        command += ["--exclude", module]
    if others:  # Some tests read them, as data.
        data = ", ".join(f'"{module.replace(".", "/")}.py"' for module in others)
        runner.with_name("pyproject.toml").write_text(f"[tool.sarab]\ndata = [{data}]\n")
    done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise NoStart(f"the image cannot be built: {done.stderr.strip()[-1000:]}")


def library_modules(modules: Collection[str] = ()) -> Iterator[str]:
    """Yield what `--include` needs for the whole standard library: NAME, or NAME.* for a package.

    NAME.* means no package's own tests, which test_NAME imports: they are named besides, if that is one of `modules`.
    """
    find = importlib.machinery.PathFinder.find_spec
    for name in sorted({*sys.stdlib_module_names, *ONLY_FOR_TESTS} - NOT_INCLUDED):
        spec = find(name)
        if spec is None:
            continue
        yield name if spec.submodule_search_locations is None else f"{name}.*"
        folders = spec.submodule_search_locations if f"test_{name}" in modules else None
        for tests in ("test", "tests"):
            if folders and find(f"{name}.{tests}", folders):
                yield f"{name}.{tests}.*"


def output_lines(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Start `command` and yield the lines of its output and errors; it is killed if the reader stops early."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                yield line.rstrip("\r\n")
        finally:
            process.kill()


def run(
    launch: Launch,
    modules: Sequence[str],
    ignored: Sequence[str],
    test_timeout_s: float,
    progress: Callable[[Report], None] | None = None,
) -> dict[str, Report]:
    """Run `modules` by `launch` and return their reports.

    When a test ends the process, the module is run again without it, and the test's outcome is DIED.
    """
    reports: dict[str, Report] = {}
    dead: dict[str, list[str]] = {}
    while pending := [module for module in modules if module not in reports]:
        batch = pending[:BATCH_SIZE]
        arguments = ["--timeout", str(test_timeout_s)]
        for test in _concerning(batch, ignored, dead):
            arguments += ["--ignore", test]
        lines: list[str] = []
        for line in launch([*arguments, *batch]):
            lines.append(line)
            if progress is not None and '"module":' in line:
                for report in read([line]).reports.values():
                    progress(report)
        transcript = read(lines)
        reports.update(transcript.reports)
        if not transcript.done:
            _bury(transcript, reports, dead, lines)
    for module, tests in dead.items():
        for test in tests:
            reports[module].outcomes[test] = DIED
    return reports


def _concerning(batch: Sequence[str], ignored: Sequence[str], dead: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield the tests of `batch` that are left out."""
    for module in batch:
        yield from dead.get(module, ())
        yield from (test for test in ignored if test.startswith(f"test.{module}."))


def _bury(transcript: Transcript, reports: dict[str, Report], dead: dict[str, list[str]], lines: Sequence[str]) -> None:
    """Note in which test the process ended."""
    module, test = transcript.module, transcript.test
    if not module:
        if not transcript.reports:
            raise NoStart("the runner did not start; it printed:\n" + "\n".join(lines[-40:]))
        return  # It ended between two modules: the next batch begins after them.
    last = "\n".join(line for line in lines[-25:] if line)
    if not test or len(dead.get(module, ())) >= DEATHS_MAX:
        reports[module] = Report(module, {module: DIED}, {module: last})
    else:
        dead.setdefault(module, []).append(test)
    print(f"regrtest: died in {test or module}:\n{last}", file=sys.stderr)
