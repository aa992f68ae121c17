"""``python -m tests.suites.run quick|all|SUITE|FILE...``: the control, the image, and what differs between them.

A FILE is named as in the reports: uvicorn/test_server.py. With --on-host the runner is a Linux process over sarab's
loopback instead of an image, which takes a tenth of the time and finds most of what the stack gets wrong. With
--write-docs the result goes into docs/compatibility.md.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

from tests.regrtest import comparison, execute
from tests.regrtest.comparison import Comparison
from tests.regrtest.execute import FLAGS, Launch, NoStart
from tests.regrtest.outcomes import MISSING, PASSED, Report
from tests.suites import staging
from tests.suites.staging import Suite

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "compatibility.md"
MARKERS = ("<!-- suites: begin -->", "<!-- suites: end -->")

CONTROL_TEST_SECONDS = 60
IMAGE_TEST_SECONDS = 300
"""A test may take this long; an emulated processor is some ten times slower than a real one."""
BOOT_SECONDS = 3600
MEMORY = "2G"
TMP = "64M"
"""Of memory and /tmp. The image itself, with sources, is most of the memory; only what is touched is used."""

PLUGINS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""A suite loads the plug-ins that suites.toml names, and no other that happens to be installed."""


def choose(names: Sequence[str]) -> list[str]:
    """Return the files that `names` means: `quick`, `all`, a suite, or themselves. Raises NoSuites, ValueError."""
    suites = staging.load_suites()
    chosen: list[str] = []
    for name in names:
        suite = name.partition("/")[0]
        if name == "quick":
            chosen += [f"{suite.name}/{file}" for suite in suites.values() for file in suite.quick]
        elif name == "all":
            chosen += [file for suite in suites.values() for file in staging.files(suite)]
        elif suite not in suites:
            raise ValueError(f"{name} is no suite: there are {', '.join(suites)}")
        else:
            chosen += [name] if "/" in name else staging.files(suites[suite])
    return list(dict.fromkeys(chosen))


def of_suites(files: Sequence[str]) -> list[Suite]:
    """Return the suites that `files` belong to."""
    suites = staging.load_suites()
    return [suites[name] for name in dict.fromkeys(file.partition("/")[0] for file in files)]


def on_host(runner: Path, packages: Path, *, ours: bool) -> Launch:
    """Return what launches `runner` as a Linux process: the control, or over sarab's loopback."""
    environment = {**execute.ENVIRONMENT, **PLUGINS, "PYTHONPATH": f"{packages}:{runner.parent}"}
    program = [str(runner)]
    if ours:
        # A tap is named so that start.py installs the network; without cards it is never opened.
        environment.update(SARAB_TAP="none", SARAB_NET="none")
        environment["PYTHONPATH"] += f":{ROOT / 'src'}"
        program = [str(ROOT / "src/sarab/runtime/start.py"), "script", str(runner)]

    def launch(arguments: Sequence[str]) -> Iterator[str]:
        return execute.output_lines([str(execute.interpreter()), *FLAGS, *program, *arguments], environment)

    return launch


def build(runner: Path, packages: Path, image: Path) -> None:
    """Build the image of `runner` with the whole library and every package that the suites import by name."""
    sarab = Path(sys.executable).with_name("sarab")
    command = [str(sarab), "build", str(runner), "-o", str(image), "--with-source", "--tmp", TMP]
    for name, value in PLUGINS.items():
        command += ["--env", f"{name}={value}"]
    for module in (*execute.library_modules(), f"{staging.PACKED}.*", *_packages(packages)):
        command += ["--include", module]
    environment = {**os.environ, "PYTHONPATH": str(packages)}
    done = subprocess.run(
        command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment
    )
    if done.returncode != 0:
        raise NoStart(f"the image cannot be built: {done.stderr.strip()[-1000:]}")


