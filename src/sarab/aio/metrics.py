"""Numbers about a running program, in memory (device.metrics.Metrics), and Prometheus' text format 0.0.4 of them."""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

SERIES_MAX = 10_000
"""Names with their labels; a program that makes a label of what its peers send would make more without end."""
VALUE_MAX = 1024
"""Characters of a label's value; what is longer is cut."""
OVERFLOW = "sarab_metrics_overflow_total"
"""How often a number was asked for that found no room: all of them are counted together, and not shown."""
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Prometheus' own, in seconds."""
BUCKETS_MAX = 256
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
_Labels = tuple[tuple[str, str], ...]


class StoredCounter:
    """device.metrics.Counter."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def add(self, amount: float = 1.0, /) -> None:
        """See Counter."""
        if not amount >= 0:
            raise ValueError(f"a counter does not grow by {amount}")
        self.value += amount


class StoredGauge:
    """device.metrics.Gauge."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def set(self, value: float, /) -> None:
        """See Gauge."""
        self.value = value

    def add(self, amount: float = 1.0, /) -> None:
        """See Gauge."""
        self.value += amount


class StoredHistogram:
    """device.metrics.Histogram."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """By bucket, how many values are in it and in none before it; the last is beyond all bounds."""
        self.sum = 0.0

    def observe(self, value: float, /) -> None:
        """See Histogram."""
        self.counts[len(self.bounds) if math.isnan(value) else bisect_left(self.bounds, value)] += 1
        self.sum += value


_Metric = StoredCounter | StoredGauge | StoredHistogram


class _Family:
    """What has one name."""

    def __init__(self, kind: str, text: str, bounds: tuple[float, ...]) -> None:
        self.kind, self.text, self.bounds = kind, text, bounds
        self.series: dict[_Labels, _Metric] = {}


class StoredMetrics:
    """device.metrics.Metrics. Not for several threads: `float += float` loses one of two."""

    def __init__(self) -> None:
        self._families: dict[str, _Family] = {}
        self._count = 0
        self.overflowed = 0
        """Askings that found no room."""
        self._spare: dict[str, _Metric] = {}

    def counter(self, name: str, help: str = "", /, **labels: str) -> StoredCounter:  # noqa: A002
        """See Metrics."""
        found = self._find("counter", name, help, (), labels)
        assert isinstance(found, StoredCounter)
        return found

    def gauge(self, name: str, help: str = "", /, **labels: str) -> StoredGauge:  # noqa: A002
        """See Metrics."""
        found = self._find("gauge", name, help, (), labels)
        assert isinstance(found, StoredGauge)
        return found

    def histogram(
        self,
        name: str,
        help: str = "",  # noqa: A002
        buckets: Sequence[float] = (),
        /,
        **labels: str,
    ) -> StoredHistogram:
        """See Metrics."""
        if "le" in labels:
            raise ValueError("a histogram has its own label le")
        bounds = tuple(float(bound) for bound in buckets if bound != math.inf) or BUCKETS
        if any(not low < high for low, high in pairwise(bounds)) or math.isnan(bounds[0]):
            raise ValueError(f"the buckets of {name} do not rise")
        if len(bounds) > BUCKETS_MAX:
            raise ValueError(f"{name} has {len(bounds)} buckets, and {BUCKETS_MAX} are the most")
        found = self._find("histogram", name, help, bounds, labels)
        assert isinstance(found, StoredHistogram)
        return found

    def _find(self, kind: str, name: str, text: str, bounds: tuple[float, ...], labels: dict[str, str]) -> _Metric:
        key = tuple(sorted((label, str(value)[:VALUE_MAX]) for label, value in labels.items()))
        family = self._families.get(name)
        if family is not None:
            found = family.series.get(key)
            if found is not None and family.kind == kind and family.bounds == bounds:
                return found
        self._check(family, kind, name, bounds, labels)
        if self._count >= SERIES_MAX:
            self.overflowed += 1
            spare = self._spare.get(kind)
            if spare is None:
                spare = self._spare[kind] = _make(kind, ())
            return spare
        if family is None:
            family = self._families[name] = _Family(kind, text, bounds)
        self._count += 1
        made = family.series[key] = _make(kind, bounds)
        return made

    def _check(
        self, family: _Family | None, kind: str, name: str, bounds: tuple[float, ...], labels: dict[str, str]
    ) -> None:
        if family is not None and (family.kind != kind or family.bounds != bounds):
            what = f"a {family.kind}" if family.kind != kind else "a histogram with other buckets"
            raise ValueError(f"{name} is {what} already")
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name: letters, digits, _ and :, and no digit first")
        for label in labels:
            if not _LABEL.fullmatch(label):
                raise ValueError(f"{label!r} is no label: letters, digits and _, no digit first, and not __")
        if family is None:
            for other in _shown(name, kind):
                for taken, existing in self._families.items():
                    if other in _shown(taken, existing.kind):
                        raise ValueError(f"{name} would be shown as {other}, and so is {taken}")

    def exposition(self) -> str:
        """See Metrics."""
        lines: list[str] = []
        for name, family in sorted(self._families.items()):
            if family.text:
                lines.append(f"# HELP {name} " + family.text.replace("\\", "\\\\").replace("\n", "\\n"))
            lines.append(f"# TYPE {name} {family.kind}")
            for labels, metric in sorted(family.series.items()):
                if isinstance(metric, StoredHistogram):
                    lines += _histogram_lines(name, labels, metric)
                else:
                    lines.append(f"{name}{_labels(labels)} {_number(metric.value)}")
        if self.overflowed:
            lines += [f"# TYPE {OVERFLOW} counter", f"{OVERFLOW} {self.overflowed}"]
        return "".join(f"{line}\n" for line in lines)


def _make(kind: str, bounds: tuple[float, ...]) -> _Metric:
    return StoredCounter() if kind == "counter" else StoredGauge() if kind == "gauge" else StoredHistogram(bounds)


def _shown(name: str, kind: str) -> tuple[str, ...]:
    """Return under which names a metric's lines stand."""
    return (name, f"{name}_bucket", f"{name}_sum", f"{name}_count") if kind == "histogram" else (name,)


def _histogram_lines(name: str, labels: _Labels, metric: StoredHistogram) -> list[str]:
    lines = []
    total = 0
    for bound, count in zip((*metric.bounds, math.inf), metric.counts, strict=True):
        total += count
        lines.append(f"{name}_bucket{_labels((*labels, ('le', _number(bound))))} {total}")
    lines.append(f"{name}_sum{_labels(labels)} {_number(metric.sum)}")
    lines.append(f"{name}_count{_labels(labels)} {total}")
    return lines


def _labels(labels: _Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{label}="{_escaped(value)}"' for label, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    """Return a number as Prometheus reads it."""
    if math.isfinite(value):
        return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
