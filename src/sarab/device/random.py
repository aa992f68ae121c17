"""Randomness that nobody can guess."""

from __future__ import annotations

from typing import Protocol


class Random(Protocol):
    """A source of randomness, fit for keys. In a test it comes from a seed."""

    def bytes(self, count: int) -> bytes:
        """Return `count` random bytes."""

    def below(self, bound: int) -> int:
        """Return a number from 0 to `bound` - 1, each as likely. Raises ValueError if `bound` is below 1."""
