"""`sarab run`: boot an image; or build an application into the cache, and boot that."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sarab.cli.build import Progress, add_build_arguments, options_of, spec_of
from sarab.errors import SarabError, UsageError

if TYPE_CHECKING:
    from sarab.build.image import Image
    from sarab.build.plan import Plan
    from sarab.cli.main import Parser
    from sarab.machine.block import BlockOption
    from sarab.machine.network import NetworkOptions
    from sarab.machine.options import MachineOptions
    from sarab.machine.outcome import Outcome

NAME = "run"
HELP = "boot an image, or build an application and boot it"
APPLICATION_ARGUMENTS = True

IMAGES_KEPT_DAYS = 30
"""An image in the cache that was not run for so long is removed."""

MACHINE_OPTIONS = ("machine", "memory", "accel", "gdb", "trace", "marks")
NETWORK_OPTIONS = ("publish", "tap", "ip", "gateway", "dns", "hostname", "mac", "pcap")
PROCESS_NETWORK_OPTIONS = ("publish", "net")
IMAGE_OPTIONS = ("include", "exclude", "with_source", "seal", "bake_secrets", "kernel")

EPILOG = """\
The exit status is the program's; 128 + N if signal N ended it, 124 after --timeout, 125 if the machine died without
giving one. Ctrl-C asks the program to stop (it gets SIGTERM), a second Ctrl-C kills the machine. Standard input is the
program's; its end is the end of the program's input. Keys of an application with @unikernel are ARGUMENTS too.
"""


def parse(parser: Parser, words: Sequence[str]) -> argparse.Namespace:
    """Keys of the application stand behind `--`, and whoever forgets that is told."""
    from sarab.cli.wired.keys import refuse_key

    parser.leftover = "; what is for the program stands behind --"
    return refuse_key(parser, words)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "sarab run [OPTIONS] IMAGE|APPLICATION [-- ARGUMENTS]"
    parser.epilog = EPILOG
    parser.add_argument(
        "application",
        nargs="?",
        metavar="IMAGE|APPLICATION",
        help="an image; or app.py, app.py:function, package.module:function, a directory with a pyproject.toml",
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
    machine.add_argument("--block", action="append", default=[], metavar="NAME=FILE[:ro]",
                         help="a disk, which the program finds by this name; :ro: it is only read")  # fmt: skip
    network = parser.add_argument_group("the network")
    network.add_argument("--net", choices=["user", "none"], help="user: behind this host's network (the default); none")
    network.add_argument("-p", "--publish", action="append", default=[], metavar="[ADDRESS:]HOST-PORT:PORT[/udp]",
                         help="have a port of this host (on 127.0.0.1) lead to one of the program's")  # fmt: skip
    network.add_argument("--tap", action="append", default=[], metavar="NAME",
                         help="put a card on a tap device of this host; again: another card, eth1")  # fmt: skip
    network.add_argument("--ip", action="append", default=[], metavar="[CARD=]ADDRESS/PREFIX",
                         help="an address of the card (eth1=10.0.1.2/24: of another)")  # fmt: skip
    network.add_argument("--gateway", action="append", default=[], metavar="ADDRESS", help="the router on its network")
    network.add_argument("--dns", action="append", default=[], metavar="ADDRESS", help="a server that resolves names")
    network.add_argument("--hostname", metavar="NAME", help="the name of the program's host")
    network.add_argument("--mac", action="append", default=[], metavar="MAC", help="the card's own address (02:...)")
    network.add_argument("--pcap", type=Path, metavar="FILE", help="write every frame into a file for Wireshark")
    add_build_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run it; the exit status is the program's."""
    spec = spec_of(arguments)
    if arguments.on == "process":
        return _on_process(spec, arguments)
    from dataclasses import replace

    from sarab.machine.image import is_elf

    image = Path(spec)
    options = _machine_options(arguments)
    if options.network is not None:
        from sarab.machine.network import check

        check(options.network)  # before anything is built
    if options.blocks:
        from sarab.machine.block import check as check_blocks

        check_blocks(options.blocks, options.network.cards if options.network is not None else 0)
    if is_elf(image):
        _refuse(arguments, IMAGE_OPTIONS, f"belongs to 'sarab build': {image} is an image already")
    else:
        image = _build(spec, arguments)
    content = _content(image)
    plan = _plan(content)
    if plan is not None:
        from sarab.cli.wired import needs

        what = Path(spec).name if is_elf(Path(spec)) else spec
        needs.check_disks(plan, what, [block.name for block in options.blocks])
        needs.check_cards(plan, what, arguments.tap, options.network is not None)
    wants_card = plan is not None and bool(plan.of_machine("network"))
    if options.network is not None and not (wants_card or _asks_for_network(arguments) or _has_network(content)):
        options = replace(options, network=None)
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
    for forward in options.network.forwards if options.network is not None else ():
        quiet(str(forward))
    if options.gdb_port is not None:
        _say(f"the machine waits for: gdb {_symbols()} -ex 'target remote localhost:{options.gdb_port}'{_sources()}")
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


