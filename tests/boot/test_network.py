"""A network in booted images: what programs that know nothing of sarab find."""

from __future__ import annotations

from pathlib import Path

import pytest

from sarab.machine.network import NetworkOptions
from tests.boot.programs import boot, build_program, run, text

pytestmark = pytest.mark.boot


@pytest.mark.emulated_too
def test_asyncio_serves_itself_over_loopback(tmp_path: Path) -> None:
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

        asyncio.run(main())
        """
    assert text(run(tmp_path, program)) == "HELLO\n"


def test_a_program_ends_with_a_socket_that_nobody_closed(tmp_path: Path) -> None:
    program = """
        import socket

        listener = socket.create_server(("127.0.0.1", 0))
        peer = socket.create_connection(listener.getsockname())
        print("done")
        """
    assert text(run(tmp_path, program, timeout_s=30)) == "done\n"


@pytest.mark.parametrize("program", ["import asyncio\nasyncio.run(asyncio.sleep(0))", "import socket\nsocket.socket()"])
def test_a_wrong_setting_is_one_sentence(tmp_path: Path, program: str) -> None:
    image = build_program(tmp_path, program)
    outcome = boot(image, environment=(("SARAB_IP", "10.0.0.256/24"),), network=NetworkOptions())
    assert outcome.status == 2
    assert text(outcome) == "sarab: SARAB_IP: '10.0.0.256' is no IPv4 address.\n"
