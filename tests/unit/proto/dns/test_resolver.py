"""The resolver against servers of a few lines, on virtual time."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sarab.proto.dns.question import SECOND, Outcome
from sarab.proto.dns.resolver import Lookup, Query, Resolver, Settings
from sarab.wire import dns
from sarab.wire import dns_records as records
from sarab.wire.address import LOOPBACK4, LOOPBACK6, parse

ONE, TWO, THREE, FOUR = (bytes((10, 0, 0, n)) for n in (1, 2, 3, 4))
FOUND4, FOUND6 = parse("192.0.2.1"), parse("2001:db8::1")
Zone = dict[str, tuple[bytes, ...]]


def resolver(*search: str, seed: int = 1, settings: Settings | None = None) -> Resolver:
    return Resolver(Random(seed).randbytes, (ONE,), search, settings, {"printer": (parse("10.0.0.9"),)})


def response(query: Query, zone: Zone, flags: int = 0) -> bytes:
    """Return what a server that knows `zone` says to a query."""
    message = dns.parse(query.data[2:] if query.tcp else query.data)
    (asked,) = message.questions
    known = zone.get(dns.text_of(dns.lower(asked.name)))
    size = 4 if asked.type == dns.A else 16
    answers = tuple(dns.Record(asked.name, asked.type, 1, 60, one) for one in known or () if len(one) == size)
    soa = dns.Record((), dns.SOA, 1, 60, records.emit_soa(records.Soa((), (), 1, 1, 1, 1, 10)))
    rcode = dns.NAME_ERROR if known is None else 0
    return dns.emit(dns.Message(message.id, dns.QR | flags | rcode, (asked,), answers, (soa,)))


def serve(machine: Resolver, zone: Zone, now: int = 0) -> list[str]:
    """Answer everything that is asked, and return the names that were asked for."""
    asked = []
    while queries := machine.poll(now):
        for query in queries:
            data = response(query, zone)
            asked.append(dns.text_of(dns.lower(dns.parse(query.data).questions[0].name)))
            machine.receive(now, query.number, data, query.server, 53)
    return asked


def fail_everything(machine: Resolver, now: int = 0) -> int:
    """Let time pass without an answer, and return when nothing is under way any more."""
    while (due := machine.deadline()) is not None:
        now = max(now, due)
        machine.poll(now)
    return now


def test_both_families_are_asked_for_at_once() -> None:
    machine = resolver()
    lookup = machine.lookup_addresses(0, "www.example")
    assert lookup.outcome is None and machine.deadline() == 0
    queries = machine.poll(0)
    assert {dns.parse(query.data).questions[0].type for query in queries} == {dns.A, dns.AAAA}
    assert len({query.port for query in queries}) == 2 and all(query.port >= 1024 for query in queries)
    assert machine.poll(0) == []
    zone: Zone = {"www.example.": (FOUND4, FOUND6)}
    machine.receive(0, queries[1].number, response(queries[1], zone), ONE, 53)
    assert machine.take_ready() == [lookup] and lookup.outcome is None and lookup.addresses == (FOUND4,)
    machine.receive(0, queries[0].number, response(queries[0], zone), ONE, 53)
    assert machine.take_ready() == [lookup] and lookup.outcome is Outcome.FOUND
    assert lookup.addresses == (FOUND6, FOUND4) and lookup.canonical == (b"www", b"example")
    assert machine.deadline() is None and sorted(machine.take_closed()) == sorted(q.number for q in queries)


def test_addresses_come_in_the_order_in_which_they_can_be_reached() -> None:
    machine = resolver()
    lookup = machine.lookup_addresses(0, "a.b", source_of=lambda to: parse("192.0.2.9") if len(to) == 4 else None)
    serve(machine, {"a.b.": (FOUND6, FOUND4)})
    assert lookup.addresses == (FOUND4, FOUND6)


def test_a_lookup_of_what_is_asked_for_already_waits_with_it() -> None:
    machine = resolver()
    lookups = [machine.lookup(0, name, dns.A) for name in ("a.b", "A.B.", "a.B")]
    assert len(serve(machine, {"a.b.": (FOUND4,)})) == 1
    assert [lookup.data for lookup in lookups] == [(FOUND4,)] * 3 and machine.statistics()["joined"] == 2


def test_answers_are_kept_for_their_time() -> None:
    machine = resolver()
    machine.lookup(0, "a.b", dns.A)
    serve(machine, {"a.b.": (FOUND4,)})
    assert machine.lookup(59 * SECOND, "a.b", dns.A).outcome is Outcome.FOUND
    assert machine.lookup(60 * SECOND, "a.b", dns.A).outcome is None


def test_a_name_that_does_not_exist_is_not_asked_for_again_by_another_type() -> None:
    machine = resolver()
    lookup = machine.lookup(0, "no.b", dns.A)
    assert serve(machine, {}) == ["no.b."] and lookup.outcome is Outcome.NO_NAME
    assert machine.lookup(0, "no.b", dns.MX).outcome is Outcome.NO_NAME


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("192.0.2.1", (FOUND4,)), ("2001:db8::1", (FOUND6,)), ("localhost", (LOOPBACK6, LOOPBACK4)),
        ("A.LocalHost.", (LOOPBACK6, LOOPBACK4)), ("Printer", (parse("10.0.0.9"),)),
    ],
)  # fmt: skip
def test_what_needs_no_question_is_answered_at_once(name: str, expected: tuple[bytes, ...]) -> None:
    machine = resolver("example.com")
    lookup = machine.lookup_addresses(0, name)
    assert (lookup.outcome, lookup.addresses) == (Outcome.FOUND, expected)
    assert machine.take_ready() == [lookup] and machine.deadline() is None


@pytest.mark.parametrize("name", ["a..b", ".x", "ä", "x" * 64, "secret.onion", "a.invalid"])
def test_what_nobody_can_have_leaks_to_no_server(name: str) -> None:
    machine = Resolver(Random(1).randbytes, (ONE,))
    lookup = machine.lookup(0, name, dns.A)
    assert lookup.outcome is Outcome.NO_NAME and machine.deadline() is None


def test_the_table_of_hosts_says_nothing_of_mail() -> None:
    assert resolver().lookup(0, "printer", dns.MX).outcome is None
    assert resolver().lookup(0, "printer", dns.AAAA).outcome is Outcome.NO_DATA


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("web", ["web.one.", "web.two.", "web."]),
        ("web.x", ["web.x.", "web.x.one.", "web.x.two."]),
        ("web.", ["web."]),
    ],
)
def test_search_domains_are_tried_in_order(name: str, asked: list[str]) -> None:
    machine = resolver("one", "two.", "bad..domain")
    lookup = machine.lookup(0, name, dns.A)
    assert serve(machine, {}) == asked and lookup.outcome is Outcome.NO_NAME


def test_a_name_that_would_be_too_long_in_a_domain_is_not_tried_there() -> None:
    label, domain = "x" * 63, ".".join(["y" * 60] * 3)
    machine = resolver(domain, "z", settings=Settings(ndots=9))
    machine.lookup(0, f"{label}.{label}", dns.A)
    assert serve(machine, {}) == [f"{label}.{label}.z.", f"{label}.{label}."]


def test_the_first_search_domain_that_has_the_name_ends_the_search() -> None:
    machine = resolver("one", "two")
    lookup = machine.lookup_addresses(0, "web")
    asked = serve(machine, {"web.one.": (), "web.two.": (FOUND4,)})
    assert sorted(asked) == ["web.one."] * 2 + ["web.two."] * 2
    assert lookup.outcome is Outcome.FOUND and dns.text_of(lookup.name) == "web.two."
    machine.lookup_addresses(0, "web")
    assert machine.deadline() is None  # all of it is known


def test_ndots_says_which_names_are_tried_as_they_are_first() -> None:
    machine = resolver("one", settings=Settings(ndots=2))
    machine.lookup(0, "a.b", dns.A)
    assert serve(machine, {}) == ["a.b.one.", "a.b."]


def test_a_failure_ends_a_search() -> None:
    machine = resolver("one", "two")
    lookup = machine.lookup(0, "web", dns.A)
    fail_everything(machine)
    assert lookup.outcome is Outcome.TIMED_OUT and dns.text_of(lookup.name) == "web.one."


def test_a_failure_is_told_at_once_to_who_asks_again_within_a_second() -> None:
    machine = resolver()
    machine.lookup(0, "a.b", dns.A)
    now = fail_everything(machine)
    assert machine.lookup(now, "a.b", dns.A).outcome is Outcome.TIMED_OUT
    assert machine.lookup(now + SECOND, "a.b", dns.A).outcome is None


def test_one_family_is_enough() -> None:
    machine = resolver()
    lookup = machine.lookup_addresses(0, "a.b")
    for query in machine.poll(0):
        if dns.parse(query.data).questions[0].type == dns.A:
            machine.receive(0, query.number, response(query, {"a.b.": (FOUND4,)}), ONE, 53)
    fail_everything(machine)
    assert lookup.outcome is Outcome.FOUND and lookup.addresses == (FOUND4,)


def test_what_is_cut_off_comes_over_tcp_byte_by_byte() -> None:
    machine = resolver()
    lookup = machine.lookup(0, "a.b", dns.A)
    (query,) = machine.poll(0)
    machine.receive(0, query.number, response(query, {}, flags=dns.TC), ONE, 53)
    assert machine.deadline() == 0
    (over_tcp,) = machine.poll(0)
    assert over_tcp.tcp and over_tcp.server == ONE and machine.take_closed() == [query.number]
    assert int.from_bytes(over_tcp.data[:2], "big") == len(over_tcp.data) - 2
    message = response(over_tcp, {"a.b.": (FOUND4,)})
    for byte in len(message).to_bytes(2, "big") + message + b"more":
        machine.feed_tcp(0, over_tcp.number, bytes((byte,)))
    assert lookup.data == (FOUND4,) and machine.take_closed() == [over_tcp.number]


@pytest.mark.parametrize("end", ["closed", "refused", "cut off again", "garbage"])
def test_a_connection_that_comes_to_nothing_is_followed_by_the_next_server(end: str) -> None:
    machine = Resolver(Random(1).randbytes, (ONE, TWO))
    machine.lookup(0, "a.b", dns.A)
    (query,) = machine.poll(0)
    machine.receive(0, query.number, response(query, {}, flags=dns.TC), ONE, 53)
    (over_tcp,) = machine.poll(0)
    if end == "closed":
        machine.feed_tcp(0, over_tcp.number, b"\0\x50abc")
        machine.feed_tcp(0, over_tcp.number, b"")
    elif end == "refused":
        machine.failed(0, over_tcp.number)
    else:
        message = response(over_tcp, {}, flags=dns.TC) if end == "cut off again" else b"garbage"
        machine.feed_tcp(0, over_tcp.number, len(message).to_bytes(2, "big") + message)
    (following,) = machine.poll(0)
    assert following.server == TWO and not following.tcp
    machine.feed_tcp(0, over_tcp.number, b"late")  # nobody listens there any more


def test_an_answer_to_another_port_or_from_another_is_dropped() -> None:
    machine = resolver()
    lookups = [machine.lookup(0, name, dns.A) for name in ("a.b", "b.b")]
    first, second = machine.poll(0)
    good = response(first, {"a.b.": (FOUND4,)})
    machine.receive(0, second.number, good, ONE, 53)
    machine.receive(0, first.number, good, ONE, 5353)
    machine.receive(0, first.number, good, TWO, 53)
    machine.receive(0, 999, good, ONE, 53)
    assert lookups[0].outcome is None and machine.statistics()["dropped"] == 4
    machine.receive(0, first.number, good, ONE, 53)
    assert lookups[0].outcome is Outcome.FOUND


def test_questions_under_way_are_bounded() -> None:
    machine = resolver(settings=Settings(questions_max=3))
    lookups = [machine.lookup(0, f"n{n}.b", dns.A) for n in range(5)]
    assert [lookup.outcome for lookup in lookups] == [None] * 3 + [Outcome.TOO_MANY] * 2
    assert len(machine.poll(0)) == 3


def test_without_a_server_nothing_is_asked() -> None:
    assert Resolver(Random(1).randbytes).lookup(0, "a.b", dns.A).outcome is Outcome.NO_SERVER


def test_servers_beyond_three_are_not_asked() -> None:
    machine = Resolver(Random(1).randbytes, (ONE, TWO, THREE, FOUR, ONE))
    machine.lookup(0, "a.b", dns.A)
    asked, now = [], 0
    while (due := machine.deadline()) is not None:
        now = due
        asked += [query.server for query in machine.poll(now)]
    assert asked == [ONE, TWO, THREE] * 3


def test_other_servers_make_what_is_known_void() -> None:
    machine = resolver()
    machine.lookup(0, "a.b", dns.A)
    serve(machine, {"a.b.": (FOUND4,)})
    machine.configure((ONE,), ())
    assert machine.lookup(0, "a.b", dns.A).outcome is Outcome.FOUND
    machine.configure((TWO,), ())
    assert machine.lookup(0, "a.b", dns.A).outcome is None


def test_a_lookup_that_is_given_up_leaves_nothing_and_takes_nobody_else_along() -> None:
    machine = resolver()
    lookups = [machine.lookup_addresses(0, "a.b") for _ in range(2)]
    queries = machine.poll(0)
    machine.cancel(0, lookups[0])
    assert machine.take_closed() == []
    machine.cancel(0, lookups[1])
    machine.cancel(0, lookups[1])
    assert machine.deadline() is None and sorted(machine.take_closed()) == [query.number for query in queries]
    machine.receive(0, queries[0].number, response(queries[0], {}), ONE, 53)
    assert machine.take_ready() == []


def test_other_types_are_looked_up() -> None:
    machine = resolver()
    lookup = machine.lookup(0, "a.b", dns.MX)
    (query,) = machine.poll(0)
    asked = dns.parse(query.data)
    mail = dns.Record((b"a", b"b"), dns.MX, 1, 60, records.emit_mx(records.Mx(5, (b"m",))))
    machine.receive(0, query.number, dns.emit(asked._replace(flags=dns.QR, answers=(mail,), additionals=())), ONE, 53)
    assert [records.mx_of(data) for data in lookup.data] == [records.Mx(5, (b"m",))]


steps = st.lists(
    st.tuples(st.sampled_from("anstfcgw"), st.integers(0, 7), st.binary(max_size=20)), min_size=1, max_size=60
)


@given(steps, st.integers(0, 1000))
def test_whatever_happens_every_lookup_ends_and_nothing_is_left(
    script: list[tuple[str, int, bytes]], seed: int
) -> None:
    """Answers, silence, cuts, failures, cancellations, garbage, in any order."""
    machine = Resolver(Random(seed).randbytes, (ONE, TWO), ("x",), Settings(questions_max=6, cache_size=4))
    zone = {"n1.x.": (FOUND4,), "n2.": (FOUND6,), "n3.x.": ()}
    lookups: list[Lookup] = []
    given_up: set[Lookup] = set()
    ports: dict[int, Query] = {}
    now = 0
    actions: dict[str, Callable[[Query, bytes], None]] = {
        "n": lambda query, _: machine.receive(now, query.number, response(query, zone), query.server, 53),
        "t": lambda query, _: machine.receive(now, query.number, response(query, zone, dns.TC), query.server, 53),
        "f": lambda query, _: machine.failed(now, query.number),
        "g": lambda query, data: machine.receive(now, query.number, data, query.server, 53),
        "s": lambda query, data: machine.feed_tcp(now, query.number, data),
    }
    for action, index, data in script:
        if action == "a":
            lookups.append(machine.lookup_addresses(now, f"n{index}"))
        elif action == "c" and lookups:
            machine.cancel(now, lookups[index % len(lookups)])
            given_up.add(lookups[index % len(lookups)])
        elif action == "w":
            now += index * SECOND
        elif ports and action in actions:
            actions[action](list(ports.values())[index % len(ports)], data)
        for query in machine.poll(now):
            ports[query.number] = query
        for number in machine.take_closed():
            del ports[number]
        assert len(ports) <= 6 and (due := machine.deadline()) != now and (due is None or due > now)
    now = fail_everything(machine, now)
    assert set(ports) <= set(machine.take_closed())
    assert all(lookup.outcome is not None for lookup in lookups if lookup not in given_up)