def _sources() -> str:
    folder = Path(__file__).parents[3] / "kernel"
    return f" -d {folder}" if folder.is_dir() else ""


def _build(spec: str, arguments: argparse.Namespace) -> Path:
    """Build into the cache and return the image. The same words in the same folder have the same place there."""
    import hashlib
    from dataclasses import replace

    from sarab.build.builder import build
    from sarab.build.typecheck import is_possible
    from sarab.folders import cache_folder

    folder = cache_folder() / "images"
    # What is said at boot is not baked in: the same image serves. And that mypy is missing is for 'sarab build' to say.
    types = arguments.types and is_possible()
    options = replace(options_of(arguments), environment=(), tmp=None, types=types)
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
            print(f"sarab: warning: {warning}", file=sys.stderr)
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
    from sarab.build import wired
    from sarab.build.spec import parse
    from sarab.machine.image import is_elf
    from sarab.machine.options import parse_environment
    from sarab.machine.process import run_process

    _refuse(arguments, PROCESS_NETWORK_OPTIONS, "means nothing to a Linux process (--on process)")
    environment = [parse_environment(item) for item in arguments.env]
    if not arguments.tap:
        _refuse(arguments, NETWORK_OPTIONS, "needs --tap: without it a Linux process has the host's own network")
    else:
        from sarab.machine.network import check, process_environment

        options = _network_options(arguments)
        assert options is not None
        check(options)
        environment = [*process_environment(options), *environment]
    blocks: tuple[BlockOption, ...] = ()
    if arguments.block:
        from sarab.machine import block

        blocks = block.make(arguments.block)
        block.check(blocks)
        environment = [*block.process_environment(blocks), *environment]
    if is_elf(Path(spec)):
        raise UsageError(f"{spec} is an image: name the application that it was built from, to run it on a process")
    application = parse(spec)
    wiring = wired.prepare(application, wired.Request("process", bake_secrets=True))  # there is no image
    if wiring is not None:
        from sarab.cli.wired import needs

        needs.check_disks(wiring.plan, spec, [disk.name for disk in blocks])
        needs.check_taps_of_process(wiring.plan, spec, arguments.tap)
        application = wiring.program
    return run_process(
        application.kind,
        str(application.script) if application.script is not None else application.target,
        application.root,
        arguments.application_arguments,
        environment,
        arguments.timeout,
        _say,
    )


def _machine_options(arguments: argparse.Namespace) -> MachineOptions:
    from sarab.machine import options
    from sarab.machine.block import make as make_blocks

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
        network=_network_options(arguments),
        blocks=make_blocks(arguments.block) if arguments.block else (),
        timeout_s=arguments.timeout,
        gdb_port=gdb_port,
    )


def _network_options(arguments: argparse.Namespace) -> NetworkOptions | None:
    if arguments.net == "none":
        _refuse(arguments, NETWORK_OPTIONS, "means nothing without a network card (--net none)")
        return None
    from sarab.machine.network import make

    if arguments.net == "user" and arguments.tap:
        raise UsageError("--net user and --tap are two networks, and there is one card: give one of them")
    return make(
        taps=arguments.tap,
        forwards=arguments.publish,
        addresses=arguments.ip,
        gateways=arguments.gateway,
        dns=arguments.dns,
        macs=arguments.mac,
        hostname=arguments.hostname,
        pcap=arguments.pcap,
    )


def _asks_for_network(arguments: argparse.Namespace) -> bool:
    return arguments.net == "user" or any(getattr(arguments, name) for name in NETWORK_OPTIONS)


def _content(image: Path) -> Image | None:
    """What an image holds; None for what is none, of which the machine will say what it is."""
    from sarab.build.image import read

    try:
        return read(image.read_bytes())
    except (SarabError, OSError):
        return None


def _plan(content: Image | None) -> Plan | None:
    """What a wired application in an image needs; None for a plain program."""
    wiring = content.manifest.get("wiring") if content is not None else None
    if not isinstance(wiring, dict):
        return None
    from sarab.build.plan import load

    return load(wiring)


def _has_network(content: Image | None) -> bool:
    """Whether the image can drive a card: a program that imports no sockets is spared one."""
    return content is not None and any(node.path.endswith("/sarab/driver/virtio/net.pyc") for node in content.files)


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
