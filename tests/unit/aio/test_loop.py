"""asyncio over the stack's loopback: transports, streams, servers, datagrams, TLS."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from sarab.aio.loop import Loop
from sarab.aio.network import NetworkDriver
from sarab.net.stack import Stack

HOST = "127.0.0.1"


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop(NetworkDriver(Stack(os.urandom)))
    failures: list[dict[str, Any]] = []
    made.set_exception_handler(lambda _, context: failures.append(context))
    yield made
    made.run_until_complete(made.shutdown_asyncgens())
    made.run_until_complete(made.shutdown_default_executor())
    made.close()
    assert not failures


def run(loop: Loop, main: Coroutine[Any, Any, Any]) -> Any:
    return loop.run_until_complete(asyncio.wait_for(main, 5))


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def echo_port() -> tuple[asyncio.Server, int]:
    server = await asyncio.start_server(echo, HOST, 0)
    return server, server.sockets[0].getsockname()[1]


def test_what_is_written_comes_back(loop: Loop) -> None:
    async def main() -> bytes:
        _, port = await echo_port()
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(b"hello")
        writer.write_eof()
        data = await reader.read()
        writer.close()
        await writer.wait_closed()
        return data

    assert run(loop, main()) == b"hello"


def test_much_data_arrives_whole_through_flow_control(loop: Loop) -> None:
    sent = os.urandom(1 << 20) * 4

    async def main() -> bytes:
        _, port = await echo_port()
        reader, writer = await asyncio.open_connection(HOST, port)

        async def send() -> None:
            for at in range(0, len(sent), 100_000):
                writer.write(sent[at : at + 100_000])
                await writer.drain()
            writer.write_eof()

        task = asyncio.ensure_future(send())
        data = await reader.read()
        await task
        writer.close()
        return data

    assert run(loop, main()) == sent


def test_a_writer_is_paused_while_nobody_reads(loop: Loop) -> None:
    calls = []

    class Client(asyncio.Protocol):
        def pause_writing(self) -> None:
            calls.append("pause")

        def resume_writing(self) -> None:
            calls.append("resume")

    class Server(asyncio.Protocol):
        count = 0

        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            transport.pause_reading()

        def data_received(self, data: bytes) -> None:
            self.count += len(data)

    async def main() -> None:
        servers: list[Server] = []

        def make() -> Server:
            servers.append(Server())
            return servers[-1]

        server = await loop.create_server(make, HOST, 0)
        transport, _ = await loop.create_connection(Client, *server.sockets[0].getsockname())
        transport.write(bytes(16 << 20))
        assert calls == ["pause"]
        await asyncio.sleep(0.05)
        assert calls == ["pause"]
        assert servers[0].count == 0
        servers[0].transport.resume_reading()
        while servers[0].count < 16 << 20:
            await asyncio.sleep(0.001)
        assert calls == ["pause", "resume"]
        transport.close()
        server.close()

    run(loop, main())


def test_a_buffered_protocol_is_filled_in_place(loop: Loop) -> None:
    got = bytearray()

    class Server(asyncio.BufferedProtocol):
        def get_buffer(self, sizehint: int) -> bytearray:
            self.buffer = bytearray(7)
            return self.buffer

        def buffer_updated(self, nbytes: int) -> None:
            got.extend(self.buffer[:nbytes])

    async def main() -> None:
        server = await loop.create_server(Server, HOST, 0)
        transport, _ = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
        transport.write(b"a long sentence in small pieces")
        while len(got) < 31:
            await asyncio.sleep(0.001)
        transport.close()

    run(loop, main())
    assert bytes(got) == b"a long sentence in small pieces"


def test_events_of_a_connection_come_once_and_in_order(loop: Loop) -> None:
    seen: list[str] = []

    class Server(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            seen.append("made")

        def data_received(self, data: bytes) -> None:
            seen.append("data")

        def eof_received(self) -> None:
            seen.append("eof")

        def connection_lost(self, error: Exception | None) -> None:
            seen.append(f"lost {error}")

    async def main() -> None:
        server = await loop.create_server(Server, HOST, 0)
        transport, _ = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
        transport.write(b"x")
        transport.close()
        while len(seen) < 4:
            await asyncio.sleep(0.001)
        server.close()
        await asyncio.sleep(0.01)

    run(loop, main())
    assert seen == ["made", "data", "eof", "lost None"]


class Noted(asyncio.Protocol):
    """Notes what it is told; `when_told` is called with it."""

    def __init__(self, notes: list[bytes], when_told: Callable[[bytes], None] = lambda data: None) -> None:
        self.notes, self.when_told = notes, when_told

    def data_received(self, data: bytes) -> None:
        self.notes.append(data)
        self.when_told(data)


async def noted(
    loop: Loop, count: int, notes: list[bytes], when_told: Callable[[bytes], None]
) -> list[asyncio.Transport]:
    """Return transports towards as many connections, which note what they are told."""
    server = await loop.create_server(lambda: Noted(notes, when_told), HOST, 0)
    port = server.sockets[0].getsockname()[1]
    made = [(await loop.create_connection(asyncio.Protocol, HOST, port))[0] for _ in range(count)]
    await asyncio.sleep(0.01)
    return made


@pytest.mark.parametrize("debug", [False, True])
def test_what_is_scheduled_while_connections_are_told_waits_for_all_of_them(loop: Loop, debug: bool) -> None:
    """As with asyncio's own loop: what one look at the cards brought comes before what a callback has scheduled."""
    notes: list[bytes] = []

    async def main() -> None:
        loop.set_debug(debug)
        made = await noted(loop, 3, notes, lambda data: void(loop.call_soon(notes.append, b"soon")))
        for index, transport in enumerate(made):
            transport.write(b"%d" % index)
        while len(notes) < 6:
            await asyncio.sleep(0)
        for transport in made:
            transport.close()

    run(loop, main())
    assert notes == [b"0", b"1", b"2", b"soon", b"soon", b"soon"]


