"""The interpreter that runs `sarab build`: where its parts are on this machine and where they go in an image."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
PREFIX = "/usr"
EXECUTABLE = f"{PREFIX}/bin/python{VERSION}"
STDLIB = f"{PREFIX}/lib/python{VERSION}"
DYNLOAD = f"{STDLIB}/lib-dynload"
SITE_PACKAGES = f"{STDLIB}/site-packages"
APPLICATION = "/app"


@dataclass(frozen=True)
class Interpreter:
    """A CPython installation: any layout, inside or outside of a virtual environment."""

    executable: Path
    """The real file, with every symbolic link of a virtual environment followed."""
    stdlib: Path
    dynload: Path
    site_directories: tuple[Path, ...]
    """Every folder of third-party modules, in the order in which imports look there."""

    @classmethod
    def running(cls) -> Interpreter:
        """The interpreter of this process."""
        executable = Path(
            os.path.realpath(sys._base_executable if hasattr(sys, "_base_executable") else sys.executable)
        )
        stdlib = Path(os.path.realpath(sysconfig.get_path("stdlib", vars=_base_variables())))
        dynload = next(
            (Path(p) for p in sys.path if os.path.basename(p) == "lib-dynload" and os.path.isdir(p)),
            stdlib / "lib-dynload",
        )
        inside = {str(stdlib), str(dynload)}
        candidates = [*site.getsitepackages()]
        if site.ENABLE_USER_SITE:
            candidates.insert(0, site.getusersitepackages())
        known = [p for p in sys.path if _is_site_directory(p)]
        directories: list[Path] = []
        for path in [*known, *candidates]:
            real = os.path.realpath(path)
            if os.path.isdir(real) and real not in inside and Path(real) not in directories:
                directories.append(Path(real))
        return cls(executable, stdlib, dynload, tuple(directories))

    @cached_property
    def search_path(self) -> list[str]:
        """What `sys.path` would be, without the application's own folder."""
        return [str(self.stdlib), str(self.dynload), *map(str, self.site_directories)]

    def is_stdlib(self, path: str) -> bool:
        """Whether the file is one of the standard library (and not of site-packages below it)."""
        if not path.startswith((str(self.stdlib) + os.sep, str(self.dynload) + os.sep)):
            return False
        return "site-packages" not in path and "dist-packages" not in path


def _base_variables() -> dict[str, str]:
    return {"base": sys.base_prefix, "installed_base": sys.base_prefix, "platbase": sys.base_exec_prefix}


def _is_site_directory(path: str) -> bool:
    """Besides site-packages, what `.pth` files (editable installs) and PYTHONPATH added; not the folder of sarab's own
    script, which is the first."""
    if not path or not os.path.isdir(path):
        return False
    real = os.path.realpath(path)
    base = os.path.realpath(os.path.join(sys.base_prefix, "lib", f"python{VERSION}"))
    if real == base or real.startswith(base + os.sep):
        return "site-packages" in real or "dist-packages" in real
    return os.path.basename(real) != "lib-dynload" and path != sys.path[0]
