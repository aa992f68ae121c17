"""`sarab build` as a person uses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sarab.cli.main import main
from tests.unit.build.conftest import make_kernel

HELLO = str(Path(__file__).parents[2] / "examples/hello.py")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SARAB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "kernel.elf").write_bytes(make_kernel())
    return tmp_path


def sarab(*words: str) -> int:
    return main(["build", "--kernel", "kernel.elf", *words])


def test_build_says_size_modules_and_time(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sarab(HELLO) == 0
    out, err = capsys.readouterr()
    assert (here / "hello.elf").exists()
    assert out.startswith("hello.elf: ")
    assert " MB, " in out and " modules, " in out and out.endswith(" s\n")
    assert err == "", "progress is for terminals"


def test_report_is_sorted_by_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert sarab(HELLO, "--report", "-o", "x.elf") == 0
    lines = capsys.readouterr().out.splitlines()[:-1]
    sizes = [int(line.split()[0]) for line in lines]
    assert sizes == sorted(sizes, reverse=True)
    assert "interpreter" in lines[0]


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert sarab(HELLO, "-q") == 0
    assert capsys.readouterr() == ("", "")


def test_explain_shows_the_chain(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sarab(HELLO, "--explain", "gettext") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "hello.py"
    assert out[1].startswith("  argparse (line ")
    assert out[2].startswith("    gettext (line ")
    assert not (here / "hello.elf").exists()


def test_explain_of_what_is_not_in(capsys: pytest.CaptureFixture[str]) -> None:
    assert sarab(HELLO, "--explain", "asyncio") == 1
    assert capsys.readouterr().out == "asyncio is not in the image: nothing in it imports asyncio.\n"


def test_hello_is_below_eight_megabytes_and_smaller_or_larger_at_wish(here: Path) -> None:
    sizes = []
    for word in ("--compress", "", "--no-compress"):
        assert sarab(HELLO, *filter(None, [word]), "-q", "-o", "x.elf") == 0
        sizes.append((here / "x.elf").stat().st_size)
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 3
    assert sizes[1] < 8_000_000 or sizes[2] > 13_000_000, "of an interpreter that was not built for debugging"
    assert sarab(HELLO, "--compress", "--no-compress") != 0


def test_include_and_exclude(here: Path) -> None:
    from sarab.build import image

    assert sarab(HELLO, "--include", "colorsys", "--exclude", "gettext", "-o", "x.elf") == 0
    paths = image.read((here / "x.elf").read_bytes()).files.nodes
    assert any(path.endswith("/colorsys.pyc") for path in paths)
    assert not any(path.endswith("/gettext.pyc") for path in paths)


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (["nothing.py"], 1, "There is no file nothing.py."),
        ([], 2, "Name one application"),
        ([HELLO, "-m", "x"], 2, "Name one application"),
        ([HELLO, "--env", "X"], 2, "NAME=VALUE"),
        (["broken.py"], 1, "broken.py:1: "),
        ([HELLO, "-o", "none/x.elf"], 1, "there is no folder"),
        ([HELLO, "--tmp", "lots"], 2, "--tmp"),
    ],
)
def test_failure_is_one_sentence(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], status: int, sentence: str
) -> None:
    (here / "broken.py").write_text("def (")
    assert sarab(*words) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("sarab: ") and sentence in err and err.count("\n") == 1


def test_warning_of_an_optional_module_goes_to_stderr(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "a.py").write_text("try:\n    import no_such_module\nexcept ImportError:\n    pass\n")
    assert sarab("a.py") == 0
    assert "no_such_module was not found" in capsys.readouterr().err