def test_who_ends_the_loop_while_connections_are_told_loses_none_of_the_others(loop: Loop) -> None:
    notes: list[bytes] = []

    def leave(data: bytes) -> None:
        if data == b"0":
            raise KeyboardInterrupt

    made = run(loop, noted(loop, 3, notes, leave))
    for index, transport in enumerate(made):
        transport.write(b"%d" % index)
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(asyncio.sleep(1))
    assert notes == [b"0"]
    loop.run_until_complete(asyncio.sleep(0))
    assert notes == [b"0", b"1", b"2"]
    for transport in made:
        transport.close()
    loop.run_until_complete(asyncio.sleep(0.01))


def test_news_of_a_connection_that_ends_before_it_is_told_are_nobodys(loop: Loop) -> None:
    notes: list[bytes] = []

    async def main() -> None:
        (transport,) = await noted(loop, 1, notes, lambda data: None)
        (served,) = (other for other in loop.open_transports if other is not transport)
        transport.write(b"late")
        served.abort()
        await asyncio.sleep(0.01)

    run(loop, main())
    assert not notes


def test_a_view_of_other_items_than_bytes_is_written_as_its_bytes(loop: Loop) -> None:
    notes: list[bytes] = []
    words = memoryview(b"abcdefgh").cast("I")

    async def main() -> None:
        (transport,) = await noted(loop, 1, notes, lambda data: None)
        transport.write(words)
        transport.write(words[::-1])
        while sum(map(len, notes)) < 16:
            await asyncio.sleep(0)
        transport.close()

    run(loop, main())
    assert b"".join(notes) == b"abcdefghefghabcd"


def void(_: object) -> None:
    """For a callback whose value nobody wants."""


def test_abort_with_something_unread_is_a_reset_to_the_peer(loop: Loop) -> None:
    async def main() -> None:
        lost = loop.create_future()

        class Server(asyncio.Protocol):
            def connection_made(self, transport: Any) -> None:
                loop.call_later(0.005, transport.write, b"never read")

            def connection_lost(self, error: Exception | None) -> None:
                lost.set_result(error)

        server = await loop.create_server(Server, HOST, 0)
        transport, _ = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
        transport.pause_reading()
        await asyncio.sleep(0.02)
        transport.abort()
        assert isinstance(await lost, ConnectionResetError)
        server.close()

    run(loop, main())


def test_abort_is_an_end_to_the_peer(loop: Loop) -> None:
    async def main() -> None:
        lost = loop.create_future()

        class Server(asyncio.Protocol):
            def connection_lost(self, error: Exception | None) -> None:
                lost.set_result(error)

        server = await loop.create_server(Server, HOST, 0)
        transport, _ = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
        await asyncio.sleep(0.01)
        transport.abort()
        assert await lost is None
        server.close()

    run(loop, main())


def test_a_lost_connection_leaves_no_cycle(loop: Loop) -> None:
    import gc
    import weakref

    class Client(asyncio.Protocol):
        pass

    async def main() -> None:
        server = await loop.create_server(asyncio.Protocol, HOST, 0)
        transport, protocol = await loop.create_connection(Client, *server.sockets[0].getsockname())
        seen = weakref.ref(protocol)
        transport.close()
        del transport, protocol
        await asyncio.sleep(0.01)
        assert seen() is None
        server.close()

    gc.disable()
    try:
        run(loop, main())
    finally:
        gc.enable()


