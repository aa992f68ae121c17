"""Sequence numbers without wrap-around.

Inside the machine a sequence number is a Python int that never wraps: it begins at the initial sequence number and
grows. On the wire are its 32 low bits; `unwrap` finds the number that a peer meant from one that is near it. So the
machine compares with `<`, and RFC 9293's modulo arithmetic (section 3.4) lives here alone.
"""

from __future__ import annotations

from typing import Final

MASK: Final = 0xFFFFFFFF


def unwrap(wire: int, near: int) -> int:
    """Return the number with the low 32 bits of `wire` that is nearest to `near`."""
    delta = (wire - near) & MASK
    return near + (delta if delta < 0x80000000 else delta - 0x100000000)
