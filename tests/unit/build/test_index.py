"""The table of modules in an image: what is found by it is what CPython's own finder finds."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from sarab.build import image
from tests.unit.build.conftest import Build, Run

COMPARE = """
import collections.abc, json, sys
import here, kept.inner
from importlib.machinery import PathFinder, SourcelessFileLoader, ExtensionFileLoader

index, = (finder for finder in sys.meta_path if type(finder).__name__ == "_Index")
assert sys.meta_path.index(index) == sys.meta_path.index(PathFinder) - 1

def said(spec):
    kind, = (kind.__name__ for kind in (SourcelessFileLoader, ExtensionFileLoader) if isinstance(spec.loader, kind))
    return (spec.name, kind, spec.loader.name, spec.loader.path, spec.origin, spec.cached, spec.has_location,
            spec.submodule_search_locations, spec.parent)

found = 0
for name, module in sorted(sys.modules.items()):
    parent = name.rpartition(".")[0]
    path = sys.modules[parent].__path__ if parent else None
    by_table = index.find_spec(name, path)
    if by_table is None:
        continue
    found += 1
    by_folders = PathFinder.find_spec(name, path)
    assert said(by_table) == said(by_folders), (said(by_table), said(by_folders))
    assert module.__file__ == by_folders.origin
    if isinstance(by_folders.loader, SourcelessFileLoader):
        assert by_table.loader.get_code(name) == by_folders.loader.get_code(name)
        assert by_table.loader.get_data(by_table.origin) == by_folders.loader.get_data(by_table.origin)
print(found > 20, here.__spec__.origin.endswith("/app/here.pyc"), kept.inner.__package__)
"""

ELSEWHERE = """
import pathlib, sys, tempfile
folder = tempfile.mkdtemp()
pathlib.Path(folder, "here.py").write_text("where = 'elsewhere'")
sys.path.insert(0, folder)
import here
import kept
pathlib.Path(folder, "inner.py").write_text("where = 'elsewhere'")
kept.__path__.insert(0, folder)
import kept.inner
print(here.where, kept.inner.where)
"""


def _write(folder: Path, program: str) -> Path:
    (folder / "kept").mkdir()
    (folder / "here.py").write_text("where = 'image'\n")
    (folder / "kept/__init__.py").write_text("")
    (folder / "kept/inner.py").write_text("where = 'image'\n")
    path = folder / "app.py"
    path.write_text(dedent(program))
    return path


def test_the_table_says_of_each_module_what_the_folders_say(tmp_path: Path, build_image: Build, run_files: Run) -> None:
    done = run_files(build_image(_write(tmp_path, COMPARE)).image)
    assert (done.stdout, done.stderr) == ("True True kept\n", "")


def test_a_program_that_searches_elsewhere_finds_it_there(tmp_path: Path, build_image: Build, run_files: Run) -> None:
    done = run_files(build_image(_write(tmp_path, ELSEWHERE)).image)
    assert (done.stdout, done.stderr) == ("elsewhere elsewhere\n", "")


def test_an_image_with_sources_has_no_table(tmp_path: Path, build_image: Build) -> None:
    built = build_image(_write(tmp_path, "import here\n"), with_source=True)
    assert "/boot/modules" not in image.read(built.image.read_bytes()).files.nodes
