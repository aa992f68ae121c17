"""Compare the outcomes inside an image with those of the control, and hold the list of expected differences to account.

A difference is a test whose outcome inside differs from the control's in the same run. Each must stand in expected.toml
with its reason; and each reason must still hold for some test, so that the list only shrinks. (Which tests it
holds for is not the same for every Python and every host.)
"""

import fnmatch
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.regrtest.outcomes import FAILED, MISSING, PASSED, SKIPPED, Report
from tests.regrtest.telling import is_covered

ROW_MAX = 3
"""Tests of one class that have a line each in the document."""
MARKERS = ("<!-- regrtest: begin -->", "<!-- regrtest: end -->")


@dataclass(frozen=True, slots=True)
class Expected:
    """One entry of expected.toml: tests that differ, and why."""

    tests: str
    """A test's id, or a pattern with `*`, the only wildcard, for tests that differ for one reason."""
    reason: str
    run: bool = True
    """False if the test is left out on both sides: it would end or stop the machine, or its outcome is chance."""

    def covers(self, test: str) -> bool:
        """Say whether `test` is one of these."""
        return is_covered(test, (self.tests,))


@dataclass(frozen=True, slots=True)
class Difference:
    """One test that did otherwise inside the image."""

    module: str
    test: str
    control: str
    image: str
    detail: str
    """The image's exception or reason to skip; of the control if the image has none."""
    expected: Expected | None


@dataclass(slots=True)
class Comparison:
    """The whole result of one run."""

    modules: int = 0
    same: Counter[str] = field(default_factory=Counter)
    """Tests with the same outcome on both sides, by outcome."""
    differences: list[Difference] = field(default_factory=list)
    stale: list[Expected] = field(default_factory=list)
    """Entries of expected.toml whose reason holds for no test any more, though their modules ran."""
    lacking: list[str] = field(default_factory=list)
    """Modules that were wanted, and that this Python's suite does not have."""

    @property
    def unexpected(self) -> list[Difference]:
        """The differences that no entry of expected.toml explains."""
        return [difference for difference in self.differences if difference.expected is None]

    @property
    def good(self) -> bool:
        """Whether every difference is expected and every expectation is met."""
        return not self.unexpected and not self.stale


def load_expected(path: Path) -> list[Expected]:
    """Read expected.toml; ValueError if an entry has no reason or a key that means nothing."""
    entries = []
    for table in tomllib.loads(path.read_text()).get("difference", []):
        unknown = table.keys() - {"tests", "reason", "run"}
        if unknown or not table.get("reason") or not table.get("tests"):
            raise ValueError(f"{path}: each [[difference]] needs `tests` and `reason`, and may have `run`: {table}")
        names = [table["tests"]] if isinstance(table["tests"], str) else table["tests"]
        entries += [Expected(name, table["reason"], table.get("run", True)) for name in names]
    return entries


def compare(
    control: Mapping[str, Report], image: Mapping[str, Report], expected: Sequence[Expected], *, of_image: bool = True
) -> Comparison:
    """Compare two runs of the same modules.

    The list is an image's: with `of_image` false the other side was something else, and no entry is stale for that.
    """
    result = Comparison(modules=len(control))
    met: set[Expected] = set()
    for name, report in control.items():
        other = image.get(name, Report(name, {name: MISSING}))
        tests = report.outcomes.keys() | other.outcomes.keys()
        if other.outcomes.get(name) != report.outcomes.get(name):
            tests = {name}  # The module as a whole did otherwise; its tests, which were not run, say nothing.
        for test in sorted(tests):
            here, there = report.outcomes.get(test, MISSING), other.outcomes.get(test, MISSING)
            entry = next((entry for entry in expected if entry.run and entry.covers(test)), None)
            if entry is not None and (here != there or here == FAILED):
                met.add(entry)  # What fails as a process, too, cannot show whether the reason holds.
            if here == there:
                result.same[here] += 1
                continue
            detail = other.details.get(test) or report.details.get(test, "")
            result.differences.append(Difference(name, test, here, there, detail, entry))
    if not of_image:
        return result
    met_reasons = {entry.reason for entry in met}
    for entry in expected:
        if entry.run and entry.reason not in met_reasons and any(_is_of(entry.tests, name) for name in control):
            result.stale.append(entry)
    return result