def _packages(folder: Path) -> Iterator[str]:
    """Yield what `--include` needs for all that lies in `folder`: NAME, or NAME.* for a package."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and (path / "__init__.py").exists():
            yield f"{path.name}.*"
        elif path.suffix in (".py", ".so"):
            yield path.name.partition(".")[0]


def run_files(launch: Launch, files: Sequence[str], timeout_s: float, where: str) -> dict[str, Report]:
    """Run `files`, one process or boot for each suite."""
    reports: dict[str, Report] = {}
    for _, some in groupby(files, lambda file: file.partition("/")[0]):
        reports.update(execute.run(launch, list(some), [], timeout_s, _progress(where)))
    return reports


def compare(files: Sequence[str], folder: Path, accelerator: str = "auto", *, ours: bool = False) -> Comparison:
    """Run both sides and compare them; NoSuites or NoStart if that cannot be.

    The second side is an image, or with `ours` a process over sarab's loopback.
    """
    expected = comparison.load_expected(staging.EXPECTED)
    packages = staging.fetch_packages()
    runner = staging.stage(folder / "application", of_suites(files))
    if ours:
        launch = on_host(runner, packages, ours=True)
    else:
        image = folder / "suites.elf"
        build(runner, packages, image)
        launch = execute.in_image(image, BOOT_SECONDS, ("--memory", MEMORY, "--accel", accelerator, "--net", "none"))
    # The two sides wait for clocks more than they compute: side by side they take little longer than one.
    with ThreadPoolExecutor(2) as pool:
        control = pool.submit(
            run_files, on_host(runner, packages, ours=False), files, CONTROL_TEST_SECONDS, "as a process"
        )
        inside = pool.submit(run_files, launch, files, IMAGE_TEST_SECONDS, "over sarab")
        return comparison.compare(control.result(), without_gains(control.result(), inside.result()), expected)


def without_gains(control: Mapping[str, Report], inside: Mapping[str, Report]) -> dict[str, Report]:
    """Return `inside`, but where a test passed that did not as a process, with the process's outcome.

    Whether it does depends on the host (an IPv6 address, a firewall): no list of expected differences could hold.
    """
    result = {}
    for name, report in inside.items():
        before = control[name].outcomes if name in control else {}
        outcomes = {
            test: before.get(test, MISSING) if outcome == PASSED and test in before else outcome
            for test, outcome in report.outcomes.items()
        }
        result[name] = Report(name, outcomes, report.details, report.seconds)
    return result


def _progress(where: str) -> Callable[[Report], None]:
    """Return what prints one line a file: where, its name, the seconds and how many tests of each outcome."""

    def tell(report: Report) -> None:
        told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(Counter(report.outcomes.values()).items()))
        print(f"{where}: {report.module}: {report.seconds:.1f} s, {told}", file=sys.stderr, flush=True)

    return tell


def markdown(result: Comparison, files: Sequence[str], python: str) -> str:
    """Return the result for docs/compatibility.md."""
    suites = ", ".join(f"{suite.name} {suite.version}" for suite in of_suites(files))
    lines = [f"CPython {python}; {suites}: {comparison.summary(result)}.", ""]
    table = comparison.table(result)
    return "\n".join([*lines, *table]).rstrip()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; the exit status is 0 if all differences are expected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--on-host", action="store_true")
    parser.add_argument("--write-docs", action="store_true")
    parser.add_argument("--accel", default="auto", choices=("auto", "kvm", "tcg"))
    parser.add_argument("files", nargs="+", metavar="quick|all|SUITE|FILE")
    options = parser.parse_args(arguments)
    files = choose(options.files)
    with tempfile.TemporaryDirectory(prefix="sarab-suites-") as name:
        result = compare(files, Path(name), options.accel, ours=options.on_host)
    print(comparison.text(result))
    if options.write_docs:
        comparison.write_document(DOCUMENT, markdown(result, files, platform.python_version()), MARKERS)
    return 0 if result.good else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (staging.NoSuites, NoStart, ValueError) as error:
        sys.exit(f"suites: {error}")
