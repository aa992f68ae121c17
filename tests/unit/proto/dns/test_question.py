"""One question: which answers are believed, who is asked next, and when it ends."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sarab.proto.dns.question import CNAMES_MAX, SECOND, Outcome, Question
from sarab.wire import dns
from sarab.wire import dns_records as records

ONE, TWO = b"\x0a\0\0\1", b"\x0a\0\0\2"
NAME = (b"www", b"example", b"com")
ADDRESS = b"\xc0\0\2\1"
Zone = Callable[[dns.Question], dns.Message]


def question(kind: int = dns.A, servers: tuple[bytes, ...] = (ONE,), seed: int = 1) -> Question:
    return Question(0, NAME, kind, servers, Random(seed).randbytes)


def sent(machine: Question, now: int = 0) -> dns.Message:
    datagram = machine.poll(now)
    assert datagram is not None
    return dns.parse(datagram)


def reply(query: dns.Message, *answers: dns.Record, rcode: int = 0, flags: int = 0, soa: int = -1) -> bytes:
    data = records.emit_soa(records.Soa((), (), 1, 2, 3, 4, soa)) if soa >= 0 else b""
    authorities = (dns.Record((), dns.SOA, dns.IN, 3600, data),) if soa >= 0 else ()
    return dns.emit(dns.Message(query.id, dns.QR | flags | rcode, query.questions, answers, authorities))


def host(name: dns.Name, address: bytes = ADDRESS, ttl: int = 60) -> dns.Record:
    return dns.Record(name, dns.A, dns.IN, ttl, address)


def alias(name: dns.Name, target: dns.Name, ttl: int = 60) -> dns.Record:
    return dns.Record(name, dns.CNAME, dns.IN, ttl, b"", target)


def outcome_of(machine: Question) -> Outcome | None:
    return None if machine.answer is None else machine.answer.outcome


def test_aliases_are_followed_and_the_least_time_counts() -> None:
    machine = question()
    real = (b"real", b"example")
    machine.receive(0, ONE, reply(sent(machine), host((b"REAL", b"example"), ttl=50), alias(NAME, real, ttl=20)))
    assert machine.answer is not None and machine.deadline() is None
    assert machine.answer == ((ADDRESS,), Outcome.FOUND, 20, real)


def test_only_records_that_the_aliases_lead_to_are_believed() -> None:
    machine = question()
    evil = (host((b"bank", b"example")), host(NAME)._replace(cls=3), host((b"example", b"com")))
    machine.receive(0, ONE, reply(sent(machine), *evil, soa=5))
    assert machine.answer == ((), Outcome.NO_DATA, 5, NAME)


def test_an_alias_that_the_server_does_not_follow_is_asked_for() -> None:
    machine = question()
    machine.receive(0, ONE, reply(sent(machine), alias(NAME, (b"Other", b"net"), ttl=7)))
    assert machine.answer is None and machine.deadline() == 0
    query = sent(machine)
    assert dns.lower(query.questions[0].name) == (b"other", b"net")
    machine.receive(0, ONE, reply(query, host((b"other", b"net"))))
    assert machine.answer == ((ADDRESS,), Outcome.FOUND, 7, (b"other", b"net"))


def test_aliases_without_end_end() -> None:
    machine = question()
    asked = 0
    while machine.answer is None:
        query = sent(machine)
        asked += 1
        machine.receive(0, ONE, reply(query, alias(query.questions[0].name, (b"n%d" % asked,))))
    assert outcome_of(machine) is Outcome.NO_DATA and asked == CNAMES_MAX + 1


@pytest.mark.parametrize(("soa", "ttl"), [(-1, 30), (5, 5), (86400, 900), (0, 0)])
def test_a_name_that_does_not_exist_is_kept_as_long_as_its_zone_says(soa: int, ttl: int) -> None:
    machine = question()
    machine.receive(0, ONE, reply(sent(machine), rcode=dns.NAME_ERROR, soa=soa))
    assert machine.answer == ((), Outcome.NO_NAME, ttl, NAME)


def test_a_server_that_fails_is_followed_by_the_next_at_once() -> None:
    machine = question(servers=(ONE, TWO))
    machine.receive(0, ONE, reply(sent(machine), rcode=dns.SERVER_FAILURE))
    query = sent(machine)
    assert machine.server == TWO
    machine.receive(0, TWO, reply(query, host(NAME)))
    assert outcome_of(machine) is Outcome.FOUND


@pytest.mark.parametrize(("rcode", "expected"), [(None, Outcome.TIMED_OUT), (dns.REFUSED, Outcome.SERVER_FAILURE)])
def test_when_nobody_can_say_it_ends_and_says_why(rcode: int | None, expected: Outcome) -> None:
    machine, now, tries = question(servers=(ONE, TWO)), 0, 0
    while machine.answer is None:
        due = machine.deadline()
        assert due is not None
        now = due
        datagram = machine.poll(now)
        if datagram is not None:
            tries += 1
            if rcode is not None and tries == 1:
                machine.receive(now, machine.server, reply(dns.parse(datagram), rcode=rcode))
    assert outcome_of(machine) is expected and tries == 6 and machine.answer.failed
    assert now == (12 if rcode is None else 10) * SECOND


def test_every_try_has_another_identifier_and_another_case() -> None:
    machine = question()
    tries = [sent(machine, second * 2 * SECOND) for second in range(3)]
    assert len({query.id for query in tries}) == 3
    assert tries[0].questions != tries[1].questions
    assert dns.lower(tries[0].questions[0].name) == NAME
    assert tries[2].questions[0].name == NAME  # for a server that gives back no capitals


def test_addresses_are_bounded() -> None:
    machine = question()
    machine.receive(0, ONE, reply(sent(machine), *(host(NAME, bytes((10, 0, 0, n))) for n in range(100))))
    assert machine.answer is not None and len(machine.answer.addresses) == 64


def test_a_server_of_before_edns_is_asked_again_without() -> None:
    machine = question(servers=(ONE, TWO))
    query = sent(machine)
    assert query.additionals[0].type == dns.OPT
    machine.receive(0, ONE, dns.emit(dns.Message(query.id, dns.QR | dns.FORMAT_ERROR)))  # without the question
    again = sent(machine)
    assert not again.additionals and machine.server == ONE
    machine.receive(0, ONE, dns.emit(dns.Message(again.id, dns.QR | dns.FORMAT_ERROR)))
    assert machine.answer is None and machine.deadline() == 0  # no loop: this was a try


def test_what_is_cut_off_is_wanted_over_tcp() -> None:
    machine = question()
    query = sent(machine)
    machine.receive(0, ONE, reply(query, flags=dns.TC))
    assert machine.wants_tcp and machine.answer is None
    framed = machine.tcp_query()
    assert int.from_bytes(framed[:2], "big") == len(framed) - 2 and dns.parse(framed[2:]) == query
    machine.receive(SECOND, ONE, reply(query, host(NAME)))
    assert outcome_of(machine) is Outcome.FOUND


def test_answers_to_others_are_dropped() -> None:
    machine = question()
    query = sent(machine)
    good = reply(query, host(NAME))
    (asked,) = query.questions
    other_case = asked._replace(name=tuple(label.swapcase() for label in asked.name))
    for wrong in (
        bytes((good[0] ^ 1,)) + good[1:],
        good[:2] + b"\0" + good[3:],
        good[:-1],
        b"",
        reply(query._replace(questions=()), host(NAME)),
        reply(query._replace(questions=(other_case,)), host(NAME)),
        reply(query._replace(questions=(asked._replace(type=dns.AAAA),)), host(NAME)),
        reply(query._replace(questions=(asked, asked)), host(NAME)),
    ):
        machine.receive(0, ONE, wrong)
    machine.receive(0, TWO, good)
    assert machine.answer is None and machine.dropped == 9
    machine.receive(0, ONE, good)
    assert outcome_of(machine) is Outcome.FOUND


def test_what_is_no_answer_is_dropped_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = question()
    query = sent(machine)
    monkeypatch.setattr(dns, "parse", None)
    machine.receive(0, TWO, reply(query))
    machine.receive(0, ONE, reply(query._replace(id=query.id ^ 1)))
    machine.receive(0, ONE, b"")
    assert machine.dropped == 3


def test_other_types_are_asked_for_too() -> None:
    machine = question(kind=dns.MX)
    mail = records.Mx(10, (b"mail", b"example"))
    machine.receive(0, ONE, reply(sent(machine), dns.Record(NAME, dns.MX, dns.IN, 9, records.emit_mx(mail))))
    assert machine.answer is not None and [records.mx_of(data) for data in machine.answer.data] == [mail]


@given(st.integers(0, 1000), st.integers(0, 120), st.binary(min_size=1, max_size=4), st.integers(0, 15))
def test_a_damaged_answer_never_raises(seed: int, at: int, damage: bytes, rcode: int) -> None:
    machine = question(seed=seed)
    data = bytearray(reply(sent(machine), alias(NAME, (b"b",)), host((b"b",)), rcode=rcode, soa=4))
    data[at % len(data) : at % len(data) + len(damage)] = damage
    machine.receive(0, ONE, bytes(data))
    assert machine.answer is None or len(machine.answer.data) <= 1
