"""Other projects' suites do inside an image what they do as a Linux process, but for what expected.toml explains."""

from pathlib import Path

import pytest

from tests.regrtest import comparison
from tests.regrtest.comparison import Expected
from tests.regrtest.outcomes import FAILED, PASSED, Report
from tests.suites import run, staging


@pytest.mark.boot
@pytest.mark.timeout(900)
def test_quick_suites_do_the_same_inside_an_image(tmp_path: Path) -> None:
    try:
        result = run.compare(run.choose(["quick"]), tmp_path)
    except staging.NoSuites as reason:
        pytest.skip(str(reason))
    assert result.same[PASSED] > 60
    assert result.good, comparison.text(result)


def test_each_suite_reports_an_outcome_for_every_test_it_collects(tmp_path: Path) -> None:
    suite = staging.load_suites()["h11"]
    try:
        packages = staging.fetch_packages()
        runner = staging.stage(tmp_path, [suite])
    except staging.NoSuites as reason:
        pytest.skip(str(reason))
    launch = run.on_host(runner, packages, ours=False)
    report = run.run_files(launch, ["h11/test_state.py"], 60, "as a process")["h11/test_state.py"]
    assert report.outcomes["h11/test_state.py"] == PASSED
    assert report.outcomes["h11/test_state.py::test_ConnectionState"] == PASSED
    assert len(report.outcomes) > 10


def test_index_that_cannot_be_reached_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(staging.NoSuites, match=r"^pip cannot fetch the tests of h11: [^\n]+$"):
        staging.fetch_source(staging.load_suites()["h11"])


def test_brackets_of_a_parametrised_test_are_no_wildcard() -> None:
    entry = Expected("uvicorn/test_x.py::test_a[h11]", "no such device")
    assert entry.covers("uvicorn/test_x.py::test_a[h11]")
    assert not entry.covers("uvicorn/test_x.py::test_ah")


def test_entry_of_a_file_that_was_run_and_does_not_differ_is_stale() -> None:
    report = {"uvicorn/test_x.py": Report("uvicorn/test_x.py", {"uvicorn/test_x.py::test_a": PASSED})}
    entries = [Expected("uvicorn/*::test_a*", "no such device"), Expected("httpx/test_x.py::test_a", "another suite")]
    assert comparison.compare(report, report, entries).stale == entries[:1]


def test_test_that_fails_only_as_a_process_is_no_difference() -> None:
    control = {"a/test_x.py": Report("a/test_x.py", {"a/test_x.py::test_six": FAILED, "a/test_x.py::test_b": PASSED})}
    inside = {"a/test_x.py": Report("a/test_x.py", {"a/test_x.py::test_six": PASSED, "a/test_x.py::test_b": FAILED})}
    result = comparison.compare(control, run.without_gains(control, inside), [])
    assert [difference.test for difference in result.differences] == ["a/test_x.py::test_b"]


def test_quick_files_and_expectations_name_suites_that_there_are() -> None:
    suites = staging.load_suites()
    entries = comparison.load_expected(staging.EXPECTED)
    assert {entry.tests.partition("/")[0] for entry in entries} <= set(suites)
    assert run.choose(["quick"])
    with pytest.raises(ValueError, match="no suite"):
        run.choose(["flask"])
