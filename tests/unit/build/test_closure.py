"""The closure of small trees of modules: what is in, why, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from textwrap import dedent

import pytest

from sarab.build.closure import Closure, Finder, children
from sarab.build.errors import ModuleMissing, ObjectError
from sarab.build.interpreter import Interpreter
from sarab.build.resolve import Area, Found, Kind, Resolver
from sarab.build.scan import Scan, scan

Close = Callable[..., Closure]


@pytest.fixture
def close(tmp_path: Path) -> Close:
    """close({"app.py": source, "site/lib.py": source, ...}): app.py is the program, site/ holds installed packages."""

    def run(
        files: dict[str, str],
        *,
        add: Iterable[str] = (),
        exclude: Iterable[str] = (),
        observed: dict[str, list[str]] | None = None,
        declares: Callable[[Found, Found], bool] = lambda _importer, _imported: True,
    ) -> Closure:
        root, site = tmp_path / "app", tmp_path / "site"
        root.mkdir(exist_ok=True)
        site.mkdir(exist_ok=True)
        for name, source in files.items():
            path = tmp_path / (name if name.startswith("site/") else f"app/{name}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(source))
        real = Interpreter.running()
        interpreter = Interpreter(real.executable, real.stdlib, real.dynload, (site,))
        finder = Finder(
            Resolver(interpreter, root),
            lambda found: scan(Path(found.path or "/dev/null").read_bytes(), found.top),
            lambda founds: {f.name: (observed or {}).get(f.name, []) for f in founds},
            exclude,
            declares=declares,
        )
        program = root / "app.py"
        finder.add_program(scan(program.read_bytes(), "") if program.exists() else Scan())
        for name in add:
            finder.add(name, "named by include")
        return finder.close()

    return run


def ours(closure: Closure) -> set[str]:
    return {name for name, found in closure.modules.items() if found.area is not Area.STDLIB}


def test_what_is_imported_is_in_and_nothing_else(close: Close) -> None:
    closure = close({"app.py": "import a", "a.py": "import b.c", "b/__init__.py": "", "b/c.py": "", "d.py": ""})
    assert ours(closure) == {"a", "b", "b.c"}


def test_names_of_from_import_are_submodules_or_attributes(close: Close) -> None:
    closure = close({"app.py": "from b import c, thing", "b/__init__.py": "thing = 1", "b/c.py": "", "b/d.py": ""})
    assert ours(closure) == {"b", "b.c"}
    assert closure.missing == {}


def test_relative_imports(close: Close) -> None:
    files = {"app.py": "import b.c.d", "b/__init__.py": "", "b/e.py": "", "b/c/__init__.py": "from . import f"}
    closure = close({**files, "b/c/d.py": "from ..e import x\nfrom .f import y", "b/c/f.py": ""})
    assert ours(closure) == {"b", "b.c", "b.c.d", "b.c.f", "b.e"}


def test_namespace_packages(close: Close) -> None:
    closure = close({"app.py": "import n.a, n.b", "n/a.py": "", "site/n/b.py": ""})
    assert closure.modules["n"].kind is Kind.NAMESPACE
    assert ours(closure) == {"n", "n.a", "n.b"}
    assert closure.modules["n.b"].image_path.endswith("/site-packages/n/b.py")
    assert closure.modules["n.a"].image_path == "/app/n/a.py"


def test_explain_gives_the_chain_with_lines(close: Close) -> None:
    closure = close({"app.py": "\nimport a", "a.py": "\n\ndef f():\n    import b\n", "b.py": ""})
    chain = [(name, edge.line if edge else None) for name, edge in closure.explain("b")]
    assert chain == [("__main__", None), ("a", 2), ("b", 4)]
    assert closure.explain("c") == []


def test_missing_module_of_the_program_is_an_error_that_says_who(close: Close) -> None:
    with pytest.raises(ModuleMissing, match=r"no module nothing: a\.py \(line 1\) imports it.*the program \(line 2\)"):
        close({"app.py": "\nimport a", "a.py": "import nothing"})


def test_missing_submodule_of_the_own_package_is_an_error(close: Close) -> None:
    with pytest.raises(ModuleMissing, match=r"b\.nothing"):
        close({"app.py": "import b.nothing", "b/__init__.py": ""})


@pytest.mark.parametrize(
    "source",
    [
        "try:\n import nothing\nexcept ImportError:\n pass",
        "def f():\n import nothing",
        "if __name__ == '__main__':\n import a",
        "import a.nothing",
    ],
)
def test_missing_where_absence_may_be_meant_is_no_error(close: Close, source: str) -> None:
    close({"app.py": source, "site/a.py": "" if "a.n" not in source else "import sys"})


def test_missing_in_what_is_only_perhaps_imported_is_no_error(close: Close) -> None:
    closure = close({"app.py": "def f():\n import a", "a.py": "import nothing"})
    assert "nothing" in closure.missing


def test_missing_in_a_try_of_the_application_is_a_warning(close: Close) -> None:
    closure = close({"app.py": "try:\n import nothing\nexcept ImportError:\n pass"})
    assert any("nothing" in warning and "line 2" in warning for warning in closure.warnings)


def test_fallback_is_in_only_if_the_tried_module_may_fail(close: Close) -> None:
    source = "try:\n import {}\nexcept ImportError:\n import fallback"
    assert ours(close({"app.py": source.format("math"), "fallback.py": ""})) == set()
    assert ours(close({"app.py": source.format("absent"), "fallback.py": ""})) == {"fallback"}
    assert "fallback" in ours(close({"app.py": source.format("third"), "fallback.py": "", "site/third.py": ""}))


def test_main_part_of_an_imported_module_is_not_followed(close: Close) -> None:
    closure = close({"app.py": "import a", "a.py": "if __name__ == '__main__':\n import b", "b.py": ""})
    assert ours(closure) == {"a"}
    assert ours(close({"app.py": "if __name__ == '__main__':\n import b", "b.py": ""})) == {"b"}


def test_lazy_module_brings_what_somebody_mentions(close: Close) -> None:
    lazy = """
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from .one import One
            from .two import Two
        def __getattr__(name): ...
    """
    files = {"p/__init__.py": lazy, "p/one.py": "", "p/two.py": ""}
    assert ours(close({**files, "app.py": "import p; p.One"})) == {"p", "p.one"}
    assert ours(close({**files, "app.py": "from p import Two"})) == {"p", "p.two"}
    assert ours(close({**files, "app.py": "from p import *"})) == {"p", "p.one", "p.two"}


def test_string_that_names_a_module_brings_it(close: Close) -> None:
    files = {
        "site/p/__init__.py": "T = {'x': 'p.impl:Class', 'y': 'p.nothing', 'z': 'p.log.name'}",
        "site/p/impl.py": "",
    }
    assert ours(close({**files, "app.py": "import p"})) == {"p", "p.impl"}


def test_computed_name_brings_the_modules_of_its_package(close: Close) -> None:
    files = {"site/p/__init__.py": "def f(x): return __import__(f'p.plug.{x}')", "site/p/plug/__init__.py": ""}
    closure = close({**files, "site/p/plug/a.py": "", "site/p/plug/tests/__init__.py": "", "app.py": "import p"})
    assert ours(closure) == {"p", "p.plug", "p.plug.a"}


def test_include_of_everything_below_a_package(close: Close) -> None:
    files = {"site/p/__init__.py": "", "site/p/a.py": "", "site/p/q/__init__.py": "", "site/p/q/b.py": ""}
    assert ours(close({**files, "app.py": ""}, add=["p.*"])) == {"p", "p.a", "p.q", "p.q.b"}


def test_exclude_leaves_out_a_package_and_all_below(close: Close) -> None:
    files = {"app.py": "import p.a\nimport q", "p/__init__.py": "", "p/a.py": "", "q.py": ""}
    assert ours(close(files, exclude=["p"])) == {"q"}
    assert ours(close(files, exclude=["p.*"])) == {"p", "q"}


def test_optional_import_of_an_undeclared_distribution_is_left_out(close: Close) -> None:
    files = {"site/a.py": "try:\n import b\nexcept ImportError:\n pass", "site/b.py": ""}
    closure = close({**files, "app.py": "import a"}, declares=lambda _a, _b: False)
    assert ours(closure) == {"a"}
    assert "b" in closure.undeclared
    closure = close({**files, "app.py": "import a, b"}, declares=lambda _a, _b: False)
    assert ours(closure) == {"a", "b"}
    assert closure.undeclared == {}


def test_optional_import_is_followed_once_its_package_comes_in_elsewhere(close: Close) -> None:
    files = {"site/a.py": "def f():\n import b.c", "site/b/__init__.py": "", "site/b/c.py": ""}
    closure = close({**files, "app.py": "import a\nimport b"}, declares=lambda _a, _b: False)
    assert ours(closure) == {"a", "b", "b.c"}


def test_what_an_extension_module_loads_is_in(close: Close, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir(exist_ok=True)
    (tmp_path / "site/ext.abi3.so").write_bytes(b"\x7fELF")
    closure = close({"app.py": "import ext", "site/hidden.py": ""}, observed={"ext": ["hidden"]})
    assert closure.modules["ext"].kind is Kind.EXTENSION
    assert "hidden" in closure.modules


def test_extension_module_for_another_platform_is_named(close: Close, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir(exist_ok=True)
    (tmp_path / "site/ext.cpython-39-aarch64-linux-gnu.so").write_bytes(b"\x7fELF")
    with pytest.raises(ObjectError, match=r"ext.*another platform or another Python"):
        close({"app.py": "import ext"})


def test_hello_needs_little_of_the_standard_library(close: Close) -> None:
    """A guard of the image's size: whoever adds to this list says why."""
    closure = close({"app.py": "import argparse, sys"})
    files = {name for name, found in closure.modules.items() if found.kind in (Kind.SOURCE, Kind.EXTENSION)}
    assert not files & {
        "asyncio",
        "ast",
        "datetime",
        "inspect",
        "logging",
        "pydoc",
        "socket",
        "ssl",
        "subprocess",
        "threading",
    }
    assert not files & {"bz2", "lzma", "tokenize", "traceback", "typing", "unicodedata", "unittest", "zipfile", "zlib"}
    assert {"argparse", "re", "shutil", "gettext"} <= files


def test_gate_opens_when_the_program_uses_the_function(close: Close) -> None:
    assert "zipfile" not in close({"app.py": "import shutil"}).modules
    assert "zipfile" in close({"app.py": "import shutil\nshutil.make_archive('a', 'zip')"}).modules
    assert "_strptime" not in close({"app.py": "import time"}).modules
    assert "_strptime" in close({"app.py": "import time\ntime.strptime('', '')"}).modules


def test_encodings_that_sources_name_are_in(close: Close) -> None:
    assert "encodings.cp1252" in close({"app.py": "open('x', encoding='windows-1252')"}).modules
    assert "encodings.koi8_r" not in close({"app.py": ""}).modules


def test_children_are_sorted_and_hold_no_caches(tmp_path: Path) -> None:
    for name in ("b.py", "a.py", "__init__.py", "c.abi3.so", "data.txt"):
        (tmp_path / name).touch()
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "plain").mkdir()
    assert children([str(tmp_path)]) == ["a", "b", "c"]


def test_a_file_named_like_what_python_starts_with_is_not_seen_as_by_python(close: Close) -> None:
    closure = close({"app.py": "import os, json", "os.py": "", "encodings.py": "", "json.py": ""})
    assert ours(closure) == {"json"}
