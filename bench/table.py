"""Print rows as a table of plain text or Markdown, and as JSON."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bench.result import Row, median, spread

HEADINGS = ("what", "sarab", "Linux guest", "ratio", "process", "ratio", "aim")


def cells(row: Row) -> tuple[str, ...]:
    """Return the texts of one row, in the order of HEADINGS."""
    aim = row.aim
    if row.reached is not None:
        aim += " (reached)" if row.reached else " (not reached)"
    return (
        row.what,
        _quantity(row.sarab, row.unit),
        ("over " if row.linux_beyond else "") + _quantity(row.linux, row.unit),
        f"under {row.ratio:.1g}" if row.linux_beyond and row.ratio else _ratio(row.ratio),
        _quantity(row.process, row.unit),
        _ratio(row.process_ratio),
        aim,
    )


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _quantity(samples: Sequence[float], unit: str) -> str:
    """Return the median with three significant figures, its unit, and the spread if it is known."""
    if not samples:
        return ""
    value = median(samples)
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    text = f"{value:.{digits}f} {unit}"
    return f"{text} ±{spread(samples):.0%}" if len(samples) >= 4 else text


def plain(rows: Sequence[Row]) -> str:
    """Return the rows as columns of text."""
    table = [HEADINGS, *(cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(HEADINGS))]
    lines = []
    for line in table:
        first, *rest = line
        columns = [first.ljust(widths[0])]
        columns += [text.rjust(width) for text, width in zip(rest[:-1], widths[1:], strict=False)]
        lines.append("  ".join([*columns, rest[-1]]).rstrip())
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)


def markdown(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table; what is indented in `what` stays so."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "| --- | ---: | ---: | ---: | ---: | ---: | --- |"]
    for row in rows:
        texts = [text.replace("|", "\\|") for text in cells(row)]
        indent = len(texts[0]) - len(texts[0].lstrip())
        texts[0] = "&nbsp;" * indent + texts[0].lstrip()
        lines.append("| " + " | ".join(texts) + " |")
    return "\n".join(lines)


def as_json(environment: Mapping[str, str], claims: Mapping[str, Sequence[Row]], skipped: Mapping[str, str]) -> str:
    """Return everything measured, every sample included, as a JSON document."""
    document: dict[str, Any] = {"environment": dict(environment), "skipped": dict(skipped), "claims": {}}
    for name, rows in claims.items():
        document["claims"][name] = [
            {
                "what": row.what.strip(),
                "unit": row.unit,
                "sarab": list(row.sarab),
                "linux": list(row.linux),
                "linux_beyond": row.linux_beyond,
                "process": list(row.process),
                "ratio": row.ratio,
                "process_ratio": row.process_ratio,
                "aim": row.aim,
                "reached": row.reached,
            }
            for row in rows
        ]
    return json.dumps(document, indent=2)
