"""Claim: the size of hello's image, against a kernel and an initramfs with the same files."""

from bench.pair import HELLO, make_pair
from bench.result import Row, Setting

AIM_MB = 8


def measure(setting: Setting) -> list[Row]:
    """Return the size of what the hypervisor must be given, in megabytes (10^6 bytes); nothing is booted."""
    pair = make_pair(HELLO, setting)
    here = pair.sarab.kernel.stat().st_size / 1e6
    there = []
    if pair.linux is not None and pair.linux.initrd is not None:
        there = [(pair.linux.kernel.stat().st_size + pair.linux.initrd.stat().st_size) / 1e6]
    return [Row("image of hello", "MB", [here], there, f"under {AIM_MB} MB", here < AIM_MB)]
