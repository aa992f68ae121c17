"""Gives back what it gets, over TCP and UDP (RFC 862): `sarab run -p 7007:7 -p 7007:7/udp examples/echo.py`."""

import argparse
import asyncio
from typing import cast


class DatagramEcho(asyncio.DatagramProtocol):
    """Sends every datagram back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(data, addr)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes, as fast as the peer takes it."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main(port: int) -> None:
    """Serve until the machine is told to stop."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(DatagramEcho, local_addr=("0.0.0.0", port))
    server = await asyncio.start_server(echo, "0.0.0.0", port)
    print(f"echoing on port {port}, TCP and UDP", flush=True)
    try:
        async with server:
            await server.serve_forever()
    finally:
        transport.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=7, help="TCP and UDP port (7)")
    asyncio.run(main(parser.parse_args().port))
