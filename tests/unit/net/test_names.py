"""Lookups over the stack, against a server of the test's own on a link of virtual time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sarab.net.endpoints import Datagrams, Endpoint, Flow, Listener
from sarab.net.errors import NameNotFound, NoAnswer
from sarab.net.names import Lookup
from sarab.proto.tcp.values import Event
from sarab.testing.network import Host, VirtualLink
from sarab.wire import dns
from sarab.wire.address import parse

Zone = Callable[[dns.Question], dns.Message | None]
ADDRESS = parse("192.0.2.7")


def answer(question: dns.Question, *records: dns.Record, rcode: int = 0, flags: int = 0) -> dns.Message:
    return dns.Message(0, dns.QR | dns.RA | rcode | flags, (question,), records)


def host_record(question: dns.Question, address: bytes = ADDRESS, ttl: int = 60) -> dns.Record:
    return dns.Record(question.name, dns.A, dns.IN, ttl, address)


class Server:
    """A name server on port 53 of a host, over UDP and TCP."""

    def __init__(self, link: VirtualLink, host: Host, zone: Zone) -> None:
        self.link, self.zone = link, zone
        self.questions: list[dns.Message] = []
        self.ports: list[int] = []
        self.port = host.stack.udp_open(link.now, b"", 53)
        self.listener = host.stack.tcp_listen(link.now, b"", 53)
        self.over_tcp = 0
        host.on_ready = self.ready

    def ready(self, endpoint: Endpoint, events: int) -> None:
        if isinstance(endpoint, Datagrams):
            while (datagram := endpoint.receive_from()) is not None:
                data, address, port = datagram
                self.ports.append(port)
                reply = self.reply(data)
                if reply is not None:
                    endpoint.send_to(self.link.now, reply, address, port)
        elif isinstance(endpoint, Listener):
            endpoint.accept()
        elif isinstance(endpoint, Flow) and events & Event.READABLE:
            self.over_tcp += 1
            reply = self.reply(endpoint.read(self.link.now, 65535)[2:], tcp=True)
            if reply is not None:
                endpoint.write(self.link.now, len(reply).to_bytes(2, "big") + reply)

    def reply(self, data: bytes, tcp: bool = False) -> bytes | None:
        query = dns.parse(data)
        self.questions.append(query)
        message = self.zone(query.questions[0])
        if message is None:
            return None
        flags = message.flags & ~dns.TC if tcp else message.flags
        return dns.emit(message._replace(id=query.id, flags=flags))


def resolve(zone: Zone, *names: str, servers: int = 1) -> tuple[list[Lookup], Server, VirtualLink]:
    link = VirtualLink()
    client, host = link.host("10.0.0.1/24"), link.host("10.0.0.53/24")
    dead = tuple(parse(f"10.0.0.{60 + index}") for index in range(servers - 1))
    client.stack.names.servers = (*dead, host.address)
    server = Server(link, host, zone)
    lookups = []
    for name in names:
        lookup = client.stack.resolve(link.now, name, 4)
        link.run(60, until=lambda lookup=lookup: lookup.done)  # type: ignore[misc]
        lookups.append(lookup)
    link.run(1)
    return lookups, server, link


def test_a_name_has_its_address() -> None:
    (lookup,), server, _ = resolve(lambda q: answer(q, host_record(q)), "www.Example.com")
    assert lookup.addresses == (ADDRESS,)
    assert lookup.error is None
    assert dns.lower(server.questions[0].questions[0].name) == (b"www", b"example", b"com")
    assert server.questions[0].additionals[0].type == dns.OPT


def test_what_was_answered_is_remembered_for_its_time() -> None:
    lookups, server, link = resolve(lambda q: answer(q, host_record(q, ttl=10)), "a.example", "A.EXAMPLE")
    assert [lookup.addresses for lookup in lookups] == [(ADDRESS,)] * 2
    assert len(server.questions) == 1
    link.run(11)
    again = link.hosts[0].stack.resolve(link.now, "a.example", 4)
    link.run(until=lambda: again.done)
    assert len(server.questions) == 2


def test_a_name_that_does_not_exist() -> None:
    lookups, server, _ = resolve(lambda q: answer(q, rcode=dns.NAME_ERROR), "no.example", "no.example")
    assert all(isinstance(lookup.error, NameNotFound) for lookup in lookups)
    assert len(server.questions) == 1


def test_aliases_are_followed() -> None:
    def zone(q: dns.Question) -> dns.Message:
        alias = dns.Record(q.name, dns.CNAME, dns.IN, 60, b"", (b"real", b"example"))
        return answer(q, alias, dns.Record((b"REAL", b"example"), dns.A, dns.IN, 60, ADDRESS))

    (lookup,), _, _ = resolve(zone, "alias.example")
    assert lookup.addresses == (ADDRESS,)


def test_a_circle_of_aliases_ends() -> None:
    def zone(q: dns.Question) -> dns.Message:
        return answer(q, dns.Record(q.name, dns.CNAME, dns.IN, 60, b"", dns.lower(q.name)))

    (lookup,), _, _ = resolve(zone, "circle.example")
    assert isinstance(lookup.error, NameNotFound)


def test_what_is_cut_off_is_asked_for_over_tcp() -> None:
    many = [bytes((10, 1, index, 1)) for index in range(40)]
    (lookup,), server, _ = resolve(
        lambda q: answer(q, *(host_record(q, a) for a in many), flags=dns.TC), "many.example"
    )
    assert lookup.addresses == tuple(many)
    assert server.over_tcp == 1


def test_a_server_that_is_silent_is_left_for_the_next() -> None:
    (lookup,), _, link = resolve(lambda q: answer(q, host_record(q)), "a.example", servers=2)
    assert lookup.addresses == (ADDRESS,)
    assert link.now < 10 * 10**9


def test_nobody_answers() -> None:
    (lookup,), server, _ = resolve(lambda q: None, "a.example")
    assert isinstance(lookup.error, NoAnswer)
    assert len(server.questions) == 3
    assert len({query.id for query in server.questions}) == 3
    assert len(set(server.ports)) == 3


def test_no_server_is_known() -> None:
    link = VirtualLink()
    host = link.host("10.0.0.1/24")
    lookup = host.stack.resolve(link.now, "a.example", 4)
    assert isinstance(lookup.error, NoAnswer)
    assert "--dns" in str(lookup.error)


def test_a_server_of_before_edns_is_asked_without() -> None:
    def zone(q: dns.Question) -> dns.Message:
        if len(server_questions) < 1:
            server_questions.append(q)
            return answer(q, rcode=dns.FORMAT_ERROR)
        return answer(q, host_record(q))

    server_questions: list[dns.Question] = []
    (lookup,), server, _ = resolve(zone, "a.example")
    assert lookup.addresses == (ADDRESS,)
    assert [bool(query.additionals) for query in server.questions] == [True, False]


@pytest.mark.parametrize("wrong", ["id", "case", "name", "no response"])
def test_an_answer_to_something_else_is_not_believed(wrong: str) -> None:
    def zone(q: dns.Question) -> dns.Message:
        evil = answer(q, host_record(q, parse("6.6.6.6")))
        if wrong == "case":
            return evil._replace(questions=(q._replace(name=tuple(label.swapcase() for label in q.name)),))
        if wrong == "name":
            return evil._replace(questions=(q._replace(name=(b"other",)),))
        if wrong == "no response":
            return evil._replace(flags=0)
        return evil

    link = VirtualLink()
    client, host = link.host("10.0.0.1/24"), link.host("10.0.0.53/24")
    client.stack.names.servers = (host.address,)
    server = Server(link, host, zone)
    if wrong == "id":
        reply = server.reply

        def other(data: bytes, tcp: bool = False) -> bytes:
            return bytes((data[0] ^ 1,)) + (reply(data, tcp) or b"")[1:]

        setattr(server, "reply", other)  # noqa: B010
    lookup = client.stack.resolve(link.now, "a.long.enough.example", 4)
    link.run(60, until=lambda: lookup.done)
    assert isinstance(lookup.error, NoAnswer)


def test_a_lookup_that_is_given_up_leaves_nothing() -> None:
    link = VirtualLink()
    client = link.host("10.0.0.1/24")
    client.stack.names.servers = (parse("10.0.0.9"),)
    lookup = client.stack.resolve(link.now, "a.example", 4)
    link.run(0.1)
    lookup.close(link.now)
    assert not client.stack.udp
    assert client.stack.names.deadline() is None


def test_who_asks_for_what_is_asked_for_already_waits_with_the_other() -> None:
    link = VirtualLink()
    client, host = link.host("10.0.0.1/24"), link.host("10.0.0.53/24")
    client.stack.names.servers = (host.address,)
    server = Server(link, host, lambda q: answer(q, host_record(q)))
    lookups = [client.stack.resolve(link.now, "a.example", 4) for _ in range(3)]
    link.run(until=lambda: all(lookup.done for lookup in lookups))
    assert [lookup.addresses for lookup in lookups] == [(ADDRESS,)] * 3
    assert len(server.questions) == 1
    assert client.stack.statistics()["names_joined"] == 2


def test_a_short_name_is_looked_for_in_the_domains_that_dhcp_offers() -> None:
    link = VirtualLink()
    client, host = link.host("10.0.0.1/24"), link.host("10.0.0.53/24")
    client.stack.names.offer("DHCP on eth0", (host.address,), ("example.org",))
    Server(link, host, lambda q: answer(q, host_record(q)) if len(q.name) == 3 else answer(q, rcode=dns.NAME_ERROR))
    lookup = client.stack.resolve(link.now, "www", 4)
    link.run(until=lambda: lookup.done)
    assert lookup.addresses == (ADDRESS,)


def test_offers_of_several_stand_beside_each_other_until_they_are_taken_back() -> None:
    names = VirtualLink().host("10.0.0.1/24").stack.names
    one, other = parse("10.0.0.53"), parse("fd00::53")
    names.offer("DHCP on eth0", (one,))
    names.offer("the routers of eth0", (other,))
    assert list(names.servers) == [one, other]
    names.offer("DHCP on eth0", ())
    assert list(names.servers) == [other]
    names.servers = (one,)
    assert list(names.servers) == [one], "by hand: these and no others"
