"""`sarab run`: boot an image; or build an application into the cache, and boot that."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sarab.cli.build import Progress, add_build_arguments, options_of, spec_of
from sarab.errors import UsageError

if TYPE_CHECKING:
    from sarab.machine.options import MachineOptions
    from sarab.machine.outcome import Outcome

NAME = "run"
HELP = "boot an image, or build an application and boot it"
APPLICATION_ARGUMENTS = True

IMAGES_KEPT_DAYS = 30
"""An image in the cache that was not run for so long is removed."""

MACHINE_OPTIONS = ("machine", "memory", "accel", "gdb", "trace", "marks")
IMAGE_OPTIONS = ("include", "exclude", "with_source", "seal", "kernel")

EPILOG = """\
The exit status is the program's; 128 + N if signal N ended it, 124 after --timeout, 125 if the machine died without
giving one. Ctrl-C asks the program to stop (it gets SIGTERM), a second Ctrl-C kills the machine. Standard input is the
program's; its end is the end of the program's input.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "sarab run [OPTIONS] IMAGE|APPLICATION [-- ARGUMENTS]"
    parser.epilog = EPILOG
    parser.add_argument(
        "application",
        nargs="?",
        metavar="IMAGE|APPLICATION",
        help="an image; or app.py, package.module:function, a directory with a pyproject.toml",
    )
    parser.add_argument("-m", dest="module", metavar="MODULE", help="run what `python -m MODULE` runs")
    parser.add_argument("--on", choices=["machine", "process"], default="machine", help="what it runs on (machine)")
    parser.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="kill it after so long; the status is 124")
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors")
    machine = parser.add_argument_group("the machine")
    machine.add_argument("--machine", choices=["microvm", "q35", "pc"], help="QEMU's kind of machine (microvm)")
    machine.add_argument("--memory", metavar="SIZE", help="64M, 1G, or a number of MiB (128)")
    machine.add_argument("--accel", choices=["auto", "kvm", "tcg"], help="auto: KVM if it is fast here")
    machine.add_argument("--gdb", nargs="?", const=0, type=_port, metavar="PORT", help="wait for a debugger (1234)")
    machine.add_argument("--trace", action="store_true", help="print every system call on the console")
    machine.add_argument("--marks", action="store_true", help="show when each step of the boot was done")
    add_build_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run it; the exit status is the program's."""
    spec = spec_of(arguments)
    if arguments.on == "process":
        return _on_process(spec, arguments)
    from sarab.machine.image import is_elf

    image = Path(spec)
    options = _machine_options(arguments)
    if is_elf(image):
        _refuse(arguments, IMAGE_OPTIONS, f"belongs to 'sarab build': {image} is an image already")
    else:
        image = _build(spec, arguments)
    return _boot(image, options, arguments)


def _boot(image: Path, options: MachineOptions, arguments: argparse.Namespace) -> int:
    from sarab.machine.conduct import Conductor
    from sarab.machine.outcome import Ending
    from sarab.machine.qemu import Qemu

    quiet = _say_nothing if arguments.quiet else _say
    qemu = Qemu(image, options)
    choice = qemu.choose_accelerator()
    if options.accel == "auto":
        quiet(choice.reason)
    if options.gdb_port is not None:
        symbols = Path(__file__).parents[3] / "build/kernel/kernel.elf"  # a checkout has the one with symbols
        if not symbols.exists():
            symbols = Path(__file__).parents[1] / "build/kernel.elf"
        _say(f"the machine waits for: gdb {symbols} -ex 'target remote localhost:{options.gdb_port}'")
    sys.stdout.flush()
    source = _standard_input()
    with qemu.start(output=sys.stdout.fileno(), source=source, keep=False, choice=choice) as running:
        if source is None:
            running.close_input()
        outcome = Conductor(running, _say).wait()
    if options.marks:
        _print_marks(outcome)
    if outcome.ending is not Ending.EXITED:
        _say(outcome.sentence)
    return outcome.status


def _symbols() -> Path:
    """The kernel with its symbols, which only a checkout has; else the one that images take."""
    built = Path(__file__).parents[3] / "build" / "kernel" / "kernel.elf"
    return built if built.is_file() else Path(__file__).parents[1] / "build" / "kernel.elf"


