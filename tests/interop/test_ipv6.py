"""sarab's IPv6 against Linux's, over a tap device in a network namespace of the test's own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from bench.network.lab import SERVER_ADDRESS, Lab
from tests.interop.programs import WITH_ADDRESS

pytestmark = pytest.mark.slow

HOST, OURS = "fd77::1", "fd77::2"
WITH_BOTH = (*WITH_ADDRESS, "--ip", f"{OURS}/64")

PROGRAM = """
    import asyncio, hashlib

    async def take(reader, writer):
        digest, count = hashlib.sha256(), 0
        while data := await reader.read(1 << 16):
            digest.update(data)
            count += len(data)
        writer.write(f"{writer.get_extra_info('peername')[0]} {count} {digest.hexdigest()}".encode())
        writer.close()

    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, address):
            self.transport.sendto(data, address)

    async def main():
        await asyncio.get_running_loop().create_datagram_endpoint(Echo, ("::", 9000))
        async with await asyncio.start_server(take, None, 9000):
            await asyncio.Event().wait()

    asyncio.run(main())
    """


@pytest.fixture
def lab6(lab: Lab) -> Lab:
    words = ("ip", "-n", lab.client, "address", "add", f"{HOST}/64", "dev", "tap0", "nodad")
    if subprocess.run(words, capture_output=True).returncode != 0:
        pytest.skip("this kernel has no IPv6")
    return lab


def test_both_families_are_served(lab6: Lab, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    lab6.serve(lab6.client, (*WITH_BOTH, str(program)), 9000, tmp_path / "log")
    client = """
        import hashlib, os, socket, sys, time
        for _ in range(50):  # until duplicate address detection is over
            try:
                socket.create_connection((sys.argv[1], 9000), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        for address, own in ((sys.argv[1], sys.argv[2]), (sys.argv[3], "10.77.0.1")):
            digest, peer = hashlib.sha256(), socket.create_connection((address, 9000), 20)
            for _ in range(50):
                piece = os.urandom(100_003)
                digest.update(piece)
                peer.sendall(piece)
            peer.shutdown(socket.SHUT_WR)
            print(peer.makefile().read() == f"{own} 5000150 {digest.hexdigest()}")
        peer = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        peer.settimeout(10)
        for size in (0, 1, 1452, 1453, 9000, 60000):
            data = os.urandom(size)
            peer.sendto(data, (sys.argv[1], 9000))
            assert peer.recv(65536) == data, size
        print("datagrams")
        """
    said = lab6.run((sys.executable, "-c", textwrap.dedent(client), OURS, HOST, SERVER_ADDRESS)).stdout
    assert said == "True\nTrue\ndatagrams\n", (tmp_path / "log").read_text()
    said = lab6.run(("ping", "-6", "-c", "10", "-i", "0.01", "-s", "1400", OURS)).stdout
    assert "10 received, 0% packet loss" in said
    said = lab6.run(("ping", "-6", "-c", "2", "-i", "0.01", "-s", "20000", OURS)).stdout
    assert "2 received, 0% packet loss" in said, "fragments"


def test_the_stack_connects_to_linux(lab6: Lab, tmp_path: Path) -> None:
    server = tmp_path / "server.py"
    server.write_text(
        textwrap.dedent(
            f"""
            import socket
            listener = socket.create_server(("{HOST}", 9100), family=socket.AF_INET6)
            peer, _ = listener.accept()
            data = b"".join(iter(lambda: peer.recv(65536), b""))
            peer.sendall(data[::-1])
            peer.close()
            """
        )
    )
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            f"""
            import asyncio, os

            async def main():
                data = os.urandom(3_000_000)
                for _ in range(50):
                    try:
                        reader, writer = await asyncio.open_connection("{HOST}", 9100)
                        break
                    except OSError:
                        await asyncio.sleep(0.1)
                writer.write(data)
                writer.write_eof()
                print(await reader.read() == data[::-1])

            asyncio.run(main())
            """
        )
    )
    process = subprocess.Popen(("ip", "netns", "exec", lab6.client, sys.executable, str(server)))
    try:
        said = lab6.run((*WITH_BOTH, str(program))).stdout
    finally:
        process.kill()
        process.wait()
    assert said == "True\n"
