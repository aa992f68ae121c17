"""sarab's stack and Linux's over a link that loses, delays, reorders, duplicates and damages, from a seed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.network.lab import CLIENT_ADDRESS, SERVER_ADDRESS, Lab
from bench.result import Unavailable

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")]

WEATHER = {
    "loss": "loss=0.03",
    "delay": "delay=10_000_000, jitter=2_000_000",
    "reordering": "delay=2_000_000, reorder=0.05, reorder_delay=4_000_000",
    "duplicates": "duplicate=0.1",
    "damage": "corrupt=0.02",
    "all of it": "loss=0.01, delay=3_000_000, jitter=3_000_000, reorder=0.02, duplicate=0.02, corrupt=0.01",
}

# As `sarab run --on process --tap` does, with the bad cable between tap and stack.
PREAMBLE = """
    import os
    from sarab.driver.faults import Faults, Weather
    from sarab.driver.tap import Tap
    from sarab.wiring import install, network

    network.cards = lambda environ: [Faults(Tap("tap0"), Weather({weather}), seed=4711)]
    os.environ["SARAB_IP"] = "{address}/24"
    install.install_asyncio()
    """

SERVER = """
    import asyncio, hashlib

    async def take(reader, writer):
        digest, count = hashlib.sha256(), 0
        while data := await reader.read(1 << 16):
            digest.update(data)
            count += len(data)
        writer.write(f"{count} {digest.hexdigest()}".encode())
        writer.write_eof()

    async def give(reader, writer):
        block = hashlib.sha256(b"seed").digest() * 2048
        for number in range(24):
            writer.write(number.to_bytes(4, "big") + block)
            await writer.drain()
        writer.close()

    async def main():
        async with await asyncio.start_server(take, "0.0.0.0", 9000), await asyncio.start_server(give, "0.0.0.0", 9001):
            await asyncio.Event().wait()

    asyncio.run(main())
    """

CLIENT = """
    import hashlib, os, socket, sys

    digest, peer = hashlib.sha256(), socket.create_connection((sys.argv[1], 9000), 60)
    peer.settimeout(120)
    for _ in range(15):
        piece = os.urandom(100_003)
        digest.update(piece)
        peer.sendall(piece)
    peer.shutdown(socket.SHUT_WR)
    print(peer.makefile().read() == f"1500045 {digest.hexdigest()}")
    digest, peer = hashlib.sha256(), socket.create_connection((sys.argv[1], 9001), 60)
    peer.settimeout(120)
    while data := peer.recv(1 << 20):
        digest.update(data)
    block = hashlib.sha256(b"seed").digest() * 2048
    sent = hashlib.sha256(b"".join(number.to_bytes(4, "big") + block for number in range(24)))
    print(digest.digest() == sent.digest())
    """


@pytest.fixture
def lab() -> Iterator[Lab]:
    try:
        made = Lab()
    except Unavailable as reason:
        pytest.skip(str(reason))
    try:
        made.tap()
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("name", WEATHER)
def test_megabytes_arrive_whole_both_ways(lab: Lab, tmp_path: Path, name: str) -> None:
    preamble = textwrap.dedent(PREAMBLE).format(weather=WEATHER[name], address=SERVER_ADDRESS)
    program = tmp_path / "program.py"
    program.write_text(preamble + textwrap.dedent(SERVER))
    lab.serve(lab.client, (sys.executable, str(program)), 9000, tmp_path / "log")
    said = lab.run((sys.executable, "-c", textwrap.dedent(CLIENT), SERVER_ADDRESS), timeout_s=200).stdout
    assert said == "True\nTrue\n"
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("control", ["cubic", "reno", "bbr"])
def test_linux_congestion_controls_are_served_over_a_lossy_link(lab: Lab, tmp_path: Path, control: str) -> None:
    available = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split()
    if control not in available:
        pytest.skip(f"this kernel has no {control}")
    subprocess.run(
        ("ip", "netns", "exec", lab.client, "sysctl", "-qw", f"net.ipv4.tcp_congestion_control={control}"), check=False
    )
    preamble = textwrap.dedent(PREAMBLE).format(weather="loss=0.01, delay=2_000_000", address=SERVER_ADDRESS)
    program = tmp_path / "program.py"
    program.write_text(preamble + textwrap.dedent(SERVER))
    lab.serve(lab.client, (sys.executable, str(program)), 9000, tmp_path / "log")
    said = lab.run((sys.executable, "-c", textwrap.dedent(CLIENT), SERVER_ADDRESS), timeout_s=200).stdout
    assert said == "True\nTrue\n"


def test_our_side_connects_over_a_bad_link(lab: Lab, tmp_path: Path) -> None:
    preamble = textwrap.dedent(PREAMBLE).format(weather=WEATHER["all of it"], address=SERVER_ADDRESS)
    client = f"""
        import asyncio, os

        async def main():
            data = os.urandom(500_000)
            reader, writer = await asyncio.open_connection("{CLIENT_ADDRESS}", 9100)
            writer.write(data)
            writer.write_eof()
            print(await reader.read() == data[::-1])

        asyncio.run(main())
        """
    server = tmp_path / "server.py"
    server.write_text(
        textwrap.dedent(
            """
            import socket
            listener = socket.create_server(("0.0.0.0", 9100))
            peer, _ = listener.accept()
            data = b"".join(iter(lambda: peer.recv(65536), b""))
            peer.sendall(data[::-1])
            peer.close()
            """
        )
    )
    program = tmp_path / "program.py"
    program.write_text(preamble + textwrap.dedent(client))
    process = subprocess.Popen(("ip", "netns", "exec", lab.client, sys.executable, str(server)))
    try:
        said = lab.run((sys.executable, str(program)), timeout_s=200).stdout
    finally:
        process.kill()
        process.wait()
    assert said == "True\n"
