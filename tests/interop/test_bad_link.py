"""sarab's stack and Linux's over a link that loses, delays, reorders, duplicates and damages, from a seed."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from bench.network.lab import CLIENT_ADDRESS, SERVER_ADDRESS, Lab
from tests.interop.programs import BULK_CLIENT, HASHING, given, write

pytestmark = pytest.mark.slow

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

    network.cards = lambda environ: {{"eth0": Faults(Tap("tap0"), Weather({weather}), seed=4711)}}
    os.environ["SARAB_IP"] = "{address}/24"
    install.install_asyncio()
    """


def on_a_bad_cable(folder: Path, weather: str, source: str) -> tuple[str, ...]:
    """Return the command of a program whose card is tap0 on a bad cable."""
    preamble = textwrap.dedent(PREAMBLE).format(weather=weather, address=SERVER_ADDRESS)
    return sys.executable, write(folder, preamble + textwrap.dedent(source))


@pytest.mark.parametrize("name", WEATHER)
def test_megabytes_arrive_whole_both_ways(lab: Lab, tmp_path: Path, name: str) -> None:
    lab.serve(lab.client, on_a_bad_cable(tmp_path, WEATHER[name], HASHING.format(blocks=24)), 9000, tmp_path / "log")
    client = (sys.executable, "-c", textwrap.dedent(BULK_CLIENT), SERVER_ADDRESS, "15")
    assert lab.run(client, timeout_s=200).stdout == f"True\n{given(24)}\n"
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("control", ["cubic", "reno", "bbr"])
def test_linux_congestion_controls_are_served_over_a_lossy_link(lab: Lab, tmp_path: Path, control: str) -> None:
    available = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split()
    if control not in available:
        pytest.skip(f"this kernel has no {control}")
    subprocess.run(
        ("ip", "netns", "exec", lab.client, "sysctl", "-qw", f"net.ipv4.tcp_congestion_control={control}"), check=False
    )
    command = on_a_bad_cable(tmp_path, "loss=0.01, delay=2_000_000", HASHING.format(blocks=24))
    lab.serve(lab.client, command, 9000, tmp_path / "log")
    client = (sys.executable, "-c", textwrap.dedent(BULK_CLIENT), SERVER_ADDRESS, "15")
    assert lab.run(client, timeout_s=200).stdout == f"True\n{given(24)}\n"


def test_our_side_connects_over_a_bad_link(lab: Lab, tmp_path: Path) -> None:
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
    server = """
            import socket
            listener = socket.create_server(("0.0.0.0", 9100))
            peer, _ = listener.accept()
            data = b"".join(iter(lambda: peer.recv(65536), b""))
            peer.sendall(data[::-1])
            peer.close()
        """
    within = ("ip", "netns", "exec", lab.client)
    process = subprocess.Popen((*within, sys.executable, write(tmp_path, server, "server")))
    try:
        said = lab.run(on_a_bad_cable(tmp_path, WEATHER["all of it"], client), timeout_s=200).stdout
    finally:
        process.kill()
        process.wait()
    assert said == "True\n"
