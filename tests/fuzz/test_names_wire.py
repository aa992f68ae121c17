"""Hostile DHCP and DNS: what comes is read or Malformed, and what was read says the same when it is written again."""

from __future__ import annotations

import contextlib
from random import Random

import pytest

from sarab.proto.dhcp.lease import lease_of
from sarab.wire import dhcpv4, dns
from sarab.wire import dns_records as records
from sarab.wire.errors import Malformed

ROUNDS = 1500
"""Damaged messages a seed."""
NAME = (b"www", b"example", b"com")


def dns_seeds() -> list[bytes]:
    data = {
        dns.A: bytes(4),
        dns.AAAA: bytes(16),
        dns.MX: records.emit_mx(records.Mx(1, NAME)),
        dns.SOA: records.emit_soa(records.Soa(NAME, NAME, 1, 2, 3, 4, 5)),
        dns.SRV: records.emit_srv(records.Srv(1, 2, 3, NAME)),
        dns.TXT: records.emit_txt((b"a", b"b")),
        dns.CAA: records.emit_caa(records.Caa(0, b"issue", b"ca")),
        dns.HTTPS: records.emit_svcb(records.Svcb(1, NAME, ((1, b"\2h2"), (3, b"\1\xbb")))),
    }
    answers = tuple(dns.Record(NAME, kind, 1, 60, value) for kind, value in data.items())
    answers += tuple(dns.Record(NAME, kind, 1, 60, b"", NAME[1:]) for kind in (dns.CNAME, dns.NS, dns.PTR))
    opt = records.emit_edns(records.Edns(1232, options=((10, b"cookie"),)))
    return [
        dns.query(7, NAME, dns.A, edns=True),
        dns.emit(dns.Message(7, dns.QR, (dns.Question(NAME, 1),), answers, answers[:2], (opt,))),
    ]


def dhcp_seeds() -> list[bytes]:
    options = (
        (53, b"\5"), (54, b"\x0a\0\0\1"), (51, b"\0\0\x0e\x10"), (1, b"\xff\xff\xff\0"), (3, b"\x0a\0\0\1"),
        (6, b"\x0a\0\0\1" * 3), (12, b"web"), (15, b"example.com"), (26, b"\5\xdc"), (119, b"\1a\1b\0\1c\xc0\2"),
        (121, b"\0\x0a\0\0\1\x18\x0a\1\2\x0a\0\0\2"), (58, b"\0\0\0\x0a"), (59, b"\0\0\0\x14"), (200, bytes(300)),
    )  # fmt: skip
    plain = dhcpv4.emit(dhcpv4.Message(2, 7, bytes(6), options, yiaddr=b"\x0a\0\0\2"))
    overloaded = plain[:44] + b"\x0c\1a\xff".ljust(64, b"\0") + b"\x0c\1b\xff".ljust(128, b"\0") + plain[236:240]
    return [plain, overloaded + b"\x34\1\3" + plain[240:]]


def damaged(seed: bytes, random: Random) -> bytes:
    data = bytearray(seed)
    for _ in range(random.choice((1, 1, 2, 5))):
        at = random.randrange(len(data) + 1)
        match random.randrange(5):
            case 0:
                data[at : at + 1] = random.randbytes(1)
            case 1:
                data[at:at] = data[random.randrange(len(data) + 1) :][: random.randrange(40)]
            case 2:
                del data[at : at + random.randrange(1, 9)]
            case 3:
                data[at : at + 2] = random.choice((b"\xc0\x0c", b"\0\0", b"\xff\xff", b"\xc0" + random.randbytes(1)))
            case _:
                del data[max(at, len(data) // 2) :]
    return bytes(data)


@pytest.mark.parametrize("index", [0, 1])
def test_damaged_dns(index: int) -> None:
    random, seed, read = Random(index), dns_seeds()[index], 0
    for _ in range(ROUNDS):
        try:
            message = dns.parse(damaged(seed, random))
        except Malformed:
            continue
        read += 1
        assert dns.parse(dns.emit(message)) == message
        assert dns.line(message).isprintable()
        with contextlib.suppress(Malformed):
            records.edns_of(message)
        for record in (*message.answers, *message.authorities, *message.additionals):
            assert records.line(record).isprintable()
    assert ROUNDS // 20 < read < ROUNDS


@pytest.mark.parametrize("index", [0, 1])
def test_damaged_dhcp(index: int) -> None:
    random, seed, read = Random(index), dhcp_seeds()[index], 0
    for _ in range(ROUNDS):
        try:
            message = dhcpv4.parse(damaged(seed, random))
        except Malformed:
            continue
        read += 1
        assert dhcpv4.parse(dhcpv4.emit(message)) == message
        assert dhcpv4.line(message).isprintable()
        with contextlib.suppress(Malformed):
            lease = lease_of(message, 0, random.randbytes)
            assert lease.t1 is None or lease.t2 is None or lease.expiry is None or lease.t1 <= lease.t2 <= lease.expiry
            assert (lease.domain + lease.hostname + "".join(lease.search)).isprintable()
    assert ROUNDS // 20 < read < ROUNDS


def test_the_names_that_cost_most_are_read() -> None:
    """As many records as a message may have, the owner of each 127 labels by 126 pointers; 50 ms on a slow machine."""
    chain = b"\1a\0" + b"".join(b"\1a" + (0xC000 | at).to_bytes(2, "big") for at in (23, *range(26, 26 + 4 * 125, 4)))
    hidden = b"\0\3\xe7\0\1\0\0\0\0" + len(chain).to_bytes(2, "big") + chain
    last = (0xC000 | 23 + len(chain) - 4).to_bytes(2, "big")
    data = b"\0\7\x80\0\0\0\1\0\0\0\0\0" + hidden + (last + bytes(10)) * 255
    message = dns.parse(data)
    assert {record.name for record in message.answers[1:]} == {(b"a",) * 127}
