"""DNS messages to bytes and back."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sarab.wire import dns
from sarab.wire.errors import Malformed

labels = st.binary(min_size=1, max_size=20)
names = st.lists(labels, max_size=5).map(tuple)
ttls = st.integers(0, 2**31 - 1)
kinds = st.sampled_from([16, 99])
plain = st.builds(dns.Record, names, kinds, st.just(1), ttls, st.binary(max_size=40), st.none())


def pointing(name: dns.Name, kind: int, ttl: int, target: dns.Name) -> dns.Record:
    return dns.Record(name, kind, dns.IN, ttl, dns.emit_name(target), target)


records = plain | st.builds(pointing, names, st.sampled_from([dns.NS, dns.CNAME, dns.PTR]), ttls, names)
u16 = st.integers(0, 65535)
messages = st.builds(
    dns.Message,
    u16,
    u16,
    st.lists(st.builds(dns.Question, names, u16, u16), max_size=2).map(tuple),
    st.lists(records, max_size=3).map(tuple),
    st.lists(records, max_size=2).map(tuple),
    st.lists(records, max_size=2).map(tuple),
)


@given(messages)
def test_parse_is_the_inverse_of_emit(message: dns.Message) -> None:
    assert dns.parse(dns.emit(message)) == message


@given(st.binary(max_size=100))
def test_any_bytes_give_a_message_or_malformed(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        dns.line(dns.parse(data))


@given(messages, st.integers(0, 200), st.integers(0, 255))
def test_a_damaged_message_gives_a_message_or_malformed(message: dns.Message, at: int, value: int) -> None:
    data = bytearray(dns.emit(message))
    data[at % len(data)] = value
    with contextlib.suppress(Malformed):
        dns.parse(bytes(data))


def test_a_query_is_what_every_server_knows() -> None:
    assert dns.query(0x1234, dns.name_of("www.example.com"), dns.A, edns=False).hex() == (
        "12340100000100000000000003777777076578616d706c6503636f6d0000010001"
    )


def test_compression_is_followed() -> None:
    question = dns.query(1, dns.name_of("a.example"), dns.A, edns=False)
    answer = question[:6] + b"\0\1" + question[8:] + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x0a\0\0\1"
    (record,) = dns.parse(answer).answers
    assert record == dns.Record((b"a", b"example"), dns.A, 1, 60, b"\x0a\0\0\1")


@pytest.mark.parametrize("name", [b"\xc0\x0c", b"\xc0\x20", b"\x01a\xc0\x0c", b"\x80a\0", b"\x05ab"])
def test_a_name_that_leads_nowhere_is_malformed(name: bytes) -> None:
    with pytest.raises(Malformed):
        dns.parse(b"\0\1\0\0\0\1\0\0\0\0\0\0" + name + b"\0\1\0\1")


def test_a_name_of_many_pointers_is_bounded() -> None:
    chain = b"\x3f" + bytes(63)
    for _ in range(100):
        chain += b"\xc0" + bytes((12 + len(chain) - 2 & 0xFF,))
    with pytest.raises(Malformed):
        dns.parse(b"\0\1\0\0\0\5\0\0\0\0\0\0" + chain)


@pytest.mark.parametrize("text", ["a..b", "." * 3 + "a", "x" * 64, ".".join(["abc"] * 70), "ä"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        dns.name_of(text)


def test_text_escapes_what_a_terminal_must_not_see() -> None:
    assert dns.text_of((b"a\x1b.b", b"example")) == "a\\027\\046b.example."


@given(st.lists(st.binary(min_size=1, max_size=63), max_size=3).map(tuple))
def test_a_name_is_the_name_that_its_text_writes(name: dns.Name) -> None:
    assert dns.name_of(dns.text_of(name)) == name
    assert dns.parse_name(b"..." + dns.emit_name(name), 3) == (name, 4 + sum(len(label) + 1 for label in name))


@pytest.mark.parametrize("text", ["a\\", "a\\1", "a\\256b", "a\\12x", "a..", "\\ä"])
def test_what_escapes_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        dns.name_of(text)


def test_an_escaped_dot_separates_nothing() -> None:
    assert dns.name_of("a\\.b.c") == dns.name_of("a\\046b.c.") == (b"a.b", b"c")


def test_names_are_compressed_in_the_case_in_which_they_stand() -> None:
    """RFC 1035 section 4.1.4's example: F.ISI.ARPA, FOO.F.ISI.ARPA, ARPA, the root."""
    full, tail = dns.name_of("F.ISI.ARPA"), (b"ARPA",)
    questions = [dns.Question(name, 1) for name in (full, (b"FOO", *full), tail, (), (b"f", *full[1:]))]
    data = dns.emit(dns.Message(0, 0, tuple(questions)))
    assert data[12:] == (
        b"\1F\3ISI\4ARPA\0\0\1\0\1" + b"\3FOO\xc0\x0c\0\1\0\1" + b"\xc0\x12\0\1\0\1" + b"\0\0\1\0\1\1f\xc0\x0e\0\1\0\1"
    )
    assert dns.parse(data).questions == tuple(questions)


