"""Bulk TCP: port 9000 takes bytes and throws them away, port 9001 sends zeros until the peer hangs up."""

import asyncio
import sys
from typing import cast

PIECE = bytes(1 << 18)


class Sink(asyncio.BufferedProtocol):
    """Reads into one buffer."""

    def __init__(self) -> None:
        self.buffer = bytearray(1 << 18)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        pass


class Source(asyncio.Protocol):
    """Writes whenever there is room."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.paused = False
        self.fill()

    def fill(self) -> None:
        while not self.paused and not self.transport.is_closing():
            self.transport.write(PIECE)

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self.fill()


async def main() -> None:
    loop = asyncio.get_running_loop()
    sink = await loop.create_server(Sink, "0.0.0.0", 9000)
    source = await loop.create_server(Source, "0.0.0.0", 9001)
    async with sink, source:
        await sink.serve_forever()


if __name__ == "__main__":
    if "uvloop" in sys.argv:
        import uvloop  # type: ignore[import-not-found]

        uvloop.install()
    asyncio.run(main())
