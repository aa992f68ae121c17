"""The samples as a Markdown table: medians, and in brackets the least and the greatest."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Mapping

from bench.network.measure import MIRAGE, UNITS

LINUX = "Linux"
Samples = dict[str, list[float]]
NAMES = {"connections": "new connections", "flow connections": "flow: new connections", "idle": "idle connections"}


def markdown(results: Mapping[str, Samples]) -> str:
    """Return the table: a column each contestant, then the ratio of each to Linux, then MirageOS's figures."""
    names = list(results)
    others = [name for name in names if name != LINUX] if LINUX in names else []
    headings = ["what", *names, *(f"{name} / {LINUX}" for name in others), "MirageOS (not of this run)"]
    lines = [_row(headings), "| --- |" + " ---: |" * (len(headings) - 1)]
    for what, unit in UNITS.items():
        if not any(what in samples for samples in results.values()):
            continue
        cells = [f"{NAMES.get(what, what)}, {unit}"]
        cells += [_quantity(results[name].get(what, ())) for name in names]
        cells += [_ratio(results[name].get(what, ()), results[LINUX].get(what, ())) for name in others]
        lines.append(_row([*cells, _number(MIRAGE[what]) if what in MIRAGE else ""]))
    note = "medians (least-greatest)" if any(len(s) > 1 for each in results.values() for s in each.values()) else "once"
    lines.append(f"\n{os.cpu_count()} cores, Python {sys.version.split()[0]}; {note}.")
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _quantity(samples: list[float] | tuple[()]) -> str:
    if not samples:
        return ""
    text = _number(statistics.median(samples))
    return text if len(samples) < 2 else f"{text} ({_number(min(samples))}-{_number(max(samples))})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _ratio(samples: list[float] | tuple[()], linux: list[float] | tuple[()]) -> str:
    if not samples or not linux or not statistics.median(linux):
        return ""
    return f"{statistics.median(samples) / statistics.median(linux):.2f}"
