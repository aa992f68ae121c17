"""UDP: port 7000 counts what comes and tells who asks, port 7001 echoes, port 7002 sends for as long as it is asked to.

`uvloop` uses that. TCP port 7000 answers when all is ready.
"""

import asyncio
import socket
import sys
from typing import cast

DATAGRAM = bytes(100)
BUFFER = 4 << 20
BURST = 32
"""Datagrams sent before the loop has its turn."""


class Port(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)
        # Linux has room for some 280 small datagrams unless it is told; what is asked for is to be served, not to fit.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)


class Sink(Port):
    """Counts; `count` is answered with the number since the last time."""

    count = 0

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if data == b"count":
            self.transport.sendto(str(self.count).encode(), addr)
            self.count = 0
        else:
            self.count += 1


class Echo(Port):
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(data, addr)


class Source(Port):
    """Asked by a number of seconds it sends for so long, and how many at the end."""

    paused = False

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.sent = 0
        self.peer = addr
        self.loop = asyncio.get_running_loop()
        self.end = self.loop.time() + float(data)
        self.burst()

    def burst(self) -> None:
        if self.loop.time() >= self.end:
            for _ in range(3):
                self.transport.sendto(f"end {self.sent}".encode(), self.peer)
            return
        if not self.paused:
            for _ in range(BURST):
                self.transport.sendto(DATAGRAM, self.peer)
            self.sent += BURST
        self.loop.call_soon(self.burst)

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False


async def main() -> None:
    loop = asyncio.get_running_loop()
    for port, protocol in ((7000, Sink), (7001, Echo), (7002, Source)):
        await loop.create_datagram_endpoint(protocol, ("0.0.0.0", port))
    ready = await loop.create_server(asyncio.Protocol, "0.0.0.0", 7000)
    async with ready:
        await ready.serve_forever()


if __name__ == "__main__":
    if "uvloop" in sys.argv:
        import uvloop  # type: ignore[import-not-found]

        uvloop.install()
    asyncio.run(main())
