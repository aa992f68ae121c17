"""Which applications are wired is seen in their sources, and no application is run to see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sarab.build.errors import BuildError, SpecError
from sarab.build.spec import parse
from sarab.build.wired import Entry, decorated, find

HEAD = "from sarab import unikernel\n"
MAIN = "@unikernel\nasync def main() -> None: ...\n"
BOOM = "raise SystemExit('this was run')\n"


@pytest.mark.parametrize(
    "source",
    [
        HEAD + MAIN,
        HEAD + "@unikernel()\nasync def main(): ...\n",
        HEAD + "@unikernel(providers=[f])\nasync def main(): ...\n",
        HEAD + "@other\n@unikernel\nasync def main(): ...\n",
        HEAD + "if x:\n    " + MAIN.replace("\n", "\n    "),
        HEAD + "async def f(): ...\nmain = unikernel(name='x')(f)\n",
        "from sarab import unikernel as machine\n@machine\nasync def main(): ...\n",
        "from sarab.wiring.unikernel import unikernel\n" + MAIN,
        "from sarab import *\n" + MAIN,
        "try:\n    from sarab import unikernel\nfinally:\n    pass\n" + MAIN,
        "import sarab\n@sarab.unikernel\nasync def main(): ...\n",
        "import sarab as s\n@s.unikernel(name='x')\nasync def main(): ...\n",
        "import sarab.wiring.unikernel\n@sarab.wiring.unikernel.unikernel\nasync def main(): ...\n",
        "from sarab.wiring import unikernel\n@unikernel.unikernel\nasync def main(): ...\n",
    ],
)
def test_decorator_is_seen_in_every_form_of_its_import(source: str) -> None:
    assert decorated(source.encode()) == ["main"]


@pytest.mark.parametrize(
    "source",
    [
        MAIN,
        "from other import unikernel\n" + MAIN,
        "from .sarab import unikernel\n" + MAIN,
        "import sarabande\n@sarabande.unikernel\ndef main(): ...\n",
        HEAD + "unikernel = 1\nasync def main(): ...\n",
        HEAD + "def f():\n    @unikernel\n    async def main(): ...\n",
        HEAD + "@unikernel.x\nasync def main(): ...\n",
        HEAD + "def (:\n",
        "# unikernel",
    ],
)
def test_what_only_looks_like_it_is_a_plain_program(source: str) -> None:
    assert decorated(source.encode()) == []


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_application_is_found_and_not_run(here: Path) -> None:
    (here / "app.py").write_text(HEAD + MAIN + BOOM)
    expected = Entry("app", "main", str(here / "app.py"))
    assert find(parse("app.py")) == find(parse("app.py:main")) == find(parse("app:main")) == expected
    (here / "plain.py").write_text(BOOM)
    assert find(parse("plain.py")) is None


def test_packages_and_what_they_pass_on(here: Path) -> None:
    package = here / "src" / "pack"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from .web import main\nfrom pack.web import main as start\n" + BOOM)
    (package / "web.py").write_text(HEAD + MAIN)
    (package / "__main__.py").write_text("from sarab import unikernel\n" + MAIN)
    web = Entry("pack.web", "main", str(package / "web.py"))
    assert find(parse("pack.web:main")) == find(parse("pack:main")) == find(parse("pack:start")) == web
    assert find(parse("-m pack")) == Entry("pack.__main__", "main", str(package / "__main__.py"))
    assert find(parse("pack.web:other")) is None


def test_program_that_starts_the_application_of_another_module_is_that_one(here: Path) -> None:
    """In an image there is no main.run(): the main module does what it does."""
    (here / "web.py").write_text(HEAD + MAIN)
    (here / "start.py").write_text("from web import main as serve\nif __name__ == '__main__':\n    serve.run()\n")
    (here / "plain.py").write_text("from web import main\nimport asyncio\nasyncio.run(main())\n")
    assert find(parse("start.py")) == Entry("web", "main", str(here / "web.py"))
    assert find(parse("plain.py")) is None
    (here / "pack").mkdir()
    (here / "pack" / "__init__.py").write_text(HEAD + MAIN)
    (here / "pack" / "__main__.py").write_text("from . import main\nmain.run()\n")
    assert find(parse("-m pack")) == Entry("pack", "main", str(here / "pack" / "__init__.py"))


def test_module_of_a_package_that_is_named_as_a_file_is_told_its_name(here: Path) -> None:
    (here / "pack").mkdir()
    (here / "pack" / "__init__.py").touch()
    (here / "pack" / "web.py").write_text(HEAD + MAIN)
    assert find(parse("pack/web.py")) == Entry("web", "main", str(here / "pack" / "web.py"))
    (here / "pack" / "web.py").write_text("from . import near\n" + HEAD + MAIN)
    with pytest.raises(SpecError) as caught:
        find(parse("pack/web.py"))
    assert str(caught.value) == (
        f"web.py is a module of the package pack, and imports from it: say pack.web:main, in {here}."
    )


def test_imports_in_a_circle_end(here: Path) -> None:
    (here / "a.py").write_text("from b import main\n")
    (here / "b.py").write_text("from a import main\n")
    assert find(parse("a:main")) is None


@pytest.mark.parametrize(
    ("name", "source", "sentence"),
    [
        ("two.py", HEAD + MAIN + MAIN.replace("main", "other"), "say which, as two.py:main."),
        ("my-app.py", HEAD + MAIN, "its name cannot name a module: call it my_app.py."),
        ("class.py", HEAD + MAIN, "class.py has a function with @unikernel, and its name cannot name a module."),
        ("json.py", HEAD + MAIN, "json.py would hide the module json"),
        ("__main__.py", HEAD + MAIN, "__main__ is no module that can be imported"),
    ],
)  # fmt: skip
def test_name_that_cannot_be_imported_is_one_sentence(here: Path, name: str, source: str, sentence: str) -> None:
    (here / name).write_text(source)
    with pytest.raises(SpecError) as caught:
        find(parse(name))
    assert sentence in str(caught.value)


def test_function_of_a_file_is_named_by_the_file(here: Path) -> None:
    (here / "two.py").write_text(HEAD + MAIN + MAIN.replace("main", "other"))
    assert find(parse("two.py:other")) == Entry("two", "other", str(here / "two.py"))
    for spec, sentence in (("none.py:main", "There is no file none.py."), ("my-app.py:main", "no name of a module")):
        (here / "my-app.py").touch()
        with pytest.raises(SpecError, match=sentence):
            parse(spec)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("[tool.sarab]\nkeys = 1", "[tool.sarab.keys]"),
        ("[tool.sarab.keys]\nport = {}", "port must be a text, a number, true or false, or a list of these"),
        ("[tool.sarab.keys]\nport = 2020-01-01", "port must be a text"),
        ('[tool.sarab.keys]\n"--port" = 1', "cannot be the name of a key"),
        ("[tool.sarab]\ndevices = []", "[tool.sarab.devices]"),
        ("[tool.sarab.devices]\ndata = 1", "data must name its provider as module:function, and is 1"),
        ('[tool.sarab.devices]\ndata = "app"', "data must name its provider as module:function"),
    ],
)
def test_tables_of_pyproject_are_checked(here: Path, table: str, sentence: str) -> None:
    (here / "app.py").write_text(HEAD + MAIN)
    (here / "pyproject.toml").write_text(table)
    with pytest.raises(BuildError) as caught:
        parse("app.py")
    assert sentence in str(caught.value) and str(here / "pyproject.toml") in str(caught.value)


def test_tables_of_pyproject_are_read(here: Path) -> None:
    (here / "app.py").write_text(HEAD + MAIN)
    (here / "pyproject.toml").write_text(
        '[tool.sarab.keys]\nmax_size = "1M"\npeers = ["a", "b"]\nfast = true\n'
        '[tool.sarab.devices]\ndata = "app:block"\n'
    )
    application = parse("app.py")
    assert application.keys == (("max-size", "1M"), ("peers", "a,b"), ("fast", "yes"))
    assert application.devices == (("data", "app:block"),)
