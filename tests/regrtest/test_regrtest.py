"""CPython's own suite inside an image does what it does as a Linux process, but for what expected.toml explains."""

import sys
import tomllib
from pathlib import Path

import pytest

from tests.regrtest import comparison, execute, run, staging
from tests.regrtest.execute import NoStart
from tests.regrtest.outcomes import DIED, FAILED, MISSING, PASSED, SKIPPED, Report, read


@pytest.mark.boot
@pytest.mark.timeout(3600)
def test_quick_modules_do_the_same_inside_an_image(tmp_path: Path) -> None:
    try:
        result = run.compare(run.choose(["quick"]), tmp_path)
    except staging.NoSuite as reason:
        pytest.skip(str(reason))
    assert result.modules >= 60
    assert result.good, comparison.text(result)


def test_control_runs_a_module_and_reports_each_test(tmp_path: Path) -> None:
    try:
        runner = staging.stage(tmp_path, ["test_bool", "test_startfile"]).runner
    except staging.NoSuite as reason:
        pytest.skip(str(reason))
    reports = run.run_control(runner, ["test_bool", "test_startfile"], ["test.test_bool.BoolTest.test_repr"])
    outcomes = reports["test_bool"].outcomes
    assert outcomes["test.test_bool.BoolTest.test_str"] == PASSED
    assert "test.test_bool.BoolTest.test_repr" not in outcomes
    assert reports["test_startfile"].outcomes == {"test_startfile": SKIPPED}


