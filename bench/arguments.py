"""What the benchmarks' options take."""

from __future__ import annotations

import argparse


def count(text: str) -> int:
    """Return a whole number above 0. Raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number above 0")
    return int(text)


def minutes(text: str) -> float:
    """Return a time above 0 and below a week. Raises ArgumentTypeError."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < 7 * 24 * 60:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of minutes")
    return found
