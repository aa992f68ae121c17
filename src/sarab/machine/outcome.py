"""What became of a machine that has ended."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import NamedTuple

STATUS_TIMED_OUT = 124
"""As timeout(1) has it."""
STATUS_DIED = 125
"""No program's status: the machine ended and never said one."""
STATUS_KILLED = 137


class Ending(enum.Enum):
    """How a machine came to its end."""

    EXITED = "the program ended and said its status"
    DIED = "the machine ended without a word"
    TIMED_OUT = "the machine outlived its time and was killed"
    KILLED = "the machine was killed because its owner said so"


class Mark(NamedTuple):
    """A moment of the boot (docs/decisions/0002)."""

    name: str
    guest_ns: int
    """Since kernel entry, by the guest's clock."""
    host_ns: int
    """Since QEMU was started, by the host's clock, when the line came out of the machine."""


@dataclass(frozen=True)
class Outcome:
    """What a machine did, from its start to its end. Times are nanoseconds since QEMU was started."""

    ending: Ending
    status: int
    """The program's exit status; 124, 125 or 137 if the ending is another than EXITED."""
    accelerator: str
    """`kvm` or `tcg`."""
    elapsed_ns: int
    marks: tuple[Mark, ...] = ()
    chunks: tuple[tuple[int, bytes], ...] = field(default=(), repr=False)
    """The console's bytes as they came, each piece with its time; empty if the console was passed on, not kept."""
    complaint: str = ""
    """What QEMU wrote to its own standard error."""
    died_of: str = ""
    """QEMU's word for why the machine stopped, if it had one: `guest-reset`, `guest-panic`, ...;
    `guest-early` if the guest ended the machine before QEMU's monitor was ready to tell why."""

    @property
    def console(self) -> bytes:
        """Everything that came out of the console, if it was kept."""
        return b"".join(piece for _, piece in self.chunks)

    def line_ns(self, prefix: bytes) -> int | None:
        """Return when the first console line that begins with `prefix` was complete, or None."""
        pending = b""
        for moment, piece in self.chunks:
            *lines, pending = (pending + piece).split(b"\n")
            if any(line.startswith(prefix) for line in lines):
                return moment
        return None

    @property
    def sentence(self) -> str:
        """What a person should be told, or nothing if all went the usual way."""
        match self.ending:
            case Ending.EXITED:
                return ""
            case Ending.TIMED_OUT:
                return f"the machine was killed after {self.elapsed_ns / 1e9:.1f} s, the time it was given"
            case Ending.KILLED:
                return "the machine was killed"
            case Ending.DIED:
                what = {
                    "guest-reset": "it reset itself, as a processor does after a triple fault",
                    "guest-shutdown": "it switched itself off",
                    "guest-panic": "its kernel panicked",
                    "guest-early": "it reset or switched itself off, as soon as it had started",
                }.get(self.died_of, "QEMU ended")
                complaint = f"; QEMU said: {self.complaint.strip().splitlines()[-1]}" if self.complaint.strip() else ""
                return f"the machine died and gave no exit status: {what}{complaint}"