def _build(spec: str, arguments: argparse.Namespace) -> Path:
    """Build into the cache and return the image. The same words in the same folder have the same place there."""
    import hashlib
    from dataclasses import replace

    from sarab.build.builder import build
    from sarab.folders import cache_folder

    folder = cache_folder() / "images"
    # What is said at boot is not baked in: the same image serves.
    options = replace(options_of(arguments), environment=(), tmp=None)
    words = repr((spec, Path.cwd(), replace(options, progress=None)))
    name = Path(spec).stem.rpartition(" ")[2].replace(":", ".") or "image"
    image = folder / f"{name}-{hashlib.sha256(words.encode()).hexdigest()[:16]}.elf"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the cache {folder} cannot be made: {error.strerror}; set SARAB_CACHE") from error
    _remove_old(folder)
    progress = Progress(sys.stderr.isatty() and not arguments.quiet)
    try:
        result = build(spec, replace(options, output=image, progress=progress.show))
    finally:
        progress.clear()
    if not arguments.quiet:
        for warning in result.warnings:
            _say(f"warning: {warning}")
    return image


def _remove_old(folder: Path) -> None:
    import contextlib
    import time

    oldest = time.time() - IMAGES_KEPT_DAYS * 86400
    for image in folder.glob("*.elf"):
        with contextlib.suppress(OSError):
            if image.stat().st_mtime < oldest:
                image.unlink()


def _on_process(spec: str, arguments: argparse.Namespace) -> int:
    _refuse(arguments, (*MACHINE_OPTIONS, *IMAGE_OPTIONS, "tmp"), "means nothing to a Linux process (--on process)")
    from sarab.build.spec import parse
    from sarab.machine.image import is_elf
    from sarab.machine.options import parse_environment
    from sarab.machine.process import run_process

    if is_elf(Path(spec)):
        raise UsageError(f"{spec} is an image: name the application that it was built from, to run it on a process")
    application = parse(spec)
    return run_process(
        application.kind,
        str(application.script) if application.script is not None else application.target,
        application.root,
        arguments.application_arguments,
        [parse_environment(item) for item in arguments.env],
        arguments.timeout,
        _say,
    )


def _machine_options(arguments: argparse.Namespace) -> MachineOptions:
    from sarab.machine import options

    gdb_port = arguments.gdb
    if gdb_port == 0:
        gdb_port = options.GDB_PORT_DEFAULT
    return options.MachineOptions(
        machine=arguments.machine or "microvm",
        memory_mib=options.MEMORY_DEFAULT_MIB if arguments.memory is None else options.parse_memory(arguments.memory),
        accel=arguments.accel or "auto",
        arguments=arguments.application_arguments,
        environment=tuple(options.parse_environment(item) for item in arguments.env),
        tmp=None if arguments.tmp is None else options.parse_tmp(arguments.tmp),
        trace=arguments.trace,
        marks=arguments.marks,
        timeout_s=arguments.timeout,
        gdb_port=gdb_port,
    )


def _refuse(arguments: argparse.Namespace, options: tuple[str, ...], why: str) -> None:
    for option in options:
        if getattr(arguments, option) not in (None, False, []):
            raise UsageError(f"--{option.replace('_', '-')} {why}")


def _standard_input() -> int | None:
    try:
        os.fstat(0)
    except OSError:
        return None  # it was closed before we were started
    return 0


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e9:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of seconds")
    return seconds


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is no port (1 to 65535); name the application before --gdb")
    return int(text)


def _print_marks(outcome: Outcome) -> None:
    print(f"{'mark':<20}{'kernel entry +':>16}{'machine start +':>17}", file=sys.stderr)
    for mark in outcome.marks:
        print(f"{mark.name:<20}{mark.guest_ns / 1e6:>13.1f} ms{mark.host_ns / 1e6:>14.1f} ms", file=sys.stderr)
    print(f"{'end of the machine':<20}{'':>16}{outcome.elapsed_ns / 1e6:>14.1f} ms", file=sys.stderr)


def _say(text: str) -> None:
    print(f"sarab: {text}.", file=sys.stderr, flush=True)


def _say_nothing(_text: str) -> None:
    pass
