"""Files that are no modules: data beside packages, metadata of distributions, what the application names."""

from __future__ import annotations

import csv
import os
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cached_property
from importlib.metadata import Distribution, distributions
from pathlib import Path

from sarab.build import hooks
from sarab.build.closure import Closure
from sarab.build.errors import SpecError
from sarab.build.interpreter import APPLICATION, SITE_PACKAGES
from sarab.build.resolve import Area, Found, Kind
from sarab.build.spec import Application

METADATA_NAMES = ("METADATA", "PKG-INFO", "entry_points.txt", "top_level.txt")
METADATA_READERS = ("importlib.metadata", "importlib_metadata", "pkg_resources")
_STDLIB_WITHOUT_DATA = frozenset(sys.stdlib_module_names) - {"test", "lib2to3", "ensurepip", "idlelib", "pydoc_data"}
_FOLDER_DEPTH_MAX = 16
"""Of data below a package; a loop of symbolic links ends here."""


def package_data(closure: Closure, with_source: bool = False) -> Iterator[tuple[str, str]]:
    """(image path, file) of the data in every package of which some module looks for files beside itself.

    `with_source`: Python in and below folders that are no packages is data too, which a program finds by its path.
    """
    tops = set(hooks.DATA_PACKAGES)
    tops |= {
        closure.modules[name].top for name, scan in closure.scans.items() if scan.uses_files and name in closure.modules
    }
    for found in sorted(closure.modules.values(), key=lambda f: f.name):
        if found.search is None or _is_plain_folder(found.name, closure):
            continue
        if found.area is not Area.APPLICATION and (found.top not in tops or found.top in _STDLIB_WITHOUT_DATA):
            continue
        image = found.image_path.removesuffix("/__init__.py")
        if found.kind is Kind.EXTENSION:
            image = os.path.dirname(found.image_path)
        for folder in found.search:
            yield from _folder_data(folder, image, closure, found.name, with_source, 0)


def _is_plain_folder(name: str, closure: Closure) -> bool:
    """Whether it is in by its name alone: any folder is a namespace package to whoever imports something called so."""
    found = closure.modules[name]
    return found.kind is Kind.NAMESPACE and not any(other.startswith(name + ".") for other in closure.modules)


def _folder_data(
    folder: str, image: str, closure: Closure, package: str, with_source: bool, depth: int
) -> Iterator[tuple[str, str]]:
    """What is in `folder`, which is the package's own at a depth of 0, and `package` its name, were it one."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.is_dir():
            # A package that is not in the closure stays out with its data; one that is in is visited by itself.
            is_package = os.path.exists(os.path.join(entry.path, "__init__.py"))
            is_found_by_path = with_source and depth > 0
            name = f"{package}.{entry.name}"
            if is_package and not is_found_by_path:
                continue
            if name in closure.modules and not _is_plain_folder(name, closure):
                continue
            if entry.name in hooks.DATA_FOLDERS_SKIPPED or entry.name.startswith(".") or depth == _FOLDER_DEPTH_MAX:
                continue
            if os.path.exists(os.path.join(entry.path, "pyvenv.cfg")):
                continue
            yield from _folder_data(entry.path, f"{image}/{entry.name}", closure, name, with_source, depth + 1)
        elif entry.is_file() and (is_data(entry.name) or (with_source and depth > 0 and entry.name.endswith(".py"))):
            yield f"{image}/{entry.name}", entry.path


def is_data(name: str) -> bool:
    suffix = os.path.splitext(name)[1].lower()
    if name in hooks.DATA_NAMES_SKIPPED or suffix in hooks.DATA_SUFFIXES_SKIPPED:
        return False
    return not (suffix == ".so" or ".so." in name)


def application_data(application: Application) -> Iterator[tuple[str, str]]:
    """(image path, file) of what `[tool.sarab] data` names."""
    if application.project is None:
        return
    for pattern in application.data:
        try:
            paths = sorted(application.project.glob(pattern))
        except (ValueError, NotImplementedError) as error:
            raise SpecError(f"[tool.sarab] data has {pattern!r}, which is no pattern of files: {error}.") from error
        files = [p for path in paths for p in (sorted(path.rglob("*")) if path.is_dir() else [path]) if p.is_file()]
        if not files:
            raise SpecError(f"[tool.sarab] data has {pattern!r}, and no file in {application.project} is like it.")
        for path in files:
            base = application.root if path.is_relative_to(application.root) else application.project
            yield f"{APPLICATION}/{path.relative_to(base).as_posix()}", str(path)


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)""")