def test_a_name_of_127_labels_that_were_all_compressed_is_read() -> None:
    name = (b"a",) * 127
    message = dns.Message(0, 0, tuple(dns.Question(name[:size], 1) for size in range(1, 128)))
    data = dns.emit(message)
    assert len(data) < 12 + 127 * 8 + 2 and dns.parse(data) == message


def test_names_behind_the_reach_of_a_pointer_are_written_out() -> None:
    far = tuple(dns.Record((), 16, 1, 0, bytes(6000)) for _ in range(3))
    ends = tuple(dns.Record((b"far", b"away"), 16, 1, 0, b"\0") for _ in range(2))
    message = dns.Message(0, 0, answers=far + ends)
    assert dns.parse(dns.emit(message)) == message


@pytest.mark.parametrize(
    ("kind", "data", "plain"),
    [
        (dns.MX, b"\0\x0a\4mail\xc0\x0c", b"\0\x0a\4mail\1a\7example\0"),
        (dns.SRV, b"\0\1\0\2\0\3\xc0\x0c", b"\0\1\0\2\0\3\1a\7example\0"),
        (dns.SOA, b"\xc0\x0e\1b\xc0\x0e" + bytes(20), b"\7example\0\1b\7example\0" + bytes(20)),
        (dns.PTR, b"\xc0\x0e", b"\7example\0"),
    ],
)
def test_names_in_data_are_taken_apart(kind: int, data: bytes, plain: bytes) -> None:
    """So that a record can be kept when its message is gone."""
    question = dns.query(1, dns.name_of("a.example"), kind, edns=False)
    head = question[:6] + b"\0\1" + question[8:] + b"\xc0\x0c" + kind.to_bytes(2, "big") + b"\0\1\0\0\0\x3c"
    (record,) = dns.parse(head + len(data).to_bytes(2, "big") + data).answers
    assert record.data == plain
    for wrong in (-1, 1):
        with pytest.raises(Malformed):
            dns.parse(head + (len(data) + wrong).to_bytes(2, "big") + data + bytes(1))


def test_an_address_is_named_backwards() -> None:
    assert dns.text_of(dns.reverse(b"\xc0\0\2\x01")) == "1.2.0.192.in-addr.arpa."
    assert dns.text_of(dns.reverse(b"\x20\x01" + bytes(14))).startswith("0.0.0.0.")
    assert dns.reverse(bytes(16))[-2:] == (b"ip6", b"arpa") and len(dns.reverse(bytes(16))) == 34


def test_a_time_to_live_with_its_sign_is_none_but_of_an_opt_it_is_flags() -> None:
    records = tuple(dns.Record((), kind, 1, 0x80000000, b"") for kind in (16, dns.OPT))
    assert [record.ttl for record in dns.parse(dns.emit(dns.Message(0, 0, answers=records))).answers] == [0, 0x80000000]
