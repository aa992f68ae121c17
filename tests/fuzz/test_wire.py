"""Whatever comes, a parser of `wire` gives a value or raises Malformed, and nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sarab.wire import arp, ethernet, ipv4, ipv6, tcp, udp
from sarab.wire.checksum import checksum
from sarab.wire.errors import Malformed


def any_ipv4(data: bytes) -> None:
    """The checksum would stop nearly everything: give the header a good one."""
    bare = data[:10] + b"\0\0" + data[12:]
    size = (bare[0] & 15) * 4 if bare else 0
    ipv4.parse(bare[:10] + checksum(bare[:size]).to_bytes(2, "big") + bare[12:])


PARSERS: dict[str, Callable[[bytes], object]] = {
    "ethernet": ethernet.parse,
    "arp": arp.parse,
    "ipv4": ipv4.parse,
    "ipv4 with a good checksum": any_ipv4,
    "ipv6": ipv6.parse,
    "tcp": tcp.parse,
    "udp": udp.parse,
}


@pytest.mark.parametrize("name", PARSERS)
@given(data=st.binary(max_size=120))
@example(data=b"")
def test_parsers_give_a_value_or_malformed(name: str, data: bytes) -> None:
    with contextlib.suppress(Malformed):
        PARSERS[name](data)


@given(tail=st.binary(min_size=4, max_size=40).filter(lambda tail: len(tail) % 4 == 0))
def test_tcp_options_give_a_value_or_malformed(tail: bytes) -> None:
    header = bytearray(20)
    header[12] = (5 + len(tail) // 4) << 4
    with contextlib.suppress(Malformed):
        segment = tcp.parse(bytes(header) + tail)
        assert tcp.line(segment)


@given(first=st.sampled_from([0, 43, 44, 60]), chain=st.binary(max_size=120))
def test_extension_headers_give_a_value_or_malformed(first: int, chain: bytes) -> None:
    packet = ipv6.emit(ipv6.Header(bytes(16), bytes(16), first, len(chain))) + chain
    with contextlib.suppress(Malformed):
        ipv6.walk(packet, first)
