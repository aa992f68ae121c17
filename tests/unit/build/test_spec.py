"""What a person may write for an application."""

from __future__ import annotations

from pathlib import Path

import pytest

from sarab.build.errors import SpecError
from sarab.build.spec import parse


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_script(here: Path) -> None:
    (here / "app.py").write_text("")
    found = parse("app.py")
    assert (found.kind, found.name, found.target, found.root) == ("script", "app", "app.py", here)


def test_function(here: Path) -> None:
    (here / "pkg").mkdir()
    found = parse("pkg.web:app.main")
    assert (found.kind, found.target, found.root) == ("function", "pkg.web:app.main", here)


def test_module_in_src(here: Path) -> None:
    (here / "src/pkg").mkdir(parents=True)
    found = parse("-m pkg")
    assert (found.kind, found.target, found.root) == ("module", "pkg", here / "src")


@pytest.mark.parametrize(
    ("table", "files", "kind", "target"),
    [
        ('[tool.sarab]\nentry = "pkg.web:main"', ["pkg/web.py"], "function", "pkg.web:main"),
        ('[tool.sarab]\nentry = "pkg"', ["pkg/__main__.py"], "module", "pkg"),
        ('[tool.sarab]\nentry = "run.py"', ["run.py"], "script", "run.py"),
        ('[project.scripts]\nmine = "pkg.cli:main"', ["pkg/cli.py"], "function", "pkg.cli:main"),
        ("", ["src/pkg/__main__.py"], "module", "pkg"),
        ("", ["main.py"], "script", "main.py"),
    ],
)
def test_directory(here: Path, table: str, files: list[str], kind: str, target: str) -> None:
    for name in files:
        (here / "p" / name).parent.mkdir(parents=True, exist_ok=True)
        (here / "p" / name).write_text("")
    (here / "p/pyproject.toml").write_text(table)
    found = parse("p")
    assert (found.kind, found.target, found.name) == (kind, target, "p")


def test_configuration_comes_from_pyproject(here: Path) -> None:
    (here / "app.py").write_text("")
    (here / "pyproject.toml").write_text('[tool.sarab]\ninclude = ["a.*"]\nexclude = ["b"]\ndata = ["t/*"]\n')
    found = parse("app.py")
    assert (found.include, found.exclude, found.data) == (("a.*",), ("b",), ("t/*",))


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("nothing.py", "There is no file nothing.py."),
        ("dir/nothing.py", "There is no file dir/nothing.py."),
        ("some/where", "There is no file some/where."),
        ("some/where/", "There is no folder some/where/."),
        ("nothing.elf", "There is no file nothing.elf."),
        ("/bin/true", "is an ELF file"),
        ("module", "-m module"),
        ("-m 3x", "-m needs the name of a module"),
        ("!!", "neither a file"),
    ],
)
def test_what_is_wrong_is_said(spec: str, sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence.replace(".", r"\.")):
        parse(spec)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[tool", "not valid TOML"),
        ('[tool.sarab]\ninclude = "a"', "list of texts"),
        ('[tool.sarab]\nincude = ["a"]', "has incude, which means nothing .is include meant."),
        ("tool = 3", "tool in "),
        ("[[tool.sarab]]", "sarab in "),
        ("project = 3", "project in "),
        ("[tool.sarab]\nentry = 3", "must be a text"),
        ('[tool.sarab]\nentry = "x.py"', "no such file"),
        ('[tool.sarab]\nentry = "a b"', "neither a file nor"),
        ("", "does not say what to start"),
    ],
)
def test_what_is_wrong_in_pyproject_is_said(here: Path, text: str, sentence: str) -> None:
    (here / "p").mkdir()
    (here / "p/pyproject.toml").write_text(text)
    with pytest.raises(SpecError, match=sentence):
        parse("p")


def test_directory_without_pyproject(here: Path) -> None:
    (here / "p").mkdir()
    with pytest.raises(SpecError, match="neither a pyproject"):
        parse("p")
    (here / "p/__main__.py").write_text("")
    assert parse("p").kind == "script"
