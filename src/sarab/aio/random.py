"""The kernel's randomness (device.random.Random): of an image (kernel/cpu/random.c), or of a Linux host."""

from __future__ import annotations

import os


class SystemRandom:
    """device.random.Random."""

    def bytes(self, count: int) -> bytes:
        """See Random."""
        return os.urandom(count)

    def below(self, bound: int) -> int:
        """See Random; what is drawn above `bound` is drawn again, so that no number is more likely."""
        if bound < 1:
            raise ValueError(f"there is no number below {bound}")
        bits = (bound - 1).bit_length()
        size = (bits + 7) // 8
        while True:
            number = int.from_bytes(os.urandom(size), "big") >> (size * 8 - bits)
            if number < bound:
                return number
