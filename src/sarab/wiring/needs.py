"""Whether this machine has the cards and disks that an application was built for."""

from __future__ import annotations

from collections.abc import Sequence


def missing(needs: Sequence[tuple[str, str]]) -> str:
    """Return a sentence that names what is missing, or nothing."""
    return ""
