"""``python -m bench``: measure every claim in one run, print one table, and write build/bench.json."""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench import boot_time, image_size, lines, loops, memory, rebuild, table, web_time, wiring
from bench.arguments import count
from bench.guest import PROCESSORS, qemu
from bench.pair import ROOT
from bench.result import Failed, Row, Setting, Unavailable
from sarab.folders import cache_folder
from sarab.machine.accelerator import choose

CLAIMS: dict[str, Callable[[Setting], list[Row]]] = {
    "boot": boot_time.measure,
    "web": web_time.measure,
    "size": image_size.measure,
    "memory": memory.measure,
    "rebuild": rebuild.measure,
    "wiring": wiring.measure,
    "processor": loops.measure_processor,
    "calls": loops.measure_system_calls,
    "lines": lines.measure,
}
DOCUMENT = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- bench {}: begin -->", "<!-- bench {}: end -->"
"""With the accelerator: a run replaces its own table only."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and return the exit status: 0 if nothing failed (what is missing here is skipped with its reason)."""
    options = _parser().parse_args(arguments)
    if options.accel == "auto":
        options.accel = choose("auto", cache_folder()).name
    claims: dict[str, list[Row]] = {}
    skipped: dict[str, str] = {}
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="sarab-bench-") as folder:
        for name in options.only or CLAIMS:
            print(f"bench: {name} ...", file=sys.stderr, flush=True)
            try:
                qemu()
                claims[name] = CLAIMS[name](Setting(Path(folder), options.accel, options.runs))
            except Unavailable as reason:
                skipped[name] = str(reason)
            except Failed as reason:
                failed[name] = str(reason)
    environment = describe(options.accel, options.runs)
    rows = [row for rows in claims.values() for row in rows]
    for key, value in environment.items():
        print(f"{key}: {value}")
    if rows:
        print("\n" + table.plain(rows) + "\n")
    for name, text in skipped.items():
        print(f"{name} was skipped: {text}.")
    for name, text in failed.items():
        print(f"{name} FAILED: {text}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(table.as_json(environment, claims, skipped) + "\n")
    if options.write_docs and rows:
        write_document(DOCUMENT, options.accel, environment, rows)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--runs", type=count, default=10, help="samples of each quantity (default: %(default)s)")
    parser.add_argument("--only", action="append", choices=CLAIMS, help="measure this claim only; may be repeated")
    parser.add_argument("--accel", choices=("auto", *PROCESSORS), default="auto", help="QEMU's accelerator (auto)")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench.json", help="where every sample goes")
    parser.add_argument("--write-docs", action="store_true", help=f"put the table into {DOCUMENT.relative_to(ROOT)}")
    return parser


def describe(accelerator: str, runs: int) -> dict[str, str]:
    """Return what a reader must know about the machine to judge the figures."""
    version = subprocess.run((qemu(), "--version"), check=True, capture_output=True, text=True).stdout.splitlines()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "host": f"{_processor_name()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "QEMU": f"{version[0] if version else 'unknown'}, {accelerator}, -cpu {PROCESSORS[accelerator]}, 128 MiB",
        "Python": f"{platform.python_version()}, {platform.python_compiler()}",
        "runs": f"{runs}; the table shows medians, ± half the distance between the quartiles",
    }


def _processor_name() -> str:
    """Return the processor's name as Linux tells it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()


def write_document(document: Path, accelerator: str, environment: Mapping[str, str], rows: Sequence[Row]) -> None:
    """Replace what is between the accelerator's markers in `document` by the environment and the table."""
    before, begin, rest = document.read_text().partition(BEGIN.format(accelerator))
    _, end, after = rest.partition(END.format(accelerator))
    if not begin or not end:
        raise Failed(f"{document} has no markers {BEGIN.format(accelerator)} and {END.format(accelerator)}")
    facts = "\n".join(f"* {key}: {value}" for key, value in environment.items())
    document.write_text(f"{before}{begin}\n{facts}\n\n{table.markdown(rows)}\n{end}{after}")


if __name__ == "__main__":
    sys.exit(main())
