"""Where a module of a given name comes from, as the interpreter's own finders see it."""

from __future__ import annotations

import _imp
import importlib.machinery
import os
import sys
from dataclasses import dataclass
from enum import Enum
from importlib.machinery import FileFinder, ModuleSpec
from pathlib import Path

from sarab.build.errors import ModuleMissing, ObjectError
from sarab.build.interpreter import APPLICATION, DYNLOAD, SITE_PACKAGES, STDLIB, Interpreter

_LOADERS = (
    (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES),
    (importlib.machinery.SourceFileLoader, importlib.machinery.SOURCE_SUFFIXES),
    (importlib.machinery.SourcelessFileLoader, importlib.machinery.BYTECODE_SUFFIXES),
)
ALIASES = {"os.path": "posixpath"}
AT_START = frozenset(
    "_collections_abc _sitebuiltins abc codecs encodings genericpath io os posixpath site stat zipimport".split()
)
"""What Python has imported before it looks into the program's folder: a module of such a name there is never seen."""


class Kind(Enum):
    SOURCE = "source"
    BYTECODE = "bytecode"
    EXTENSION = "extension"
    BUILTIN = "builtin"
    FROZEN = "frozen"
    NAMESPACE = "namespace"


class Area(Enum):
    """Which part of the image a module belongs to."""

    APPLICATION = "application"
    STDLIB = "stdlib"
    SITE = "site"


@dataclass(frozen=True)
class Found:
    """A module that exists."""

    name: str
    kind: Kind
    area: Area
    path: str | None
    """The file on this machine; a frozen module's is its source, if that is installed."""
    search: tuple[str, ...] | None
    """A package's `__path__`; None for a module that is no package."""

    @property
    def is_package(self) -> bool:
        return self.search is not None

    @property
    def top(self) -> str:
        return self.name.partition(".")[0]

    @property
    def image_path(self) -> str:
        """Where the module's .py file would be in an image; for an extension module where it is."""
        base = {Area.APPLICATION: APPLICATION, Area.STDLIB: STDLIB, Area.SITE: SITE_PACKAGES}[self.area]
        stem = self.name.replace(".", "/")
        if self.kind is Kind.EXTENSION and self.path is not None:
            if self.area is Area.STDLIB and "." not in self.name:
                base = DYNLOAD
            folder = stem if self.is_package else os.path.dirname(stem)
            return os.path.normpath(f"{base}/{folder}/{os.path.basename(self.path)}")
        return f"{base}/{stem}/__init__.py" if self.is_package else f"{base}/{stem}.py"


class Resolver:
    """Finds modules for one application. Remembers what it was asked."""

    def __init__(self, interpreter: Interpreter, root: Path) -> None:
        self.interpreter = interpreter
        self.root = str(root)
        self._path = [self.root, *interpreter.search_path]
        self._known: dict[str, Found | None] = {}
        self._builtin = frozenset(sys.builtin_module_names)
        self._finders: dict[str, FileFinder] = {}
        # Editable installs bring finders of their own.
        self._others = [f for f in sys.meta_path if _defining_module(f).startswith("__editable__")]

    def find(self, name: str) -> Found | None:
        """The module `name`, or None. Raises ObjectError if what is there was built for another interpreter."""
        if name not in self._known:
            self._known[name] = self._find(name)
        return self._known[name]

    def _find(self, name: str) -> Found | None:
        parent, _, _ = name.rpartition(".")
        if name in self._builtin:
            return Found(name, Kind.BUILTIN, Area.STDLIB, None, None)
        search = self._path
        if parent:
            package = self.find(parent)
            if package is None or package.search is None:
                return None
            search = list(package.search)
        elif name in AT_START:
            search = list(self.interpreter.search_path)
        spec = self._find_in(name, search) or self._find_elsewhere(name, search if parent else None)
        if _imp.is_frozen(name) and (spec is None or (spec.origin and self.interpreter.is_stdlib(spec.origin))):
            path = spec.origin if spec is not None else None
            locations = spec.submodule_search_locations if spec is not None else None
            return Found(name, Kind.FROZEN, Area.STDLIB, path, None if locations is None else tuple(locations))
        if spec is None:
            self._check_foreign(name, search)
            return None
        locations = spec.submodule_search_locations
        paths = None if locations is None else tuple(locations)
        if spec.origin is None or spec.loader is None or not spec.has_location:
            if paths is None:
                return None
            return Found(name, Kind.NAMESPACE, self._area(paths[0] if paths else ""), None, paths)
        kind = self._kind(name, spec.origin)
        return Found(name, kind, self._area(spec.origin), spec.origin, paths)

    def _find_in(self, name: str, search: list[str]) -> ModuleSpec | None:
        """What importlib's PathFinder does, which wants a package's parents to have been imported."""
        portions: list[str] = []
        for folder in search:
            finder = self._finders.get(folder)
            if finder is None:
                finder = self._finders[folder] = FileFinder(folder, *_LOADERS)
            spec = finder.find_spec(name)
            if spec is None:
                continue
            if spec.loader is not None:
                return spec
            portions += spec.submodule_search_locations or []
        if not portions:
            return None
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = portions
        return spec

    def _find_elsewhere(self, name: str, search: list[str] | None) -> ModuleSpec | None:
        for finder in self._others:
            spec: ModuleSpec | None = finder.find_spec(name, search, None)
            if spec is not None:
                return spec
        return None

    def _kind(self, name: str, origin: str) -> Kind:
        if origin.endswith(".py"):
            return Kind.SOURCE
        if origin.endswith(".pyc"):
            return Kind.BYTECODE
        if origin.endswith(tuple(importlib.machinery.EXTENSION_SUFFIXES)):
            return Kind.EXTENSION
        raise ModuleMissing(f"The module {name} is inside of {origin}, and sarab packs modules that are files only.")

    def _area(self, origin: str) -> Area:
        real = os.path.realpath(origin)
        root = os.path.realpath(self.root) + os.sep
        in_root = real.startswith(root)
        for folder in self.interpreter.site_directories:
            text = str(folder)
            if real.startswith(text + os.sep) and not (in_root and len(root) > len(text) + 1):
                return Area.SITE
        if self.interpreter.is_stdlib(real):
            return Area.STDLIB
        return Area.APPLICATION if in_root else Area.SITE

    def _check_foreign(self, name: str, search: list[str]) -> None:
        """An extension module for another platform or Python looks to the finders like no module at all."""
        stem = name.rpartition(".")[2]
        for folder in search:
            try:
                names = sorted(os.listdir(folder))
            except OSError:
                continue
            for file in names:
                if file.startswith(stem + ".") and file.endswith((".so", ".pyd", ".dylib")):
                    raise ObjectError(
                        f"The extension module {name} is here only as {os.path.join(folder, file)}, "
                        f"for another platform or another Python than {sys.implementation.cache_tag} on Linux x86-64."
                    )


def _defining_module(finder: object) -> str:
    """The name of the module that defines a finder, which may be an object or a class."""
    return str(getattr(finder, "__module__", ""))
