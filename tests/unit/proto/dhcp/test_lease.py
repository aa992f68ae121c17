"""What a lease says, and which words of a server are not taken."""

from __future__ import annotations

import pytest

from sarab.proto.dhcp.lease import SECOND, Lease, lease_of
from sarab.wire import dhcpv4
from sarab.wire.dhcpv4 import Message, Route
from sarab.wire.errors import Malformed

ADDRESS, GATEWAY = b"\xc0\0\2\x0a", b"\xc0\0\2\1"
BASE = {
    dhcpv4.LEASE_TIME: b"\0\0\x0e\x10",
    dhcpv4.SERVER_ID: GATEWAY,
    dhcpv4.SUBNET_MASK: b"\xff\xff\xff\0",
}


def read(own: bytes = ADDRESS, without: int = 0, **options: bytes) -> Lease:
    """Return the lease of BASE and options named c<code>."""
    return read_options(own, BASE | {int(name[1:]): data for name, data in options.items()}, without)


def read_options(own: bytes, options: dict[int, bytes], without: int = 0) -> Lease:
    found = dict(options)
    found.pop(without, None)
    return lease_of(Message(2, 1, bytes(6), tuple(found.items()), yiaddr=own), 0, lambda size: b"\xff" * size)


def test_everything_that_a_server_can_say() -> None:
    lease = read(
        c3=GATEWAY,
        c6=b"\x08\x08\x08\x08\x01\x01\x01\x01",
        c12=b"web",
        c15=b"example.org\0",
        c26=b"\x05\x78",
        c42=b"\xc0\0\2\3",
        c119=b"\1a\7example\0\1b\xc0\2",
    )
    assert lease.routers == (GATEWAY,) and lease.routes == ()
    assert lease.dns == (b"\x08\x08\x08\x08", b"\x01\x01\x01\x01") and lease.ntp == (b"\xc0\0\2\3",)
    assert (lease.domain, lease.hostname, lease.mtu) == ("example.org", "web", 1400)
    assert lease.search == ("a.example", "b.example")


def test_classless_routes_stand_for_the_routers() -> None:
    other = b"\xc0\0\2\2"
    lease = read(c3=GATEWAY, c121=b"\0" + other + b"\x08\x0a" + bytes(4))
    assert lease.routers == (other,) and lease.routes == (Route(b"\x0a\0\0\0", 8, bytes(4)),)
    assert read(c3=GATEWAY, c121=b"\x08\x0a" + other).routers == ()
    assert read(c3=GATEWAY, c121=b"\x21").routers == (GATEWAY,)


@pytest.mark.parametrize(("own", "prefix"), [(b"\x0a\1\1\1", 8), (b"\xac\x10\1\1", 16), (b"\xc0\xa8\1\1", 24)])
def test_without_a_mask_the_class_counts(own: bytes, prefix: int) -> None:
    assert read(own, without=dhcpv4.SUBNET_MASK).prefix == prefix


@pytest.mark.parametrize("own", ["00000000", "7f000001", "e0000001", "ffffffff", "c0000200", "c00002ff"])
def test_an_address_that_no_host_has_is_no_lease(own: str) -> None:
    with pytest.raises(Malformed):
        read(bytes.fromhex(own))


def test_in_a_network_of_two_or_one_every_address_is_a_hosts() -> None:
    assert read(b"\xc0\0\2\0", c1=b"\xff\xff\xff\xfe").prefix == 31
    assert read(b"\xc0\0\2\xff", c1=b"\xff\xff\xff\xff").prefix == 32


@pytest.mark.parametrize("code", [dhcpv4.LEASE_TIME, dhcpv4.SERVER_ID])
def test_without_time_or_server_there_is_no_lease(code: int) -> None:
    with pytest.raises(Malformed):
        read(without=code)


@pytest.mark.parametrize(("code", "data"), [(51, b"\0\0\0\5"), (51, b"\0"), (54, bytes(4)), (1, b"\xff\0\xff\0")])
def test_a_time_server_or_mask_that_makes_no_sense_is_no_lease(code: int, data: bytes) -> None:
    with pytest.raises(Malformed):
        read_options(ADDRESS, BASE | {code: data})


@pytest.mark.parametrize("t1_t2", [(0, 0), (3000, 2000), (9999, 9999), (1, 0)])
def test_times_are_in_order_whatever_the_server_says(t1_t2: tuple[int, int]) -> None:
    lease = read(c58=t1_t2[0].to_bytes(4, "big"), c59=t1_t2[1].to_bytes(4, "big"))
    assert lease.t1 is not None and lease.t2 is not None and lease.expiry == 3600 * SECOND
    assert 0 < lease.t1 <= lease.t2 <= lease.expiry


def test_two_hosts_do_not_renew_at_the_same_moment() -> None:
    message = Message(2, 1, bytes(6), tuple(BASE.items()), yiaddr=ADDRESS)
    early, late = (lease_of(message, 0, lambda size, byte=byte: byte * size) for byte in (b"\xff", b"\0"))  # type: ignore[misc]
    assert early.t1 is not None and late.t1 == 1800 * SECOND and 1687 * SECOND < early.t1 < 1688 * SECOND


def test_an_option_that_makes_no_sense_is_as_none() -> None:
    lease = read(c6=b"\1\2\3", c3=b"", c26=b"\0\x44", c15=b"a b", c12=b"\x1b[2J", c119=b"\xc0\0", c42=b"\x7f\0\0\1")
    assert (lease.dns, lease.routers, lease.mtu, lease.domain) == ((), (), None, "")
    assert (lease.hostname, lease.search, lease.ntp) == ("", (), ())


def test_lists_are_bounded() -> None:
    many = b"".join(bytes((10, 0, 1, host)) for host in range(1, 60))
    assert len(read(c6=many, c3=many).dns) == 8
    assert len(read(c119=b"".join(b"\2" + bytes((97 + n, 97)) + b"\0" for n in range(20))).search) == 8
