"""Programs that know nothing of sarab, run by sarab.runtime.start with its network, which is loopback only here."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import sarab.runtime.start
from sarab.wiring.network import configuration

START = sarab.runtime.start.__file__
# A tap is named, so that the network is installed, and none is used.
ENVIRONMENT = {"SARAB_TAP": "none", "SARAB_NET": "none", "PYTHONPATH": str(Path(START).parents[2])}


def run(folder: Path, program: str, **environment: str) -> str:
    script = folder / "program.py"
    script.write_text(textwrap.dedent(program))
    words = [sys.executable, "-P", "-W", "error", START, "script", str(script)]
    done = subprocess.run(
        words, env={**ENVIRONMENT, **environment}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def test_asyncio_run_runs_our_loop(tmp_path: Path) -> None:
    program = """
        import asyncio

        async def answer(reader, writer):
            writer.write((await reader.readline()).upper())
            writer.close()

        async def main():
            async with await asyncio.start_server(answer, "127.0.0.1", 80):
                reader, writer = await asyncio.open_connection("localhost", 80)
                writer.write(b"hello\\n")
                print((await reader.read()).decode().strip())
                writer.close()
            print(type(asyncio.get_running_loop()).__mro__[1].__module__)

        asyncio.run(main())
        loop = asyncio.new_event_loop()
        print(isinstance(loop, asyncio.SelectorEventLoop))
        loop.close()
        """
    assert run(tmp_path, program).splitlines() == ["HELLO", "sarab.aio.loop", "True"]


def test_a_program_without_a_network_loads_none_of_it(tmp_path: Path) -> None:
    assert run(tmp_path, "import sys\nprint([n for n in sys.modules if n.startswith('sarab')])") == "[]\n"


def test_cards_are_configured_by_name() -> None:
    environ = {"SARAB_IP": "10.0.0.2/24,eth1=10.0.1.2/16", "SARAB_GATEWAY": "10.0.0.1", "SARAB_DNS": "1.1.1.1,8.8.8.8"}
    first, second = configuration(environ, "eth0"), configuration(environ, "eth1")
    assert first.addresses == ((b"\x0a\0\0\2", 24),)
    assert first.gateways == (b"\x0a\0\0\1",)
    assert first.dns == (b"\1\1\1\1", b"\x08\x08\x08\x08")
    assert second.addresses == ((b"\x0a\0\1\2", 16),)
    assert second.gateways == ()


def test_a_wrong_address_is_said_with_its_variable() -> None:
    with pytest.raises(ValueError, match=r"SARAB_IP: '10\.0\.0' is no"):
        configuration({"SARAB_IP": "10.0.0/24"}, "eth0")
