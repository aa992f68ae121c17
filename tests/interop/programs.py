"""Programs for sarab's stack that several tests drive from Linux."""

from __future__ import annotations

import hashlib
import sys
import textwrap
from pathlib import Path

from bench.network.lab import SERVER_ADDRESS

SARAB = str(Path(sys.executable).with_name("sarab"))
ON_TAP = (SARAB, "run", "--on", "process", "--tap", "tap0")
WITH_ADDRESS = (*ON_TAP, "--ip", f"{SERVER_ADDRESS}/24")

TAKE_AND_GIVE = """
    import asyncio, hashlib

    BLOCKS = {blocks}

    async def take(reader, writer):
        digest, count = hashlib.sha256(), 0
        while data := await reader.read(1 << 16):
            digest.update(data)
            count += len(data)
        writer.write(f"{{count}} {{digest.hexdigest()}}".encode())
        writer.close()

    async def give(reader, writer):
        block = hashlib.sha256(b"seed").digest() * 2048
        for number in range(BLOCKS):
            writer.write(number.to_bytes(4, "big") + block)
            await writer.drain()
        writer.close()
    """
"""Serves one connection each: `take` says how much came and its SHA-256, `give` gives BLOCKS blocks."""

HASHING = (
    TAKE_AND_GIVE
    + """
    async def main():
        async with await asyncio.start_server(take, "0.0.0.0", 9000), await asyncio.start_server(give, "0.0.0.0", 9001):
            await asyncio.Event().wait()

    asyncio.run(main())
    """
)
"""Port 9000 says how much came and its SHA-256, port 9001 gives BLOCKS blocks."""

BULK_CLIENT = """
    import hashlib, os, socket, sys

    address, pieces = sys.argv[1], int(sys.argv[2])
    digest, peer = hashlib.sha256(), socket.create_connection((address, 9000), 60)
    peer.settimeout(120)
    for _ in range(pieces):
        piece = os.urandom(100_003)
        digest.update(piece)
        peer.sendall(piece)
    peer.shutdown(socket.SHUT_WR)
    print(peer.makefile().read() == f"{100_003 * pieces} {digest.hexdigest()}")
    digest, peer = hashlib.sha256(), socket.create_connection((address, 9001), 60)
    peer.settimeout(120)
    while data := peer.recv(1 << 20):
        digest.update(data)
    print(digest.hexdigest())
    """
"""Sends `pieces` of 100,003 bytes and says whether they came whole; takes what is given and says its hash."""


def given(blocks: int) -> str:
    """Return the SHA-256 of what HASHING gives."""
    block = hashlib.sha256(b"seed").digest() * 2048
    return hashlib.sha256(b"".join(number.to_bytes(4, "big") + block for number in range(blocks))).hexdigest()


def write(folder: Path, source: str, name: str = "program") -> str:
    """Write a program and return its path."""
    path = folder / f"{name}.py"
    path.write_text(textwrap.dedent(source))
    return str(path)
