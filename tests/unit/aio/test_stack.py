"""The stack that applications ask for: over the host's sockets and over sarab's own loop it keeps the same promises."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import socket
from collections.abc import Coroutine
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest

from sarab.aio import flow as flows
from sarab.aio.flow import Flow, Listener
from sarab.aio.host_ip import HostIP
from sarab.aio.loop import Loop
from sarab.aio.network import NetworkDriver
from sarab.aio.packets import StackIP
from sarab.aio.stack import AsyncioStack, Datagrams, _race, interleave
from sarab.net.stack import Stack
from sarab.testing.checks.promise import Broken
from sarab.testing.checks.stack import check_ip, check_resolver, check_stack, check_tcp, check_udp

HOST = IPv4Address("127.0.0.1")


def run_in_ours(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in sarab's loop over a stack without cards."""
    loop = Loop(NetworkDriver(Stack(os.urandom)))
    failures: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: failures.append(context))
    try:
        return loop.run_until_complete(asyncio.wait_for(work, 60))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        gc.collect()
        assert not failures


def ours() -> AsyncioStack:
    loop: Any = asyncio.get_running_loop()
    return AsyncioStack(StackIP(loop.driver))


def hosts() -> AsyncioStack:
    return AsyncioStack(HostIP())


def test_over_the_hosts_sockets_it_keeps_the_promises() -> None:
    check_stack(hosts)


def test_over_sarabs_stack_it_keeps_the_promises() -> None:
    check_stack(ours, run_in_ours)


class Liar(AsyncioStack):
    lie = ""

    async def listen_tcp(self, port: int, host: Any = None, *, backlog: int = 128) -> Listener:
        if self.lie == "takes what is taken":
            try:
                return await super().listen_tcp(port, host)
            except OSError:
                port = 0
        return await super().listen_tcp(port, host, backlog=backlog)

    async def connect_tcp(self, host: Any, port: int, *, timeout: float | None = None) -> Flow:
        try:
            return await super().connect_tcp(host, port, timeout=timeout)
        except OSError as error:
            if self.lie == "forgets why":
                raise OSError("no connection") from error
            raise

    async def bind_udp(self, port: int = 0, host: Any = None) -> Datagrams:
        made = await super().bind_udp(port, host)
        if self.lie == "mapped senders":
            receive = made.receive

            async def lying() -> Any:
                data, (address, number) = await receive()
                return data, (ip_address(f"::ffff:{address}") if address.version == 4 else address, number)

            made.receive = lying  # type: ignore[method-assign]
        return made

    async def resolve(self, name: str) -> Any:
        found = await super().resolve(name) if self.lie != "invents" or "." in name[:4] else (HOST,)
        return list(map(str, found)) if self.lie == "texts" else found

    def mtu(self, host: Any) -> int:
        return 100 if self.lie == "small" else super().mtu(host)


class LyingFlow(Flow):
    """What `lie` says is set on the class."""

    lie = ""

    async def read(self, limit: int = 65536) -> bytes:
        if self.lie == "reads too much":
            limit += 70_000
        return await super().read(limit)

    async def write(self, data: Any) -> None:
        if self.lie == "never waits":
            self._transport.set_write_buffer_limits(1 << 40)
        if self.lie == "writes behind the end" and (self._is_shut or self._closed is not None):
            return
        await super().write(data)

    async def close(self) -> None:
        if self.lie == "drops what was written":
            self._transport.abort()
        await super().close()


@pytest.mark.parametrize("lie", ["takes what is taken", "forgets why", "mapped senders", "invents", "texts", "small"])
def test_the_checkers_find_a_stack_that_lies(lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Liar, "lie", lie)
    for check, lies in (
        (check_tcp, ("takes what is taken", "forgets why")),
        (check_udp, ("mapped senders",)),
        (check_resolver, ("invents", "texts")),
        (check_ip, ("small",)),
    ):
        if lie in lies:
            with pytest.raises(Broken):
                check(lambda: Liar(HostIP()))
        else:
            continue


@pytest.mark.parametrize("lie", ["reads too much", "never waits", "writes behind the end", "drops what was written"])
def test_the_checker_finds_a_flow_that_lies(lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LyingFlow, "lie", lie)
    monkeypatch.setattr(flows, "Flow", LyingFlow)
    monkeypatch.setattr("sarab.aio.stack.Flow", LyingFlow)
    with pytest.raises(Broken):
        check_tcp(hosts)


async def _pair(stack: AsyncioStack) -> tuple[Flow, Flow, Listener]:
    listener = await stack.listen_tcp(0, HOST)
    client, server = await asyncio.gather(stack.connect_tcp(HOST, listener.local.port), listener.accept())
    return client, server, listener


