"""Claim: the smallest memory with which hello prints its line and ends well."""

from dataclasses import replace

from bench.guest import Guest, boot
from bench.pair import HELLO, make_pair
from bench.result import Failed, Row, Setting

LEAST_MIB = 4
MOST_MIB = 512
AIM_MIB = 24
BOOT_SECONDS_MAX = 30
"""A boot that has not ended by then counts as one that had too little memory."""


def measure(setting: Setting) -> list[Row]:
    """Bisect for each guest; one search a guest, for memory is not subject to noise."""
    pair = make_pair(HELLO, setting)
    here = smallest(pair.sarab, setting.accelerator)
    there = [float(smallest(pair.linux, setting.accelerator))] if pair.linux is not None else []
    return [Row("smallest memory for hello", "MiB", [float(here)], there, f"{AIM_MIB} MiB", here <= AIM_MIB)]


def smallest(guest: Guest, accelerator: str) -> int:
    """Return the least whole number of MiB that `guest` works with; Failed if MOST_MIB is too little."""
    if not _works(guest, accelerator, MOST_MIB):
        raise Failed(f"hello in the {guest.name} guest does not work with {MOST_MIB} MiB")
    too_little, enough = LEAST_MIB - 1, MOST_MIB
    while enough - too_little > 1:
        middle = (too_little + enough) // 2
        if _works(guest, accelerator, middle):
            enough = middle
        else:
            too_little = middle
    return enough


def _works(guest: Guest, accelerator: str, memory_mib: int) -> bool:
    """Say whether `guest` prints hello's line and ends with status 0."""
    try:
        done = boot(replace(guest, memory_mib=memory_mib), accelerator, BOOT_SECONDS_MAX)
    except Failed:
        return False  # QEMU itself refuses to load a kernel that does not fit.
    return done.status == 0 and any(line.startswith("Hello") for _, line in done.console)
