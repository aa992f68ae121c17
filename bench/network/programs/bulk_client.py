"""``bulk_client.py ADDRESS in|out SECONDS``: move bytes into or out of bulk_server.py and print Gbit/s."""

import socket
import sys
import time


def main(address: str, direction: str, seconds: float) -> None:
    port = 9000 if direction == "in" else 9001
    moved = 0
    with socket.create_connection((address, port), 10) as peer:
        buffer = bytearray(1 << 20)
        piece = memoryview(bytes(1 << 18))
        started = time.monotonic()
        while (now := time.monotonic()) - started < seconds:
            moved += peer.send(piece) if direction == "in" else peer.recv_into(buffer)
        print(moved * 8 / (now - started) / 1e9)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
