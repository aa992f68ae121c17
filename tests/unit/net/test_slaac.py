"""IPv6 autoconfiguration on virtual time: duplicates, lifetimes, routers that lie, and an end to every timer."""

from __future__ import annotations

import hashlib
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from sarab.net.slaac import (
    ADDRESSES_MAX,
    DNS_MAX,
    IDGEN_RETRIES,
    INFINITE,
    PREFIXES_MAX,
    ROUTERS_MAX,
    SECOND,
    Advertisement,
    Autoconfiguration,
    Probe,
)
from sarab.wire.address import ALL_ROUTERS6, ANY6, is_link_local, parse_ipv6, solicited_node
from sarab.wire.ndp import Prefix

ROUTER = parse_ipv6("fe80::1")
NET = parse_ipv6("2001:db8:1:2::")
HOUR = 3600


def make(now: int = 0, key: bytes = b"k" * 16, name: str = "eth0", seed: int = 1) -> Autoconfiguration:
    def prf(data: bytes) -> bytes:
        return hashlib.blake2b(data, key=key).digest()

    return Autoconfiguration(now, name, prf, random.Random(seed).randbytes, 1500)


def run_until(auto: Autoconfiguration, now: int, end: int) -> list[Probe]:
    """Poll at every deadline until `end`; return what was asked."""
    out = auto.poll(now)
    while (due := auto.deadline()) is not None and due <= end:
        assert due > now, "a timer that does not move"
        now = due
        out += auto.poll(now)
    return out


def prefix(valid: int = 2 * HOUR, preferred: int = HOUR, net: bytes = NET, length: int = 64) -> Prefix:
    return Prefix(net, length, True, True, valid, preferred)


def settled(valid: int = 2 * HOUR, preferred: int = HOUR) -> Autoconfiguration:
    """Return one that has had an RA at 0 s and is polled up to 5 s."""
    auto = make()
    auto.advertised(0, Advertisement(ROUTER, 1800, (prefix(valid, preferred),)))
    run_until(auto, 0, 5 * SECOND)
    return auto


def globals_of(auto: Autoconfiguration, now: int) -> list[bytes]:
    return [address for address, _ in auto.addresses(now) if not is_link_local(address)]


def test_the_link_local_address_is_probed_before_it_is_used() -> None:
    auto = make()
    (tried,) = auto.tentative()
    assert is_link_local(tried)
    assert Probe(ANY6, solicited_node(tried), tried) in auto.poll(0)
    assert auto.addresses(SECOND - 1) == []
    auto.poll(SECOND)
    assert auto.addresses(SECOND) == [(tried, 64)]


def test_an_address_that_is_taken_is_replaced_by_another_and_given_up_after_a_few() -> None:
    auto = make()
    tried: list[bytes] = []
    for _ in range(IDGEN_RETRIES + 1):
        (address,) = auto.tentative()
        tried.append(address)
        auto.poll(0)
        assert auto.claimed(0, address)
    assert len(set(tried)) == IDGEN_RETRIES + 1
    assert auto.tentative() == []
    assert auto.duplicates == IDGEN_RETRIES + 1


def test_an_address_in_use_cannot_be_claimed_away() -> None:
    auto = settled()
    for address, _ in auto.addresses(5 * SECOND):
        assert not auto.claimed(5 * SECOND, address)
    assert len(auto.addresses(5 * SECOND)) == 2


def test_addresses_are_stable_for_a_network_and_differ_by_key_interface_and_network() -> None:
    def of(auto: Autoconfiguration, net: bytes = NET) -> bytes:
        auto.advertised(0, Advertisement(ROUTER, 1800, (prefix(net=net),)))
        return auto.tentative()[-1]

    first = of(make())
    assert first[:8] == NET[:8]
    assert of(make(seed=2)) == first
    others = {of(make(key=b"z" * 16))[8:], of(make(name="eth1"))[8:], of(make(), parse_ipv6("2001:db8:9::"))[8:]}
    assert first[8:] not in others
    assert len(others) == 3


