"""What a runner tells the host, line by line, and what the host tells a runner: for runner.py here and in tests/suites.

It lies beside a runner, in an image too, and so imports nothing of ours.
"""

import argparse
import fnmatch
import json
from collections.abc import Iterable
from typing import Any

MARK = "@regrtest "
"""Begins each line that is meant for the host (outcomes.py); everything else was printed by the tests."""


def line(**values: Any) -> str:
    """Return the line that tells `values`, however far the last line of the tests has got."""
    return "\n" + MARK + json.dumps(values) + "\n"


def options(usage: str, what: str) -> argparse.Namespace:
    """Return what the command line says: `timeout` in seconds, the patterns `ignore`, and `what`, the names to run."""
    parser = argparse.ArgumentParser(description=usage)
    parser.add_argument("--timeout", type=float, default=60, help="seconds that one test may take")
    parser.add_argument("--ignore", action="append", default=[], help="a test id, or a pattern, that is not run")
    parser.add_argument(what, nargs="+")
    return parser.parse_args()


def is_covered(test: str, patterns: Iterable[str]) -> bool:
    """Say whether one of `patterns` means the test; `*` is the only wildcard, for ids have brackets."""
    return any(fnmatch.fnmatchcase(test, pattern.replace("[", "[[]")) for pattern in patterns)