def _is_of(pattern: str, module: str) -> bool:
    """Say whether a test id or pattern belongs to `module`, of the package test or a file of another suite."""
    if "::" in pattern:
        return fnmatch.fnmatchcase(module, pattern.partition("::")[0])
    return pattern == module or pattern.startswith(f"test.{module}.")


def ignored(expected: Iterable[Expected], modules: Iterable[str]) -> list[str]:
    """Return the tests of `modules` that must not be run."""
    return [entry.tests for entry in expected if not entry.run and any(_is_of(entry.tests, name) for name in modules)]


def text(result: Comparison) -> str:
    """Return the result for a terminal: the totals, then what is wrong."""
    lines = [summary(result)]
    if result.lacking:
        lines.append(f"Left out, for the suite of this Python has none of that name: {', '.join(result.lacking)}")
    for difference in result.unexpected:
        lines.append(
            f"UNEXPECTED {difference.test}: {difference.control} as a process, {difference.image} in the image"
        )
        if difference.detail:
            lines.append(f"    {difference.detail}")
    for entry in result.stale:
        lines.append(f"STALE {entry.tests}: nothing differs any more; take it out of expected.toml")
    return "\n".join(lines)


def summary(result: Comparison) -> str:
    """Return the totals in one sentence."""
    same = sum(result.same.values())
    passed, skipped = result.same[PASSED], result.same[SKIPPED]
    return (
        f"{result.modules} modules, {same + len(result.differences)} tests (a module counts as one more): "
        f"{passed} passed on both sides, {skipped} skipped on both, {same - passed - skipped} failed on both, "
        f"{len(result.differences)} differ, {len(result.unexpected)} of them unexpectedly"
    )


def markdown(result: Comparison, modules: Sequence[str], python: str) -> str:
    """Return the result for docs/compatibility.md."""
    lines = [f"CPython {python}: {summary(result)}.", "", *table(result)]
    lines.append(f"Modules: {', '.join(name for name in modules if name not in result.lacking)}.")
    if result.lacking:
        lines += ["", f"Left out, for the suite of this Python has none of that name: {', '.join(result.lacking)}."]
    return "\n".join(lines)


def table(result: Comparison) -> list[str]:
    """Return the differences as lines of Markdown, and an empty one; nothing if there are none.

    More than ROW_MAX tests of one class that differ alike are one line.
    """
    if not result.differences:
        return []
    rows: dict[tuple[str, str, str, str], list[str]] = {}
    for difference in result.differences:
        reason = difference.expected.reason if difference.expected else f"**not explained**: {difference.detail}"
        group = difference.test.rpartition(".")[0] or difference.test
        rows.setdefault((group, difference.control, difference.image, reason), []).append(difference.test)
    lines = ["| test | as a process | in the image | why |", "| --- | --- | --- | --- |"]
    for (group, control, image, reason), tests in rows.items():
        named = [f"`{test}`" for test in tests]
        for name in named if len(named) <= ROW_MAX else [f"`{group}`: {len(named)} tests"]:
            lines.append("| " + " | ".join((name, control, image, reason.replace("|", "\\|"))) + " |")
    return [*lines, ""]


def write_document(document: Path, content: str, markers: tuple[str, str] = MARKERS) -> None:
    """Replace what is between `markers` in `document`; ValueError if it has none."""
    begin, end = markers
    before, found, rest = document.read_text().partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise ValueError(f"{document} has no markers {begin} and {end}")
    document.write_text(f"{before}{begin}\n{content}\n{end}{after}")
