"""`sarab doctor`: what this host offers, and what to do about what is missing."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sarab.machine.host import Finding

NAME = "doctor"
HELP = "say what this machine offers, and what to do about what is missing"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fresh", action="store_true", help="measure KVM again (once for each boot, else)")
    parser.epilog = "The exit status is 0 if images can be built and booted here, else 1."


def run(arguments: argparse.Namespace) -> int:
    """Print a line a thing; the exit status is 1 if one that is needed is missing."""
    from sarab.machine.host import examine

    findings = examine(arguments.fresh)
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        print(f"{_word(finding)}  {finding.what:<{width}}  {finding.found}")
        if finding.advice:
            print(f"{'':<{width + 8}}-> {finding.advice}")
    missing = [finding.what for finding in findings if finding.needed and not finding.good]
    if missing:
        print(f"\nImages cannot be built and booted here: {', '.join(missing)} missing.", file=sys.stderr)
        return 1
    return 0


def _word(finding: Finding) -> str:
    if finding.good:
        return "ok  "
    return "need" if finding.needed else "no  "
