"""The internet checksum, judged by the definition of RFC 1071."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sarab.wire.checksum import checksum, partial, pseudo_header, verified


def by_definition(data: bytes) -> int:
    total = 0
    for i in range(0, len(data), 2):
        total += int.from_bytes(data[i : i + 2].ljust(2, b"\0"), "big")
        total = (total & 0xFFFF) + (total >> 16)
    return total


@given(st.binary(max_size=100))
def test_partial_is_the_ones_complement_sum(data: bytes) -> None:
    assert partial(data) == by_definition(data) % 65535


@given(st.binary(min_size=2, max_size=100).filter(lambda data: len(data) % 2 == 0))
def test_a_packet_with_its_checksum_is_verified_and_a_changed_one_is_not(data: bytes) -> None:
    packet = checksum(data).to_bytes(2, "big") + data
    assert verified(packet)
    assert not verified(bytes([packet[0] ^ 1]) + packet[1:])


def test_rfc_1071_example() -> None:
    assert partial(bytes.fromhex("0001f203f4f5f6f7")) == 0xDDF2


def test_pseudo_header_is_the_sum_of_its_fields() -> None:
    source, destination = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
    flat = source + destination + b"\0\x06" + (1234).to_bytes(2, "big")
    assert pseudo_header(source, destination, 6, 1234) == partial(flat)
