"""What a source may import, and how surely."""

from __future__ import annotations

from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sarab.build.scan import DEFERRED, GUESSED, MAIN, NAMED, OPTIONAL, SELF_TEST, Import, Scan, scan


def imports(source: str, top: str = "pkg") -> dict[str, Import]:
    return {item.module: item for item in scan(dedent(source).encode(), top).imports}


def flags(source: str, module: str, top: str = "pkg") -> int:
    return imports(source, top)[module].flags


def test_plain_imports_are_certain() -> None:
    found = imports("import a.b, c\nfrom .d import e, f\nfrom .. import g\n")
    assert {m: (i.names, i.line, i.flags) for m, i in found.items()} == {
        "a.b": ((), 1, 0),
        "c": ((), 1, 0),
        ".d": (("e", "f"), 2, 0),
        "..": (("g",), 3, 0),
    }


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f():\n import x", DEFERRED),
        ("async def f():\n import x", DEFERRED),
        ("class C:\n import x", 0),
        ("class C:\n def f(self):\n  import x", DEFERRED),
        ("try:\n import x\nexcept ImportError:\n pass", OPTIONAL),
        ("try:\n import x\nexcept (ValueError, ModuleNotFoundError):\n pass", OPTIONAL),
        ("try:\n import x\nexcept:\n pass", OPTIONAL),
        ("try:\n import x\nexcept ValueError:\n pass", 0),
        ("try:\n pass\nfinally:\n import x", 0),
        ("import contextlib\nwith contextlib.suppress(ImportError):\n import x", OPTIONAL),
        ("with open('f'):\n import x", 0),
        ("if unknown():\n import x", OPTIONAL),
        ("if True:\n import x", 0),
        ("if __name__ == '__main__':\n import x", MAIN | OPTIONAL),
        ("def _test():\n import x", DEFERRED | SELF_TEST),
        ("import importlib\nimportlib.import_module('x')", DEFERRED | OPTIONAL | GUESSED),
        ("__import__('x')", DEFERRED | OPTIONAL | GUESSED),
        ("import sys\nif sys.version_info >= (3, 8):\n import x", 0),
        ("import sys\nif sys.version_info[0] == 2:\n pass\nelse:\n import x", 0),
        ("import sys\nif sys.platform != 'win32':\n import x", 0),
        ("import os\nif os.name == 'posix' and unknown():\n import x", OPTIONAL),
        ("from typing import TYPE_CHECKING\nif not TYPE_CHECKING:\n import x", 0),
    ],
)
def test_how_sure_an_import_is(source: str, expected: int) -> None:
    assert flags(source, "x") == expected


@pytest.mark.parametrize(
    "source",
    [
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n import x",
        "import typing\nif typing.TYPE_CHECKING:\n import x",
        "import sys\nif sys.platform == 'win32':\n import x",
        "import sys\nif sys.platform.startswith('win'):\n import x",
        "import sys\nif sys.platform in ('win32', 'cygwin'):\n import x",
        "import os\nif os.name == 'nt':\n import x",
        "import platform\nif platform.system() == 'Windows':\n import x",
        "import sys\nif sys.version_info < (3, 0):\n import x",
        "import sys\nif not sys.version_info[0] >= 3:\n import x",
        "if False:\n import x",
        "'''import x'''",
    ],
)
def test_what_cannot_run_in_an_image_is_left_out(source: str) -> None:
    assert "x" not in imports(source)


def test_import_after_failure_is_instead_of_the_tried_one() -> None:
    found = imports("try:\n from _fast import f\nexcept ImportError:\n from .slow import f\n")
    assert found[".slow"].instead_of == ("_fast",)
    assert found["_fast"].instead_of == ()


def test_strings_that_name_modules_of_the_own_package_are_guesses() -> None:
    found = imports("TABLE = {'h11': 'pkg.protocols.h11:Protocol', 'x': 'other.thing'}\n")
    assert found["pkg.protocols.h11"].flags == DEFERRED | OPTIONAL | GUESSED | NAMED
    assert "other.thing" not in found


def test_strings_of_an_application_may_name_any_module() -> None:
    assert "jinja2.ext.do" in imports("EXTENSIONS = ['jinja2.ext.do']", top="")


def test_docstrings_name_nothing() -> None:
    assert imports('def f():\n "pkg.thing"\n', top="pkg") == {}


def test_lazy_module_imports_when_a_name_is_asked_for() -> None:
    found = imports(
        """
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from .client import Client
        _TABLE = {"Server": ".server"}
        def __getattr__(name):
            if name == "testing":
                import pkg.testing
                return pkg.testing
        """
    )
    assert set(found[".client"].lazy) == {"Client", ".client".rpartition(".")[2]}
    assert set(found[".server"].lazy) == {"Server", "server"}
    assert set(found["pkg.testing"].lazy) == {"testing"}


@pytest.mark.parametrize("call", ['f"plugins.{x}"', '"plugins." + x', '"plugins.%s" % x', '"plugins.{}".format(x)'])
def test_computed_names_with_a_constant_beginning_are_prefixes(call: str) -> None:
    assert scan(f"import importlib\nimportlib.import_module({call})".encode(), "pkg").prefixes == [("plugins", 2)]


@pytest.mark.parametrize(
    "source",
    [
        "name.decode(self.encoding or 'cp437')",
        "name.decode('utf-8' if new else 'cp437')",
        "bytes(name, 'cp437')",
        "codecs.encode(name, 'cp437')",
        "codecs.open(path, 'r', 'cp437')",
        "open(path, 'r', -1, 'cp437')",
        "TextIOWrapper(file, 'cp437')",
        "def read(path, encoding='cp437'): ...",
        "def read(path, *, errors, encoding='cp437'): ...",
    ],
)
def test_an_encoding_is_found_wherever_it_is_named(source: str) -> None:
    assert "cp437" in scan(source.encode(), "").encodings


def test_encodings_and_plug_in_groups_are_found() -> None:
    source = b"open(p, encoding='cp1252'); x.encode('shift_jis'); entry_points(group='my.plugins'); str(b, 'koi8-r')"
    found = scan(source, "pkg")
    assert found.encodings == ["cp1252", "koi8-r", "shift_jis"]
    assert found.entry_points == ["my.plugins"]


@pytest.mark.parametrize(
    "source",
    ["x = __file__", "import importlib.resources", "from importlib import resources", "pkgutil.get_data('a', 'b')"],
)
def test_use_of_data_files_is_seen(source: str) -> None:
    assert scan(source.encode(), "pkg").uses_files


def test_dump_and_load_give_the_scan_back() -> None:
    source = b"import a\ntry:\n import b\nexcept ImportError:\n import c\n__import__('d.' + x)\nopen(f, encoding='cp1')"
    found = scan(source, "pkg")
    assert Scan.load(found.dump()) == found


def test_what_does_not_parse_imports_nothing() -> None:
    assert scan(b"import (", "pkg") == Scan()


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    scan(data, "pkg")
