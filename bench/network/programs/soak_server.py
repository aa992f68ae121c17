"""Everything that a soak needs of a server, and port 9003, which says what it holds: memory, objects, counters."""

import asyncio
import gc
import hashlib
import json
from typing import cast

from sarab import network

PAGE = b"Hello, World!"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n" + PAGE
BLOCK = hashlib.sha256(b"seed").digest() * 512
IDLE_SECONDS = 20


async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async with asyncio.timeout(IDLE_SECONDS):
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(ANSWER)
            await writer.drain()


async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    digest = hashlib.sha256()
    async with asyncio.timeout(4 * IDLE_SECONDS):
        while data := await reader.read(1 << 16):
            digest.update(data)
    writer.write(digest.hexdigest().encode())


async def give(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async with asyncio.timeout(4 * IDLE_SECONDS):
        for _ in range(int(await reader.readline())):
            writer.write(BLOCK)
            await writer.drain()


async def state(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        resident = int(file.read().split()[1]) * 4096
    found = {"resident": resident, "objects": len(gc.get_objects()), "tasks": len(asyncio.all_tasks())}
    writer.write(json.dumps({**found, **network.counters()}).encode())


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(data, addr)


async def main() -> None:
    async def guarded(serve: object, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)  # type: ignore[operator]
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    def serving(serve: object) -> object:
        return lambda reader, writer: guarded(serve, reader, writer)

    await asyncio.get_running_loop().create_datagram_endpoint(Echo, ("::", 9002))
    servers = {8000: hello, 9000: take, 9001: give, 9003: state}
    started = [await asyncio.start_server(serving(serve), None, port) for port, serve in servers.items()]  # type: ignore[arg-type]
    print("serving", flush=True)
    async with started[0]:
        await started[0].serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
