"""Everything that is fuzzed, by name: a function of any bytes, and inputs to begin with."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sarab.wire.errors import Malformed
from tests.fuzz import disk_target, parsers, ring_target, stack_target
from tests.fuzz.test_names_wire import dhcp_seeds, dns_seeds


class Target(NamedTuple):
    """What is fuzzed."""

    run: Callable[[bytes], None]
    """Takes any bytes; returns, or raises what is a finding."""
    seeds: Callable[[], list[bytes]]
    longest: int
    """Bytes of an input."""
    runs: int
    """Inputs that `make test` tries: about a second's worth."""


def _wire(name: str) -> Target:
    parse = parsers.PARSERS[name]

    def run(data: bytes) -> None:
        try:
            parse(data)
        except Malformed:
            pass

    def seeds() -> list[bytes]:
        good = [packet for kind, packet in parsers.GOOD if kind == name]
        return good + (MORE_SEEDS[name]() if name in MORE_SEEDS else [])

    return Target(run, seeds, 2048 if name in ("dns", "dhcpv4") else 256, 2000)


def _any_wire(data: bytes) -> None:
    """Any parser: the first byte says which. It is what `make test` fuzzes of them."""
    if data:
        TARGETS[_NAMES[data[0] % len(_NAMES)]].run(data[1:])


def _wire_seeds() -> list[bytes]:
    return [bytes((index,)) + seed for index, name in enumerate(_NAMES) for seed in TARGETS[name].seeds()]


_NAMES = tuple(parsers.PARSERS)
ADDRESSES = (
    b"10.0.0.1/24", b"fe80::1%eth0", b"2001:db8:0:0:1::/64", b"::ffff:1.2.3.4", b"02:00:00:00:00:01", b"a.b\\046.",
)  # fmt: skip
MORE_SEEDS: dict[str, Callable[[], list[bytes]]] = {
    "dns": dns_seeds,
    "dhcpv4": dhcp_seeds,
    "address": lambda: list(ADDRESSES),
}

TARGETS: dict[str, Target] = {name: _wire(name) for name in parsers.PARSERS}
TARGETS["wire"] = Target(_any_wire, _wire_seeds, 2048, 10_000)
TARGETS["stack"] = Target(stack_target.any_story, stack_target.seeds, 4096, 500)
TARGETS["ring"] = Target(ring_target.any_device, ring_target.seeds, 2048, 1500)
TARGETS["disk"] = Target(disk_target.any_disk, disk_target.seeds, 512, 150)
TARGETS["entropy"] = Target(ring_target.any_entropy, lambda: [bytes(40), bytes(range(40))], 200, 2000)
