"""The import closure of an application: every module that it may import, and why.

A worklist over edges (importer, imported, line). Edges come from scans of sources (sarab.build.scan), from what
extension modules were seen to import (sarab.build.observe), and from sarab.build.hooks. See decisions/0010.
"""

from __future__ import annotations

import encodings.aliases
import os
import sysconfig
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from sarab.build import hooks
from sarab.build.errors import ModuleMissing, ObjectError
from sarab.build.resolve import ALIASES, Area, Found, Kind, Resolver
from sarab.build.scan import DEFERRED, GUESSED, MAIN, NAMED, OPTIONAL, SELF_TEST, Import, Scan

PROGRAM = "__main__"
"""The importer that stands for the application's start."""


class Edge(NamedTuple):
    importer: str
    line: int
    """0 if no line of source says it."""
    why: str
    """Empty for an import statement."""
    certain: bool
    """Whether importing the importer always imports this, and fails if it fails."""


@dataclass
class Closure:
    """What `close` found."""

    modules: dict[str, Found] = field(default_factory=dict)
    scans: dict[str, Scan] = field(default_factory=dict)
    edges: dict[str, list[Edge]] = field(default_factory=dict)
    """Module -> who imports it, in the order found."""
    missing: dict[str, list[Edge]] = field(default_factory=dict)
    undeclared: dict[str, list[Edge]] = field(default_factory=dict)
    """Installed, and left out: an optional import by a distribution that does not name it as a dependency."""
    warnings: list[str] = field(default_factory=list)

    def explain(self, name: str) -> list[tuple[str, Edge | None]]:
        """The chain from the program to `name`: (module, the edge that leads from the one before); empty if it is not
        in."""
        if name not in self.modules:
            return []
        followers: dict[str, list[tuple[str, Edge]]] = {}
        for module, edges in self.edges.items():
            for edge in edges:
                followers.setdefault(edge.importer, []).append((module, edge))
        came: dict[str, tuple[str, Edge]] = {}
        queue = deque([PROGRAM, ""])
        while queue:
            here = queue.popleft()
            for module, edge in followers.get(here, ()):
                if module not in came and module != PROGRAM:
                    came[module] = (here, edge)
                    queue.append(module)
        chain: list[tuple[str, Edge | None]] = []
        step = name
        while step in came:
            before, edge = came[step]
            chain.append((step, edge))
            step = before
        chain.append((step, None))
        return chain[::-1]


