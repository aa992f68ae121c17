"""A web server in plain asyncio: `sarab run -p 8080:80 examples/web.py`, then `curl localhost:8080`."""

import argparse
import asyncio

HEAD_LINES_MAX = 100
IDLE_SECONDS = 30


def answer(method: str, path: str) -> bytes:
    """Return the whole response to a request."""
    if method not in ("GET", "HEAD"):
        status, body = "405 Method Not Allowed", "Only GET and HEAD are understood here.\n"
    elif path == "/":
        status, body = "200 OK", "Hello from a Python program that is its own operating system.\n"
    else:
        status, body = "404 Not Found", f"There is nothing at {path}.\n"
    data = body.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + (data if method != "HEAD" else b"")


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection, until the peer closes it or is silent for too long."""
    try:
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                method, path, *_ = (await reader.readuntil(b"\r\n")).decode("latin-1").split(" ", 2)
                for _ in range(HEAD_LINES_MAX):
                    if await reader.readuntil(b"\r\n") == b"\r\n":
                        break
                writer.write(answer(method, path))
                await writer.drain()
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, ConnectionError, ValueError):
        pass
    finally:
        writer.close()


async def main(port: int) -> None:
    """Serve until the machine is told to stop."""
    server = await asyncio.start_server(serve, None, port)
    print(f"serving on port {port}", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=80, help="TCP port (80)")
    asyncio.run(main(parser.parse_args().port))
