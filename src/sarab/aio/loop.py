"""asyncio's event loop over our stack: the standard library's, with our transports and a selector that drives."""

from __future__ import annotations

import asyncio
import errno
import os
import select
import selectors
import socket
from asyncio import base_events, events, sslproto, unix_events
from collections import deque
from collections.abc import Callable, Iterable
from threading import get_ident
from typing import TYPE_CHECKING, Any

from sarab.aio import names
from sarab.aio.datagram import DatagramTransport
from sarab.aio.faces import Face, endpoint_address, error_of
from sarab.aio.network import CONFIGURE_STEP, CONFIGURE_TRIES, NetworkDriver, Wait, monotonic_ns
from sarab.aio.stream import StreamTransport
from sarab.aio.traffic import Turn
from sarab.net.endpoints import Datagrams, Endpoint, Flow, Listener
from sarab.net.errors import NetworkError

ACCEPT_AT_ONCE = 64
"""Connections taken from a listener before others have their turn."""
ONE_PROCESS = "an image has one process: there are no {}"


class Selector(selectors.EpollSelector):
    """epoll, and between two waits the network: what was written leaves, what came is told (decision 0043)."""

    def __init__(self, driver: NetworkDriver, loop: Loop) -> None:
        super().__init__()
        self._cards: set[int] = set()
        self._epoll: select.epoll = self._selector  # type: ignore[attr-defined]
        keys: dict[int, selectors.SelectorKey] = self._fd_to_key  # type: ignore[attr-defined]
        self.select = Wait(driver, loop, self._epoll, keys, self._cards).select  # type: ignore[method-assign]

    def watch(self, descriptor: int) -> None:
        """For Network: this card is ours to wait for."""
        self._cards.add(descriptor)
        self._epoll.register(descriptor, select.EPOLLIN)

    def unwatch(self, descriptor: int) -> None:
        """For Network."""
        self._cards.discard(descriptor)
        self._epoll.unregister(descriptor)


