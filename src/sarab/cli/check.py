"""`sarab check`: everything that `sarab build` does but packing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sarab.cli.build import (
    Progress,
    add_application_arguments,
    add_secrets_argument,
    add_type_arguments,
    add_what_arguments,
    options_of,
    spec_of,
)

if TYPE_CHECKING:
    from sarab.cli.main import Parser

NAME = "check"
HELP = "find what is wrong with an application, and build nothing"
EPILOG = """\
Checked are its wiring, that every module that it imports is there, and with mypy its types, which --no-types leaves
out: then it takes a moment only. The exit status is 0 if all is well.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add_application_arguments(parser, "check")
    add_target_argument(parser)
    add_what_arguments(parser)
    parser.set_defaults(env=[], tmp=None, kernel=None, with_source=False, compress=None, seal=False)
    add_secrets_argument(parser)
    add_type_arguments(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")


def add_target_argument(parser: argparse.ArgumentParser) -> None:
    """For what the application is to be: the names are those of decision 0060."""
    choices = ["machine", "process", "test"]
    parser.add_argument("--target", choices=choices, default="machine", help="for what it is wired (machine)")


def parse(parser: Parser, words: Sequence[str]) -> argparse.Namespace:
    """The keys of the application are options too."""
    from sarab.cli.wired import keys

    return keys.parse(parser, words)


def run(arguments: argparse.Namespace) -> int:
    """Say that all is well, or raise what is not."""
    from dataclasses import replace

    from sarab.build.builder import check

    progress = Progress(sys.stderr.isatty() and not arguments.quiet)
    options = replace(options_of(arguments), progress=progress.show)
    try:
        checked = check(spec_of(arguments), options, arguments.target)
    finally:
        progress.clear()
    if arguments.quiet:
        return 0
    for warning in checked.warnings:
        print(f"sarab: warning: {warning}", file=sys.stderr)
    found = [f"{len(checked.analysis.closure.modules)} modules"]
    if checked.wired is not None:
        plan = checked.wired.plan
        found = [_count(len(plan.devices), "device"), _count(len(plan.keys), "key"), *found]
        found.append("types" if arguments.types and not _unchecked(checked.warnings) else "types not checked")
    print(f"{checked.application.target}: {', '.join(found)}: nothing is wrong on the target {arguments.target}")
    return 0


def _unchecked(warnings: Sequence[str]) -> bool:
    return any("types were not checked" in warning for warning in warnings)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
