"""`sarab describe`: what an application, or an image, is made of and needs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sarab.errors import UsageError

if TYPE_CHECKING:
    from sarab.build.plan import Plan
    from sarab.cli.main import Parser

NAME = "describe"
HELP = "show what an application, or an image, is made of and needs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "application",
        nargs="?",
        metavar="APPLICATION|IMAGE",
        help="app.py, app.py:function, package.module:function, a directory with a pyproject.toml; or an image",
    )
    parser.add_argument("-m", dest="module", metavar="MODULE", help="describe what `python -m MODULE` runs")
    choices = ["machine", "process", "test"]
    parser.add_argument("--target", choices=choices, help="for what it is wired (machine)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--dot", action="store_true", help="print the graph for graphviz")
    form.add_argument("--svg", action="store_true", help="print the graph as a picture")
    form.add_argument("--json", action="store_true", help="print all of it as JSON")


def parse(parser: Parser, words: Sequence[str]) -> argparse.Namespace:
    """The keys of the application are options too."""
    from sarab.cli.wired import keys

    return keys.parse(parser, words)


def run(arguments: argparse.Namespace) -> int:
    """Print it. A plain program has no wiring, which is said and no error; but there is nothing to draw."""
    from sarab.cli.build import spec_of

    spec = spec_of(arguments)
    plan = _plan(spec, arguments)
    if arguments.json:
        from sarab.build.describe import as_json

        print(as_json(plan))
        return 0
    if plan is None:
        sentence = f"{spec} is a plain program: no function with @unikernel says which devices and keys it has."
        if arguments.dot or arguments.svg:
            raise UsageError(f"{sentence} There is nothing to draw")
        print(sentence)
        return 0
    if arguments.svg:
        from sarab.build.picture import svg

        print(svg(plan), end="")
    elif arguments.dot:
        from sarab.build.describe import dot

        print(dot(plan), end="")
    else:
        from sarab.build.describe import text

        for line in text(plan, spec):
            print(_printable(line))
    return 0


def _plan(spec: str, arguments: argparse.Namespace) -> Plan | None:
    from sarab.machine.image import is_elf

    if is_elf(Path(spec)):
        if arguments.target is not None or arguments.keys:
            raise UsageError(f"{spec} is an image, for which the target and the keys were given when it was built")
        from sarab.cli.wired.keys import plan_of_image

        return plan_of_image(Path(spec))
    from sarab.build import wired
    from sarab.build.spec import parse as parse_spec
    from sarab.build.target import known

    application = parse_spec(spec)
    request = wired.Request(known(arguments.target or "machine"), arguments.keys, lenient=True)
    found = wired.prepare(application, request)
    if found is None:
        wired.check_exists(application)
    return None if found is None else found.plan


def _printable(text: str) -> str:
    """No image can send control sequences to the terminal of whoever looks into it."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
