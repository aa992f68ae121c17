"""From a closure to the files of an image: the writing half of a build."""

from __future__ import annotations

import hashlib
import importlib.util
import marshal
import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sarab.build import contents, elf, hooks
from sarab.build.analysis import Analysis, read_file
from sarab.build.bytecode import compile_source
from sarab.build.cache import Cache
from sarab.build.closure import PROGRAM
from sarab.build.errors import ObjectError, SyntaxFault
from sarab.build.interpreter import APPLICATION, EXECUTABLE, SITE_PACKAGES, STDLIB
from sarab.build.lean import lean_name
from sarab.build.libraries import Libraries
from sarab.build.marshalled import canonical
from sarab.build.resolve import Area, Found, Kind
from sarab.build.tree import File, Tree
from sarab.runtime import start as runtime_start

START = "/boot/start.pyc"
START_SOURCE = "/boot/start.py"
START_FILE = "/boot/start"
OBJECTS_FILE = "/boot/objects"
MODULES_FILE = "/boot/modules"
ENVIRONMENT = (("LC_ALL", "C"), ("HOME", "/tmp"))
"""C is the one locale that needs no file, and Python's text is UTF-8 in it (PEP 540). LC_ALL, so that Python looks for
no other (PEP 538)."""
USERS = {
    "/etc/passwd": b"root:x:0:0:root:/tmp:\nnobody:x:65534:65534:nobody:/:\n",
    "/etc/shadow": b"root:*:::::::\nnobody:*:::::::\n",
    "/etc/group": b"root:x:0:\nnogroup:x:65534:\n",
}
"""Whom the C library finds: the program's user, whose home is HOME, and nobody. No password opens either, no shell."""
PYTHON_FLAGS = ("-S", "-P", "-s", "-B", "-X", "frozen_modules=on")


@dataclass
class Packed:
    """The files of an image and what is said about them."""

    tree: Tree = field(default_factory=Tree)
    sizes: Counter[str] = field(default_factory=Counter)
    """Bytes by package, for the report."""
    inputs: dict[str, str] = field(default_factory=dict)
    """Build input -> SHA-256, in hexadecimal."""
    module_count: int = 0
    libc: str = "none"