def test_reserved_identifiers_are_passed_over() -> None:
    answers = iter((bytes(8), b"\xfd" + b"\xff" * 6 + b"\x80", b"\x02\0\x5e\xff\xfe\0\x52\x13", b"goodgood"))
    auto = Autoconfiguration(0, "eth0", lambda _: next(answers), bytes, 1500)
    assert auto.tentative()[0][8:] == b"goodgood"


def test_routers_are_asked_at_growing_intervals_until_one_answers() -> None:
    auto = make()
    asked = [probe for probe in run_until(auto, 0, 50 * SECOND) if probe.target is None]
    assert [probe.destination for probe in asked] == [ALL_ROUTERS6] * 4  # about 0, 4, 12, 28 s
    assert asked[0].source == ANY6
    assert is_link_local(asked[1].source)
    auto.advertised(50 * SECOND, Advertisement(ROUTER, 1800))
    assert auto.routers(50 * SECOND) == [ROUTER]
    assert [probe for probe in run_until(auto, 50 * SECOND, 1000 * SECOND) if probe.target is None] == []


def test_when_the_last_router_goes_the_questions_begin_again() -> None:
    auto = settled()
    asked = run_until(auto, 5 * SECOND, 1801 * SECOND)
    assert any(probe.target is None for probe in asked)
    assert auto.routers(1801 * SECOND) == []


def test_a_lifetime_of_zero_removes_the_router_at_once() -> None:
    auto = settled()
    auto.advertised(6 * SECOND, Advertisement(ROUTER, 0))
    assert auto.routers(6 * SECOND) == []


def test_an_advertisement_not_from_a_link_local_address_is_dropped() -> None:
    auto = make()
    auto.advertised(0, Advertisement(parse_ipv6("2001:db8::1"), 1800, (prefix(),)))
    assert auto.dropped == 1
    assert auto.routers(0) == []
    assert len(auto.tentative()) == 1


def test_a_forged_short_life_leaves_two_hours() -> None:
    auto = settled(valid=10 * HOUR, preferred=HOUR)
    auto.advertised(6 * SECOND, Advertisement(ROUTER, 1800, (prefix(valid=1, preferred=0),)))
    run_until(auto, 6 * SECOND, 7200 * SECOND)
    assert globals_of(auto, 7200 * SECOND)
    run_until(auto, 7200 * SECOND, 7206 * SECOND)
    assert globals_of(auto, 7206 * SECOND) == []


def test_less_than_two_hours_are_not_shortened_but_may_grow() -> None:
    auto = settled(valid=HOUR, preferred=HOUR)
    auto.advertised(6 * SECOND, Advertisement(ROUTER, 1800, (prefix(valid=60, preferred=60),)))
    assert globals_of(auto, (HOUR - 1) * SECOND)
    auto.advertised(7 * SECOND, Advertisement(ROUTER, 1800, (prefix(valid=HOUR + 60, preferred=60),)))
    assert globals_of(auto, (HOUR + 66) * SECOND)
    assert globals_of(auto, (HOUR + 67) * SECOND) == []


def test_a_deprecated_address_comes_behind_a_preferred_one() -> None:
    auto = settled(preferred=60)
    other = parse_ipv6("2001:db8:7::")
    auto.advertised(6 * SECOND, Advertisement(ROUTER, 1800, (prefix(net=other),)))
    before = auto.generation
    run_until(auto, 6 * SECOND, 100 * SECOND)
    assert [address[:8] for address in globals_of(auto, 100 * SECOND)] == [other[:8], NET[:8]]
    assert auto.generation > before


def test_an_endless_prefix_sets_no_timer() -> None:
    auto = settled(valid=INFINITE, preferred=INFINITE)
    auto.advertised(6 * SECOND, Advertisement(ROUTER, 1800))
    assert auto.deadline() == 1806 * SECOND


