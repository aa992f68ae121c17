"""What a claim's measurement returns, and why it may not return."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class Unavailable(Exception):
    """A claim cannot be measured on this machine; the message is one sentence that says what is missing."""


class Failed(Exception):
    """A guest or a command that should have worked did not; the message says which and shows what it printed."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How a claim is to be measured."""

    folder: Path
    """Where the guests may be built; it goes away with the run."""
    accelerator: str
    """QEMU's: tcg or kvm."""
    runs: int
    """Samples of each quantity."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: the medians of one quantity, here and in the Linux guest."""

    what: str
    unit: str
    sarab: Sequence[float]
    """Every sample, in `unit`; the table shows the median."""
    linux: Sequence[float] = ()
    """The Linux guest's samples; empty where there is no counterpart."""
    aim: str = ""
    """What issue 2 asks for, in words."""
    reached: bool | None = None
    """Whether the aim is met; None if there is none."""
    process: Sequence[float] = ()
    """Samples of the same program as a process of the host, with the same interpreter; empty where they say nothing."""
    linux_beyond: bool = False
    """Whether the guest had not got there by then: its samples are the least that it takes."""

    @property
    def ratio(self) -> float | None:
        """Sarab's median divided by Linux's: below 1 is better for every quantity in this bench."""
        if not self.sarab or not self.linux:
            return None
        return median(self.sarab) / median(self.linux)

    @property
    def process_ratio(self) -> float | None:
        """Sarab's median divided by the process's."""
        if not self.sarab or not self.process:
            return None
        return median(self.sarab) / median(self.process)


def median(samples: Sequence[float]) -> float:
    """Return the median, or NaN of no samples."""
    return statistics.median(samples) if samples else math.nan


def spread(samples: Sequence[float]) -> float:
    """Return half the distance between the first and the third quartile, as a share of the median (0 if unknown)."""
    if len(samples) < 4 or not median(samples):
        return 0.0
    low, _, high = statistics.quantiles(samples, n=4)
    return (high - low) / 2 / median(samples)
