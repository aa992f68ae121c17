"""What every stack promises, checked over its own loopback: `check_stack(make)`, and its parts alone.

check_stack(lambda: AsyncioStack(HostIP()))
check_tcp(...), check_udp(...), check_ip(...), check_resolver(...)
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from sarab.device.stack import IP, TCP, UDP, Address, Flow, Listener, Resolver
from sarab.testing.checks.promise import Run, must, must_raise, opened, within

HOST = IPv4Address("127.0.0.1")
MUCH = 3 << 20
"""Bytes of a long transfer: more than any buffer on its way holds."""
BUFFERED_MAX = 64 << 20
"""Bytes that a stack takes at most for a peer that does not read."""
EXPERIMENT = 253
"""A protocol of IP for experiments (RFC 3692)."""
PIECE = 8192
PAUSE_SECONDS = 0.05


def check_stack(make: Callable[[], object], run: Run = asyncio.run) -> None:
    """Check a stack; `make` returns a fresh one, to be awaited or entered if it must be. Raises Broken."""
    for check in (check_tcp, check_udp, check_ip, check_resolver):
        check(make, run)


def check_tcp(make: Callable[[], object], run: Run = asyncio.run) -> None:
    """Check a TCP as check_stack() does."""
    run(_all(make, _talks, _reads, _ends, _flows, _waits, _listens, _refuses))


def check_udp(make: Callable[[], object], run: Run = asyncio.run) -> None:
    """Check a UDP as check_stack() does."""
    run(_all(make, _datagrams, _ports))


def check_ip(make: Callable[[], object], run: Run = asyncio.run) -> None:
    """Check an IP as check_stack() does. Packets are tried only where the process may."""
    run(_all(make, _addresses, _protocols))


def check_resolver(make: Callable[[], object], run: Run = asyncio.run) -> None:
    """Check a Resolver as check_stack() does."""
    run(_all(make, _names))


async def _all(make: Callable[[], object], *checks: Callable[..., Awaitable[None]]) -> None:
    for check in checks:
        async with opened(make()) as stack, AsyncExitStack() as keep:
            await within(check(stack, keep), f"a stack answers ({check.__name__.strip('_')})")


async def _pair(tcp: TCP, keep: AsyncExitStack) -> tuple[Flow, Flow, Listener]:
    """Return both ends of a connection, and the listener, all open; `keep` closes them in the end."""
    listener = await keep.enter_async_context(await tcp.listen_tcp(0, HOST))
    client = await keep.enter_async_context(await tcp.connect_tcp(HOST, listener.local.port))
    server = await keep.enter_async_context(await listener.accept())
    return client, server, listener


async def _talks(tcp: TCP, keep: AsyncExitStack) -> None:
    client, server, listener = await _pair(tcp, keep)
    must(type(listener.local) is Address and listener.local.host == HOST, "a listener says where it listens")
    must(client.remote == listener.local, "a flow's remote is where it was connected to")
    must(server.remote == client.local, "both ends know each other")
    must(server.local == client.remote, "both ends know each other")
    await client.write(b"hello")
    must(await server.read() == b"hello", "what was written is read")
    data = bytearray(b"there")
    await server.write(memoryview(data))
    data[:] = b"xxxxx"
    must(await client.read_exactly(5) == b"there", "what was written is as it was when write() returned")
    for idle in (0.5, 60, None):
        client.keep_alive(idle)
        server.keep_alive(idle)
        await client.write(b"?")
        must(await server.read_exactly(1) == b"?", "a peer that answers is kept")
    for nothing in (0, -1):
        try:
            client.keep_alive(nothing)
        except ValueError:
            continue
        must(False, "keep_alive() raises ValueError for no time")
    await asyncio.gather(client.close(), server.close(), listener.close())
    client.keep_alive(60)
    for flow in (client, server):
        await flow.close()
    await listener.close()
    async with await tcp.listen_tcp(0) as both:
        must(both.local.port > 0, "port 0 is any that is free")
        async with await tcp.connect_tcp("localhost", both.local.port) as named, await both.accept() as other:
            await named.write(b"by name")
            must(await other.read_exactly(7) == b"by name", "a name can be connected to, on either family")


async def _reads(tcp: TCP, keep: AsyncExitStack) -> None:
    client, server, _ = await _pair(tcp, keep)
    await client.write(b"abcdef\nrest of it\n" + b"x" * 100)
    must(len(await server.read(2)) in (1, 2), "read() returns no more than its limit")
    line = await server.read_until(b"\n")
    must(line.endswith(b"f\n"), "read_until() returns what comes up to its separator, and with it")
    must(await server.read_until(b"t\n") == b"rest of it\n", "a separator may have more than one byte")
    await must_raise(ValueError, server.read_until(b"\n", 50), "read_until() raises ValueError beyond its limit")
    must(await server.read_exactly(100) == b"x" * 100, "what read_until() refused can still be read")
    must(await server.read_exactly(0) == b"", "read_exactly(0) waits for nothing")
    task = asyncio.ensure_future(server.read())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await client.write(b"tail")
    must(await server.read_exactly(4) == b"tail", "a read that is cancelled takes nothing with it")
    waiting = asyncio.ensure_future(server.read_until(b"\r\n"))
    for piece in (b"line\r", b"more\r", b"\nrest"):
        await client.write(piece)
        await asyncio.sleep(PAUSE_SECONDS / 10)
    must(await waiting == b"line\rmore\r\n", "a separator may come in pieces")
    must(await server.read_exactly(4) == b"rest", "what is behind a separator stays to be read")
    await client.write(b"last line")
    await client.shutdown_write()
    must(await server.read_until(b"\n") == b"last line", "read_until() returns what there is at the end of the stream")


async def _ends(tcp: TCP, keep: AsyncExitStack) -> None:
    client, server, listener = await _pair(tcp, keep)
    await client.write(b"question")
    await client.shutdown_write()
    await client.shutdown_write()
    await must_raise(EOFError, server.read_exactly(9), "read_exactly() raises EOFError when the stream ends before")
    must(await server.read_exactly(8) == b"question", "what read_exactly() did not return can still be read")
    must(await server.read() == b"", "read() returns b'' at the end of the stream")
    must(await server.read() == b"", "read() returns b'' again and again")
    await must_raise(OSError, client.write(b"x"), "write() behind shutdown_write() is an OSError")
    await server.write(b"answer")
    must(await client.read_exactly(6) == b"answer", "a direction stays open when the other is shut")
    await server.close()
    must(await client.read() == b"", "close() is the end of the stream for the peer")
    await client.close()
    await must_raise(OSError, client.write(b"x"), "write() on a closed flow is an OSError")
    await listener.close()


async def _flows(tcp: TCP, keep: AsyncExitStack) -> None:
    client, server, _ = await _pair(tcp, keep)
    data = hashlib.shake_128(b"sarab").digest(MUCH)

    async def send() -> None:
        for at in range(0, MUCH, 100_000):
            await client.write(data[at : at + 100_000])
        await client.close()

    task = asyncio.ensure_future(send())
    pieces = []
    while piece := await server.read(50_000):
        pieces.append(piece)
    await task
    must(max(map(len, pieces)) <= 50_000, "read() returns no more than its limit")
    must(b"".join(pieces) == data, "a long stream arrives whole and in order, all that was written before close()")


async def _waits(tcp: TCP, keep: AsyncExitStack) -> None:
    """A peer that does not read makes write() wait; it goes on when the peer reads; close() loses nothing of it."""
    client, server, _ = await _pair(tcp, keep)
    written = read = 0

    async def send() -> None:
        nonlocal written
        while written < BUFFERED_MAX:
            await client.write(bytes(PIECE))
            written += PIECE

    async def settle() -> int:
        seen = -1
        while seen != written:
            seen = written
            await asyncio.sleep(PAUSE_SECONDS)
        return seen

    task = asyncio.ensure_future(send())
    before = await settle()
    must(not task.done(), "write() waits while the peer does not read")
    while written == before:
        read += len(await server.read(1 << 20))
    await settle()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    closing = asyncio.ensure_future(client.close())
    while piece := await server.read(1 << 20):
        read += len(piece)
    await closing
    must(read >= written, "what was written before close() is delivered")


async def _listens(tcp: TCP, keep: AsyncExitStack) -> None:
    listener = await keep.enter_async_context(await tcp.listen_tcp(0, HOST))
    port = listener.local.port
    task = asyncio.ensure_future(listener.accept())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    clients = [await keep.enter_async_context(await tcp.connect_tcp(HOST, port)) for _ in range(3)]
    served: list[Flow] = []
    async for flow in listener:
        served.append(await keep.enter_async_context(flow))
        if len(served) == 3:
            break
    await clients[0].write(b"x")
    ours = [flow for flow in served if flow.remote == clients[0].local]
    must(len(ours) == 1, "each connection is given once, also behind an accept() that was cancelled")
    waiting = asyncio.ensure_future(listener.accept())
    await asyncio.sleep(0)
    await listener.close()
    try:
        await waiting
        must(False, "accept() of a closed listener is an OSError")
    except OSError as error:
        must(error.errno == errno.EBADF, "accept() of a closed listener is OSError(EBADF)")
    must(await ours[0].read() == b"x", "connections outlive their listener")
    async for flow in listener:
        must(flow is None, "a closed listener gives no connections")
    await _close(*clients, *served)
    async with await tcp.listen_tcp(port, HOST) as again:
        must(again.local.port == port, "a port can be listened on again when its listener is closed")


async def _refuses(tcp: TCP, keep: AsyncExitStack) -> None:
    listener = await keep.enter_async_context(await tcp.listen_tcp(0, HOST))
    port = listener.local.port
    for host in (HOST, None):
        try:
            await (await tcp.listen_tcp(port, host)).close()
            must(False, "a port that is listened on cannot be taken by another")
        except OSError as error:
            must(error.errno == errno.EADDRINUSE, "a port that is listened on is OSError(EADDRINUSE)")
    await listener.close()
    words = "connect_tcp() to a port that nobody listens on raises ConnectionRefusedError"
    await must_raise(ConnectionRefusedError, tcp.connect_tcp(HOST, port), words)
    await must_raise(ConnectionRefusedError, tcp.connect_tcp("localhost", port), f"{words}, by name too")


async def _close(*closed: Flow | Listener) -> None:
    await asyncio.gather(*(each.close() for each in closed))


async def _datagrams(udp: UDP, _keep: AsyncExitStack) -> None:
    async with await udp.bind_udp(0, HOST) as one, await udp.bind_udp() as other:
        must(one.local.host == HOST and one.local.port > 0, "a port of UDP says where it is")
        for data in (b"hello", b"", bytes(1400), memoryview(bytes(9000))):
            await other.send(data, HOST, one.local.port)
            got, sender = await one.receive()
            must(got == data, "a datagram arrives as it was sent")
            must(sender == Address(HOST, other.local.port), "a datagram says who sent it, in its own family")
        await one.send(b"back", sender.host, sender.port)
        must((await other.receive())[0] == b"back", "a datagram can be answered")
        try:
            await one.send(bytes(65536), HOST, other.local.port)
            must(False, "a datagram that is too long is an OSError")
        except OSError as error:
            must(error.errno == errno.EMSGSIZE, "a datagram that is too long is OSError(EMSGSIZE)")
        task = asyncio.ensure_future(other.receive())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await one.send(b"still", "localhost", other.local.port)
        must((await other.receive())[0] == b"still", "a receive() that is cancelled takes nothing with it")


async def _ports(udp: UDP, keep: AsyncExitStack) -> None:
    one = await keep.enter_async_context(await udp.bind_udp(0, HOST))
    try:
        await (await udp.bind_udp(one.local.port, HOST)).close()
        must(False, "a port of UDP that is taken cannot be taken again")
    except OSError as error:
        must(error.errno == errno.EADDRINUSE, "a port of UDP that is taken is OSError(EADDRINUSE)")
    waiting = asyncio.ensure_future(one.receive())
    await asyncio.sleep(0)
    await one.close()
    await one.close()
    await must_raise(OSError, waiting, "receive() of a closed port is an OSError")
    await must_raise(OSError, one.send(b"x", HOST, 9), "send() of a closed port is an OSError")
    async with await udp.bind_udp(one.local.port, HOST) as again:
        must(again.local == one.local, "a port can be taken again when it was given back")


async def _addresses(ip: IP, _keep: AsyncExitStack) -> None:
    found = ip.addresses
    must(type(found) is tuple, "addresses is a tuple")
    must(
        all(isinstance(each, IPv4Interface | IPv6Interface) and not each.is_loopback for each in found),
        "addresses are those of the cards, with their prefixes",
    )
    for host in (HOST, *(each.ip for each in found if not each.ip.is_link_local)):
        must(576 <= ip.mtu(host), "mtu() is at least 576 (RFC 1122)")


async def _protocols(ip: IP, keep: AsyncExitStack) -> None:
    for number in (socket.IPPROTO_TCP, socket.IPPROTO_UDP, socket.IPPROTO_ICMP):
        try:
            await (await ip.open_protocol(number)).close()
            must(False, f"the stack speaks protocol {number} itself, and gives it to nobody")
        except OSError as error:
            must(error.errno == errno.EADDRINUSE, f"the stack's own protocol {number} is OSError(EADDRINUSE)")
    try:
        packets = await keep.enter_async_context(await ip.open_protocol(EXPERIMENT))
    except PermissionError:
        return  # a process may not, and says so
    try:
        await (await ip.open_protocol(EXPERIMENT)).close()
        must(False, "a protocol that is taken cannot be taken again")
    except OSError as error:
        must(error.errno == errno.EADDRINUSE, "a protocol that is taken is OSError(EADDRINUSE)")
    for payload in (b"x", bytes(range(256)) * 4):
        await packets.send(payload, HOST)
        must(await packets.receive() == (payload, HOST), "a packet arrives as it was sent, without IP's header")
    try:
        await packets.send(bytes(65536), HOST)
        must(False, "a packet that is too long is an OSError")
    except OSError as error:
        must(error.errno == errno.EMSGSIZE, "a packet that is too long is OSError(EMSGSIZE)")
    waiting = asyncio.ensure_future(packets.receive())
    await asyncio.sleep(0)
    await packets.close()
    await packets.close()
    await must_raise(OSError, waiting, "receive() of a closed protocol is an OSError")
    async with await ip.open_protocol(EXPERIMENT):
        pass  # it can be taken again


async def _names(resolver: Resolver, _keep: AsyncExitStack) -> None:
    for text in ("127.0.0.1", "192.0.2.1", "::1"):
        found = await resolver.resolve(text)
        must([str(each) for each in found] == [text], "an address as text is its own")
    local = await resolver.resolve("localhost")
    must(len(local) > 0 and all(each.is_loopback for each in local), "localhost is this host (RFC 6761 section 6.3)")
    must(all(type(each) in (IPv4Address, IPv6Address) for each in local), "resolve() returns addresses as values")
    for name in ("name.invalid", "", "a" * 70 + ".example", "a..b"):
        try:
            await resolver.resolve(name)
            must(False, f"a name that does not exist, {name!r}, raises gaierror")
        except socket.gaierror as error:
            allowed = (socket.EAI_NONAME, socket.EAI_AGAIN)
            must(error.errno in allowed, f"a name that does not exist, {name!r}, is EAI_NONAME, or EAI_AGAIN")
