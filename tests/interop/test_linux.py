"""sarab's stack against Linux's, over a tap device in a network namespace of the test's own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from bench.network.lab import CLIENT_ADDRESS, SERVER_ADDRESS, Lab
from tests.interop.programs import BULK_CLIENT, HASHING, WITH_ADDRESS, given, write

pytestmark = pytest.mark.slow


def have(program: str) -> str:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed: 'make clients' installs it")
    return program


def python(lab: Lab, source: str, *words: str, timeout_s: float = 120) -> str:
    """Run a program of Linux's own sockets in the client's namespace."""
    return lab.run((sys.executable, "-c", textwrap.dedent(source), *words), timeout_s=timeout_s).stdout


@pytest.mark.parametrize("mtu", [1280, 1500, 9000])
def test_bulk_transfers_arrive_whole(lab: Lab, tmp_path: Path, mtu: int) -> None:
    subprocess.run(("ip", "-n", lab.client, "link", "set", "tap0", "mtu", str(mtu)), check=True)
    lab.serve(lab.client, (*WITH_ADDRESS, write(tmp_path, HASHING.format(blocks=512))), 9000, tmp_path / "log")
    assert python(lab, BULK_CLIENT, SERVER_ADDRESS, "100") == f"True\n{given(512)}\n"


def test_thousands_of_short_connections(lab: Lab, tmp_path: Path) -> None:
    program = """
        import asyncio

        async def answer(reader, writer):
            writer.write(await reader.readline())
            writer.close()

        async def main():
            async with await asyncio.start_server(answer, "0.0.0.0", 9000, backlog=1000):
                await asyncio.Event().wait()

        asyncio.run(main())
        """
    lab.serve(lab.client, (*WITH_ADDRESS, write(tmp_path, program)), 9000, tmp_path / "log")
    said = python(
        lab,
        """
        import asyncio, sys

        async def ask(number, gate):
            async with gate:
                reader, writer = await asyncio.open_connection(sys.argv[1], 9000)
                writer.write(b"%d\\n" % number)
                answer = await reader.read()
                writer.close()
                return answer == b"%d\\n" % number

        async def main():
            gate = asyncio.Semaphore(100)
            print(sum(await asyncio.gather(*(ask(number, gate) for number in range(5000)))))

        asyncio.run(main())
        """,
        SERVER_ADDRESS,
    )
    assert said == "5000\n"


def test_the_stack_connects_to_linux(lab: Lab, tmp_path: Path) -> None:
    server = """
        import socket, threading
        listener = socket.create_server(("0.0.0.0", 9100))
        while True:
            peer, _ = listener.accept()
            data = b"".join(iter(lambda: peer.recv(65536), b""))
            peer.sendall(data[::-1])
            peer.close()
        """
    script = tmp_path / "server.py"
    script.write_text(textwrap.dedent(server))
    client = f"""
        import asyncio, os, socket

        async def main():
            data = os.urandom(3_000_000)
            reader, writer = await asyncio.open_connection("{CLIENT_ADDRESS}", 9100)
            writer.write(data)
            writer.write_eof()
            print(await reader.read() == data[::-1])
            try:
                await asyncio.open_connection("{CLIENT_ADDRESS}", 9)
            except ConnectionRefusedError:
                print("refused")

        asyncio.run(main())
        with socket.create_connection(("{CLIENT_ADDRESS}", 9100)) as peer:
            peer.sendall(b"blocking")
            peer.shutdown(socket.SHUT_WR)
            print(peer.recv(100))
        """
    process = subprocess.Popen(("ip", "netns", "exec", lab.client, sys.executable, str(script)))
    try:
        done = lab.run((*WITH_ADDRESS, write(tmp_path, client)))
    finally:
        process.kill()
        process.wait()
    assert done.stdout == "True\nrefused\nb'gnikcolb'\n"


SLEEPER = """
    import asyncio
    from contextlib import suppress

    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, address):
            self.transport.sendto(data, address)

    async def hold(reader, writer):
        with suppress(ConnectionError):
            await reader.read()
        writer.close()

    async def main():
        await asyncio.get_running_loop().create_datagram_endpoint(Echo, ("0.0.0.0", 9000))
        async with await asyncio.start_server(hold, "0.0.0.0", 9000):
            await asyncio.Event().wait()

    asyncio.run(main())
    """


def test_ping_and_nmap(lab: Lab, tmp_path: Path) -> None:
    have("ping"), have("nmap")
    lab.serve(lab.client, (*WITH_ADDRESS, write(tmp_path, SLEEPER)), 9000, tmp_path / "log")
    said = lab.run(("ping", "-c", "20", "-i", "0.01", "-s", "1400", SERVER_ADDRESS)).stdout
    assert "20 received, 0% packet loss" in said
    said = lab.run(("ping", "-c", "3", "-i", "0.01", "-s", "20000", SERVER_ADDRESS)).stdout
    assert "3 received, 0% packet loss" in said, "fragments"
    said = lab.run(("nmap", "-n", "-Pn", "-sS", "-p", "8990-9010", SERVER_ADDRESS)).stdout
    assert "9000/tcp open" in said
    assert said.count(" closed ") == 20
    said = lab.run(("nmap", "-n", "-Pn", "-sU", "-p", "9001", SERVER_ADDRESS)).stdout
    assert "9001/udp closed" in said
    said = lab.run(("nmap", "-n", "-Pn", "-sS", "--badsum", "-p", "9000", SERVER_ADDRESS)).stdout
    assert "9000/tcp filtered" in said


def test_datagrams_of_every_size(lab: Lab, tmp_path: Path) -> None:
    lab.serve(lab.client, (*WITH_ADDRESS, write(tmp_path, SLEEPER)), 9000, tmp_path / "log")
    said = python(
        lab,
        """
        import os, socket, sys
        peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        peer.settimeout(10)
        for size in (0, 1, 1472, 1473, 9000, 65507):
            data = os.urandom(size)
            peer.sendto(data, (sys.argv[1], 9000))
            assert peer.recv(65536) == data, size
        peer.connect((sys.argv[1], 9001))
        try:
            peer.send(b"x")
            peer.recv(1)
        except ConnectionRefusedError:
            print("refused")
        """,
        SERVER_ADDRESS,
    )
    assert said == "refused\n"


def test_resets_half_closes_and_a_reader_that_stops(lab: Lab, tmp_path: Path) -> None:
    program = """
        import asyncio

        async def serve(reader, writer):
            try:
                what = (await reader.readline()).strip()
                if what == b"half":
                    await reader.read()
                    writer.write(b"still open")
                elif what == b"slow":
                    await asyncio.sleep(2)
                    writer.write(b"%d" % len(await reader.read()))
                elif what == b"watch":
                    await reader.read()
            except ConnectionResetError:
                print("was reset", flush=True)
            writer.close()

        async def main():
            async with await asyncio.start_server(serve, "0.0.0.0", 9000):
                await asyncio.Event().wait()

        asyncio.run(main())
        """
    lab.serve(lab.client, (*WITH_ADDRESS, write(tmp_path, program)), 9000, tmp_path / "log")
    said = python(
        lab,
        """
        import socket, struct, sys
        def connect(what):
            peer = socket.create_connection((sys.argv[1], 9000))
            peer.sendall(what + b"\\n")
            return peer
        peer = connect(b"half")
        peer.shutdown(socket.SHUT_WR)
        print(peer.makefile().read())
        peer = connect(b"slow")
        peer.sendall(bytes(8_000_000))
        peer.shutdown(socket.SHUT_WR)
        print(peer.makefile().read())
        peer = connect(b"watch")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        """,
        SERVER_ADDRESS,
    )
    assert said == "still open\n8000000\n"
    assert "was reset" in (tmp_path / "log").read_text()
