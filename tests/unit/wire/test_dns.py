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
records = st.builds(dns.Record, names, kinds, st.just(1), ttls, st.binary(max_size=40), st.none())
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
