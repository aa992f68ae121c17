"""`::` is every address of both families, as on Linux (RFC 3493 section 5.3), over the stack's loopback."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from sarab.aio import sockets
from sarab.aio.loop import Loop
from sarab.aio.network import NetworkDriver
from sarab.aio.sockets import Socket
from sarab.net.stack import Stack

V6ONLY = (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


@pytest.fixture(autouse=True)
def driver(monkeypatch: pytest.MonkeyPatch) -> NetworkDriver:
    made = NetworkDriver(Stack(os.urandom))
    sockets.install(lambda: made)
    monkeypatch.setattr(socket, "socket", Socket)
    return made


@pytest.fixture
def loop(driver: NetworkDriver) -> Iterator[Loop]:
    made = Loop(driver)
    yield made
    made.close()


def bound(kind: int, host: str = "::", *options: tuple[int, int, int]) -> Any:
    made: Any = Socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    made.settimeout(5)
    for option in options:
        made.setsockopt(*option)
    made.bind((host, 0))
    return made


def test_a_listener_takes_both_families_and_names_ipv4_as_mapped() -> None:
    with bound(socket.SOCK_STREAM) as server:
        server.listen()
        assert server.getsockname()[0] == "::"
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), 5), socket.create_connection(("::1", port), 5):
            names = []
            for _ in range(2):
                accepted, name = server.accept()
                assert accepted.getpeername() == name
                names.append(name[0])
                accepted.close()
    assert names == ["::ffff:127.0.0.1", "::1"]


def test_a_listener_with_v6only_takes_ipv6_alone() -> None:
    with bound(socket.SOCK_STREAM, "::", V6ONLY) as server:
        server.listen()
        port = server.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 5)
        socket.create_connection(("::1", port), 5).close()


def test_the_standard_library_knows_that_it_can() -> None:
    assert socket.has_dualstack_ipv6()
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        socket.create_connection(("127.0.0.1", server.getsockname()[1]), 5).close()


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_port_of_both_families_is_taken_in_each(kind: int) -> None:
    with bound(kind) as first:
        other = Socket(socket.AF_INET, kind)
        with other, pytest.raises(OSError) as caught:
            other.bind(("0.0.0.0", first.getsockname()[1]))
    assert caught.value.errno == errno.EADDRINUSE
    with bound(kind, "::", V6ONLY) as first, Socket(socket.AF_INET, kind) as other:
        other.bind(("0.0.0.0", first.getsockname()[1]))


def test_datagrams_come_from_both_families_and_are_answered() -> None:
    with bound(socket.SOCK_DGRAM) as server:
        for host, seen in (("127.0.0.1", "::ffff:127.0.0.1"), ("::1", "::1")):
            with bound(socket.SOCK_DGRAM, host) as client:
                client.sendto(b"ping", (host, server.getsockname()[1]))
                data, name = server.recvfrom(100)
                assert (data, name[0]) == (b"ping", seen)
                server.sendto(b"pong", name)
                assert client.recv(100) == b"pong"


def test_an_asyncio_port_hears_both_families_and_answers(loop: Loop) -> None:
    names: list[Any] = []

    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            names.append(addr[0])
            self.transport.sendto(data, addr)

    class Client(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.heard = loop.create_future()

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.heard.set_result((data, addr[0]))

    async def main() -> list[Any]:
        server, _ = await loop.create_datagram_endpoint(Echo, ("::", 0))
        assert server.get_extra_info("sockname")[0] == "::"
        assert server.get_extra_info("socket").family == socket.AF_INET6
        heard = []
        for host in ("127.0.0.1", "::1"):
            port = server.get_extra_info("sockname")[1]
            client, protocol = await loop.create_datagram_endpoint(Client, remote_addr=(host, port))
            client.sendto(b"ping")
            heard.append(await protocol.heard)
            client.close()
        server.close()
        await asyncio.sleep(0)
        return heard

    assert loop.run_until_complete(asyncio.wait_for(main(), 5)) == [(b"ping", "127.0.0.1"), (b"ping", "::1")]
    assert names == ["::ffff:127.0.0.1", "::1"]
