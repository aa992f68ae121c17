"""IGMP and MLD to bytes and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sarab.wire import igmp, mld
from sarab.wire.address import ANY6, parse
from sarab.wire.checksum import checksum
from sarab.wire.errors import Malformed
from sarab.wire.icmpv6 import Message

ip4, ip6 = st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16)
GROUP4, GROUP6 = parse("239.1.2.3"), parse("ff02::1:3")


def records(address: st.SearchStrategy[bytes]) -> st.SearchStrategy[tuple[igmp.Record, ...]]:
    sources = st.lists(address, max_size=3).map(tuple)
    return st.lists(st.builds(igmp.Record, st.integers(1, 6), address, sources), max_size=3).map(tuple)


def exact(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, (16 << bits) - 1).map(lambda code: igmp.expand(code, bits))


queries4 = st.builds(
    igmp.Query, ip4, exact(4).map(lambda n: n * 100), st.lists(ip4, max_size=3).map(tuple), st.booleans(),
    st.integers(0, 7), exact(4), st.just(3),
)  # fmt: skip
queries6 = st.builds(
    mld.Query, ip6, exact(12), st.lists(ip6, max_size=3).map(tuple), st.booleans(), st.integers(0, 7), exact(4),
    st.just(2),
)  # fmt: skip
values4 = st.one_of(
    queries4,
    st.builds(lambda group, code: igmp.Query(group, code * 100, version=2), ip4, st.integers(1, 255)),
    st.builds(lambda group: igmp.Query(group, 10_000, version=1), ip4),
    st.builds(igmp.Membership, st.sampled_from([igmp.REPORT_V1, igmp.REPORT_V2, igmp.LEAVE]), ip4),
    st.builds(igmp.Report, records(ip4)),
)
values6 = st.one_of(
    queries6,
    st.builds(lambda group, delay: mld.Query(group, delay, version=1), ip6, st.integers(0, 65535)),
    st.builds(mld.Membership, st.sampled_from([mld.REPORT_V1, mld.DONE]), ip6),
    st.builds(igmp.Report, records(ip6)),
)


@given(values4)
def test_igmp(value: igmp.Value) -> None:
    assert igmp.parse(igmp.emit(value)) == value
    assert igmp.line(value)


@given(values6)
def test_mld(value: mld.Value) -> None:
    assert mld.parse(mld.emit(value)) == value
    assert mld.line(value)


@given(values4, st.integers(0, 63))
def test_a_flipped_bit_is_noticed_by_igmp(value: igmp.Value, bit: int) -> None:
    damaged = bytearray(igmp.emit(value))
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Malformed):
        igmp.parse(bytes(damaged))


def test_the_floating_point_of_rfc_9776_section_4_1_1() -> None:
    assert [igmp.expand(code, 4) for code in (0, 127, 0x80, 0x8F, 0xFF)] == [0, 127, 128, 248, 31744]
    assert igmp.expand(0x8000, 12) == 32768
    assert igmp.expand(0xFFFF, 12) == 0x1FFF << 10


@given(st.sampled_from([4, 12]), st.integers(0, 10_000_000))
def test_a_number_is_rounded_down_to_the_next_that_can_be_said(bits: int, number: int) -> None:
    code = igmp.squeeze(number, bits)
    assert 0 <= code < 16 << bits
    assert igmp.expand(code, bits) <= number
    if code + 1 < 16 << bits:
        assert igmp.expand(code + 1, bits) > number


def test_joining_and_leaving_are_what_the_figures_show() -> None:
    joined = igmp.emit(igmp.join(GROUP4))
    assert joined[:2] + joined[4:] == bytes.fromhex("22000000000104000000") + GROUP4
    left = mld.emit(igmp.leave(GROUP6))
    assert left == Message(143, 0, 1, bytes.fromhex("03000000") + GROUP6)
    assert len(mld.HOP_BY_HOP) == 8


def summed(data: bytes) -> bytes:
    return data[:2] + checksum(data[:2] + b"\0\0" + data[4:]).to_bytes(2, "big") + data[4:]


@pytest.mark.parametrize(
    "data",
    [
        "11640000000000",  # too short
        "1164000000000000000000",  # a query of no version
        "11640000000000000000ffff",  # more sources than bytes
        "116400000000000000000001ef0102",  # one source, cut
        "2200000000000001",  # more records than bytes
        "22000000000000010400000aef010203",  # a record with more sources than bytes
        "220000000000000104ff0000ef010203",  # a record with more auxiliary data than bytes
        "220000000000ffff",  # too many
        "9900000000000000",  # unknown
    ],
)
def test_igmp_that_lies_of_its_size_is_malformed(data: str) -> None:
    with pytest.raises(Malformed):
        igmp.parse(summed(bytes.fromhex(data)))


def test_reports_and_queries_are_bounded_even_if_they_hold_what_they_say() -> None:
    most = igmp.Report((igmp.Record(1, GROUP4),) * igmp.RECORDS_MAX)
    assert igmp.parse(igmp.emit(most)) == most
    wide = igmp.Query(GROUP4, 100, (GROUP4,) * igmp.SOURCES_MAX)
    assert igmp.parse(igmp.emit(wide)) == wide
    for beyond in (igmp.Report(most.records * 2), wide._replace(sources=wide.sources * 2)):
        with pytest.raises(Malformed):
            igmp.parse(igmp.emit(beyond))


def test_unknown_records_and_auxiliary_data_are_skipped() -> None:
    data = bytes.fromhex("220000000000000209010000ef0102036175786102000000ef010204")
    assert igmp.parse(summed(data)) == igmp.Report((igmp.Record(2, parse("239.1.2.4")),))


@pytest.mark.parametrize("message", [Message(130, 0, 0, bytes(15)), Message(130, 0, 0, bytes(19)), Message(135, 0)])
def test_mld_of_no_version_is_malformed(message: Message) -> None:
    with pytest.raises(Malformed):
        mld.parse(message)


def test_mld_comes_from_this_link_only() -> None:
    query, report = mld.Query(GROUP6, 100), igmp.join(GROUP6)
    mld.validate(query, parse("fe80::1"), 1)
    mld.validate(report, ANY6, 1)
    for value, source, hop_limit in ((query, ANY6, 1), (report, parse("fd00::1"), 1), (report, ANY6, 64)):
        with pytest.raises(Malformed):
            mld.validate(value, source, hop_limit)


def test_lines() -> None:
    assert igmp.line(igmp.join(GROUP4)) == "igmp report to-ex 239.1.2.3 (0)"
    assert mld.line(mld.Query(ANY6, 0)) == "mld query v2 ::"