class Packer:
    """Fills one Packed from one Analysis."""

    def __init__(self, analysis: Analysis, cache: Cache, with_source: bool, progress: Callable[[str], None]) -> None:
        self.analysis = analysis
        self.packed = Packed()
        self._cache = cache
        self._with_source = with_source
        self._progress = progress
        self._tree = self.packed.tree
        self._libraries = Libraries(self._tree, elf.strip)
        wired = analysis.closure.modules.get(analysis.wired_module or "")
        self._wired_path = wired.image_path if wired is not None else None
        """Of the module of a wired application, of which an image has only what runs."""
        self._digests: dict[str, list[tuple[str, bytes]]] = {}
        self._index: dict[str, tuple[str, str, int]] = {}
        """For MODULES_FILE: module -> the folder that is searched for it, the file below that, and its size in bytes
        (0: it is no bytecode)."""

    def pack(self) -> Packed:
        """Everything but the start file, which depends on more than the closure."""
        self._progress("interpreter")
        self._libraries.add_program(str(self.analysis.interpreter.executable), EXECUTABLE)
        self._add_start()
        self._progress(f"{len(self.analysis.closure.modules)} modules")
        for found in sorted(self.analysis.closure.modules.values(), key=lambda f: f.name):
            self._add_module(found)
        application = self.analysis.application
        if application.script is not None:
            path = f"{APPLICATION}/{application.target}"
            self._add_source(path, self.analysis.sources[PROGRAM], str(application.script), "application")
            self.packed.module_count += 1
        self._add_data()
        self._add_libraries()
        self._tree.add_directory(APPLICATION)
        self._tree.add_directory(SITE_PACKAGES)
        self._tree.add_directory(f"{STDLIB}/lib-dynload")  # a landmark: without it CPython warns about its prefix
        if not self._with_source:
            table = tuple((name, *place) for name, place in sorted(self._index.items()))
            self._tree.add(MODULES_FILE, File(canonical(marshal.dumps(table))))
        self._finish_inputs()
        return self.packed

    def objects(self) -> list[str]:
        """Shared objects that are loaded after the program has started."""
        return sorted(path for path in self._libraries.sources if path not in (EXECUTABLE, self._libraries.interpreter))

    def _add_start(self) -> None:
        source = read_file(str(Path(runtime_start.__file__).with_suffix(".py")))
        self._tree.add(START, File(self._compile(START_SOURCE, source, "start.py")))
        if self._with_source:
            self._tree.add(START_SOURCE, File(source))
        for path, lines in USERS.items():
            self._tree.add(path, File(lines))

    def _add_module(self, found: Found) -> None:
        package = self._package(found)
        if found.kind in (Kind.SOURCE, Kind.EXTENSION, Kind.BYTECODE):
            self.packed.module_count += 1
        # A frozen module needs no file, but for the landmark os: with sources it has one, for whoever wants to read it.
        has_file = found.path is not None and (found.name == "os" or self._with_source)
        if found.kind is Kind.SOURCE or (found.kind is Kind.FROZEN and has_file):
            source, shown = self.analysis.source(found), found.path or found.name
            try:
                self._add_source(found.image_path, source, shown, package, lean_name(found))
            except SyntaxFault:
                # Packages bring files for other Pythons, and whoever imports one of them here gets the same error.
                if found.area is Area.APPLICATION:
                    raise
                self.packed.module_count -= 1
                if self._with_source:
                    self._put(found.image_path, source, package, shown)
            else:
                if found.kind is Kind.SOURCE:
                    self._add_to_index(found, found.image_path + "c")
        elif found.kind is Kind.BYTECODE:
            data = read_file(found.path or "")
            if data[:4] != importlib.util.MAGIC_NUMBER:
                raise ObjectError(f"{found.path} is bytecode of another Python than {sys.version.split()[0]}.")
            self._put(found.image_path + "c", data, package, found.path or "")
            self._add_to_index(found, found.image_path + "c")
        elif found.kind is Kind.EXTENSION:
            before = self._tree.size()
            try:
                self._libraries.add(found.path or "", found.image_path)
            except ObjectError as error:
                raise ObjectError(f"{str(error).rstrip('.')} (the module {found.name}).") from error
            self.packed.sizes[package] += self._tree.size() - before
            self._add_to_index(found, found.image_path)
        elif found.kind is Kind.NAMESPACE:
            self._tree.add_directory(os.path.dirname(found.image_path))

    def _add_to_index(self, found: Found, path: str) -> None:
        """Say where the interpreter would find a module, for which it would have to look into every folder."""
        entry = self._tree.entries.get(path)
        if isinstance(entry, File):
            parts = path.split("/")
            at = -2 if found.is_package else -1
            size = 0 if found.kind is Kind.EXTENSION else len(entry.data)
            self._index[found.name] = "/".join(parts[:at]), "/".join(parts[at:]), size

    def _add_source(self, path: str, source: bytes, shown: str, package: str, lean_as: str = "") -> None:
        bytecode = self._compile(path, source, shown, lean_as)
        if self._with_source:
            folder, _, name = path.rpartition("/")
            cached = f"{folder}/__pycache__/{name.removesuffix('.py')}.{sys.implementation.cache_tag}.pyc"
            self._put(path, source, package, shown)
            self._put(cached, bytecode, package, None)
        else:
            # A script may be called otherwise than .py; the interpreter finds either by these names.
            self._put(f"{path.removesuffix('.py')}.pyc", bytecode, package, None)
            self._digests.setdefault(package, []).append((path, hashlib.sha256(source).digest()))

    def _compile(self, path: str, source: bytes, shown: str, lean_as: str = "") -> bytes:
        target, is_wired = self.analysis.target, path == self._wired_path
        adapted = f"{target} {is_wired} {self._with_source} {lean_as}"
        key = self._cache.key("bytecode 8", importlib.util.MAGIC_NUMBER, sys.version, adapted, path, source)
        kept = self._cache.get(key)
        if kept is None:
            kept = compile_source(source, path, shown, target, is_wired, self._with_source, lean_as)
            self._cache.put(key, kept)
        return kept

    def _put(self, path: str, data: bytes, package: str, source: str | None, executable: bool = False) -> None:
        self._tree.add(path, File(data, executable))
        self.packed.sizes[package] += len(data)
        if source is not None:
            self._digests.setdefault(package, []).append((path, hashlib.sha256(data).digest()))

    def _add_data(self) -> None:
        closure = self.analysis.closure
        for path, source in contents.package_data(closure, self._with_source):
            if path not in self._tree:
                self._put(path, read_file(source), self._package_of_path(path), source)
        for path, source in contents.application_data(self.analysis.application):
            if path not in self._tree:
                self._put(path, read_file(source), "application", source)
        if contents.wants_metadata(closure):
            for distribution in self.analysis.distributions.of(closure):
                for path, data in contents.metadata(distribution):
                    self._put(path, data, distribution.name, path)

    def _add_libraries(self) -> None:
        before = self._tree.size()
        for module, names in sorted(hooks.LIBRARIES.items()):
            if module in self.analysis.closure.modules:
                for name in names:
                    self._libraries.add_by_name(name)
        self._libraries.write_cache()
        self.packed.sizes["shared libraries"] += self._tree.size() - before
        interpreter = [EXECUTABLE, *self._libraries.program]
        self.packed.sizes["interpreter"] += sum(
            len(entry.data) for path in interpreter if isinstance(entry := self._tree.entries.get(path), File)
        )
        self._tree.add(OBJECTS_FILE, File("".join(f"{path}\n" for path in self.objects()).encode()))
        linker = self._libraries.interpreter or ""
        self.packed.libc = "musl" if "musl" in linker else "glibc" if linker else "none"

    def _package(self, found: Found) -> str:
        if found.area is Area.APPLICATION:
            return "application"
        return "standard library" if found.area is Area.STDLIB else found.top

    def _package_of_path(self, path: str) -> str:
        if path.startswith(SITE_PACKAGES + "/"):
            return path[len(SITE_PACKAGES) + 1 :].partition("/")[0]
        return "application"

    def _finish_inputs(self) -> None:
        for package, digests in self._digests.items():
            total = hashlib.sha256()
            for path, digest in sorted(digests):
                total.update(path.encode() + b"\0" + digest)
            self.packed.inputs[package] = total.hexdigest()
        for path in self._libraries.sources:
            entry = self._tree.entries[path]
            if isinstance(entry, File):
                self.packed.inputs[path] = hashlib.sha256(entry.data).hexdigest()

    def distributions(self) -> list[dict[str, Any]]:
        return [{"name": d.name, "version": d.version} for d in self.analysis.distributions.of(self.analysis.closure)]


def start_file(
    analysis: Analysis,
    environment: tuple[tuple[str, str], ...],
    arguments: tuple[str, ...],
    tmp: str | None,
    kernel_options: tuple[str, ...],
) -> bytes:
    """/boot/start, decision 0002."""
    application = analysis.application
    target = f"{APPLICATION}/{application.target}" if application.kind == "script" else application.target
    words = [EXECUTABLE, *PYTHON_FLAGS, START, application.kind, target, *arguments]
    lines = [f"exec {EXECUTABLE}", *(f"arg {word}" for word in words)]
    lines += [f"env {name}={value}" for name, value in {**dict(ENVIRONMENT), **dict(environment)}.items()]
    lines.append(f"cwd {APPLICATION}")
    if tmp is not None:
        lines.append(f"tmp {tmp}")
    lines += [f"option {option}" for option in kernel_options]
    for line in lines:
        if "\n" in line or "\0" in line:
            raise ObjectError(f"{line!r} holds a line break, and the start file of an image cannot.")
    return "".join(line + "\n" for line in lines).encode()
