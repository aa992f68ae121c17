"""The whole of `sarab build`: an application specification in, an image out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sarab.build.errors import BuildError


@dataclass(frozen=True)
class BuildOptions:
    """How to build; every field has the default that `sarab build SPEC` has."""

    output: Path | None = None
    """Where the image goes; None is NAME.elf in the working directory."""
    kernel: Path | None = None
    """Another kernel ELF than the one in the wheel."""
    with_source: bool = False
    """Keep .py files beside the bytecode, so that tracebacks show lines."""
    seal: bool = False
    """Seal the address space before the application's first line (decision 0003)."""
    include: tuple[str, ...] = ()
    """More modules: `name`, or `name.*` for a package with everything in it."""
    exclude: tuple[str, ...] = ()
    """Modules that are left out, with their submodules."""
    tmp: str | None = None
    """Bound of /tmp: `16M`, `64K`, ...; None is the kernel's default."""
    environment: tuple[tuple[str, str], ...] = ()
    """Environment variables baked into the image."""
    arguments: tuple[str, ...] = ()
    """Arguments baked into the image, before those of the kernel's command line."""
    kernel_options: tuple[str, ...] = ()
    """Kernel options baked into the image (`trace`, `marks`)."""
    cache: Path | None = None
    """The cache's folder; None is $SARAB_CACHE, else ~/.cache/sarab."""
    progress: Callable[[str], None] | None = field(default=None, compare=False)
    """Called with a few words whenever a step begins."""


@dataclass(frozen=True)
class BuildResult:
    """What was built."""

    image: Path
    size: int
    """Bytes."""
    module_count: int
    file_count: int
    seconds: float
    warnings: tuple[str, ...]
    """Sentences that the person should see: optional imports that were not found and the like."""


def build(spec: str, options: BuildOptions) -> BuildResult:
    """Build the application `spec` (file.py, package.module:function, `-m package` or a directory) into an image.

    Raises BuildError (sarab.build.errors) with one sentence for whatever the person can mend.
    """
    raise BuildError("the builder is not finished")
