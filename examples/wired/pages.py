"""A web server over sarab's own flows: `sarab run -p 8080:80 examples/wired/pages.py`, then `curl localhost:8080`."""

import asyncio
from typing import Annotated

from sarab import Duration, Flow, Key, Log, Stack, unikernel

HEAD_LINES_MAX = 100


def answer(method: str, path: str, page: str) -> bytes:
    """Return the whole response to a request."""
    if method not in ("GET", "HEAD"):
        status, body = "405 Method Not Allowed", "Only GET and HEAD are understood here.\n"
    elif path == "/":
        status, body = "200 OK", f"{page}\n"
    else:
        status, body = "404 Not Found", f"There is nothing at {path}.\n"
    data = body.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + (data if method != "HEAD" else b"")


async def serve(flow: Flow, log: Log, page: str, idle: float) -> None:
    """Answer the requests of one connection, until the peer closes it or is silent for too long."""
    try:
        async with flow:
            while True:
                async with asyncio.timeout(idle):
                    request = (await flow.read_until(b"\r\n")).decode("latin-1").split(" ", 2)
                    if len(request) < 3:
                        return
                    for _ in range(HEAD_LINES_MAX):
                        if await flow.read_until(b"\r\n") in (b"\r\n", b""):
                            break
                    await flow.write(answer(request[0], request[1], page))
                log.info("answered", path=request[1], peer=str(flow.remote.host))
    except (OSError, ValueError):
        pass  # it is gone, was silent, or speaks no HTTP


@unikernel
async def main(
    stack: Stack,
    log: Log,
    *,
    port: Annotated[int, Key("TCP port to listen on")] = 80,
    page: Annotated[str, Key("what is at /")] = "Hello from a unikernel.",
    idle: Annotated[Duration, Key("a silent connection is closed after so long")] = Duration("30s"),
) -> None:
    """Serve one page until the machine is told to stop."""
    async with await stack.listen_tcp(port) as listener, asyncio.TaskGroup() as tasks:
        log.info("serving", port=port)
        async for flow in listener:
            tasks.create_task(serve(flow, log, page, idle))