class Acceptor:
    """A listener that serves: owner of its events."""

    def __init__(self, loop: Loop, listener: Listener, make: Callable[[Flow], None]) -> None:
        self._loop, self._listener, self._make = loop, listener, make
        self._handle = events.Handle(self._accept, (), loop)
        self._scheduled = False
        listener.owner = self
        if listener.waiting:
            self.notify(listener, None)

    def notify(self, endpoint: Endpoint, events: int | None) -> None:
        """Connections wait."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.schedule(self._handle)

    def _accept(self) -> None:
        self._scheduled = False
        listener, lock = self._listener, self._loop.driver.lock
        for _ in range(ACCEPT_AT_ONCE):
            if listener.closed:
                return
            with lock:
                flow = listener.accept()
            if flow is None:
                return
            try:
                self._make(flow)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                with lock:
                    flow.abort(monotonic_ns())
                context = {"message": "Error on transport creation for incoming connection", "exception": error}
                self._loop.call_exception_handler(context)
        self.notify(listener, None)


class Waiting:
    """A future that ends when an endpoint has any news of a kind."""

    def __init__(self, loop: Loop, endpoint: Endpoint, over: Callable[[], bool]) -> None:
        self.future: asyncio.Future[None] = loop.create_future()
        self._loop, self._over = loop, over
        self._handle = events.Handle(self._look, (), loop)
        endpoint.owner = self
        self._look()

    def notify(self, endpoint: Endpoint, events: int) -> None:
        """Look in the loop."""
        self._loop.schedule(self._handle)

    def _look(self) -> None:
        if not self.future.done() and self._over():
            self.future.set_result(None)


class Loop(unix_events._UnixSelectorEventLoop):
    """asyncio's loop, connecting through `driver`."""

    _turn: Turn | None = None

    if TYPE_CHECKING:
        _ready: deque[events.Handle]
        _thread_id: int | None
        _closed: bool
        _debug: bool

        def _write_to_self(self) -> None: ...
        async def _ensure_resolved(self, address: Any, **options: Any) -> list[Any]: ...

    def __init__(self, driver: NetworkDriver) -> None:
        self.driver = driver
        self.open_transports: set[StreamTransport | DatagramTransport] = set()
        self.woken = False
        self._network_selector = Selector(driver, self)
        super().__init__(self._network_selector)

    # ---- driving -------------------------------------------------------------------------------------------------

    def run_forever(self) -> None:
        """Run until stop()."""
        if self._closed or self.is_running():
            super().run_forever()  # which refuses
        self.driver.enter(self)
        try:
            super().run_forever()
        finally:
            self.driver.leave(self)
            if self.driver.dirty:
                self.driver.flush()

    def schedule(self, handle: events.Handle) -> None:
        """Run a handle in the next turn. Any thread may ask."""
        if self._closed:
            return
        self._ready.append(handle)
        if self._thread_id != get_ident():
            self.wake()

    def turn(self) -> Turn:
        """Return the one who tells the transports of a turn's news."""
        if self._turn is None:
            self._turn = Turn(self)
        return self._turn

    def watch(self, descriptor: int) -> None:
        """For Network: wait for this card."""
        self._network_selector.watch(descriptor)

    def unwatch(self, descriptor: int) -> None:
        """For Network: wait for it no more."""
        self._network_selector.unwatch(descriptor)

    def wake(self) -> None:
        """Come out of waiting."""
        if not self.woken and self._thread_id not in (None, get_ident()):
            self.woken = True
            self._write_to_self()

    def close(self) -> None:
        """Close the loop; connections that it left open are closed with it, as a socket's end would."""
        if not self._closed and not self.is_running():
            for transport in tuple(self.open_transports):
                transport._release()
            self.driver.flush()
        super().close()

    # ---- names ---------------------------------------------------------------------------------------------------

    async def getaddrinfo(  # type: ignore[override]
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002
        proto: int = 0,
        flags: int = 0,
    ) -> list[names.AddressInfo]:
        """As socket.getaddrinfo(), by the stack's resolver."""
        number = names.port_of(port)
        addresses = names.known(self.driver, host, family, flags)
        if addresses is None:
            addresses = await self._resolve(names.question(host), names.lookup_family(self.driver, family))
        return names.results(self.driver, addresses, number, type, proto, flags, host)

    async def _resolve(self, name: str, family: int) -> list[bytes]:
        driver = self.driver
        with driver.lock:
            lookup = driver.stack.resolve(monotonic_ns(), name, family)
            waiting = Waiting(self, lookup, lambda: bool(lookup.addresses or lookup.error))
            driver.dirty = True
        try:
            await waiting.future
        finally:
            with driver.lock:
                lookup.close(monotonic_ns())
        if not lookup.addresses:
            raise names.failure(lookup.error)
        return list(lookup.addresses)

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        """As socket.getnameinfo(), without a question to anybody."""
        return names.name_info(self.driver, sockaddr, flags)

    # ---- connections ---------------------------------------------------------------------------------------------

    async def _connect_sock(self, exceptions: Any, addr_info: Any, local_addr_infos: Any = None) -> Face:
        """For asyncio's create_connection(): connect to one address, and note why not."""
        mine: list[OSError] = []
        exceptions.append(mine)
        name = addr_info[4]
        try:
            locals_ = [info[4] for info in local_addr_infos or () if info[0] == addr_info[0]]
            if local_addr_infos is not None and not locals_:
                raise OSError(f"no matching local address with family={addr_info[0]} found")
            for index, local in enumerate(locals_ or [None]):
                try:
                    flow = await self.open_flow(name, local)
                except NetworkError as error:
                    if local is None or index + 1 < len(locals_):
                        mine.append(error)
                        continue
                    text = f"error while attempting to bind on address {local!r}: {error}"
                    raise OSError(error.errno, text) from None
                return Face(self.driver, flow)
            raise mine.pop()
        except OSError as error:
            mine.append(error)
            raise
        finally:
            del exceptions, mine  # or each error would hold itself, by its traceback and this frame

    async def open_flow(self, name: Any, local: Any = None) -> Flow:
        """Connect to a numeric sockaddr, from another if one is given. Raises OSError."""
        driver = self.driver
        target = endpoint_address(name)
        source = (b"", 0) if local is None else endpoint_address(local)
        await self._configured(target[0])
        with driver.lock:
            flow = driver.connect(target, source)
            waiting = Waiting(self, flow, lambda: flow.established or bool(flow.error))
            driver.dirty = True
        try:
            await waiting.future
        except BaseException:
            with driver.lock:
                flow.abort(monotonic_ns())
            driver.dirty = True
            raise
        error = error_of(flow.error)
        if error is not None and not flow.established and not flow.readable:
            raise OSError(error.errno, f"Connect call failed {name}")
        return flow

    async def _configured(self, target: bytes) -> None:
        """Wait while an interface is still being given its address, if `target` is not on this host."""
        driver = self.driver
        if driver.is_configured(target):
            return
        for _ in range(CONFIGURE_TRIES):
            await asyncio.sleep(CONFIGURE_STEP)
            if driver.is_configured(target):
                return

    def _make_socket_transport(
        self, sock: Any, protocol: Any, waiter: Any = None, *, extra: Any = None, server: Any = None, **_: Any
    ) -> Any:
        face = self._face_of(sock)
        if face is None:
            base: Any = super()
            return base._make_socket_transport(sock, protocol, waiter, extra=extra, server=server)
        return StreamTransport(self, face, protocol, waiter, server)

    def _make_ssl_transport(
        self,
        rawsock: Any,
        protocol: Any,
        sslcontext: Any,
        waiter: Any = None,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        extra: Any = None,
        server: Any = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        **_: Any,
    ) -> Any:
        options: dict[str, Any] = {
            "ssl_handshake_timeout": ssl_handshake_timeout, "ssl_shutdown_timeout": ssl_shutdown_timeout,
        }  # fmt: skip
        face = self._face_of(rawsock)
        if face is None:
            base: Any = super()
            options.update(server_side=server_side, server_hostname=server_hostname, extra=extra, server=server)
            return base._make_ssl_transport(rawsock, protocol, sslcontext, waiter, **options)
        tls: Any = sslproto.SSLProtocol(
            self, protocol, sslcontext, waiter, server_side, server_hostname, **options
        )  # fmt: skip
        StreamTransport(self, face, tls, None, server)
        return tls._app_transport

    def _face_of(self, sock: Any) -> Face | None:
        """Return the face of one of our sockets, whose endpoint is ours from then on; None: it is the kernel's."""
        if isinstance(sock, Face):
            return sock
        take = getattr(sock, "_sarab_take", None)
        face: Face | None = None if take is None else take()
        return face

    # ---- servers -------------------------------------------------------------------------------------------------

    async def create_server(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | Iterable[str] | None = None,
        port: int | None = None,
        *,
        family: int = 0,
        flags: int = int(socket.AI_PASSIVE),
        sock: Any = None,
        backlog: int = 100,
        ssl: Any = None,
        reuse_address: bool | None = None,
        reuse_port: bool | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
        **_: Any,
    ) -> base_events.Server:
        """As asyncio's."""
        if isinstance(ssl, bool):
            raise TypeError("ssl argument must be an SSLContext or None")
        for name, value in (("handshake", ssl_handshake_timeout), ("shutdown", ssl_shutdown_timeout)):
            if ssl is None and value is not None:
                raise ValueError(f"ssl_{name}_timeout is only meaningful with ssl")
        faces: list[Any] = []
        if sock is not None:
            if host is not None or port is not None:
                raise ValueError("host/port and sock can not be specified at the same time")
            if sock.type != socket.SOCK_STREAM:
                raise ValueError(f"A Stream Socket was expected, got {sock!r}")
            faces.append(self._face_of(sock) or sock)
            faces[0].setblocking(False)
        elif host is None and port is None:
            raise ValueError("Neither host/port nor sock were specified")
        else:
            faces += await self._bind(host, port, family, flags, backlog, bool(reuse_port))
            if reuse_port:
                for face in faces:
                    face.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server = base_events.Server(
            self, faces, protocol_factory, ssl, backlog, ssl_handshake_timeout, ssl_shutdown_timeout
        )  # fmt: skip
        if start_serving:
            server._start_serving()  # type: ignore[attr-defined]
            await asyncio.sleep(0)
        return server

    async def _bind(self, host: Any, port: Any, family: int, flags: int, backlog: int, reuse_port: bool) -> list[Face]:
        hosts = [None] if host in ("", None) else [host] if isinstance(host, str | bytes) else list(host)
        wanted: dict[tuple[bytes, int], Any] = {}
        for each in hosts:
            infos = await self.getaddrinfo(each, port, family=family, type=socket.SOCK_STREAM, flags=flags)
            if not infos:
                raise OSError(f"getaddrinfo({each!r}) returned empty list")
            wanted.update((endpoint_address(info[4]), info[4]) for info in infos)
        faces: list[Face] = []
        name: Any = None
        try:
            for (address, number), name in wanted.items():  # noqa: B007
                with self.driver.lock:
                    listener = self.driver.listen(address, number, backlog, reuse_port)
                faces.append(Face(self.driver, listener))
        except OSError as error:
            for face in faces:
                face.close()
            text = f"error while attempting to bind on address {name!r}: {(error.strerror or str(error)).lower()}"
            raise OSError(error.errno, text) from None
        return faces

    def _start_serving(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        sock: Any,
        sslcontext: Any = None,
        server: Any = None,
        backlog: int = 100,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        *rest: Any,
    ) -> None:
        """For asyncio's Server."""
        if not isinstance(sock, Face):
            base: Any = super()
            base._start_serving(
                protocol_factory, sock, sslcontext, server, backlog, ssl_handshake_timeout, ssl_shutdown_timeout, *rest
            )
            return
        assert isinstance(sock.endpoint, Listener)

        def make(flow: Flow) -> None:
            face = Face(self.driver, flow)
            protocol = protocol_factory()
            if sslcontext is None:
                StreamTransport(self, face, protocol, None, server)
            else:
                self._make_ssl_transport(
                    face,
                    protocol,
                    sslcontext,
                    server_side=True,
                    server=server,
                    ssl_handshake_timeout=ssl_handshake_timeout,
                    ssl_shutdown_timeout=ssl_shutdown_timeout,
                )

        Acceptor(self, sock.endpoint, make)

    def _stop_serving(self, sock: Any) -> None:
        """For asyncio's Server."""
        if isinstance(sock, Face):
            sock.close()
        else:
            base: Any = super()
            base._stop_serving(sock)

    # ---- datagrams -----------------------------------------------------------------------------------------------

    async def create_datagram_endpoint(
        self,
        protocol_factory: Callable[[], Any],
        local_addr: Any = None,
        remote_addr: Any = None,
        *,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        reuse_address: bool | None = None,
        reuse_port: bool | None = None,
        allow_broadcast: bool | None = None,
        sock: Any = None,
        **_: Any,
    ) -> tuple[Any, Any]:
        """As asyncio's."""
        face = self._face_of(sock) if sock is not None else None
        modifiers = local_addr or remote_addr or family or proto or flags or reuse_port or allow_broadcast
        if sock is not None and sock.type != socket.SOCK_DGRAM:
            raise ValueError(f"A UDP Socket was expected, got {sock!r}")
        if sock is not None and modifiers:
            raise ValueError("socket modifier keyword arguments can not be used when sock is specified.")
        if sock is not None and face is None:
            return await super().create_datagram_endpoint(protocol_factory, sock=sock)
        if face is None:
            if not (local_addr or remote_addr) and family == 0:
                raise ValueError("unexpected address family")
            if family == socket.AF_UNIX:
                raise NotImplementedError(ONE_PROCESS.format("Unix sockets to others"))
            face = Face(self.driver, await self._open_port(local_addr, remote_addr, family, reuse_port))
            face.is_dual = local_addr is not None and face.endpoint.local[0] == b""
            for option, wanted in ((socket.SO_REUSEPORT, reuse_port), (socket.SO_BROADCAST, allow_broadcast)):
                if wanted:
                    face.setsockopt(socket.SOL_SOCKET, option, 1)
        protocol = protocol_factory()
        waiter: asyncio.Future[None] = self.create_future()
        transport = DatagramTransport(self, face, protocol, waiter)
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        return transport, protocol

    async def _open_port(self, local: Any, remote: Any, family: int, reuse: bool | None) -> Datagrams:
        driver = self.driver
        found: dict[int, list[Any]] = {}
        for index, name in enumerate((local, remote)):
            if name is not None:
                if not (isinstance(name, tuple) and len(name) == 2):
                    raise TypeError("2-tuple is expected")
                infos = await self.getaddrinfo(name[0], name[1], family=family, type=socket.SOCK_DGRAM)
                if not infos:
                    raise OSError("getaddrinfo() returned empty list")
                for info in infos:
                    found.setdefault(info[0], [None, None])[index] = info[4]
        wanted = [p for p in found.values() if (p[0] or not local) and (p[1] or not remote)]
        if (local or remote) and not wanted:
            raise ValueError("can not get address information")
        failed: OSError = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        for here, there in wanted or [[None, None]]:
            address, port = (b"", 0) if here is None else endpoint_address(here)
            if len(address) == 16 and not any(address):
                address = b""  # `::` is every address of both families (RFC 3493 section 5.3)
            if there is not None:
                await self._configured(endpoint_address(there)[0])
            try:
                with driver.lock:
                    endpoint = driver.stack.udp_open(monotonic_ns(), address, port, reuse_address=bool(reuse))
                    if there is not None:
                        endpoint.connect(*endpoint_address(there))
                return endpoint
            except OSError as error:
                failed = error
        raise failed

    # ---- what an image has not -----------------------------------------------------------------------------------

    async def subprocess_exec(self, *_: Any, **__: Any) -> Any:
        """There is one process."""
        raise NotImplementedError(ONE_PROCESS.format("subprocesses"))

    async def subprocess_shell(self, *_: Any, **__: Any) -> Any:
        """There is one process."""
        raise NotImplementedError(ONE_PROCESS.format("subprocesses"))

    async def create_unix_server(self, *_: Any, **__: Any) -> Any:
        """There is one process."""
        raise NotImplementedError(ONE_PROCESS.format("Unix sockets to others"))

    async def create_unix_connection(self, *_: Any, **__: Any) -> Any:
        """There is one process."""
        raise NotImplementedError(ONE_PROCESS.format("Unix sockets to others"))