def test_module_that_no_suite_has_is_left_out_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, fetched = tmp_path / "own", tmp_path / "fetched"
    for name in ("own/test_a.py", "own/test_b.py", "own/test_c.py", "fetched/test_d.py", "fetched/test_e/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.setattr(staging, "suite_folder", lambda: own)
    monkeypatch.setattr(staging, "fetch_suite", lambda: fetched)
    wanted = ["test_a", "test_young", "test_b", "test_c", "test_d", "test_e"]
    staged = staging.stage(tmp_path / "staged", wanted)
    assert staged.modules == ["test_a", "test_b", "test_c", "test_d", "test_e"]
    assert staged.lacking == ["test_young"]
    assert staging.staged_modules(staged.runner) == ["test_d", "test_e.*"]
    with pytest.raises(staging.NoSuite, match="has test_young, test_new"):
        staging.stage(tmp_path / "none", ["test_young", "test_new"])


def test_files_of_a_whole_suite_that_are_no_python_are_kept_from_an_image(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    for name, text in (("bad_coding", "# coding: uft-8"), ("badsyntax_1", "def f("), ("bad_getattr", "x = 1")):
        (tmp_path / "test" / f"{name}.py").write_text(text)
    assert staging.not_python(tmp_path / "runner.py") == ["test.bad_coding", "test.badsyntax_1"]


def test_module_that_dies_is_run_again_without_the_test_that_killed_it() -> None:
    launched: list[list[str]] = []

    def launch(arguments):  # type: ignore[no-untyped-def]
        launched.append(list(arguments))
        yield '@regrtest {"start": "test_x"}'
        if "test.test_x.T.test_kill" not in arguments:
            yield '@regrtest {"test": "test.test_x.T.test_kill"}'
            return
        yield (
            '@regrtest {"module": "test_x", "seconds": 1, "skipped": "", "failed": "", '
            '"outcomes": {"test.test_x.T.test_a": "passed"}, "details": {}}'
        )
        yield '@regrtest {"done": true}'

    reports = execute.run(launch, ["test_x"], [], 10)
    assert len(launched) == 2
    assert reports["test_x"].outcomes == {
        "test.test_x.T.test_a": PASSED,
        "test_x": PASSED,
        "test.test_x.T.test_kill": DIED,
    }


def test_runner_that_never_starts_is_an_error() -> None:
    with pytest.raises(NoStart, match="no such machine"):
        execute.run(lambda _: iter(["no such machine"]), ["test_x"], [], 10)


def test_line_cut_by_a_crash_is_passed_over() -> None:
    transcript = read(['@regrtest {"start": "test_x"}', '@regrtest {"test": "test.test_x.T.te'])
    assert (transcript.module, transcript.test, transcript.done) == ("test_x", "", False)


def _reports(**outcomes: str) -> dict[str, Report]:
    return {"test_x": Report("test_x", {f"test.test_x.T.{name}": outcome for name, outcome in outcomes.items()})}


def test_difference_without_an_entry_is_unexpected() -> None:
    result = comparison.compare(_reports(a=PASSED, b=SKIPPED, c=PASSED), _reports(a=PASSED, b=SKIPPED, c=FAILED), [])
    assert [difference.test for difference in result.unexpected] == ["test.test_x.T.c"]
    assert not result.good


def test_difference_with_an_entry_is_expected() -> None:
    entry = comparison.Expected("test.test_x.T.c*", "no such device")
    result = comparison.compare(_reports(c1=PASSED, c2=PASSED), _reports(c1=FAILED, c2=SKIPPED), [entry])
    assert result.good
    assert "no such device" in comparison.markdown(result, ["test_x"], "3.11.7")


def test_many_tests_of_a_class_that_differ_alike_are_one_line() -> None:
    entry = comparison.Expected("test.test_x.T.*", "no such device")
    for count, lines in ((3, 3), (4, 1)):
        tests = [f"t{number}" for number in range(count)]
        control, image = _reports(**dict.fromkeys(tests, PASSED)), _reports(**dict.fromkeys(tests, FAILED))
        table = comparison.table(comparison.compare(control, image, [entry]))
        assert len(table) == 2 + lines + 1
    assert table[2] == "| `test.test_x.T`: 4 tests | passed | failed | no such device |"


def test_entry_whose_test_passes_fails_the_run() -> None:
    entry = comparison.Expected("test.test_x.T.c", "no such device")
    result = comparison.compare(_reports(c=PASSED), _reports(c=PASSED), [entry])
    assert result.stale == [entry]
    assert not result.good


def test_entry_whose_test_fails_as_a_process_too_is_not_stale() -> None:
    entry = comparison.Expected("test.test_x.T.c", "no headers in an image")
    assert comparison.compare(_reports(c=FAILED), _reports(c=FAILED), [entry]).good


def test_entry_of_the_kernel_is_not_stale_for_a_process_over_our_stack() -> None:
    entry = comparison.Expected("test.test_x.T.c", "no such device")
    assert comparison.compare(_reports(c=PASSED), _reports(c=PASSED), [entry], of_image=False).good


def test_entry_of_a_module_that_was_not_run_is_not_stale() -> None:
    entry = comparison.Expected("test.test_other.T.c", "no such device")
    assert comparison.compare(_reports(c=PASSED), _reports(c=PASSED), [entry]).good


def test_module_that_is_missing_inside_is_one_difference() -> None:
    control = {"test_x": Report("test_x", {"test_x": PASSED, "test.test_x.T.a": PASSED, "test.test_x.T.b": PASSED})}
    result = comparison.compare(control, {}, [])
    assert [(difference.test, difference.image) for difference in result.differences] == [("test_x", MISSING)]


def test_module_that_cannot_be_imported_inside_is_one_difference() -> None:
    control = {"test_x": Report("test_x", {"test_x": PASSED, "test.test_x.T.a": PASSED})}
    image = {"test_x": Report("test_x", {"test_x": FAILED}, {"test_x": "ImportError: no y"})}
    result = comparison.compare(control, image, [])
    assert [(difference.test, difference.detail) for difference in result.differences] == [
        ("test_x", "ImportError: no y")
    ]


def test_entry_without_a_reason_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "expected.toml"
    path.write_text('[[difference]]\ntests = "test.test_x"\n')
    with pytest.raises(ValueError, match="reason"):
        comparison.load_expected(path)


def test_lists_hold_what_the_issues_name() -> None:
    named = (
        "threading thread queue concurrent_futures json re struct decimal datetime zlib hashlib random time mmap "
        "tempfile sqlite3 asyncio.test_queues httplib urllib2_localnet smtplib socketserver asyncio.test_streams"
    )
    quick = run.choose(["quick"])
    assert {f"test_{name}" for name in named.split()} <= set(quick)
    assert len(quick) >= 60
    network = (
        "socket ssl select selectors poll epoll ftplib poplib imaplib nntplib telnetlib xmlrpc docxmlrpc httpservers "
        "asyncore asynchat wsgiref logging asyncio.test_events asyncio.test_sock_lowlevel asyncio.test_sendfile"
    )
    assert {f"test_{name}" for name in network.split()} <= set(run.choose(["all"]))
    assert len(set(run.choose(["all"]))) == len(run.choose(["all"])) > len(quick)


@pytest.mark.skipif(sys.version_info[:3] != (3, 11, 7), reason="the lists are those of CPython 3.11.7's suite")
def test_every_module_of_the_suite_is_in_a_list_or_left_out_with_a_reason() -> None:
    suite = staging.suite_folder()
    if not (suite / "test_bool.py").exists():
        pytest.skip("this interpreter has no test suite")
    left_out = [name for names in tomllib.loads(run.MODULES.read_text())["left_out"].values() for name in names]
    listed = [*run.choose(["all"]), *left_out]
    paths = [*suite.glob("test_*.py"), *(path.parent for path in suite.glob("test_*/__init__.py"))]
    there = {path.stem for path in paths} - {"test_asyncio"}
    there |= {f"test_asyncio.{path.stem}" for path in suite.glob("test_asyncio/test_*.py")}
    assert sorted(listed) == sorted(set(listed))
    assert there <= set(listed)


def test_test_with_an_attribute_id_is_told_by_its_name(tmp_path: Path) -> None:
    runner = staging.lay_runner(staging.RUNNER, tmp_path)
    (tmp_path / "test_id.py").write_text(
        "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        self.id = 1\n"
    )
    reports = run.run_control(runner, ["test_id"], [])
    assert reports["test_id"].outcomes == {"test.test_id.T.test_a": PASSED, "test_id": PASSED}