def test_a_port_without_a_listener_refuses(loop: Loop) -> None:
    async def main() -> None:
        with pytest.raises(ConnectionRefusedError, match="Connect call failed"):
            await asyncio.open_connection(HOST, 9)

    run(loop, main())


def test_a_port_in_use_is_said_so(loop: Loop) -> None:
    async def main() -> None:
        _, port = await echo_port()
        with pytest.raises(OSError, match="error while attempting to bind on address") as caught:
            await asyncio.start_server(echo, HOST, port)
        assert caught.value.errno == 98

    run(loop, main())


def test_a_closed_server_refuses_and_its_connections_live_on(loop: Loop) -> None:
    async def main() -> None:
        server, port = await echo_port()
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(b"1")
        assert await reader.read(1) == b"1"
        server.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, port)
        writer.write(b"2")
        assert await reader.read(1) == b"2"
        writer.close()
        await writer.wait_closed()

    run(loop, main())


def test_names_and_options_of_a_transport(loop: Loop) -> None:
    async def main() -> None:
        _, port = await echo_port()
        _, writer = await asyncio.open_connection(HOST, port, local_addr=("127.0.0.1", 4321))
        assert writer.get_extra_info("peername") == (HOST, port)
        assert writer.get_extra_info("sockname") == (HOST, 4321)
        sock = writer.get_extra_info("socket")
        assert sock.family == socket.AF_INET
        assert sock.type == socket.SOCK_STREAM
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
        assert not sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        writer.close()

    run(loop, main())


def test_datagrams_go_and_come(loop: Loop) -> None:
    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.transport.sendto(data.upper(), addr)

    async def main() -> None:
        answer = loop.create_future()

        class Client(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                answer.set_result((data, addr))

        server, _ = await loop.create_datagram_endpoint(Echo, (HOST, 0))
        name = server.get_extra_info("sockname")
        client, _ = await loop.create_datagram_endpoint(Client, remote_addr=name)
        client.sendto(b"hello")
        assert await answer == (b"HELLO", name)
        server.close()
        client.close()

    run(loop, main())


def test_nobody_at_a_udp_port_is_told(loop: Loop) -> None:
    async def main() -> None:
        failed = loop.create_future()

        class Client(asyncio.DatagramProtocol):
            def error_received(self, error: Exception) -> None:
                failed.set_result(error)

        client, _ = await loop.create_datagram_endpoint(Client, remote_addr=(HOST, 9))
        client.sendto(b"hello")
        assert isinstance(await failed, ConnectionRefusedError)
        client.close()

    run(loop, main())


def test_other_threads_are_heard(loop: Loop) -> None:
    async def main() -> None:
        heard = loop.create_future()
        threading.Timer(0.01, loop.call_soon_threadsafe, (heard.set_result, 1)).start()
        assert await heard == 1
        assert await asyncio.to_thread(threading.get_ident) != threading.get_ident()

    run(loop, main())


def test_an_idle_loop_sleeps(loop: Loop) -> None:
    async def main() -> int:
        _, port = await echo_port()
        _, writer = await asyncio.open_connection(HOST, port)
        await asyncio.sleep(0.1)
        turns = 0
        select = loop._network_selector.select

        def counted(timeout: float | None = None) -> Any:
            nonlocal turns
            turns += 1
            return select(timeout)

        loop._network_selector.select = counted  # type: ignore[method-assign]
        await asyncio.sleep(0.2)
        writer.close()
        return turns

    assert run(loop, main()) < 5


def test_socket_of_a_transport_is_always_the_same(loop: Loop) -> None:
    async def main() -> None:
        _, port = await echo_port()
        _, writer = await asyncio.open_connection(HOST, port)
        datagrams, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, (HOST, 0))
        for transport in (writer.transport, datagrams):
            assert transport.get_extra_info("socket") is transport.get_extra_info("socket")
            transport.close()
        await writer.wait_closed()

    run(loop, main())


def test_servers_share_a_port_where_all_of_them_ask_for_it(loop: Loop) -> None:
    async def main() -> None:
        one = await asyncio.start_server(echo, HOST, 0, reuse_port=True)
        port = one.sockets[0].getsockname()[1]
        two = await asyncio.start_server(echo, HOST, port, reuse_port=True)
        with pytest.raises(OSError, match="has a listener already"):
            await asyncio.start_server(echo, HOST, port)
        two.close()
        one.close()

    run(loop, main())


def test_news_of_a_flow_that_was_just_given_back_are_for_nobody(loop: Loop) -> None:
    async def main() -> None:
        _, port = await echo_port()
        _, writer = await asyncio.open_connection(HOST, port)
        transport: Any = writer.transport
        transport.abort()  # connection_lost() is scheduled, and news come before it was called
        transport._traffic.notify(transport._flow, 0)
        await asyncio.sleep(0.01)
        assert transport._flow.closed

    run(loop, main())