class Distributions:
    """The distributions that the modules of a closure come from."""

    def __init__(self, search_path: Iterable[str]) -> None:
        self._search_path = list(search_path)
        self._requirements: dict[int, frozenset[str]] = {}

    @cached_property
    def _owners(self) -> dict[str, Distribution]:
        """File -> its distribution. Read when it is first asked for: many programs use the standard library alone."""
        owners: dict[str, Distribution] = {}
        for distribution in distributions(path=self._search_path):
            root = os.path.normpath(_root(distribution))
            for file in _module_files(distribution):
                path = os.path.join(root, file) if "../" in file or file.startswith("/") else f"{root}/{file}"
                owners.setdefault(os.path.normpath(path) if ".." in file else path, distribution)
        return owners

    def owner(self, found: Found) -> Distribution | None:
        return self._owners.get(os.path.normpath(found.path)) if found.path else None

    def declares(self, importer: Found, imported: Found) -> bool:
        """Whether the importer's distribution names the imported one's as a dependency, or either is no
        distribution's."""
        if Area.STDLIB in (importer.area, imported.area):
            return True
        ours, theirs = self.owner(importer), self.owner(imported)
        if ours is None or theirs is None or ours is theirs:
            return True
        return _normal(theirs.name) in self._required(ours)

    def _required(self, distribution: Distribution) -> frozenset[str]:
        known = self._requirements.get(id(distribution))
        if known is None:
            names = set()
            for text in distribution.requires or ():
                extras = set(_EXTRA.findall(text))
                name = _NAME.match(text)
                if name and not (extras and extras <= hooks.DEVELOPMENT_EXTRAS):
                    names.add(_normal(name.group()))
            known = self._requirements[id(distribution)] = frozenset(names)
        return known

    def of(self, closure: Closure) -> list[Distribution]:
        """Sorted by name; each at most once."""
        owners = {id(owner): owner for found in closure.modules.values() if (owner := self.owner(found)) is not None}
        return sorted(owners.values(), key=lambda d: d.name.lower())


def wants_metadata(closure: Closure) -> bool:
    """Whether anything outside of the standard library may read the metadata of distributions."""
    importers = {edge.importer for name in METADATA_READERS for edge in closure.edges.get(name, ())}
    return any(name not in closure.modules or closure.modules[name].area is not Area.STDLIB for name in importers)


def metadata(distribution: Distribution) -> Iterator[tuple[str, bytes]]:
    """(image path, bytes) of what importlib.metadata reads of a distribution."""
    folder = getattr(distribution, "_path", None)
    if not isinstance(folder, Path) or not folder.is_dir():
        return
    for name in METADATA_NAMES:
        path = folder / name
        if path.is_file():
            yield f"{SITE_PACKAGES}/{folder.name}/{name}", path.read_bytes()


def _module_files(distribution: Distribution) -> Iterator[str]:
    """The files of a distribution that modules may be, relative to where it is installed.

    Not by `distribution.files`, which makes an object for each of some 40,000 files: that took most of a check's time.
    """
    record = distribution.read_text("RECORD")
    if record is None:
        files: Iterable[str] = map(str, distribution.files or ())
    else:
        lines = record.splitlines()
        files = (next(csv.reader([line]))[0] if line.startswith('"') else line.partition(",")[0] for line in lines)
    for file in files:
        if file.endswith((".py", ".so", ".pyc")) and "__pycache__/" not in file:
            yield file


def _normal(name: str) -> str:
    """PEP 503's normalised name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _root(distribution: Distribution) -> str:
    return str(distribution.locate_file(""))
