"""Addresses and their text, judged by the standard library's ipaddress."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sarab.wire import address


@given(st.binary(min_size=4, max_size=4))
def test_ipv4_text_is_that_of_ipaddress(raw: bytes) -> None:
    assert address.text(raw) == str(ipaddress.IPv4Address(raw))
    assert address.parse(address.text(raw)) == raw


@given(st.lists(st.sampled_from([b"\0\0", b"\0\x01", b"\xab\xcd"]), min_size=8, max_size=8).map(b"".join))
def test_ipv6_text_is_that_of_ipaddress(raw: bytes) -> None:
    if not raw.startswith(address.MAPPED):
        assert address.text(raw) == str(ipaddress.IPv6Address(raw))
    assert address.parse(address.text(raw)) == raw


@given(st.text(alphabet="0123456789abcdefg:.%/", max_size=46))
def test_what_ipaddress_refuses_is_refused(text: str) -> None:
    try:
        expected = ipaddress.ip_address(text).packed
    except ValueError:
        with pytest.raises(ValueError):
            address.parse(text)
    else:
        if "%" not in text:
            assert address.parse(text) == expected


@pytest.mark.parametrize("text", ["::ffff:10.0.0.1", "64:ff9b::1.2.3.4", "1::", "::1", "::", "1:2:3:4:5:6:7::"])
def test_ipv6_forms(text: str) -> None:
    assert address.parse(text) == ipaddress.ip_address(text).packed


@pytest.mark.parametrize("text", ["0x1::", "::0b_1", "::٣", "1:2:3:4:5:6:7:8:9", "::1::", ":1::", "::1 ", "12345::"])
def test_what_int_would_take_is_no_ipv6_address(text: str) -> None:
    with pytest.raises(ValueError):
        address.parse_ipv6(text)


@pytest.mark.parametrize("text", ["  :00:00:00:00:00", "0:1:2:3:4:5", "00:00:00:00:00", "gg:00:00:00:00:00", "٣٣:0"])
def test_what_is_no_ethernet_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        address.parse_mac(text)


def test_zones_belong_to_addresses_of_one_link() -> None:
    local, group = address.parse("fe80::1"), address.parse("ff02::fb")
    assert address.parse_scoped("fe80::1%eth0") == (local, "eth0")
    assert address.parse_scoped("fe80::1") == (local, "")
    assert address.text_scoped(local, "eth0") == "fe80::1%eth0"
    assert address.text_scoped(group, "2") == "ff02::fb%2"
    assert address.text_scoped(address.parse("2001:db8::1"), "eth0") == "2001:db8::1"
    assert address.text_scoped(address.parse("169.254.0.1"), "eth0") == "169.254.0.1"
    for wrong in ("fe80::1%", "2001:db8::1%eth0", "10.0.0.1%eth0"):
        with pytest.raises(ValueError):
            address.parse_scoped(wrong)


def test_networks() -> None:
    assert address.parse_network("10.0.0.2/24") == (bytes([10, 0, 0, 2]), 24)
    assert address.network_of(address.parse("10.1.2.3"), 20) == address.parse("10.1.0.0")
    assert address.broadcast_of(address.parse("10.1.2.3"), 20) == address.parse("10.1.15.255")
    assert address.in_network(address.parse("fd00::5"), address.parse("fd00::"), 64)
    assert not address.in_network(address.parse("fd00:1::5"), address.parse("fd00::"), 64)
    assert not address.in_network(address.parse("10.0.0.1"), address.ANY6, 0)
    for wrong in ("10.0.0.2", "10.0.0.2/33", "10.0.0.2/-1", "fd00::/129", "/24"):
        with pytest.raises(ValueError):
            address.parse_network(wrong)


def test_multicast_addresses() -> None:
    assert address.multicast_mac(address.parse("224.129.2.3")) == address.parse_mac("01:00:5e:01:02:03")
    solicited = address.solicited_node(address.parse("fe80::1:2:3:4567:89ab"))
    assert address.text(solicited) == "ff02::1:ff67:89ab"
    assert address.multicast_mac(solicited) == address.parse_mac("33:33:ff:67:89:ab")
    assert address.is_multicast(solicited)
    assert not address.is_multicast(address.parse("192.0.2.1"))
