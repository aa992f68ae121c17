"""Claim: the size of hello's image, against a kernel and an initramfs with the same files."""

from bench.pair import HELLO, make_pair
from bench.result import Row, Setting

AIM_MB = 8


def measure(setting: Setting) -> list[Row]:
    """Return the size of what the hypervisor must be given, in megabytes (10^6 bytes); nothing is booted."""
    pair = make_pair(HELLO, setting)
    here = pair.sarab.kernel.stat().st_size / 1e6
    there = []
    guest = pair.linux or pair.emulated
    if guest is not None and guest.initrd is not None:
        there = [(guest.kernel.stat().st_size + guest.initrd.stat().st_size) / 1e6]
    return [Row("image of hello", "MB", [here], there, f"under {AIM_MB} MB", here < AIM_MB)]
