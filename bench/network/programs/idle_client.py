"""``idle_client.py ADDRESS PORT COUNT``: open connections, say so, and hold them until standard input ends."""

import resource
import socket
import sys


def main(address: str, port: int, count: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held = [socket.create_connection((address, port), 30) for _ in range(count)]
    print(len(held), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
