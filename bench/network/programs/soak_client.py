"""``soak_client.py ADDRESS SEED SECONDS``: load on soak_server.py, good and bad manners; a wrong byte is an error."""

import collections
import hashlib
import json
import os
import random
import socket
import struct
import sys
import time

BLOCK = hashlib.sha256(b"seed").digest() * 512
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LINGER_NOTHING = struct.pack("ii", 1, 0)
HELD_MAX = 50
TIMEOUT = 60


class Load:
    """One client's doings, drawn from a seed."""

    def __init__(self, address: str, seed: int) -> None:
        self.address = address
        self.random = random.Random(seed)
        self.held: collections.deque[socket.socket] = collections.deque()
        self.done: collections.Counter[str] = collections.Counter()

    def connect(self, port: int) -> socket.socket:
        return socket.create_connection((self.address, port), TIMEOUT)

    def pages(self) -> None:
        """Some requests on one connection."""
        with self.connect(8000) as peer:
            for _ in range(self.random.randrange(1, 20)):
                peer.sendall(GET)
                data = b""
                while not data.endswith(b"Hello, World!"):
                    piece = peer.recv(1000)
                    assert piece, "a page was cut off"
                    data += piece

    def upload(self) -> None:
        """Some hundred KB whose hash is told."""
        data = os.urandom(self.random.randrange(1, 2_000_000))
        with self.connect(9000) as peer:
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            assert peer.makefile().read() == hashlib.sha256(data).hexdigest(), "an upload came damaged"

    def download(self) -> None:
        """Some blocks; now and then by a slow reader."""
        count, slow = self.random.randrange(1, 100), self.random.random() < 0.1
        with self.connect(9001) as peer:
            peer.sendall(f"{count}\n".encode())
            if slow:
                time.sleep(0.5)
            assert peer.makefile("rb").read() == BLOCK * count, "a download came damaged"

    def datagrams(self) -> None:
        """Datagrams of every size come back."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.settimeout(5)
            peer.connect((self.address, 9002))
            for _ in range(10):
                data = os.urandom(self.random.choice((0, 1, 100, 1472, 1473, 5000)))
                peer.send(data)
                assert peer.recv(65536) == data, "a datagram came damaged"

    def reset(self) -> None:
        """A connection that is reset in the middle."""
        peer = self.connect(self.random.choice((8000, 9000, 9001)))
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOTHING)
        peer.sendall(b"100\n" if self.random.random() < 0.5 else os.urandom(3000))
        peer.close()

    def hold(self) -> None:
        """A connection that nobody uses; the server's patience or ours ends it."""
        self.held.append(self.connect(self.random.choice((8000, 9000))))
        if len(self.held) > HELD_MAX:
            self.held.popleft().close()

    def refused(self) -> None:
        """Nobody listens there."""
        try:
            self.connect(7).close()
        except ConnectionRefusedError:
            return
        raise AssertionError("a closed port took a connection")

    def nonsense(self) -> None:
        """No HTTP."""
        with self.connect(8000) as peer:
            peer.sendall(os.urandom(self.random.randrange(1, 100_000)))

    def run(self, seconds: float) -> None:
        """Do all of it in turns, and print how often."""
        doings = (
            self.pages,
            self.pages,
            self.upload,
            self.download,
            self.datagrams,
            self.reset,
            self.hold,
            self.refused,
        )
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            doing = self.random.choice((*doings, self.nonsense))
            try:
                doing()
            except (ConnectionResetError, BrokenPipeError):
                assert doing == self.nonsense, f"{doing.__name__}: a good connection was reset"
            self.done[doing.__name__] += 1
        while self.held:
            self.held.popleft().close()
        print(json.dumps(self.done))


if __name__ == "__main__":
    Load(sys.argv[1], int(sys.argv[2])).run(float(sys.argv[3]))