class Finder:
    """Builds one Closure. `scan` and `observe` are given, so that the builder can cache them."""

    def __init__(
        self,
        resolver: Resolver,
        scan: Callable[[Found], Scan],
        observe: Callable[[list[Found]], dict[str, list[str]]],
        exclude: Iterable[str] = (),
        with_source: bool = False,
        declares: Callable[[Found, Found], bool] = lambda _importer, _imported: True,
    ) -> None:
        self.resolver = resolver
        self.closure = Closure()
        self._scan = scan
        self._observe = observe
        self._exclude = tuple(exclude)
        self._cuts = frozenset(hooks.CUTS) | (frozenset() if with_source else frozenset(hooks.SOURCE_CUTS))
        self._queue: deque[str] = deque()
        self._gated: dict[str, list[tuple[str, Callable[[], object]]]] = {}
        """Name -> what to follow once something outside of the importer's package mentions it."""
        self._mentions: dict[str, set[str]] = {}
        """Name -> the modules that mention it."""
        self._declares = declares
        self._undeclared: dict[str, list[Callable[[], object]]] = {}
        """Top-level package -> edges to follow if it comes in by another way."""
        self._groups: set[str] = set()
        self._extensions: list[Found] = []

    def add_program(self, scan: Scan, name: str = PROGRAM, package: str = "") -> None:
        """Add a script: its imports are the program's."""
        self.closure.scans[name] = scan
        self._follow(name, package, Area.APPLICATION, scan)

    def add(self, name: str, why: str, certain: bool = True) -> None:
        """Add a module, or `name.*` for a package with everything in it, for the reason `why`."""
        if name.endswith(".*"):
            self._request(name[:-2], Edge("", 0, why, certain))
            self._add_children(name[:-2], "", 0, why, deep=True)
        else:
            self._request(name, Edge("", 0, why, certain))

    def close(self) -> Closure:
        """Follow every edge to its end; raise ModuleMissing if the application cannot be imported."""
        while True:
            self._drain()
            if not self._extensions:
                break
            fresh, self._extensions = self._extensions, []
            for importer, names in sorted(self._observe(fresh).items()):
                for name in names:
                    self._request(name, Edge(importer, 0, "seen when it was loaded", False))
        self._check_missing()
        return self.closure

    def _drain(self) -> None:
        while self._queue:
            found = self.closure.modules[self._queue.popleft()]
            implied = [*hooks.IMPLIED.get(found.name, ()), *hooks.PACKAGES.get(found.name, ())]
            if found.name == "sysconfig":
                implied.append(sysconfig_data_name())
            for name in implied:
                edge = Edge(found.name, 0, "known to need it", False)
                if name.endswith(".*"):
                    self._request(name[:-2], edge)
                    self._add_children(name[:-2], found.name, 0, edge.why, deep=True)
                else:
                    self._when_open(found.name, name, partial(self._request, name, edge))
            if found.kind is Kind.EXTENSION and found.area is not Area.STDLIB:
                self._extensions.append(found)
            if found.path is None or found.kind not in (Kind.SOURCE, Kind.FROZEN):
                continue
            scan = self._scan(found)
            self.closure.scans[found.name] = scan
            package = found.name if found.is_package else found.name.rpartition(".")[0]
            self._follow(found.name, package, found.area, scan)

    def _follow(self, importer: str, package: str, area: Area, scan: Scan) -> None:
        self._mention(importer, scan.mentions, area)
        # An attribute may be reached by ways that a source does not show; an application gets the benefit of doubt.
        is_ours = area is Area.APPLICATION
        self._mention(importer, [a if ":" in a else f"*:{a}" for a in scan.attributes if is_ours or ":" in a], area)
        for item in scan.imports:
            if self._unneeded(item, importer, area, package):
                continue
            follow = partial(self._follow_import, importer, package, item)
            if item.lazy:
                names = [f"{who}:{name}" for name in (*item.lazy, "*") for who in (importer, "*")]
                self._wait(names, f"{importer}.__init__", follow)
            else:
                self._when_open(importer, item.module, follow)
        for prefix, line in scan.prefixes:
            absolute = _absolute(prefix, package)
            if absolute and absolute not in hooks.PREFIX_CUTS and area is not Area.STDLIB:
                self._add_children(absolute, importer, line, "any module of the package by a computed name", deep=False)
        for encoding in scan.encodings:
            self._add_encoding(encoding, importer)
        for group in scan.entry_points:
            if (
                area is not Area.STDLIB
                and group not in self._groups
                and group not in ("console_scripts", "gui_scripts")
            ):
                self._groups.add(group)
                self._add_plugins(group, importer)

    def _unneeded(self, item: Import, importer: str, area: Area, package: str) -> bool:
        if item.flags & MAIN and importer != PROGRAM and not importer.endswith(".__main__"):
            return True
        if item.flags & SELF_TEST and area is Area.STDLIB:
            return True
        if item.flags & GUESSED and item.flags & NAMED and area is Area.STDLIB:
            return True
        if item.instead_of:
            return all(self._surely_loads(_absolute(name, package)) for name in item.instead_of)
        return False

    def _surely_loads(self, name: str) -> bool:
        """Whether `import name` cannot fail: a third-party module may exist and miss what it imports."""
        if not self._exists(name):
            return False
        found = self.resolver.find(name)
        return found is not None and (found.area is Area.STDLIB or found.kind is Kind.EXTENSION)

    def _exists(self, name: str) -> bool:
        try:
            return bool(name) and not self._excluded(name) and self.resolver.find(name) is not None
        except (ModuleMissing, ObjectError):
            return False

    def _follow_import(self, importer: str, package: str, item: Import) -> None:
        module = _absolute(item.module, package)
        if not module:
            return
        certain = not item.flags & (DEFERRED | OPTIONAL | GUESSED)
        edge = Edge(importer, item.line, "a string that names it" if item.flags & GUESSED else "", certain)
        if item.flags & GUESSED and not self._exists(module):
            # "package.module.attribute" names a module too, as a logger's name may name none at all.
            parent = module.rpartition(".")[0]
            if "." not in parent or not self._exists(parent):
                return
            module = parent
        if not self._request(module, edge):
            return
        self._mention(importer, [f"{module}:{name}" for name in item.names], Area.APPLICATION)
        found = self.closure.modules.get(module)
        if found is None or not found.is_package:
            return
        for name in item.names:
            if name == "*":
                continue
            child = f"{module}.{name}"
            if not self._cut(importer, child) and self._exists(child):
                self._request(child, edge)

    def _request(self, name: str, edge: Edge) -> bool:
        """Ask for a module and the packages that it is in; False if it is not to be had."""
        name = ALIASES.get(name, name)
        if name == PROGRAM:
            return False
        parent = name.rpartition(".")[0]
        if self._cut(edge.importer, name) or (parent and not self._request(parent, edge)) or self._excluded(name):
            return False
        known = self.closure.modules.get(name)
        if known is None:
            try:
                found = self.resolver.find(name)
            except ObjectError:
                if edge.certain:
                    raise
                found = None
            if found is None:
                self.closure.missing.setdefault(name, []).append(edge)
                return False
            importer = self.closure.modules.get(edge.importer)
            fresh = not edge.certain and importer is not None and found.top not in self.closure.modules
            if fresh and importer is not None and not self._declares(importer, found):
                self.closure.undeclared.setdefault(name, []).append(edge)
                self._undeclared.setdefault(found.top, []).append(partial(self._request, name, edge))
                return False
            self.closure.modules[name] = found
            self._queue.append(name)
            if name == found.top:
                for follow in self._undeclared.pop(name, ()):
                    follow()
                self.closure.undeclared.pop(name, None)
        edges = self.closure.edges.setdefault(name, [])
        if edge.importer != name and edge not in edges:
            edges.append(edge)
        return True

    def _excluded(self, name: str) -> bool:
        return any(name == item or name.startswith(item.removesuffix(".*") + ".") for item in self._exclude)

    def _cut(self, importer: str, module: str) -> bool:
        wild = module.rpartition(".")[0] + ".*"
        return (importer, module) in self._cuts or (importer, wild) in self._cuts or (importer, "*") in self._cuts

    def _when_open(self, importer: str, module: str, follow: Callable[[], object]) -> None:
        """Follow an edge now, or as soon as its gate (hooks.GATES) opens."""
        top = importer.partition(".")[0]
        gate = hooks.GATES.get((importer, module)) or hooks.GATES.get((f"{top}.*", module))
        self._wait(gate or (), top, follow)

    def _wait(self, gate: Iterable[str], inside: str, follow: Callable[[], object]) -> None:
        """Call `follow` once a module that is not `inside`, and not below it, mentions a name of `gate`; now, if it
        is empty."""
        names = tuple(gate)
        if not names or any(not _is_inside(user, inside) for name in names for user in self._mentions.get(name, ())):
            follow()
            return
        for name in names:
            self._gated.setdefault(name, []).append((inside, follow))

    def _mention(self, importer: str, names: Iterable[str], area: Area) -> None:
        for name in names:
            if name in hooks.OUTSIDE_NAMES and (area is Area.STDLIB or importer.startswith("sarab.")):
                continue  # sarab's own network serves whoever needs one of these, and needs none
            self._mentions.setdefault(name, set()).add(importer)
            waiting = [entry for entry in self._gated.get(name, ()) if not _is_inside(importer, entry[0])]
            for entry in waiting:
                self._gated[name].remove(entry)
                entry[1]()

    def _add_children(self, package: str, importer: str, line: int, why: str, *, deep: bool) -> None:
        found = self.resolver.find(package) if self._exists(package) else None
        if found is None or found.search is None:
            return
        for name in children(found.search):
            child = f"{package}.{name}"
            if (name in hooks.TEST_MODULES and package != "test") or not self._exists(child):
                continue
            self._request(child, Edge(importer, line, why, False))
            if deep:
                self._add_children(child, importer, line, why, deep=True)

    def _add_encoding(self, encoding: str, importer: str) -> None:
        name = encoding.lower().replace("-", "_").replace(" ", "_")
        module = "encodings." + encodings.aliases.aliases.get(name, name)
        if name.replace("_", "").isalnum() and self._exists(module):
            self._request(module, Edge(importer, 0, f"the encoding {encoding!r}", False))

    def _add_plugins(self, group: str, importer: str) -> None:
        from importlib.metadata import distributions

        for distribution in distributions(path=list(self.resolver.interpreter.search_path)):
            for point in distribution.entry_points:
                if point.group == group:
                    self._request(point.module, Edge(importer, 0, f"a plug-in for {group!r}", False))

    def _check_missing(self) -> None:
        """What is missing is an error if importing the program must import it, else a warning at most."""
        certain: set[str] = {PROGRAM, ""}
        queue = deque(certain)
        followers: dict[str, list[str]] = {}
        for module, edges in self.closure.edges.items():
            for edge in edges:
                if edge.certain:
                    followers.setdefault(edge.importer, []).append(module)
        while queue:
            for module in followers.get(queue.popleft(), ()):
                if module not in certain:
                    certain.add(module)
                    queue.append(module)
        for name, edges in sorted(self.closure.missing.items()):
            for edge in edges:
                if edge.certain and edge.importer in certain and self._is_fault(name, edge):
                    raise ModuleMissing(self._missing_sentence(name, edge))
        for name, edges in sorted(self.closure.missing.items()):
            ours = [edge for edge in edges if edge.why == "" and self._is_ours(edge.importer)]
            if ours and "." not in name:
                self.closure.warnings.append(
                    f"{name} was not found; {self._place(ours[0])} imports it where its absence may be meant."
                )

    def _is_ours(self, importer: str) -> bool:
        found = self.closure.modules.get(importer)
        return importer in (PROGRAM, "") or (found is not None and found.area is Area.APPLICATION)

    def _is_fault(self, name: str, edge: Edge) -> bool:
        """Packages may make submodules as they run (six.moves): what is missing is sure only in our own packages."""
        parent = self.closure.modules.get(name.rpartition(".")[0])
        if edge.importer == "" or "." not in name:
            return True
        return parent is not None and parent.area is Area.APPLICATION

    def _missing_sentence(self, name: str, edge: Edge) -> str:
        if edge.importer == "":
            return f"There is no module {name} ({edge.why})."
        chain = [self._place(edge)]
        step = edge.importer
        for _, came in reversed(self.closure.explain(step)):
            if came is not None and came.importer and len(chain) < 6:
                chain.append(self._place(came))
        text = f"There is no module {name}: {chain[0]} imports it"
        if len(chain) > 1:
            text += ", itself imported by " + ", imported by ".join(chain[1:])
        top = name.partition(".")[0]
        return f'{text}. Install it beside the interpreter that runs sarab, or leave it out with exclude = ["{top}"].'

    def _place(self, edge: Edge) -> str:
        found = self.closure.modules.get(edge.importer)
        where = (
            edge.importer if found is None or found.area is not Area.APPLICATION else os.path.basename(found.path or "")
        )
        where = "the program" if where == PROGRAM else where
        return f"{where} (line {edge.line})" if edge.line else where