def test_what_is_not_read_is_left_in_the_network() -> None:
    async def main() -> None:
        client, server, listener = await _pair(hosts())
        task = asyncio.ensure_future(client.write(bytes(32 << 20)))
        await asyncio.sleep(0.2)
        assert not task.done()
        assert server._size <= flows.READ_HIGH + (256 << 10)
        data = await server.read_exactly(32 << 20)
        await task
        assert data == bytes(32 << 20)
        for each in (client, server, listener):
            await each.close()

    asyncio.run(main())


def test_a_connection_that_nobody_accepts_is_not_read_and_beyond_the_backlog_is_closed() -> None:
    async def main() -> None:
        stack = hosts()
        listener = await stack.listen_tcp(0, HOST, backlog=2)
        clients = [await stack.connect_tcp(HOST, listener.local.port) for _ in range(4)]
        for client in clients[:2]:
            await client.write(b"early")
        await asyncio.sleep(0.05)
        assert listener.refused == 2
        for client in clients[2:]:
            assert await client.read() == b""
        first = await listener.accept()
        assert first._size == 0
        assert await first.read() == b"early"
        await listener.close()
        for each in (*clients, first):
            await each.close()

    asyncio.run(main())


def test_two_readers_of_one_flow_are_a_mistake_that_is_told() -> None:
    async def main() -> None:
        client, server, listener = await _pair(hosts())
        task = asyncio.ensure_future(server.read())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="another task"):
            await server.read()
        await client.write(b"x")
        assert await task == b"x"
        for each in (client, server, listener):
            await each.close()

    asyncio.run(main())


def test_a_reset_is_told_to_who_reads_and_to_who_writes() -> None:
    async def main() -> None:
        client, server, listener = await _pair(hosts())
        import struct

        raw = client._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client._transport.abort()
        for _ in range(2):
            with pytest.raises(ConnectionResetError):
                await server.read()
            with pytest.raises(ConnectionResetError):
                await server.write(b"x")
        await server.close()
        await listener.close()

    asyncio.run(main())


def test_addresses_are_tried_family_by_family_in_turn() -> None:
    a, b, c = (IPv6Address(f"fd00::{n}") for n in (1, 2, 3))
    x, y = IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")
    assert interleave((a, b, c, x, y)) == [a, x, b, y, c]
    assert interleave((x, a)) == [x, a]
    assert interleave((x,)) == [x]


def test_the_first_connection_wins_and_the_first_error_is_told() -> None:
    begun: list[str] = []

    class Connected(Flow):
        def __init__(self) -> None:
            super().__init__()
            self._transport = self
            self.aborted = False

        def abort(self) -> None:
            self.aborted = True

    async def attempt(name: str, seconds: float, error: int = 0) -> Flow:
        begun.append(name)
        await asyncio.sleep(seconds)
        if error:
            raise OSError(error, name)
        return Connected()

    async def main() -> None:
        await _race([attempt("slow", 5), attempt("quick", 0.01), attempt("never", 0)])
        assert begun == ["slow", "quick"]
        begun.clear()
        await _race([attempt("refused", 0, errno.ECONNREFUSED), attempt("good", 0)])
        with pytest.raises(ConnectionRefusedError, match="one"):
            await _race([attempt("one", 0, errno.ECONNREFUSED), attempt("two", 0, errno.ENETUNREACH)])

    asyncio.run(main())


def test_a_connection_that_takes_too_long_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async def forever(*_: Any, **__: Any) -> Any:
            await asyncio.sleep(100)

        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", forever)
        with pytest.raises(TimeoutError) as caught:
            await hosts().connect_tcp(HOST, 80, timeout=0.01)
        assert caught.value.errno == errno.ETIMEDOUT

    asyncio.run(main())


def test_datagrams_that_nobody_fetches_are_dropped_beyond_a_bound() -> None:
    async def main() -> None:
        port = await hosts().bind_udp(0, HOST)
        for _ in range(600):
            port.datagram_received(b"x", ("127.0.0.1", 9))
        assert port.dropped == 600 - 512
        assert len(port._queue) == 512
        await port.close()

    asyncio.run(main())


def test_there_is_no_mtu_where_there_is_no_way() -> None:
    async def main() -> None:
        with pytest.raises(OSError, match="no interface leads") as caught:
            ours().mtu(IPv4Address("192.0.2.1"))
        assert caught.value.errno == errno.ENETUNREACH
        assert ours().mtu(HOST) == 65535

    run_in_ours(main())


def test_the_hosts_addresses_have_their_prefixes() -> None:
    with open("/proc/net/fib_trie") as file:
        known = file.read()
    for item in HostIP().addresses:
        if item.version == 4:
            assert f"|-- {item.ip}\n" in known
            assert 0 < item.network.prefixlen <= 32


def test_a_process_without_the_right_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Any:
        raise PermissionError(errno.EPERM, "no")

    async def main() -> None:
        monkeypatch.setattr(socket, "socket", refuse)
        with pytest.raises(PermissionError):
            await HostIP().open_protocol(253)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()
