"""The hello of http_server.py on the stack's own flows, without asyncio (docs/decisions/0041).

What a server hand-written on MirageOS's TCP flows is to its stack. Port 8000 keeps connections, port 8001 closes each.
"""

import select
from time import monotonic_ns

from sarab.net.endpoints import Endpoint, Flow, Listener
from sarab.wiring.network import network

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!"
LAST_ANSWER = ANSWER.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
READ_MAX = 65536
ROUND_UP = 999_999
"""Nanoseconds: epoll counts milliseconds."""


class Hello:
    """Owns a flow and answers every request head. Nothing here may wait, and nothing does."""

    def __init__(self, keep: bool) -> None:
        self.keep = keep
        self.pending = b""

    def notify(self, endpoint: Endpoint, events: int) -> None:
        """The driver calls this with the stack's lock held, in the one thread that there is."""
        assert isinstance(endpoint, Flow)
        now = monotonic_ns()
        data = endpoint.read(now, READ_MAX)
        if data:
            if self.pending:
                data = self.pending + data
            count = data.count(b"\r\n\r\n")
            if count:
                endpoint.write(now, (ANSWER if self.keep else LAST_ANSWER) * count)
            self.pending = b"" if data.endswith(b"\r\n\r\n") else data[data.rfind(b"\r\n\r\n") + 4 if count else 0 :]
            if not self.keep and count:
                endpoint.close(now)
        if not endpoint.closed and (endpoint.eof or endpoint.error or len(self.pending) > READ_MAX):
            endpoint.close(now)


class Door:
    """Owns a listener."""

    def __init__(self, keep: bool) -> None:
        self.keep = keep

    def notify(self, endpoint: Endpoint, events: int) -> None:
        assert isinstance(endpoint, Listener)
        while (flow := endpoint.accept()) is not None:
            flow.owner = hello = Hello(self.keep)
            hello.notify(flow, 0)


def main() -> None:
    driver = network()
    for port, keep in ((8000, True), (8001, False)):
        driver.listen(bytes(4), port, backlog=1024).owner = Door(keep)
    wait = select.epoll()
    for card in driver.cards:
        wait.register(card.descriptor, select.EPOLLIN)
    while True:
        with driver.lock:
            driver.poll()
            due = driver.due
        wait.poll(None if due is None else max(due - monotonic_ns() + ROUND_UP, 0) // 1_000_000 / 1000)
        with driver.lock:
            driver.receive()


if __name__ == "__main__":
    main()
