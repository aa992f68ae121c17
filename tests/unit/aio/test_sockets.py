"""Sockets for blocking code, over the stack's loopback."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sarab.aio import blocking, sockets
from sarab.aio.network import NetworkDriver
from sarab.aio.sockets import C, Socket
from sarab.net.stack import Stack

HOST = "127.0.0.1"


@pytest.fixture(autouse=True)
def driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[NetworkDriver]:
    made = NetworkDriver(Stack(os.urandom))
    sockets.install(lambda: made)
    monkeypatch.setattr(socket, "socket", Socket)
    yield made
    room = sockets.room()
    for _ in range(200):
        if not room.service._users:
            break
        time.sleep(0.005)
    assert room.service._users == 0, "somebody still needs the service thread"
    assert not room.links


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


def listener() -> Any:
    made = Socket()
    made.bind((HOST, 0))
    made.listen()
    made.settimeout(5)
    return made


def pair() -> tuple[Any, Any]:
    with listener() as server:
        client = Socket()
        client.settimeout(5)
        client.connect(server.getsockname())
        accepted, _ = server.accept()
        accepted.settimeout(5)
        return client, accepted


def test_bytes_go_both_ways_and_names_are_told() -> None:
    client, server = pair()
    with client, server:
        client.sendall(b"hello")
        assert server.recv(100) == b"hello"
        server.sendall(b"world")
        assert client.recv(100) == b"world"
        assert client.getpeername() == server.getsockname()
        assert server.getpeername() == client.getsockname()
        assert client.family == socket.AF_INET
        assert client.type == socket.SOCK_STREAM


def test_much_data_arrives_whole(threads: ThreadPoolExecutor) -> None:
    data = os.urandom(1 << 20) * 6
    client, server = pair()
    with client, server:

        def send() -> None:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)

        done = threads.submit(send)
        got = bytearray()
        while piece := server.recv(65536):
            got += piece
        done.result()
    assert bytes(got) == data


def test_half_a_close_leaves_the_other_direction() -> None:
    client, server = pair()
    with client, server:
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        assert server.recv(100) == b"question"
        assert server.recv(100) == b""
        server.sendall(b"answer")
        server.close()
        assert client.recv(100) == b"answer"
        assert client.recv(100) == b""


def test_what_was_written_before_close_arrives() -> None:
    client, server = pair()
    with server:
        client.sendall(b"x" * 100_000)
        client.close()
        got = 0
        while piece := server.recv(65536):
            got += len(piece)
        assert got == 100_000


def test_refused_is_econnrefused() -> None:
    with Socket() as client:
        with pytest.raises(ConnectionRefusedError):
            client.connect((HOST, 9))
        assert client.connect_ex((HOST, 9)) == errno.ECONNREFUSED


def test_a_reset_is_econnreset() -> None:
    client, server = pair()
    with client:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        server.close()
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_connection_without_waiting_becomes_writable() -> None:
    with listener() as server, Socket() as client:
        client.setblocking(False)
        assert client.connect_ex(server.getsockname()) == errno.EINPROGRESS
        assert select.select([], [client], [], 5)[1]
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        accepted, _ = server.accept()
        with accepted:
            client.send(b"1")
            assert accepted.recv(10) == b"1"


def test_a_refusal_without_waiting_is_so_error() -> None:
    with Socket() as client:
        client.setblocking(False)
        client.connect_ex((HOST, 9))
        assert select.select([], [client], [], 5)[1]
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED


def test_a_listener_is_readable_while_connections_wait() -> None:
    with listener() as server, Socket() as client:
        assert not select.select([server], [], [], 0)[0]
        client.connect(server.getsockname())
        assert select.select([server], [], [], 5)[0]
        server.accept()[0].close()
        assert not select.select([server], [], [], 0)[0]
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_time_outs_are_told() -> None:
    client, server = pair()
    with client, server:
        client.settimeout(0.01)
        with pytest.raises(TimeoutError):
            client.recv(1)
    with listener() as waiting:
        waiting.settimeout(0.01)
        with pytest.raises(TimeoutError):
            waiting.accept()


def test_a_port_is_taken_once_and_free_again() -> None:
    with listener() as first:
        name = first.getsockname()
        with Socket() as second:
            with pytest.raises(OSError, match=r"in use|listener already"):
                second.bind(name)
    with Socket() as third:
        third.bind(name)


def test_makefile_and_dup_share_the_connection() -> None:
    client, server = pair()
    with client, server:
        with client.dup() as other:
            other.sendall(b"line\n")
        with server.makefile("rb") as file:
            assert file.readline() == b"line\n"
        client.sendall(b"still here")
        assert server.recv(100) == b"still here"


def test_datagrams_have_their_senders() -> None:
    with Socket(type=socket.SOCK_DGRAM) as one, Socket(type=socket.SOCK_DGRAM) as other:
        one.bind((HOST, 0))
        one.settimeout(5)
        other.settimeout(5)
        other.sendto(b"hello", one.getsockname())
        data, name = one.recvfrom(100)
        assert data == b"hello"
        one.sendto(b"", name)
        one.sendto(b"long enough", name)
        assert other.recvfrom(100) == (b"", one.getsockname())
        assert other.recvfrom(4) == (b"long", one.getsockname())
        buffer = bytearray(10)
        one.sendto(b"abc", name)
        assert other.recv_into(buffer) == 3
        assert buffer[:3] == b"abc"


def test_a_connected_udp_socket_hears_that_nobody_is_there() -> None:
    with Socket(type=socket.SOCK_DGRAM) as one:
        one.settimeout(5)
        one.connect((HOST, 9))
        one.send(b"hello")
        with pytest.raises(ConnectionRefusedError):
            one.recv(10)


def test_options_are_remembered_and_done() -> None:
    client, server = pair()
    with client, server:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert not client._link.flow.machine._settings.nagle
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM


def test_a_forgotten_listener_gives_its_port_back() -> None:
    server = listener()
    name = server.getsockname()
    with pytest.warns(ResourceWarning):
        del server
    with Socket() as other:
        other.bind(name)


def test_unix_pairs_are_the_kernels() -> None:
    one, other = socket.socketpair()
    with one, other:
        one.send(b"x")
        assert other.recv(1) == b"x"
        assert one.family == socket.AF_UNIX


def test_many_threads_have_their_own_connections(threads: ThreadPoolExecutor) -> None:
    with listener() as server:

        def serve() -> None:
            for _ in range(20):
                accepted, _ = server.accept()
                with accepted:
                    accepted.sendall(accepted.recv(100).upper())

        def ask(index: int) -> bytes:
            with Socket() as client:
                client.settimeout(5)
                client.connect(server.getsockname())
                client.sendall(b"n%d" % index)
                return bytes(client.recv(100))

        done = threads.submit(serve)
        assert [*threads.map(ask, range(20))] == [b"N%d" % index for index in range(20)]
        done.result()


def test_names_are_resolved_without_a_network() -> None:
    room = sockets.room()
    assert blocking.gethostbyname(room, "localhost") == HOST
    assert blocking.gethostbyaddr(room, HOST)[0] == "localhost"
    infos = blocking.getaddrinfo(room, "127.0.0.1", "http", 0, socket.SOCK_STREAM)
    assert infos == [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (HOST, 80))]
    with pytest.raises(socket.gaierror):
        blocking.getaddrinfo(room, "nowhere.invalid", 80)


def test_a_loop_serves_a_socket_and_its_thread_may_block(driver: NetworkDriver) -> None:
    import asyncio

    from sarab.aio.loop import Loop

    loop = Loop(driver)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read(100)).upper())
        writer.close()

    def ask(name: Any) -> bytes:
        with Socket() as client:
            client.settimeout(5)
            client.connect(name)
            client.sendall(b"hello")
            return bytes(client.recv(100))

    async def main() -> bytes:
        with listener() as sock:
            server = await asyncio.start_server(echo, sock=sock)
            answer = await asyncio.to_thread(ask, sock.getsockname())
            server.close()
            return answer

    assert loop.run_until_complete(asyncio.wait_for(main(), 5)) == b"HELLO"
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    assert threading.active_count() >= 1


def test_a_bound_socket_refuses_until_it_listens() -> None:
    with Socket() as server, Socket() as client:
        server.bind((HOST, 0))
        assert client.connect_ex(server.getsockname()) == errno.ECONNREFUSED
        server.listen()
        client.connect(server.getsockname())


def test_connect_says_once_that_an_attempt_without_waiting_was_good() -> None:
    with listener() as server, Socket() as client:
        client.setblocking(False)
        assert client.connect_ex(server.getsockname()) == errno.EINPROGRESS
        assert select.select([], [client], [], 5)[1]
        assert [client.connect_ex(server.getsockname()) for _ in range(2)] == [0, errno.EISCONN]


def test_connect_says_once_that_an_attempt_without_waiting_was_bad() -> None:
    with Socket() as server, Socket() as client:
        server.bind((HOST, 0))
        client.setblocking(False)
        assert client.connect_ex(server.getsockname()) == errno.EINPROGRESS
        assert select.select([], [client], [], 5)[1]
        server.listen()
        assert client.connect_ex(server.getsockname()) == errno.ECONNREFUSED
        assert client.connect_ex(server.getsockname()) == errno.EINPROGRESS


def test_a_listener_hands_its_options_on() -> None:
    with listener() as server, Socket() as client:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.connect(server.getsockname())
        accepted, _ = server.accept()
        with accepted:
            machine = accepted._link.flow.machine
            assert machine.rx.buffer_size == machine.rx.buffer_max == 8192
            assert not machine.settings.nagle


def test_a_small_receive_buffer_is_asked_for_before_connecting() -> None:
    with listener() as server, Socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        client.connect(server.getsockname())
        assert client._link.flow.machine.rx.buffer_max == 8192


def test_a_small_send_buffer_bounds_what_waits() -> None:
    with listener() as server, Socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        client.connect(server.getsockname())
        assert C.getsockopt(client, socket.SOL_SOCKET, socket.SO_SNDBUF) == 8192
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 5120)
        assert C.getsockopt(client, socket.SOL_SOCKET, socket.SO_SNDBUF) == 10240


def test_a_connection_has_its_peer_whatever_address_is_sent_to() -> None:
    client, server = pair()
    with client, server:
        assert client.sendto(b"hello", (HOST, 9)) == 5
        assert server.recv(100) == b"hello"


def test_a_datagram_fills_pieces_of_memory_and_its_rest_is_told_of() -> None:
    with Socket(type=socket.SOCK_DGRAM) as one, Socket(type=socket.SOCK_DGRAM) as two:
        one.bind((HOST, 0))
        two.connect(one.getsockname())
        pieces = bytearray(3), bytearray(2)
        for size, flags in ((5, 0), (6, socket.MSG_TRUNC)):
            two.send(b"abcdef"[:size])
            assert one.recvmsg_into(pieces) == (5, [], flags, two.getsockname())
            assert b"|".join(pieces) == b"abc|de"
        two.send(b"abcdef")
        assert one.recvmsg(4) == (b"abcd", [], socket.MSG_TRUNC, two.getsockname())


def test_what_is_no_message_is_not_sent() -> None:
    with Socket(type=socket.SOCK_DGRAM) as one:
        one.bind((HOST, 0))
        one.settimeout(5)
        for wrong in ((b"abc",), ([5],), ([b"a"], [object()]), ([b"a"], [(0, 0)]), ([b"a"], [(0, 0, 5)])):
            with pytest.raises(TypeError):
                one.sendmsg(*wrong, address=one.getsockname())
        with pytest.raises(TypeError, match="a bytes-like object is required, not 'str'"):
            one.sendto("abc", one.getsockname())
        one.sendto(b"done", one.getsockname())
        assert one.recv(100) == b"done"


def test_numbers_that_are_none_are_refused() -> None:
    with Socket(socket.AF_INET6) as six:
        with pytest.raises(OverflowError, match="flowinfo"):
            six.bind(("::1", 0, -10))
        with pytest.raises(OverflowError):
            six.listen(1 << 31)
    with pytest.raises(UnicodeEncodeError):
        blocking.getaddrinfo(sockets.room(), "localhost", "\ud800")


def test_a_reset_comes_behind_what_was_written_and_leaves_no_peer() -> None:
    client, server = pair()
    with client:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        server.send(b"last words")
        server.close()
        with pytest.raises(OSError, match="not connected"):
            client.getpeername()
        assert client.recv(100) == b"last words"
        with pytest.raises(ConnectionResetError):
            client.recv(100)


def test_interfaces_have_numbers_and_names_and_scope_addresses() -> None:
    room = sockets.room()
    assert blocking.if_nameindex(room) == [(1, "lo")]
    assert (blocking.if_nametoindex(room, b"lo"), blocking.if_indextoname(room, 1)) == (1, "lo")
    for wrong, name in ((blocking.if_nametoindex, "eth7"), (blocking.if_indextoname, 7)):
        with pytest.raises(OSError):
            wrong(room, name)
    infos = blocking.getaddrinfo(room, "fe80::1%lo", 80, 0, socket.SOCK_STREAM)
    assert infos[0][4] == ("fe80::1", 80, 0, 1)
    assert blocking.getnameinfo(room, infos[0][4], socket.NI_NUMERICSERV) == ("fe80::1%lo", "80")
    with pytest.raises(socket.gaierror):
        blocking.getaddrinfo(room, "fe80::1%eth7", 80)


def test_a_descriptor_is_the_socket_that_it_is_whatever_family_is_said() -> None:
    """uvicorn does so with the descriptor it is given (--fd)."""
    with listener() as server:
        with Socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, sockets.dup(server.fileno())) as other:
            assert other.family == socket.AF_UNIX
            assert other.getsockname() == server.getsockname()
            assert other.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN) == socket.AF_INET


def test_a_detached_descriptor_outlives_its_socket() -> None:
    first = Socket()
    first.bind((HOST, 0))
    name = first.getsockname()
    descriptor = first.detach()
    del first
    with Socket(fileno=descriptor) as again:
        assert again.getsockname() == name


def test_a_forgotten_duplicate_leaves_the_connection_to_the_other() -> None:
    client, server = pair()
    with client, server:
        with pytest.warns(ResourceWarning):
            client.dup()
        client.sendall(b"still here")
        assert server.recv(100) == b"still here"


def test_what_one_of_two_duplicates_does_the_other_has_done() -> None:
    with Socket() as server, Socket() as client:
        server.bind((HOST, 0))
        server.settimeout(5)
        with server.dup() as other:
            assert other.gettimeout() == 5
            other.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            other.listen()
        assert server.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        client.connect(server.getsockname())
        server.accept()[0].close()


def test_a_descriptor_made_by_os_dup2_is_the_socket_it_was_made_of() -> None:
    place, end = os.pipe()
    with Socket() as server:
        server.bind((HOST, 0))
        name = server.getsockname()
        os.dup2(server.fileno(), place)
        with Socket(fileno=place) as again:
            server.close()
            assert (again.fileno(), again.family, again.getsockname()) == (place, socket.AF_INET, name)
            again.listen()
            with Socket() as client:
                client.connect(name)
                again.accept()[0].close()
    os.close(end)


def test_a_descriptor_closed_behind_our_back_is_nobodys() -> None:
    server = Socket()
    server.bind((HOST, 0))
    name = server.getsockname()
    descriptor = server.detach()
    os.close(descriptor)
    one, other = os.pipe()  # the lowest is the same number again
    try:
        assert descriptor in (one, other)
        with pytest.raises(OSError, match="non-socket"):
            Socket(fileno=descriptor)
        with Socket() as next_one:
            next_one.bind(name)
    finally:
        os.close(one)
        os.close(other)


def test_every_socket_is_of_the_one_class() -> None:
    """trio asks for it."""
    with Socket(type=socket.SOCK_DGRAM) as made:
        assert type(made) is Socket


def test_tcp_port_is_shared_by_sockets_that_all_ask_for_it() -> None:
    with Socket() as one, Socket() as two, Socket() as three:
        for sock in (one, two):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(("127.0.0.1", 0))
        one.listen()
        two.bind(one.getsockname())
        two.listen()
        with pytest.raises(OSError, match="has a listener already") as refused:
            three.bind(one.getsockname())
        assert refused.value.errno == errno.EADDRINUSE
        with contextlib.ExitStack() as held:
            for _ in range(40):
                held.enter_context(socket.create_connection(one.getsockname(), 5))
            for sock in (one, two):
                sock.settimeout(5)
                sock.accept()[0].close()