def children(search: Iterable[str]) -> list[str]:
    """The names of the modules and packages directly inside of a package, sorted."""
    names: set[str] = set()
    for folder in search:
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        for entry in entries:
            stem, dot, suffix = entry.name.partition(".")
            if not stem.replace("-", "_").isidentifier() or stem in ("__init__", "__pycache__"):
                continue
            if entry.is_dir() and not dot:
                if os.path.exists(os.path.join(entry.path, "__init__.py")):
                    names.add(stem)
            elif dot and (suffix in ("py", "pyc") or suffix.endswith("so")):
                names.add(stem)
    return sorted(names)


def sysconfig_data_name() -> str:
    """The module of build variables that sysconfig imports by a computed name."""
    name: str = getattr(sysconfig, "_get_sysconfigdata_name")()  # noqa: B009 - private, and the only place that knows
    return name


def _is_inside(module: str, package: str) -> bool:
    """Whether `module` is in `package`; for the name of a package with `.__init__`, whether it is that module alone."""
    own = package.removesuffix(".__init__")
    return module == own or (own == package and module.startswith(own + "."))


def _absolute(module: str, package: str) -> str:
    """The absolute name of `module` imported in `package`; empty if it climbs out of the top."""
    name = module.lstrip(".")
    level = len(module) - len(name)
    if level == 0:
        return name
    parts = package.split(".") if package else []
    if level > len(parts):
        return ""
    base = ".".join(parts[: len(parts) - level + 1])
    return f"{base}.{name}" if name else base
