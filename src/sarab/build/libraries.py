"""Which shared libraries an image needs and where they go, found as glibc's ld.so finds them (ld.so(8)).

An object that names a library by a path relative to itself ($ORIGIN, as the wheels do) keeps the library at that
relative place. Every other library goes to /lib, and /etc/ld.so.cache says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from sarab.build import elf, ldcache
from sarab.build.errors import Malformed, ObjectError
from sarab.build.tree import File, Tree

LIBRARIES = "/lib"
CACHE = "/etc/ld.so.cache"
HOST_CACHE = Path("/etc/ld.so.cache")
DEFAULT_DIRECTORIES = ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib")


@dataclass
class _Loaded:
    """An object that is in the image: as it was on this machine, and the chain of objects that loads it."""

    host: str
    image: str
    object: elf.Object
    parent: _Loaded | None


@dataclass
class Libraries:
    """Collects objects into `tree`; `strip` maps bytes and a name to stripped bytes (the builder caches it)."""

    tree: Tree
    strip: Callable[[bytes, str], bytes]
    by_soname: dict[str, str] = field(default_factory=dict)
    """What the cache of the image's ld.so says."""
    sources: dict[str, str] = field(default_factory=dict)
    """Image path -> the file on this machine."""
    interpreter: str | None = None
    """The dynamic linker's path in the image."""
    program: list[str] = field(default_factory=list)
    """What the program is loaded with: the dynamic linker and the libraries it needs."""
    _loaded: dict[str, _Loaded] = field(default_factory=dict)
    _global: dict[str, str] = field(default_factory=dict)
    """Names that the program itself brings: every later need of one is met by it."""
    _host_cache: dict[str, str] | None = None
    _passed_over: dict[str, str] = field(default_factory=dict)
    """Library -> the first file of its name that is for another machine."""
    _root: _Loaded | None = None

    def add_program(self, host: str, image: str) -> None:
        """Add the program, its dynamic linker and its libraries. Call it once, before `add`."""
        loaded = self._add(host, image, None)
        self._root = loaded
        linker = loaded.object.interpreter
        if linker is None:
            return
        self.interpreter = linker
        self._global[os.path.basename(linker)] = linker
        self._put(os.path.realpath(linker), linker)
        self._need(loaded)
        self._global.update(self.by_soname)
        self.program = sorted(path for path in self.sources if path != image)

    def add(self, host: str, image: str) -> None:
        """Add an extension module, or a library that is opened by name, and what it needs."""
        self._need(self._add(host, image, self._root))

    def add_by_name(self, soname: str) -> bool:
        """Add a library that something opens by name at run time; False if this machine has none."""
        if soname in self.by_soname:
            return True
        root = self._root
        found = self._search(soname, root) if root else None
        if root is None or found is None:
            return False
        self.by_soname[soname] = f"{LIBRARIES}/{soname}"
        self._need(self._add(found[0], f"{LIBRARIES}/{soname}", root))
        return True

    def write_cache(self) -> None:
        if self.interpreter is not None and self.by_soname:
            self.tree.add(CACHE, File(ldcache.write(self.by_soname)))

    def _add(self, host: str, image: str, parent: _Loaded | None) -> _Loaded:
        known = self._loaded.get(image)
        if known is not None:
            return known
        return self._put(host, image, parent)

    def _put(self, host: str, image: str, parent: _Loaded | None = None) -> _Loaded:
        try:
            data = Path(host).read_bytes()
        except OSError as error:
            raise ObjectError(f"{host} cannot be read: {error.strerror}.") from error
        try:
            loaded = _Loaded(host, image, elf.read(data, host), parent)
        except Malformed as error:
            raise ObjectError(str(error)) from error
        self._check_libc(loaded)
        self._loaded[image] = loaded
        self.tree.add(image, File(self.strip(data, host), executable=True))
        self.sources[image] = host
        return loaded

    def _need(self, loaded: _Loaded) -> None:
        """Add what `loaded` needs, breadth first as ld.so does."""
        queue = [loaded]
        while queue:
            user = queue.pop(0)
            for name in user.object.needed:
                if name in self._global or (name in self.by_soname and not user.object.rpath + user.object.runpath):
                    continue
                found = self._search(name, user)
                if found is None:
                    raise ObjectError(self._missing(name, user))
                host, relative = found
                real = os.path.realpath(host)
                if name in self.by_soname and self.sources.get(self.by_soname[name]) == real:
                    continue
                image = self._place(name, real, relative, user)
                if image in self._loaded:
                    continue
                queue.append(self._put(real, image, user))

    def _missing(self, name: str, user: _Loaded) -> str:
        passed_over = self._passed_over.get(os.path.basename(name))
        if passed_over is not None:
            try:
                elf.read(Path(passed_over).read_bytes(), passed_over)
            except (ObjectError, Malformed, OSError) as error:
                return f"{user.host} needs the library {name}: {error}"
        return f"{user.host} needs the library {name}, and this machine has none."

    def _place(self, name: str, real: str, relative: str | None, user: _Loaded) -> str:
        """Where a library goes: beside its user if that is how it was found, else into /lib."""
        if relative is not None:
            return os.path.normpath(str(PurePosixPath(user.image).parent / relative / name))
        image = self.by_soname.get(name, f"{LIBRARIES}/{name}")
        if image in self.sources and self.sources[image] != real:
            raise ObjectError(
                f"{user.host} needs {name} from {real}, and another part of the image "
                f"has it from {self.sources[image]}."
            )
        self.by_soname[name] = image
        return image

    def _search(self, name: str, user: _Loaded) -> tuple[str, str | None] | None:
        """The file that ld.so would load for `user`, and the $ORIGIN-relative folder if one named it."""
        if "/" in name:
            return (name, None) if self._fits(name) else None
        folders: list[tuple[_Loaded, str]] = []
        if not user.object.runpath:
            above: _Loaded | None = user
            while above is not None:
                if not above.object.runpath:
                    folders += [(above, path) for path in above.object.rpath]
                above = above.parent
        folders += [(user, path) for path in user.object.runpath]
        for owner, folder in folders:
            origin = os.path.dirname(os.path.realpath(owner.host))
            real = (
                folder.replace("${ORIGIN}", "$ORIGIN")
                .replace("$ORIGIN", origin)
                .replace("$LIB", "lib/x86_64-linux-gnu")
            )
            candidate = os.path.join(real, name)
            if self._fits(candidate):
                relative = None
                if "ORIGIN" in folder:
                    here = os.path.dirname(user.image) or "/"
                    there = os.path.normpath(os.path.join(os.path.dirname(owner.image), os.path.relpath(real, origin)))
                    relative = os.path.relpath(there, here)
                return candidate, relative
        cached = self.host_cache.get(name)
        if cached and self._fits(cached):
            return cached, None
        for folder in DEFAULT_DIRECTORIES:
            if self._fits(os.path.join(folder, name)):
                return os.path.join(folder, name), None
        return None

    @property
    def host_cache(self) -> dict[str, str]:
        if self._host_cache is None:
            try:
                self._host_cache = ldcache.read(HOST_CACHE.read_bytes())
            except (OSError, Malformed):
                self._host_cache = {}
        return self._host_cache

    def _fits(self, path: str) -> bool:
        """ld.so passes over a file of another class or machine and looks further."""
        try:
            with open(path, "rb") as file:
                head = file.read(20)
        except OSError:
            return False
        if head[:5] == b"\x7fELF\x02" and head[18:20] == b"\x3e\x00":
            return True
        self._passed_over.setdefault(os.path.basename(path), path)
        return False

    def _check_libc(self, loaded: _Loaded) -> None:
        root = self._root
        if root is None:
            return
        ours = "musl" if "musl" in (root.object.interpreter or "") else "glibc"
        wants_musl = any("musl" in name for name in loaded.object.needed)
        wants_glibc = "libc.so.6" in loaded.object.needed
        theirs = "musl" if wants_musl else "glibc" if wants_glibc else ours
        if theirs != ours:
            raise ObjectError(
                f"{loaded.host} is built for {theirs}, and the interpreter for {ours}: they cannot be mixed."
            )
