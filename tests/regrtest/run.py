"""``python -m tests.regrtest.run quick|all|MODULE...``: the control, the image, and what differs between them.

With --control-only no image is built: the control is run and its own failures are shown. With --on process none is
built either: the other side is a Linux process over sarab's network, which shows the differences of the network in a
fraction of the time. With --write-docs the result goes into docs/compatibility.md.
"""

import argparse
import os
import platform
import sys
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.regrtest import comparison, execute, staging
from tests.regrtest.outcomes import DIED, FAILED, Report

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
MODULES = HERE / "modules.toml"
EXPECTED = HERE / "expected.toml"
DOCUMENT = ROOT / "docs" / "compatibility.md"

CONTROL_TEST_SECONDS = 120
IMAGE_TEST_SECONDS = 600
"""A test may take this long; an emulated processor is some twenty times slower than a real one."""
BOOT_SECONDS = 3600
MACHINES_MAX = 4
"""Machines at once; each may take MEMORY."""
MEMORY = "2G"
TMP = "512M"
"""Of memory and /tmp: some tests write large files, and only what is touched is used."""


def choose(names: Sequence[str]) -> list[str]:
    """Return the modules that `names` means: `quick`, `all`, or themselves."""
    lists = tomllib.loads(MODULES.read_text())
    modules: list[str] = []
    for name in names:
        if name in ("quick", "all"):
            modules += lists["quick"]
        if name == "all":
            modules += lists["more"]
        if name not in ("quick", "all"):
            modules.append(name)
    return list(dict.fromkeys(modules))


def run_control(runner: Path, modules: Sequence[str], ignored: Sequence[str]) -> dict[str, Report]:
    """Run `modules` as Linux processes."""
    return execute.run(execute.control(runner), modules, ignored, CONTROL_TEST_SECONDS, _progress("process"))


def run_image(image: Path, modules: Sequence[str], ignored: Sequence[str], accelerator: str) -> dict[str, Report]:
    """Run `modules` inside `image`, in as many boots as it takes, a few machines at once."""
    options = ("--memory", MEMORY, "--accel", accelerator, "--net", "none")
    launch = execute.in_image(image, BOOT_SECONDS, options)

    def run_some(some: Sequence[str]) -> dict[str, Report]:
        return execute.run(launch, some, ignored, IMAGE_TEST_SECONDS, _progress("image"))

    machines = min(os.cpu_count() or 1, MACHINES_MAX, len(modules))
    with ThreadPoolExecutor(machines) as pool:
        shares = pool.map(run_some, [modules[first::machines] for first in range(machines)])
        return {name: report for share in shares for name, report in share.items()}


def compare(
    modules: Sequence[str], folder: Path, accelerator: str = "auto", on: str = "image"
) -> comparison.Comparison:
    """Build the image, run both sides and compare them; NoSuite or NoStart if that cannot be."""
    expected = comparison.load_expected(EXPECTED)
    runner, modules, lacking = staging.stage(folder / "application", modules)
    ignored = comparison.ignored(expected, modules)
    image = folder / "regrtest.elf"
    if on == "image":
        execute.build(runner, modules, image, TMP)
    control = run_control(runner, modules, ignored)
    if on == "image":
        inside = run_image(image, modules, ignored, accelerator)
    else:
        launch = execute.over_our_stack(runner)
        inside = execute.run(launch, modules, ignored, CONTROL_TEST_SECONDS, _progress("over our stack"))
    result = comparison.compare(control, inside, expected, of_image=on == "image")
    result.lacking = lacking
    return result


def _progress(where: str) -> Callable[[Report], None]:
    """Return what prints one line a module: where, its name, the seconds and how many tests of each outcome."""

    def tell(report: Report) -> None:
        counts: dict[str, int] = {}
        for outcome in report.outcomes.values():
            counts[outcome] = counts.get(outcome, 0) + 1
        told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
        print(f"{where}: {report.module}: {report.seconds:.1f} s, {told}", file=sys.stderr, flush=True)

    return tell


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; the exit status is 0 if all differences are expected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--control-only", action="store_true")
    parser.add_argument("--write-docs", action="store_true")
    parser.add_argument("--on", default="image", choices=("image", "process"))
    parser.add_argument("--accel", default="auto", choices=("auto", "kvm", "tcg"))
    parser.add_argument("modules", nargs="+", metavar="quick|all|MODULE")
    options = parser.parse_args(arguments)
    modules = choose(options.modules)
    with tempfile.TemporaryDirectory(prefix="sarab-regrtest-") as name:
        folder = Path(name)
        if options.control_only:
            runner, modules, lacking = staging.stage(folder, modules)
            ignored = comparison.ignored(comparison.load_expected(EXPECTED), modules)
            if lacking:
                print(f"Left out, for the suite of this Python has none of that name: {', '.join(lacking)}")
            return _show_failures(run_control(runner, modules, ignored))
        result = compare(modules, folder, options.accel, options.on)
    print(comparison.text(result))
    if options.write_docs:
        comparison.write_document(DOCUMENT, comparison.markdown(result, modules, platform.python_version()))
    return 0 if result.good else 1


def _show_failures(reports: dict[str, Report]) -> int:
    """Print what failed in the control alone; status 1 if anything died."""
    died = False
    for report in reports.values():
        for test, outcome in report.outcomes.items():
            died = died or outcome == DIED
            if outcome in (FAILED, DIED):
                print(f"{outcome} {test}: {report.details.get(test, '')}")
    print(f"{len(reports)} modules, {sum(report.seconds for report in reports.values()):.1f} s")
    return 1 if died else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (staging.NoSuite, execute.NoStart) as error:
        sys.exit(f"regrtest: {error}")
