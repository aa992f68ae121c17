"""A DNS server for one zone, over UDP and TCP (RFC 1035): `sarab run -p 5353:53/udp -p 5353:53 examples/dns.py`,
then `dig @127.0.0.1 -p 5353 www.example.org`.
"""

import argparse
import asyncio
from typing import cast

from sarab.wire import dns
from sarab.wire.address import parse as address_of
from sarab.wire.dns_records import Edns, Mx, Soa, edns_of, emit_edns, emit_mx, emit_soa, emit_txt
from sarab.wire.errors import Malformed

ANY, OPCODE = 255, 0x7800
TTL = 3600
ORIGIN = dns.name_of("example.org")
NS, MAIL = dns.name_of("ns.example.org"), dns.name_of("mail.example.org")
SOA = dns.Record(
    ORIGIN, dns.SOA, dns.IN, TTL, emit_soa(Soa(NS, dns.name_of("hostmaster.example.org"), 1, 7200, 900, 86400, 300))
)
QUERY_SIZE_MAX, UDP_SIZE_MAX, TCP_SIZE_MAX = 512, dns.UDP_SIZE, 65535
"""Of a response by UDP without EDNS0, and with it (no path fragments that); by TCP."""
IDLE_SECONDS = 10
CONNECTIONS_MAX = 100


def _record(name: str, kind: int, data: bytes, target: str = "") -> dns.Record:
    return dns.Record(dns.name_of(name), kind, dns.IN, TTL, data, dns.name_of(target) if target else None)


ZONE = (
    SOA,
    _record("example.org", dns.NS, b"", "ns.example.org"),
    _record("example.org", dns.MX, emit_mx(Mx(10, MAIL))),
    _record("example.org", dns.TXT, emit_txt((b"a Python program is its own operating system",))),
    _record("ns.example.org", dns.A, address_of("192.0.2.53")),
    _record("mail.example.org", dns.A, address_of("192.0.2.25")),
    _record("web.example.org", dns.A, address_of("192.0.2.80")),
    _record("web.example.org", dns.AAAA, address_of("2001:db8::80")),
    _record("www.example.org", dns.CNAME, b"", "web.example.org"),
    *(_record("many.example.org", dns.A, bytes((198, 51, 100, n))) for n in range(1, 101)),
)


def answer(query: bytes, size_max: int) -> bytes | None:
    """Return the response to `query`, cut to `size_max` bytes or what the client says it takes; None to say nothing."""
    try:
        asked = dns.parse(query)
        edns = edns_of(asked)
    except Malformed:
        return None
    if asked.flags & dns.QR:
        return None
    if size_max < TCP_SIZE_MAX:
        size_max = QUERY_SIZE_MAX if edns is None else min(size_max, max(edns.udp_size, QUERY_SIZE_MAX))
    flags = dns.QR | asked.flags & (dns.RD | OPCODE)
    options = (emit_edns(Edns(UDP_SIZE_MAX)),) if edns is not None else ()
    if asked.flags & OPCODE:
        return dns.emit(dns.Message(asked.id, flags | dns.NOT_IMPLEMENTED, asked.questions, additionals=options))
    if len(asked.questions) != 1:
        return dns.emit(dns.Message(asked.id, flags | dns.FORMAT_ERROR, additionals=options))
    question = asked.questions[0]
    name = dns.lower(question.name)
    if name[-len(ORIGIN) :] != ORIGIN or question.cls != dns.IN:
        return dns.emit(dns.Message(asked.id, flags | dns.REFUSED, asked.questions, additionals=options))
    flags |= dns.AA
    found, code = find(name, question.type)
    authorities = () if found else (SOA,)
    whole = dns.emit(dns.Message(asked.id, flags | code, asked.questions, found, authorities, options))
    if len(whole) <= size_max:
        return whole
    return dns.emit(dns.Message(asked.id, flags | dns.TC, asked.questions, additionals=options))


def find(name: dns.Name, kind: int) -> tuple[tuple[dns.Record, ...], int]:
    """Return the records that answer, an alias's first, and the code of the result (RFC 1034 section 4.3.2)."""
    here = [record for record in ZONE if record.name == name]
    aliases = tuple(record for record in here if record.type == dns.CNAME)
    if aliases and kind not in (dns.CNAME, ANY):
        further, _ = find(cast(dns.Name, aliases[0].target), kind)
        return aliases + further, dns.NO_ERROR
    found = tuple(record for record in here if kind in (record.type, ANY))
    below = any(record.name[-len(name) :] == name for record in ZONE)
    return found, dns.NO_ERROR if below else dns.NAME_ERROR


class Datagrams(asyncio.DatagramProtocol):
    """Answers datagrams."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        response = answer(data, UDP_SIZE_MAX)
        if response is not None:
            self.transport.sendto(response, addr)


async def main(port: int) -> None:
    """Serve until the machine is told to stop."""
    places = asyncio.Semaphore(CONNECTIONS_MAX)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the queries of one connection, each behind its length (RFC 7766)."""
        try:
            async with places:
                while True:
                    async with asyncio.timeout(IDLE_SECONDS):
                        query = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
                        response = answer(query, TCP_SIZE_MAX)
                        if response is None:
                            return
                        writer.write(len(response).to_bytes(2, "big") + response)
                        await writer.drain()
        except (asyncio.IncompleteReadError, TimeoutError, ConnectionError):
            pass
        finally:
            writer.close()

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Datagrams, local_addr=("::", port))  # and IPv4
    server = await asyncio.start_server(serve, None, port)
    print(f"answering for example.org on port {port}", flush=True)
    try:
        async with server:
            await server.serve_forever()
    finally:
        transport.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=53, help="UDP and TCP port (53)")
    asyncio.run(main(parser.parse_args().port))