def test_two_loops_in_two_threads_speak(loop: Loop) -> None:
    ready, over = threading.Event(), threading.Event()
    ports = []

    def serve() -> None:
        other = Loop(loop.driver)

        async def main() -> None:
            server, port = await echo_port()
            ports.append(port)
            ready.set()
            await asyncio.get_running_loop().run_in_executor(None, over.wait)
            server.close()
            await other.shutdown_default_executor()

        other.run_until_complete(main())
        other.close()

    thread = threading.Thread(target=serve)
    thread.start()
    assert ready.wait(5)

    async def main() -> bytes:
        reader, writer = await asyncio.open_connection(HOST, ports[0])
        writer.write(b"between loops")
        data = await reader.readexactly(13)
        writer.close()
        await writer.wait_closed()
        return data

    try:
        assert run(loop, main()) == b"between loops"
    finally:
        over.set()
        thread.join()


def test_a_file_is_sent(loop: Loop, tmp_path: Any) -> None:
    (tmp_path / "file").write_bytes(b"content" * 10000)

    async def main() -> bytes:
        _, port = await echo_port()
        reader, writer = await asyncio.open_connection(HOST, port)
        with open(tmp_path / "file", "rb") as file:
            await loop.sendfile(writer.transport, file)
        writer.write_eof()
        data = await reader.read()
        writer.close()
        return data

    assert run(loop, main()) == b"content" * 10000


def test_what_an_image_has_not_is_said(loop: Loop) -> None:
    async def main() -> None:
        with pytest.raises(NotImplementedError, match="one process"):
            await asyncio.create_subprocess_exec("ls")
        with pytest.raises(NotImplementedError, match="one process"):
            await asyncio.open_unix_connection("/tmp/nothing")

    run(loop, main())


def test_names_that_need_nobody(loop: Loop) -> None:
    async def main() -> None:
        infos = await loop.getaddrinfo("localhost", "http", type=socket.SOCK_STREAM)
        assert (socket.AF_INET, socket.SOCK_STREAM, 6, "", (HOST, 80)) in infos
        assert await loop.getnameinfo((HOST, 80)) == ("localhost", "http")
        with pytest.raises(socket.gaierror):
            await loop.getaddrinfo("nowhere.invalid", 80)

    run(loop, main())


def test_connections_left_open_end_with_their_loop() -> None:
    driver = NetworkDriver(Stack(os.urandom))
    loop = Loop(driver)

    async def main() -> None:
        server = await loop.create_server(asyncio.Protocol, HOST, 0)
        await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())

    run(loop, main())
    assert loop.open_transports
    loop.close()
    assert not loop.open_transports
    assert all(flow.closed for flow in driver.stack.tcp.flows.values())


def test_a_name_is_asked_of_a_server(loop: Loop) -> None:
    class Server(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            end = data.index(b"\0", 12) + 5
            answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\7"
            self.transport.sendto(data[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + data[12:end] + answer, addr)

    async def main() -> Any:
        server, _ = await loop.create_datagram_endpoint(Server, (HOST, 53))
        loop.driver.stack.names.servers = (bytes((127, 0, 0, 1)),)
        infos = await loop.getaddrinfo("there.example", 80, family=socket.AF_INET, type=socket.SOCK_STREAM)
        server.close()
        return infos

    assert run(loop, main()) == [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.7", 80))]


def test_a_local_port_with_a_listener_is_in_use(loop: Loop) -> None:
    async def main() -> None:
        _, port = await echo_port()
        with pytest.raises(OSError, match="bind on address") as caught:
            await asyncio.open_connection(HOST, port, local_addr=(HOST, port))
        assert caught.value.errno == 98

    run(loop, main())


def test_a_datagram_endpoint_with_a_peer_has_the_address_that_the_peer_sees(loop: Loop) -> None:
    async def main() -> tuple[Any, Any]:
        client, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(HOST, 9))
        dual, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("::", 0), remote_addr=("::1", 9))
        names = client.get_extra_info("sockname"), dual.get_extra_info("sockname")
        client.close()
        dual.close()
        return names

    four, six = run(loop, main())
    assert four[0] == HOST
    assert six[0] == "::1"


def test_an_error_of_connecting_is_in_no_cycle(loop: Loop) -> None:
    async def main() -> list[Any]:
        try:
            await asyncio.open_connection(HOST, 9)
        except ConnectionRefusedError as error:
            return [each for each in gc.get_referrers(error) if isinstance(each, list)]
        return [None]

    assert run(loop, main()) == []
