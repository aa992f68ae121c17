"""The whole of `sarab build`: an application specification in, an image out."""

from __future__ import annotations

import hashlib
import platform
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sarab.build import elf, image, pieces, sarabfs, typecheck, wired
from sarab.build.analysis import Analysis, analyse
from sarab.build.cache import Cache
from sarab.build.closure import Closure
from sarab.build.errors import BuildError
from sarab.build.interpreter import EXECUTABLE
from sarab.build.pack import START_FILE, Packer, start_file
from sarab.build.plan import SECRET
from sarab.build.spec import Application, parse
from sarab.build.target import Target
from sarab.build.tree import File
from sarab.build.wired import Wired

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
    compress: bool | None = None
    """All (the smallest file, which starts later), nothing (False), or what costs little (None): decision 0001."""
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
    keys: tuple[tuple[str, str], ...] = ()
    """Keys of a wired application (decision 0060), as texts: constants of the image."""
    bake_secrets: bool = False
    """Whether a key that is a secret may be one of them."""
    reserved: frozenset[str] = field(default=frozenset(), repr=False)
    """What no key can be called: options of the command line."""
    types: bool = True
    """Check the types of a wired application, if mypy is installed."""
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


@dataclass(frozen=True)
class Checked:
    """An application that could be packed."""

    application: Application
    """As it was named."""
    wired: Wired | None
    analysis: Analysis
    warnings: tuple[str, ...]

    @property
    def name(self) -> str:
        """What the image is called: as its file, if the application does not call itself something else."""
        if self.wired is not None:
            entry = self.wired.plan.entry
            if entry.title != entry.name and re.fullmatch(r"[\w.-]+", entry.title):
                return entry.title
        return self.application.name


def check(spec: str, options: BuildOptions, target: Target = "machine") -> Checked:
    """Everything but packing: the wiring, the closure, the types. Raises BuildError."""
    progress = options.progress or (lambda _: None)
    cache = Cache(options.cache)
    progress("reading the application")
    application = parse(spec)
    names = tuple(name for name, _ in options.environment)
    request = wired.Request(target, options.keys, options.bake_secrets, names, options.reserved)
    found = wired.prepare(application, request, cache.folder)
    analysis = analyse(
        application if found is None else found.program,
        cache,
        options.include,
        options.exclude,
        options.seal,
        options.with_source,
        progress,
        target,
        found.plan.entry.module if found is not None else None,
    )
    warnings = [*analysis.closure.warnings]
    if found is not None and options.types:
        progress("checking types")
        not_checked = typecheck.check(found, analysis, cache)
        warnings += [not_checked] if not_checked is not None else []
    return Checked(application, found, analysis, tuple(warnings))


def build(spec: str, options: BuildOptions) -> BuildResult:
    """Build the application `spec` (file.py, package.module:function, `-m package` or a directory) into an image.

    Raises BuildError (sarab.build.errors) with one sentence for whatever the person can mend.
    """
    began = time.monotonic()
    progress = options.progress or (lambda _: None)
    cache = Cache(options.cache)
    if options.output is not None:
        image.check_output(options.output)
    kernel = _read_kernel(options.kernel)
    checked = check(spec, options)
    analysis = checked.analysis
    output = options.output or Path(f"{checked.name}.elf")
    packer = Packer(analysis, cache, options.with_source, progress)
    packed = packer.pack()
    kernel_options = options.kernel_options + (("seal",) if options.seal else ())
    start = start_file(analysis, options.environment, options.arguments, options.tmp, kernel_options)
    packed.tree.add(START_FILE, File(start))
    progress("writing the image")
    manifest = _manifest(options, kernel, checked, packer)
    worth = {None: pieces.CHEAP, False: (), True: pieces.SMALLEST}[options.compress]
    files = sarabfs.write(packed.tree)
    data = image.assemble(kernel, files, manifest, worth=worth, compressor=_compressor(cache))
    image.write(output, data)
    cache.prune()
    packed.sizes["kernel"] += sum(segment.filesz for segment in elf.read(kernel, "The kernel").loads)
    return BuildResult(
        output,
        len(data),
        packed.module_count,
        len(packed.tree.entries),
        time.monotonic() - began,
        checked.warnings,
        dict(packed.sizes.most_common()),
        analysis.closure,
    )


def explain(spec: str, module: str, options: BuildOptions) -> tuple[list[str], bool]:
    """Lines that say why `module` is in the image of `spec`, and whether it is. Raises BuildError."""
    checked = check(spec, replace(options, types=False))
    closure = checked.analysis.closure
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
    lines = [checked.application.target if chain[0][0] == "__main__" else chain[0][0] or "the image"]
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


def _compressor(cache: Cache) -> pieces.Compressor:
    """One that remembers: shared objects and the standard library are the same from build to build."""

    def compress(piece: bytes) -> bytes:
        key = cache.key("lz4", pieces.compression(), piece)
        kept = cache.get(key)
        if kept is None:
            kept = pieces.compress(piece)
            cache.put(key, kept)
        return kept

    return compress


def _manifest(options: BuildOptions, kernel: bytes, checked: Checked, packer: Packer) -> dict[str, Any]:
    packed, application = packer.packed, checked.application
    wiring = checked.wired.plan.manifest(application.root) if checked.wired is not None else None
    keys = checked.wired.plan.keys if checked.wired is not None else ()
    secrets = {key.environment for key in keys if key.secret}
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
            "name": checked.name,
            "kind": application.kind,
            "target": application.target,
        },
        "modules": packed.module_count,
        "files": len(packed.tree.entries),
        "devices": wiring["machine"] if wiring is not None else [],
        "wiring": wiring,
        "distributions": packer.distributions(),
        "inputs": packed.inputs,
        "options": {
            "with_source": options.with_source,
            "compress": options.compress,
            "seal": options.seal,
            "tmp": options.tmp,
            "include": [*application.include, *options.include],
            "exclude": [*application.exclude, *options.exclude],
            "environment": [f"{name}={SECRET if name in secrets else value}" for name, value in options.environment],
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
