"""Numbers in memory."""

from __future__ import annotations

from sarab.aio.metrics import StoredMetrics
from sarab.device.metrics import Metrics


def metrics() -> Metrics:
    """A store in memory; the application shows its exposition() to whom it likes."""
    return StoredMetrics()
