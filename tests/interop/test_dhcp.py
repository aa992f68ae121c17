"""An address by DHCP from dnsmasq, and names from it, over a tap device in a network namespace of the test's own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from bench.network.lab import CLIENT_ADDRESS, Lab
from tests.interop.programs import ON_TAP

pytestmark = pytest.mark.slow


def test_an_address_and_names_come_from_dnsmasq(lab: Lab, tmp_path: Path) -> None:
    dnsmasq = shutil.which("dnsmasq") or shutil.which("dnsmasq", path="/usr/sbin")
    if dnsmasq is None:
        pytest.skip("dnsmasq is not installed: 'make clients' installs it")
    words = [
        dnsmasq,
        "--no-daemon",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--interface=tap0",
        "--user=root",
    ]
    words += ["--bind-interfaces", "--dhcp-range=10.77.0.50,10.77.0.60,255.255.255.0,2m", f"--pid-file={tmp_path}/pid"]
    words += [f"--dhcp-leasefile={tmp_path}/leases", "--address=/there.example/10.77.0.1", "--dhcp-authoritative"]
    words += ["--address=/there.example/fd77::9", "--log-dhcp"]
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            f"""
            import asyncio, socket

            async def main():
                reader, writer = await asyncio.open_connection("{CLIENT_ADDRESS}", 9100)
                print(writer.get_extra_info("sockname")[0].rpartition(".")[0], await reader.read())
                infos = await asyncio.get_running_loop().getaddrinfo("there.example", 80, family=socket.AF_INET)
                print(infos[0][4])
                try:
                    await asyncio.get_running_loop().getaddrinfo("nothere.example", 80)
                except socket.gaierror as error:
                    print("no such name")

            asyncio.run(main())
            print(socket.gethostbyname("there.example"))
            """
        )
    )
    listener = """
        import socket
        peer, _ = socket.create_server(("0.0.0.0", 9100)).accept()
        peer.send(b"hello")
        """
    within = ("ip", "netns", "exec", lab.client)
    with (tmp_path / "dnsmasq.log").open("wb") as log:
        server = subprocess.Popen((*within, *words), stdout=log, stderr=log)
    peer = subprocess.Popen((*within, sys.executable, "-c", textwrap.dedent(listener)))
    time.sleep(0.5)
    try:
        said = lab.run((*ON_TAP, "--hostname", "web", str(program))).stdout
    finally:
        for process in (server, peer):
            process.kill()
            process.wait()
    complaint = (tmp_path / "dnsmasq.log").read_text()
    assert said == "10.77.0 b'hello'\n('10.77.0.1', 80)\nno such name\n10.77.0.1\n", complaint
    assert " web " in (tmp_path / "leases").read_text()
