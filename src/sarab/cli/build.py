"""`sarab build`: an application in, one bootable image out."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sarab.errors import UsageError

if TYPE_CHECKING:
    from sarab.build.builder import BuildOptions
    from sarab.cli.main import Parser

NAME = "build"
HELP = "build an application into one bootable image"
EPILOG = """\
Keys of an application with @unikernel are options too: what is given here cannot be changed at boot.
'sarab build APPLICATION --help' says which there are.
"""


def parse(parser: Parser, words: Sequence[str]) -> argparse.Namespace:
    """The keys of the application are options too."""
    from sarab.cli.wired import keys

    return keys.parse(parser, words)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add_application_arguments(parser, "build")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="the image (NAME.elf here)")
    add_build_arguments(parser)
    parser.add_argument("--explain", metavar="MODULE", help="say why MODULE is in the image, and build nothing")
    parser.add_argument("--report", action="store_true", help="show the size of every package, largest first")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")


def add_application_arguments(parser: argparse.ArgumentParser, verb: str) -> None:
    """What an application is named by; `verb` is what is done with it."""
    parser.add_argument(
        "application",
        nargs="?",
        metavar="APPLICATION",
        help="app.py, app.py:function, package.module:function, or a directory with a pyproject.toml",
    )
    parser.add_argument("-m", dest="module", metavar="MODULE", help=f"{verb} what `python -m MODULE` runs")


def add_build_arguments(parser: argparse.ArgumentParser) -> None:
    """What `sarab run` of an application takes too."""
    group = add_what_arguments(parser)
    group.add_argument("--with-source", action="store_true", help="keep .py files, so that tracebacks show lines")
    compression = group.add_mutually_exclusive_group()
    compression.add_argument(
        "--compress",
        action="store_true",
        default=None,
        help="make the smallest image, which starts later (else only what gets much smaller is compressed)",
    )
    compression.add_argument(
        "--no-compress", dest="compress", action="store_false", help="compress nothing: a larger image, a little faster"
    )
    group.add_argument("--seal", action="store_true", help="map no code after the application has started")
    group.add_argument("--tmp", metavar="SIZE", help="bound of /tmp, such as 64M (16M)")
    group.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="set an environment variable")
    add_type_arguments(group)
    add_secrets_argument(group)
    group.add_argument("--kernel", type=Path, metavar="FILE", help=argparse.SUPPRESS)


def add_what_arguments(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """What `sarab check` takes too."""
    parser.set_defaults(keys=(), bake_secrets=False)
    group = parser.add_argument_group("what goes into the image")
    group.add_argument(
        "--include", action="append", default=[], metavar="MODULE", help="add a module, or a package: NAME.*"
    )
    group.add_argument(
        "--exclude", action="append", default=[], metavar="MODULE", help="leave a module out, and all below it"
    )
    return group


def add_secrets_argument(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--bake-secrets", action="store_true", help="let keys that are secrets be in the image")


def add_type_arguments(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--no-types", dest="types", action="store_false", help="do without mypy")


def run(arguments: argparse.Namespace) -> int:
    """Build, explain or report; the exit status is 0, and every failure an exception."""
    from dataclasses import replace

    from sarab.build.builder import build, explain

    spec = spec_of(arguments)
    options = replace(options_of(arguments), output=arguments.output)
    if arguments.explain is not None:
        lines, found = explain(spec, arguments.explain, options)
        print("\n".join(lines))
        return 0 if found else 1
    progress = Progress(sys.stderr.isatty() and not arguments.quiet)
    try:
        result = build(spec, replace(options, progress=progress.show))
    finally:
        progress.clear()
    if arguments.quiet:
        return 0
    for warning in result.warnings:
        print(f"sarab: warning: {warning}", file=sys.stderr)
    if arguments.report:
        _print_report(result.sizes, result.size)
    megabytes = result.size / 1e6
    print(f"{result.image}: {megabytes:.1f} MB, {result.module_count} modules, {result.seconds:.1f} s")
    return 0


def spec_of(arguments: argparse.Namespace) -> str:
    """The application's specification as `sarab.build.builder.build` takes it."""
    if (arguments.module is None) == (arguments.application is None):
        raise UsageError("Name one application: a file, module:function, a directory, or -m MODULE.")
    return f"-m {arguments.module}" if arguments.module is not None else str(arguments.application)


def options_of(arguments: argparse.Namespace) -> BuildOptions:
    """BuildOptions from what `add_build_arguments` added."""
    from sarab.build.builder import BuildOptions

    environment = []
    for item in arguments.env:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise UsageError(f"--env takes NAME=VALUE, and {item!r} is not that.")
        environment.append((name, value))
    if arguments.tmp is not None:
        from sarab.machine.options import parse_tmp

        parse_tmp(arguments.tmp)
    from sarab.cli.wired import keys

    return BuildOptions(
        keys=arguments.keys,
        bake_secrets=arguments.bake_secrets,
        reserved=keys.reserved(),
        types=arguments.types,
        kernel=arguments.kernel,
        with_source=arguments.with_source,
        compress=arguments.compress,
        seal=arguments.seal,
        include=tuple(arguments.include),
        exclude=tuple(arguments.exclude),
        tmp=arguments.tmp,
        environment=tuple(environment),
    )


class Progress:
    """One line on a terminal that says what is being done; nothing anywhere else."""

    def __init__(self, on_terminal: bool) -> None:
        self._on_terminal = on_terminal

    def show(self, step: str) -> None:
        if self._on_terminal:
            width = os.get_terminal_size(sys.stderr.fileno()).columns
            print(f"\r\x1b[K{step[: max(width - 1, 10)]}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._on_terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _print_report(sizes: dict[str, int], total: int) -> None:
    width = max(map(len, sizes))
    for name, size in sizes.items():
        print(f"{size / 1000:>10.0f} kB {100 * size / total:>5.1f}%  {name:<{width}}".rstrip())
