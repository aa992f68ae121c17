"""What DNS records say, and back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sarab.wire import dns
from sarab.wire import dns_records as records
from sarab.wire.dns_records import Caa, Edns, Mx, Soa, Srv, Svcb
from sarab.wire.errors import Malformed

u8, u16, u32 = st.integers(0, 255), st.integers(0, 65535), st.integers(0, 2**32 - 1)
names = st.lists(st.binary(min_size=1, max_size=20), max_size=4).map(tuple)
strings = st.binary(max_size=255)
pairs = st.dictionaries(u16, st.binary(max_size=30), max_size=4).map(lambda found: tuple(sorted(found.items())))
KINDS = (dns.A, dns.MX, dns.SOA, dns.SRV, dns.TXT, dns.CAA, dns.SVCB, dns.HTTPS, 999)


def record(kind: int, data: bytes) -> dns.Record:
    return dns.Record((b"a", b"example"), kind, dns.IN, 60, data)


@given(st.builds(Mx, u16, names))
def test_mx(value: Mx) -> None:
    assert records.mx_of(records.emit_mx(value)) == value


@given(st.builds(Soa, names, names, u32, u32, u32, u32, u32))
def test_soa(value: Soa) -> None:
    assert records.soa_of(records.emit_soa(value)) == value


@given(st.builds(Srv, u16, u16, u16, names))
def test_srv(value: Srv) -> None:
    assert records.srv_of(records.emit_srv(value)) == value


@given(st.lists(strings, min_size=1, max_size=4).map(tuple))
def test_txt(value: tuple[bytes, ...]) -> None:
    assert records.txt_of(records.emit_txt(value)) == value


@given(st.builds(Caa, u8, st.binary(min_size=1, max_size=15), st.binary(max_size=40)))
def test_caa(value: Caa) -> None:
    assert records.caa_of(records.emit_caa(value)) == value


@given(st.builds(Svcb, u16, names, pairs))
def test_svcb(value: Svcb) -> None:
    assert records.svcb_of(records.emit_svcb(value)) == value


@given(st.builds(Edns, u16, u8, u8, u16, pairs))
def test_edns_travels_in_a_message(value: Edns) -> None:
    message = dns.Message(0, 0, additionals=(records.emit_edns(value),))
    assert records.edns_of(dns.parse(dns.emit(message))) == value


@given(st.sampled_from(KINDS), st.binary(max_size=60))
def test_any_data_gives_a_value_or_malformed_and_always_a_line(kind: int, data: bytes) -> None:
    with contextlib.suppress(Malformed):
        records.value_of(record(kind, data))
    assert records.line(record(kind, data)).isprintable()


@pytest.mark.parametrize("names_in_order", [(1, 1), (3, 1)])
def test_keys_of_a_service_that_do_not_rise_are_malformed(names_in_order: tuple[int, int]) -> None:
    with pytest.raises(Malformed):
        records.svcb_of(records.emit_svcb(Svcb(1, (), tuple((key, b"") for key in names_in_order))))


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (records.mx_of, b"\0\1\1a\0x"),
        (records.mx_of, b"\0"),
        (records.srv_of, bytes(5)),
        (records.soa_of, b"\0\0" + bytes(21)),
        (records.txt_of, b""),
        (records.txt_of, b"\5abc"),
        (records.caa_of, b"\0\0"),
        (records.caa_of, b"\0\5iss"),
        (records.svcb_of, b"\0\1\0\0\1\0\2x"),
        (records.svcb_of, b"\0\1\0\0\1"),
    ],
)
def test_data_of_another_length_is_malformed(read: Callable[[bytes], object], data: bytes) -> None:
    with pytest.raises(Malformed):
        read(data)


def test_two_opts_are_malformed_and_none_is_none() -> None:
    opt = records.emit_edns(Edns(1232))
    assert records.edns_of(dns.Message(0, 0)) is None
    for wrong in ((opt, opt), (opt._replace(name=(b"a",)),)):
        with pytest.raises(Malformed):
            records.edns_of(dns.Message(0, 0, additionals=wrong))


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        (dns.A, b"\xc0\0\2\1", "A 192.0.2.1"),
        (dns.MX, b"\0\x0a\4mail\0", "MX 10 mail."),
        (dns.TXT, b'\4v="1\0', 'TXT "v=\\0341" ""'),
        (dns.CAA, b"\0\5issueca", 'CAA 0 "issue" "ca"'),
        (dns.HTTPS, b"\0\1\0\0\1\0\3\2h2", 'HTTPS 1 . key1="\\002h2"'),
        (999, b"\xab\xcd", "TYPE999 \\# 2 abcd"),
        (dns.SRV, b"\1", "SRV \\# 1 01"),
    ],
)
def test_lines(kind: int, data: bytes, text: str) -> None:
    assert records.line(record(kind, data)) == f"a.example. 60 {text}"


def test_every_type_that_has_a_reader_has_a_name() -> None:
    assert all(dns.type_text(kind) == dns.TYPES[kind] for kind in KINDS[:-1])
    assert dns.type_text(999) == "TYPE999"
