"""A hand-written HTTP/1.1 hello over an asyncio.Protocol, the least that a framework could do; `uvloop` uses that.

Port 8000 keeps connections, port 8001 closes each behind its answer.
"""

import asyncio
import sys
from typing import cast

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!"
LAST_ANSWER = ANSWER.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
HEAD_MAX = 65536


class Hello(asyncio.Protocol):
    """Answers every request head; bodies are not expected."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.pending = b""

    def data_received(self, data: bytes) -> None:
        if self.pending:
            data = self.pending + data
        count = data.count(b"\r\n\r\n")
        if count:
            self.answer(count)
        self.pending = b"" if data.endswith(b"\r\n\r\n") else data[data.rfind(b"\r\n\r\n") + 4 if count else 0 :]
        if len(self.pending) > HEAD_MAX:
            self.transport.abort()

    def answer(self, count: int) -> None:
        self.transport.write(ANSWER if count == 1 else ANSWER * count)


class Goodbye(Hello):
    """Answers one."""

    def answer(self, count: int) -> None:
        self.transport.write(LAST_ANSWER)
        self.transport.close()


async def main() -> None:
    loop = asyncio.get_running_loop()
    closing = await loop.create_server(Goodbye, "0.0.0.0", 8001)
    server = await loop.create_server(Hello, "0.0.0.0", 8000)
    async with server, closing:
        await server.serve_forever()


if __name__ == "__main__":
    if "uvloop" in sys.argv:
        import uvloop  # type: ignore[import-not-found]

        uvloop.install()
    asyncio.run(main())
