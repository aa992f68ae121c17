"""The standard library's TLS over our transports and sockets."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sarab.aio import sockets
from sarab.aio.loop import Loop
from sarab.aio.network import NetworkDriver
from sarab.net.stack import Stack
from tests.unit.aio.certificate import write_certificate

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a client's, of a certificate made for this test."""
    file = write_certificate(tmp_path_factory.mktemp("tls"))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(file)
    client = ssl.create_default_context(cafile=str(file))
    return server, client


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop(NetworkDriver(Stack(os.urandom)))
    yield made
    made.run_until_complete(made.shutdown_default_executor())
    made.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


def run(loop: Loop, main: Any) -> Any:
    return loop.run_until_complete(asyncio.wait_for(main, 10))


def test_a_server_and_a_client_with_tls(loop: Loop, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    sent = os.urandom(500_000)

    async def main() -> bytes:
        server = await asyncio.start_server(echo, HOST, 0, ssl=contexts[0])
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("localhost", port, ssl=contexts[1])
        assert writer.get_extra_info("peername") == (HOST, port)
        assert writer.get_extra_info("cipher")
        writer.write(sent)
        data = await reader.readexactly(len(sent))
        writer.close()
        await writer.wait_closed()
        server.close()
        return data

    assert run(loop, main()) == sent


def test_a_connection_becomes_tls(loop: Loop, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"go\n")
        await writer.drain()
        await writer.start_tls(contexts[0])
        writer.write((await reader.readline()).upper())
        writer.close()

    async def main() -> bytes:
        server = await asyncio.start_server(serve, HOST, 0)
        reader, writer = await asyncio.open_connection("localhost", server.sockets[0].getsockname()[1])
        writer.write(b"STARTTLS\n")
        assert await reader.readline() == b"go\n"
        await writer.start_tls(contexts[1], server_hostname="localhost")
        writer.write(b"secret\n")
        data = await reader.readline()
        writer.close()
        server.close()
        return data

    assert run(loop, main()) == b"SECRET\n"


def test_a_wrong_name_is_refused(loop: Loop, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async def main() -> None:
        server = await asyncio.start_server(echo, HOST, 0, ssl=contexts[0])
        name = server.sockets[0].getsockname()
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(*name, ssl=contexts[1], server_hostname="other")
        server.close()

    run(loop, main())


def test_a_descriptor_moves_to_another_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ssl does when it wraps a socket. That ssl.SSLSocket is made of ours, test_install shows."""
    driver = NetworkDriver(Stack(os.urandom))
    sockets.install(lambda: driver)

    class SSLSocket(sockets.Socket):
        """As ssl.SSLSocket is made of socket.socket: the descriptor goes from one object to another."""

    def serve(server: Any) -> None:
        accepted, _ = server.accept()
        moved = SSLSocket(accepted.family, accepted.type, accepted.proto, accepted.detach())
        with moved:
            assert moved.getpeername()[0] == HOST
            moved.sendall(moved.recv(100).upper())

    monkeypatch.setattr(socket, "socket", sockets.Socket)
    with sockets.Socket() as server, ThreadPoolExecutor() as pool, sockets.Socket() as client:
        server.bind((HOST, 0))
        server.listen()
        done = pool.submit(serve, server)
        client.settimeout(5)
        client.connect(server.getsockname())
        client.sendall(b"moved")
        assert client.recv(100) == b"MOVED"
        done.result()
