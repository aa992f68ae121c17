"""The internet checksum, judged by the definition of RFC 1071."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sarab.wire.checksum import checksum, partial, pseudo_header, update, verified


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


def test_zeros_are_not_intact() -> None:
    """In ones' complement 0 is not 0xffff: RFC 1071 asks for the latter."""
    assert not verified(bytes(20))
    assert verified(b"\xff\xff" + bytes(18))
    assert checksum(bytes(20)) == 0xFFFF


@given(st.binary(min_size=12, max_size=12), st.binary(min_size=2, max_size=2), st.sampled_from([2, 4, 6, 8, 10]))
def test_an_updated_checksum_verifies(data: bytes, new: bytes, at: int) -> None:
    old, changed = data[at : at + 2], data[:at] + new + data[at + 2 :]
    stored = update(checksum(data), partial(old), partial(new))
    assert 0 < stored <= 0xFFFF
    assert verified(stored.to_bytes(2, "big") + changed)


def test_rfc_1624_example() -> None:
    assert update(0xDD2F, 0x5555, 0x3285) in (0x0000, 0xFFFF)


def test_rfc_1071_example() -> None:
    assert partial(bytes.fromhex("0001f203f4f5f6f7")) == 0xDDF2


def test_pseudo_header_is_the_sum_of_its_fields() -> None:
    source, destination = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
    flat = source + destination + b"\0\x06" + (1234).to_bytes(2, "big")
    assert pseudo_header(source, destination, 6, 1234) == partial(flat)
