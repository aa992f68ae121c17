"""`make demo`: build the examples, boot them, and show what came out and what was measured."""

import os
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from sarab.build.builder import BuildOptions, build
from sarab.errors import SarabError
from sarab.machine.options import MachineOptions
from sarab.machine.outcome import Outcome
from sarab.machine.qemu import Qemu

FOLDER = Path(__file__).parent


class Example(NamedTuple):
    """A program here, and what it is given."""

    name: str
    arguments: tuple[str, ...] = ()
    stdin: bytes = b""


EXAMPLES = (
    Example("hello.py", ("--name", "World")),
    Example("tasks.py", ("--jobs", "3")),
    Example("notes.py", (), b"buy bread\nbuild an image\nboot it\nbe the operating system\n"),
)
HEADINGS = ("example", "image", "modules", "build", "build again", "to first line", "of it in the image", "to the end")


def main() -> int:
    """Do all of it; 1 if an example did not end as it should."""
    rows: list[tuple[str, ...]] = [HEADINGS]
    worst = 0
    with tempfile.TemporaryDirectory(prefix="sarab-demo-") as folder:
        # An empty cache, so that the first build is measured as a first build.
        cache = Path(folder) / "cache"
        accelerator = Qemu(Path(), MachineOptions()).choose_accelerator()
        for example in EXAMPLES:
            words = ["--", *example.arguments] if example.arguments else []
            print(f"$ sarab run examples/{' '.join([example.name, *words])}")
            try:
                options = BuildOptions(output=Path(folder) / f"{example.name}.elf", cache=cache)
                first, again = build(str(FOLDER / example.name), options), build(str(FOLDER / example.name), options)
                machine = MachineOptions(
                    arguments=example.arguments,
                    marks=True,
                    timeout_s=120,
                    accel="kvm" if accelerator.name == "kvm" else "tcg",
                )
                outcome = Qemu(first.image, machine).run(example.stdin)
            except SarabError as error:
                print(f"sarab: {error}\n", file=sys.stderr)
                worst = 1
                continue
            print(outcome.console.decode(errors="replace"))
            if outcome.status != 0:
                print(f"{example.name} ended with {outcome.status}. {outcome.sentence}", file=sys.stderr)
                worst = 1
            size = f"{first.size / 1e6:.1f} MB"
            builds = (f"{first.seconds:.2f} s", f"{again.seconds:.2f} s")
            rows.append((example.name, size, str(first.module_count), *builds, *times(outcome)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    for row in rows:
        print("  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]))
    print(f"\nThe machine: QEMU's microvm with 128 MiB, {accelerator.reason}.")
    print(f"The interpreter in each image: {sys.executable} ({sys.version.split()[0]}), on {os.cpu_count()} host CPUs.")
    return worst


def times(outcome: Outcome) -> tuple[str, str, str]:
    """Return milliseconds from QEMU's start to the application's first line, since kernel entry, and to the end."""
    application = next((mark for mark in outcome.marks if mark.name == "application"), None)
    if application is None:
        return "", "", f"{outcome.elapsed_ns / 1e6:.0f} ms"
    return (
        f"{application.host_ns / 1e6:.0f} ms",
        f"{application.guest_ns / 1e6:.0f} ms",
        f"{outcome.elapsed_ns / 1e6:.0f} ms",
    )


if __name__ == "__main__":
    raise SystemExit(main())
