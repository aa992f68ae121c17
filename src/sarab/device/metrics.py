"""Numbers about a running program, under the names and rules of Prometheus' text format 0.0.4."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Counter(Protocol):
    """A number that only grows."""

    def add(self, amount: float = 1.0, /) -> None:
        """Let it grow. Raises ValueError for an amount below 0."""


class Gauge(Protocol):
    """A number that goes up and down."""

    def set(self, value: float, /) -> None:
        """Set it."""

    def add(self, amount: float = 1.0, /) -> None:
        """Let it grow, or fall by an amount below 0."""


class Histogram(Protocol):
    """How values are spread."""

    def observe(self, value: float, /) -> None:
        """Count one value."""


class Metrics(Protocol):
    """Where numbers are kept. Asking for one that is there already, with the same labels, returns it.

    Errors: ValueError for a name, label or bucket that is none, or for a name that is of another kind already.
    A store holds a bounded number of them; what is beyond the bound is counted together, and never an error.
    """

    def counter(self, name: str, help: str = "", /, **labels: str) -> Counter:  # noqa: A002
        """Return a counter. Its name ends in _total by custom."""

    def gauge(self, name: str, help: str = "", /, **labels: str) -> Gauge:  # noqa: A002
        """Return a gauge."""

    def histogram(self, name: str, help: str = "", buckets: Sequence[float] = (), /, **labels: str) -> Histogram:  # noqa: A002
        """Return a histogram; without `buckets` it has Prometheus' own, 0.005 to 10."""

    def exposition(self) -> str:
        """Return all of them in Prometheus' text format."""