def test_prefixes_that_make_no_address() -> None:
    auto = make()
    wrong = (
        prefix(net=parse_ipv6("fe80::")),
        prefix(net=parse_ipv6("ff02::")),
        prefix(length=48),
        prefix(valid=HOUR, preferred=2 * HOUR),
        prefix(valid=0, preferred=0),
        Prefix(NET, 64, True, False, HOUR, HOUR),
    )
    auto.advertised(0, Advertisement(ROUTER, 1800, wrong))
    assert len(auto.tentative()) == 1


def test_on_link_is_what_a_prefix_says_and_not_what_an_address_suggests() -> None:
    auto = make()
    auto.advertised(0, Advertisement(ROUTER, 1800, (Prefix(NET, 64, False, True, HOUR, HOUR),)))
    neighbour = NET[:8] + bytes(7) + b"\x09"
    assert not auto.on_link(0, neighbour)
    auto.advertised(0, Advertisement(ROUTER, 1800, (prefix(valid=HOUR),)))
    assert auto.on_link(0, neighbour)
    assert not auto.on_link(HOUR * SECOND, neighbour)
    assert auto.on_link(0, ROUTER)


def test_the_mtu_option_counts_between_1280_and_the_links() -> None:
    auto = make()
    for mtu, expected in ((1279, 1500), (9000, 1500), (1400, 1400), (1500, 1500)):
        auto.advertised(0, Advertisement(ROUTER, 1800, mtu=mtu))
        assert auto.mtu == expected


def test_dns_servers_live_as_long_as_they_were_said_to() -> None:
    auto = make()
    server = parse_ipv6("2001:db8::53")
    auto.advertised(0, Advertisement(ROUTER, 1800, dns=((server, 100),)))
    assert auto.dns(99 * SECOND) == [server]
    assert auto.dns(100 * SECOND) == []
    auto.advertised(1, Advertisement(ROUTER, 1800, dns=((server, 0),)))
    assert auto.dns(2) == []


def test_a_flood_of_advertisements_keeps_the_bounds_and_what_worked() -> None:
    auto = settled()
    mine = globals_of(auto, 5 * SECOND)
    for number in range(1000):
        source = b"\xfe\x80" + bytes(12) + number.to_bytes(2, "big")
        net = b"\x20\x01" + number.to_bytes(6, "big") + bytes(8)
        auto.advertised(5 * SECOND, Advertisement(source, 1800, (prefix(net=net),), dns=((net[:15] + b"\x01", 100),)))
    assert len(auto.routers(5 * SECOND)) <= ROUTERS_MAX
    assert ROUTER in auto.routers(5 * SECOND)
    assert len(auto._own) <= ADDRESSES_MAX
    assert len(auto._on_link) <= PREFIXES_MAX
    assert len(auto._dns) <= DNS_MAX
    assert globals_of(auto, 5 * SECOND)[: len(mine)] == mine
    assert auto.dropped


lifetimes = st.sampled_from((0, 1, 60, HOUR, 3 * HOUR, INFINITE))
steps = st.tuples(
    st.integers(0, 5), st.integers(0, 3), lifetimes, lifetimes, lifetimes, st.booleans(), st.integers(0, 4000)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=20))
def test_whatever_comes_every_timer_moves_on(events: list[tuple[int, int, int, int, int, bool, int]]) -> None:
    auto = make(now=7)
    now = 7
    for router, net, lifetime, valid, preferred, claim, wait in events:
        option = prefix(valid, preferred, NET[:7] + bytes((net,)) + bytes(8))
        auto.advertised(now, Advertisement(ROUTER[:15] + bytes((router + 1,)), lifetime, (option,)))
        if claim and auto.tentative():
            auto.claimed(now, auto.tentative()[0])
        end = now + wait * SECOND
        run_until(auto, now, end)
        now = end
