"""What a system call costs: the host takes the time of many calls, and of as many that do nothing in the same way.

Each line `begin NAME COUNT` says how many calls come before the line `end`. The call and its twin that does nothing are
of one kind, a C function or a lambda, for entering a Python function costs as much as a system call.
"""

import mmap
import os
import time
from collections.abc import Callable

REPEATS = 5


def calls(name: str, count: int, call: Callable[[], object], twin: Callable[[], object]) -> None:
    """Do `twin` and `call` `count` times each, in turn REPEATS times over, each loop between two lines for the host."""
    for _ in range(REPEATS):
        for label, action in ((f"-{name}", twin), (name, call)):
            print(f"begin {label} {count}", flush=True)
            for _ in range(count):
                action()
            print("end", flush=True)


def touch_pages() -> None:
    """Map 64 pages, write one byte to each, and unmap them: page faults."""
    with mmap.mmap(-1, 64 * 4096) as memory:
        for offset in range(0, 64 * 4096, 4096):
            memory[offset] = 1


def touch_no_pages(memory: bytearray) -> None:
    """Do what touch_pages does to memory that is there."""
    for offset in range(0, 64 * 4096, 4096):
        memory[offset] = 1


def main() -> None:
    """Run every call and its twin."""
    null = os.open("/dev/null", os.O_RDWR)
    memory = bytearray(64 * 4096)
    method = "".lower  # A C function without arguments, as getppid is.
    calls("getppid", 100_000, os.getppid, method)
    calls("clock_gettime", 100_000, time.monotonic_ns, method)
    calls("sched_yield", 100_000, os.sched_yield, method)
    begins = b"x".startswith  # A C function with an argument.
    calls("read", 50_000, lambda: os.read(null, 1), lambda: begins(b"y"))
    calls("write", 50_000, lambda: os.write(null, b"x"), lambda: begins(b"y"))
    calls("stat", 10_000, lambda: os.stat("/usr/lib"), lambda: begins(b"y"))  # noqa: PTH116
    calls("64_page_faults", 200, touch_pages, lambda: touch_no_pages(memory))


if __name__ == "__main__":
    main()
