"""The DHCP client against a server of a few lines, on virtual time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sarab.proto.dhcp.client import Change, Client, Settings, State
from sarab.proto.dhcp.lease import SECOND
from sarab.wire import dhcpv4
from sarab.wire.dhcpv4 import Message

MAC = b"\x02\0\0\0\0\x01"
SERVER, OTHER = b"\x0a\0\0\1", b"\x0a\0\0\3"
ADDRESS = b"\x0a\0\0\2"
HOUR = 3600
Sent = tuple[Message, bytes | None]


def seeded(seed: int = 1) -> Callable[[int], bytes]:
    return Random(seed).randbytes


def reply(
    to: Message, kind: int, *extra: tuple[int, bytes], own: bytes = ADDRESS, server: bytes = SERVER, lease: int = HOUR
) -> Message:
    options = [(dhcpv4.MESSAGE_TYPE, bytes((kind,))), (dhcpv4.SERVER_ID, server)]
    if kind != dhcpv4.NAK:
        options += [(dhcpv4.LEASE_TIME, lease.to_bytes(4, "big")), (dhcpv4.SUBNET_MASK, b"\xff\xff\xff\0")]
    found = dict(options) | dict(extra)
    return Message(2, to.xid, to.chaddr, tuple(found.items()), yiaddr=own if kind != dhcpv4.NAK else bytes(4))


def one(sent: list[Sent], kind: int) -> Message:
    ((message, _),) = sent
    assert message.kind == kind
    assert dhcpv4.parse(dhcpv4.emit(message)) == message
    return message


def leased(*extra: tuple[int, bytes], lease: int = HOUR, settings: Settings | None = None) -> Client:
    """Return a client that has got its lease at 0."""
    client = Client(MAC, "web", seeded(), settings or Settings())
    discover = one(client.poll(0), dhcpv4.DISCOVER)
    client.receive(0, reply(discover, dhcpv4.OFFER, *extra, lease=lease))
    request = one(client.poll(0), dhcpv4.REQUEST)
    client.receive(0, reply(request, dhcpv4.ACK, *extra, lease=lease))
    assert client.take_changes() == [Change.LEASED]
    return client


def state_of(client: Client) -> State:
    """For mypy, which would take a state once seen for lasting."""
    return client.state


def next_due(client: Client) -> int:
    due = client.deadline()
    assert due is not None
    return due


def test_four_messages_give_a_lease() -> None:
    client = Client(MAC, "web", seeded())
    assert client.deadline() == 0
    ((discover, destination),) = client.poll(0)
    assert destination is None and discover.flags == dhcpv4.BROADCAST and discover.ciaddr == bytes(4)
    assert discover.option(dhcpv4.CLIENT_ID) == b"\1" + MAC and discover.option(dhcpv4.HOST_NAME) == b"web"
    assert client.poll(0) == []
    client.receive(0, reply(discover, dhcpv4.OFFER))
    assert state_of(client) is State.REQUESTING and client.lease is None and client.deadline() == 0
    request = one(client.poll(0), dhcpv4.REQUEST)
    assert request.xid == discover.xid
    assert request.option(dhcpv4.REQUESTED_ADDRESS) == ADDRESS and request.option(dhcpv4.SERVER_ID) == SERVER
    client.receive(0, reply(request, dhcpv4.ACK))
    assert state_of(client) is State.BOUND and client.take_changes() == [Change.LEASED] and client.take_changes() == []
    lease = client.lease
    assert lease is not None and (lease.address, lease.prefix, lease.server) == (ADDRESS, 24, SERVER)
    assert lease.expiry == HOUR * SECOND and lease.t2 == HOUR * SECOND * 7 // 8
    assert lease.t1 is not None and HOUR * SECOND * 15 // 32 <= lease.t1 <= HOUR * SECOND // 2
    assert client.deadline() == lease.t1


def test_questions_that_nobody_answers_are_repeated_at_doubling_intervals_and_no_faster() -> None:
    client, times = Client(MAC, "", seeded()), []
    now = 0
    while now < 400 * SECOND:
        one(client.poll(now), dhcpv4.DISCOVER)
        times.append(now)
        now = next_due(client)
    pauses = [(b - a) / SECOND for a, b in pairwise(times)]
    for pause, expected in zip(pauses, (4, 8, 16, 32, 64, 64, 64), strict=False):
        assert abs(pause - expected) <= 1
    assert len(times) >= 8 and len(set(pauses)) == len(pauses)


def test_an_offered_address_that_is_not_acknowledged_is_given_up() -> None:
    client = Client(MAC, "", seeded())
    discover = one(client.poll(0), dhcpv4.DISCOVER)
    client.receive(0, reply(discover, dhcpv4.OFFER))
    kinds: list[int] = []
    now = 0
    while not kinds or kinds[-1] == dhcpv4.REQUEST:
        ((message, _),) = client.poll(now)
        kinds.append(message.kind)
        now = next_due(client)
    assert kinds == [dhcpv4.REQUEST] * 4 + [dhcpv4.DISCOVER] and 55 * SECOND < now < 75 * SECOND


def test_the_lease_is_renewed_with_its_server_at_t1_and_counts_from_the_question() -> None:
    client = leased((dhcpv4.RENEWAL_TIME, (600).to_bytes(4, "big")))
    assert client.deadline() == 600 * SECOND
    ((request, destination),) = client.poll(600 * SECOND)
    assert destination == SERVER and request.ciaddr == ADDRESS and request.flags == 0
    assert request.option(dhcpv4.REQUESTED_ADDRESS) is None and request.option(dhcpv4.SERVER_ID) is None
    assert state_of(client) is State.RENEWING and client.lease is not None
    client.receive(605 * SECOND, reply(request, dhcpv4.ACK))
    assert client.take_changes() == [Change.RENEWED] and client.lease.expiry == (600 + HOUR) * SECOND


def test_from_t2_on_anybody_is_asked_and_at_the_end_the_address_is_lost() -> None:
    client = leased()
    kinds: list[tuple[State, int]] = []
    now = next_due(client)
    while client.lease is not None:
        sent = client.poll(now)
        if client.lease is None:
            break
        ((message, destination),) = sent
        assert message.kind == dhcpv4.REQUEST and message.ciaddr == ADDRESS
        assert (destination is None) == (now >= HOUR * SECOND * 7 // 8)
        kinds.append((client.state, now))
        assert next_due(client) > now
        now = next_due(client)
    assert now == HOUR * SECOND and client.take_changes() == [Change.LOST]
    assert {state for state, _ in kinds} == {State.RENEWING, State.REBINDING} and len(kinds) < 20
    discover = one(sent, dhcpv4.DISCOVER)
    assert discover.option(dhcpv4.REQUESTED_ADDRESS) == ADDRESS


def test_another_server_may_rebind_and_is_asked_from_then_on() -> None:
    client = leased()
    now = HOUR * SECOND * 7 // 8
    ((request, destination),) = client.poll(now)
    assert destination is None and state_of(client) is State.REBINDING
    client.receive(now, reply(request, dhcpv4.ACK, server=OTHER))
    assert client.lease is not None and client.lease.server == OTHER
    ((_, destination),) = client.poll(next_due(client))
    assert destination == OTHER


def test_a_nak_ends_a_lease_and_the_next_try_waits_longer_each_time() -> None:
    client = leased()
    now = next_due(client)
    request = one(client.poll(now), dhcpv4.REQUEST)
    client.receive(now, reply(request, dhcpv4.NAK))
    assert client.lease is None and client.take_changes() == [Change.LOST]
    pauses = []
    for _ in range(9):
        pauses.append(next_due(client) - now)
        now = next_due(client)
        discover = one(client.poll(now), dhcpv4.DISCOVER)
        client.receive(now, reply(discover, dhcpv4.OFFER))
        client.receive(now, reply(one(client.poll(now), dhcpv4.REQUEST), dhcpv4.NAK))
    assert pauses == [second * SECOND for second in (1, 2, 4, 8, 16, 32, 64, 64, 64)]


def test_a_nak_of_another_server_than_the_one_that_was_chosen_is_dropped() -> None:
    client = Client(MAC, "", seeded())
    client.receive(0, reply(one(client.poll(0), dhcpv4.DISCOVER), dhcpv4.OFFER))
    request = one(client.poll(0), dhcpv4.REQUEST)
    client.receive(0, reply(request, dhcpv4.NAK, server=OTHER))
    client.receive(0, reply(request, dhcpv4.ACK, server=OTHER))
    assert state_of(client) is State.REQUESTING and client.statistics()["dropped"] == 2
    client.receive(0, reply(request, dhcpv4.ACK))
    assert state_of(client) is State.BOUND


def test_the_address_of_the_last_time_takes_two_messages() -> None:
    client = Client(MAC, "", seeded(), Settings(previous=ADDRESS))
    request = one(client.poll(0), dhcpv4.REQUEST)
    assert request.option(dhcpv4.REQUESTED_ADDRESS) == ADDRESS and request.option(dhcpv4.SERVER_ID) is None
    assert request.ciaddr == bytes(4) and state_of(client) is State.REBOOTING
    client.receive(0, reply(request, dhcpv4.ACK))
    assert state_of(client) is State.BOUND


@pytest.mark.parametrize("nak", [True, False])
def test_where_the_address_of_the_last_time_is_not_known_a_new_one_is_asked_for(nak: bool) -> None:
    client = Client(MAC, "", seeded(), Settings(previous=ADDRESS))
    request = one(client.poll(0), dhcpv4.REQUEST)
    if nak:
        client.receive(0, reply(request, dhcpv4.NAK))
    else:
        one(client.poll(next_due(client)), dhcpv4.REQUEST)
    discover = one(client.poll(next_due(client)), dhcpv4.DISCOVER)
    assert discover.option(dhcpv4.REQUESTED_ADDRESS) is None


def test_an_address_in_use_is_declined_and_not_asked_for_again_at_once() -> None:
    client = leased()
    client.conflict(SECOND)
    assert client.lease is None and client.take_changes() == [Change.LOST] and client.deadline() == 0
    ((decline, destination),) = client.poll(SECOND)
    assert decline.kind == dhcpv4.DECLINE and destination is None and decline.ciaddr == bytes(4)
    assert decline.option(dhcpv4.REQUESTED_ADDRESS) == ADDRESS and decline.option(dhcpv4.SERVER_ID) == SERVER
    assert client.deadline() == 11 * SECOND
    assert one(client.poll(11 * SECOND), dhcpv4.DISCOVER).option(dhcpv4.REQUESTED_ADDRESS) is None
    client.conflict(11 * SECOND)  # there is nothing to decline
    assert client.poll(11 * SECOND) == []


def test_a_lease_that_is_released_is_told_to_its_server_and_nothing_follows() -> None:
    client = leased()
    client.release(SECOND)
    ((release, destination),) = client.poll(SECOND)
    assert release.kind == dhcpv4.RELEASE and release.ciaddr == ADDRESS and destination == SERVER
    assert state_of(client) is State.STOPPED and client.deadline() is None and client.poll(HOUR * SECOND) == []
    assert client.take_changes() == [Change.LOST]
    client.restart(HOUR * SECOND)
    one(client.poll(HOUR * SECOND), dhcpv4.DISCOVER)


@pytest.mark.parametrize("seconds", [HOUR, 0xFFFFFFFF])
def test_after_a_restart_a_lease_is_asked_for_again_and_kept_when_nobody_answers(seconds: int) -> None:
    client = leased(lease=seconds)
    before = client.deadline()
    client.restart(SECOND)
    request = one(client.poll(SECOND), dhcpv4.REQUEST)
    assert request.ciaddr == bytes(4) and request.option(dhcpv4.REQUESTED_ADDRESS) == ADDRESS
    one(client.poll(next_due(client)), dhcpv4.REQUEST)
    assert client.poll(next_due(client)) == [] and state_of(client) is State.BOUND and client.deadline() == before
    assert client.take_changes() == [] and client.lease is not None


def test_a_restart_on_another_network_loses_the_lease() -> None:
    client = leased()
    client.restart(SECOND)
    client.receive(SECOND, reply(one(client.poll(SECOND), dhcpv4.REQUEST), dhcpv4.NAK, server=OTHER))
    assert client.take_changes() == [Change.LOST]


def test_a_lease_for_ever_asks_for_nothing() -> None:
    client = leased(lease=0xFFFFFFFF)
    assert client.deadline() is None and client.poll(1 << 62) == []


def test_an_acknowledgement_of_another_address_than_the_one_asked_for_is_dropped() -> None:
    client = Client(MAC, "", seeded())
    client.receive(0, reply(one(client.poll(0), dhcpv4.DISCOVER), dhcpv4.OFFER))
    request = one(client.poll(0), dhcpv4.REQUEST)
    client.receive(0, reply(request, dhcpv4.ACK, own=b"\x0a\0\0\x63"))
    assert client.lease is None and client.statistics()["dropped"] == 1


def test_a_lease_ends_in_time_even_while_it_is_asked_for_again() -> None:
    client = leased()
    client.restart((HOUR - 2) * SECOND)
    one(client.poll((HOUR - 2) * SECOND), dhcpv4.REQUEST)
    assert client.deadline() == HOUR * SECOND
    client.poll(HOUR * SECOND)
    assert client.lease is None


def test_after_ten_conflicts_a_minute_passes_between_two_tries_and_changes_are_bounded() -> None:
    client, now, pauses = leased(), SECOND, []
    for _ in range(40):
        client.conflict(now)
        one(client.poll(now), dhcpv4.DECLINE)
        pauses.append((next_due(client) - now) // SECOND)
        now = next_due(client)
        client.receive(now, reply(one(client.poll(now), dhcpv4.DISCOVER), dhcpv4.OFFER))
        client.receive(now, reply(one(client.poll(now), dhcpv4.REQUEST), dhcpv4.ACK))
    assert pauses == [10] * 9 + [60] * 31
    changes = client.take_changes()
    assert len(changes) == 64 and changes[-2:] == [Change.LOST, Change.LEASED]


def test_messages_for_others_and_of_other_times_are_dropped() -> None:
    client = Client(MAC, "", seeded())
    discover = one(client.poll(0), dhcpv4.DISCOVER)
    offer = reply(discover, dhcpv4.OFFER)
    client.receive(0, offer._replace(xid=offer.xid ^ 1))
    client.receive(0, offer._replace(chaddr=b"\x02\0\0\0\0\x02"))
    client.receive(0, offer._replace(op=1))
    client.receive(0, reply(discover, dhcpv4.ACK))
    client.receive(0, reply(discover, dhcpv4.NAK))
    assert state_of(client) is State.SELECTING and client.statistics()["dropped"] == 5


@given(
    st.lists(st.tuples(st.integers(0, 9), st.binary(max_size=12), st.integers(0, 60)), max_size=30), st.integers(0, 99)
)
def test_whatever_a_server_says_the_client_neither_raises_nor_spins(
    said: list[tuple[int, bytes, int]], seed: int
) -> None:
    client = Client(MAC, "web", seeded(seed))
    last, now = client.poll(0)[0][0], 0
    for kind, data, seconds in said:
        extra = [(code, data) for code in (1, 3, 6, 12, 15, 26, 42, 58, 59, 119, 121) if code % 3 != kind % 3]
        client.receive(now, reply(last, kind, *extra, own=(data + ADDRESS)[:4], lease=seconds * 5))
        now += seconds * SECOND
        sent = client.poll(now)
        assert len(sent) <= 2 and (due := client.deadline()) != 0 and (due is None or due > now)
        if sent:
            last = sent[-1][0]
    assert len(client.take_changes()) <= 2 * len(said)
