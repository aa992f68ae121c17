"""The whole of `sarab build`: an application specification in, an image out."""

from __future__ import annotations

import hashlib
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sarab.build import elf, image, sarabfs
from sarab.build.analysis import Analysis, analyse
from sarab.build.cache import Cache
from sarab.build.closure import Closure
from sarab.build.errors import BuildError
from sarab.build.interpreter import EXECUTABLE
from sarab.build.pack import START_FILE, Packer, start_file
from sarab.build.spec import parse
from sarab.build.tree import File

KERNEL = Path(__file__).with_name("kernel.elf")


@dataclass(frozen=True)
class BuildOptions:
    """How to build; every field has the default that `sarab build SPEC` has."""

    output: Path | None = None
    """Where the image goes; None is NAME.elf in the working directory."""
    kernel: Path | None = None
    """Another kernel ELF than the one in the wheel."""
    with_source: bool = False
    """Keep .py files beside the bytecode, so that tracebacks show lines."""
    compress: bool = False
    """A smaller file that starts later (decision 0001)."""
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
    sizes: dict[str, int]
    """Bytes by package, largest first."""
    closure: Closure
    """Why every module is in."""


def build(spec: str, options: BuildOptions) -> BuildResult:
    """Build the application `spec` (file.py, package.module:function, `-m package` or a directory) into an image.

    Raises BuildError (sarab.build.errors) with one sentence for whatever the person can mend.
    """
    began = time.monotonic()
    progress = options.progress or (lambda _: None)
    cache = Cache(options.cache)
    progress("reading the application")
    application = parse(spec)
    output = options.output or Path(f"{application.name}.elf")
    kernel = _read_kernel(options.kernel)
    analysis = analyse(
        application, cache, options.include, options.exclude, options.seal, options.with_source, progress
    )
    packer = Packer(analysis, cache, options.with_source, progress)
    packed = packer.pack()
    kernel_options = options.kernel_options + (("seal",) if options.seal else ())
    start = start_file(analysis, options.environment, options.arguments, options.tmp, kernel_options)
    packed.tree.add(START_FILE, File(start))
    progress("writing the image")
    manifest = _manifest(options, kernel, analysis, packer)
    data = image.assemble(kernel, sarabfs.write(packed.tree), manifest, compress=options.compress)
    image.write(output, data)
    cache.prune()
    packed.sizes["kernel"] += sum(segment.filesz for segment in elf.read(kernel, "The kernel").loads)
    return BuildResult(
        output,
        len(data),
        packed.module_count,
        len(packed.tree.entries),
        time.monotonic() - began,
        tuple(analysis.closure.warnings),
        dict(packed.sizes.most_common()),
        analysis.closure,
    )


def explain(spec: str, module: str, options: BuildOptions) -> tuple[list[str], bool]:
    """Lines that say why `module` is in the image of `spec`, and whether it is. Raises BuildError."""
    cache = Cache(options.cache)
    analysis = analyse(parse(spec), cache, options.include, options.exclude, options.seal, options.with_source)
    closure = analysis.closure
    chain = closure.explain(module)
    if not chain and module in closure.undeclared:
        optional = closure.undeclared[module][0]
        return [
            f"{module} is not in the image: {optional.importer} (line {optional.line}) can do without it, "
            "and its distribution does not name it as a dependency. Add it with --include, if it is meant."
        ], False
    if not chain:
        if module in closure.missing:
            importers = sorted({edge.importer for edge in closure.missing[module]})
            return [f"{module} is not in the image: it was not found. Imported by {', '.join(importers)}."], False
        return [f"{module} is not in the image: nothing in it imports {module}."], False
    lines = [analysis.application.target if chain[0][0] == "__main__" else chain[0][0] or "the image"]
    for depth, (name, edge) in enumerate(chain[1:], 1):
        reason = f"line {edge.line}" if edge and edge.line else ""
        if edge and edge.why:
            reason = f"{reason}, {edge.why}" if reason else edge.why
        lines.append(f"{'  ' * depth}{name} ({reason})")
    return lines, True


def _read_kernel(path: Path | None) -> bytes:
    place = path or KERNEL
    try:
        return place.read_bytes()
    except OSError as error:
        if path is None and not place.exists():
            raise BuildError(
                "This checkout has no kernel yet: run `make kernel` (a wheel of sarab brings one)."
            ) from error
        raise BuildError(f"The kernel {place} cannot be read: {error.strerror}.") from error


def _manifest(options: BuildOptions, kernel: bytes, analysis: Analysis, packer: Packer) -> dict[str, Any]:
    packed = packer.packed
    executable = packed.tree.entries[EXECUTABLE]
    assert isinstance(executable, File)
    return {
        "format": 1,
        "sarab": sarab_version(),
        "kernel": {"version": sarab_version() if options.kernel is None else "other", "sha256": _sha256(kernel)},
        "interpreter": {
            "implementation": sys.implementation.name,
            "version": platform.python_version(),
            "sha256": _sha256(executable.data),
        },
        "libc": packed.libc,
        "application": {
            "name": analysis.application.name,
            "kind": analysis.application.kind,
            "target": analysis.application.target,
        },
        "modules": packed.module_count,
        "files": len(packed.tree.entries),
        "devices": [],
        "distributions": packer.distributions(),
        "inputs": packed.inputs,
        "options": {
            "with_source": options.with_source,
            "compress": options.compress,
            "seal": options.seal,
            "tmp": options.tmp,
            "include": [*analysis.application.include, *options.include],
            "exclude": [*analysis.application.exclude, *options.exclude],
            "environment": [f"{name}={value}" for name, value in options.environment],
            "arguments": list(options.arguments),
            "kernel_options": list(options.kernel_options),
        },
    }


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sarab_version() -> str:
    """The version of the sarab that is running; `0` in a checkout that nobody installed."""
    try:
        return version("sarab")
    except PackageNotFoundError:
        return "0"
