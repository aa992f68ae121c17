"""Programs that know nothing of sarab, run by sarab.runtime.start with its network, which is loopback only here."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import sarab.runtime.start
from sarab.wiring.network import configuration

START = sarab.runtime.start.__file__
# A tap is named, so that the network is installed, and none is used.
ASYNCIO_LOOP = f"{asyncio.SelectorEventLoop.__module__} {asyncio.SelectorEventLoop.__name__}"
"""Programs tell the loop of asyncio from uvloop's by its name."""
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
            kind = type(asyncio.get_running_loop())
            print(kind.__mro__[1].__module__, kind.__module__, kind.__name__)

        asyncio.run(main())
        loop = asyncio.new_event_loop()
        print(isinstance(loop, asyncio.SelectorEventLoop))
        loop.close()
        """
    assert run(tmp_path, program).splitlines() == ["HELLO", "sarab.aio.loop " + ASYNCIO_LOOP, "True"]


def test_no_garbage_is_looked_for_while_the_network_is_imported(tmp_path: Path) -> None:
    program = """
        import gc

        class Held:
            def __init__(self):
                self.itself = self

        runs = []
        gc.callbacks.append(lambda phase, info: runs.append(phase))
        gc.collect()
        runs.clear()
        Held()
        import asyncio
        print(len(runs), gc.isenabled(), gc.get_freeze_count())
        gc.callbacks.clear()
        kept = sum(type(one) is Held for one in gc.get_objects())
        gc.collect()
        print(kept, sum(type(one) is Held for one in gc.get_objects()))
        """
    assert run(tmp_path, program).splitlines() == ["0 True 0", "1 0"]


@pytest.mark.parametrize(
    "before",
    [
        "gc.disable()",
        "gc.freeze()",
        "_thread.start_new_thread(time.sleep, (60,))\nwhile not _thread._count(): time.sleep(0)",
    ],
)
def test_what_a_program_said_about_garbage_holds(tmp_path: Path, before: str) -> None:
    """Also what it says while asyncio is being imported, by a thread of its own: then nothing is touched at all."""
    program = """
before = gc.isenabled(), gc.get_freeze_count() > 1000
gc.freeze = gc.unfreeze = gc.enable = gc.disable = None
import asyncio
print((gc.isenabled(), gc.get_freeze_count() > 1000) == before, flush=True)
os._exit(0)
"""
    assert run(tmp_path, f"import _thread, gc, os, time\n{before}\n{program}") == "True\n"


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


def test_http_server_and_urllib_meet_over_loopback(tmp_path: Path) -> None:
    program = """
        import http.server, threading, urllib.request

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(f"{self.path} for {self.client_address[0]}".encode())

            def log_message(self, *arguments):
                pass

        with http.server.ThreadingHTTPServer(("localhost", 8000), Handler) as server:
            threading.Thread(target=server.serve_forever).start()
            with urllib.request.urlopen("http://localhost:8000/page", timeout=5) as answer:
                print(answer.status, answer.read().decode())
            server.shutdown()
        """
    assert run(tmp_path, program) == "200 /page for 127.0.0.1\n"


def test_a_loop_may_block_on_what_another_loop_serves(tmp_path: Path) -> None:
    program = """
        import asyncio, socket

        async def answer(reader, writer):
            writer.write((await reader.readline()).upper())
            writer.close()

        def ask():
            with socket.create_connection(("localhost", 80), 5) as client:
                client.sendall(b"hello\\n")
                return client.recv(100)

        async def main():
            async with await asyncio.start_server(answer, "", 80):
                print(await asyncio.to_thread(ask))
                loop = asyncio.get_running_loop()
                with socket.socket() as client:
                    client.setblocking(False)
                    await loop.sock_connect(client, ("127.0.0.1", 80))
                    await loop.sock_sendall(client, b"again\\n")
                    print(await loop.sock_recv(client, 100))

        asyncio.run(main())
        """
    assert run(tmp_path, program).splitlines() == ["b'HELLO\\n'", "b'AGAIN\\n'"]


def test_what_was_written_last_leaves_before_the_end(tmp_path: Path) -> None:
    program = """
        import atexit, socket

        with socket.create_server(("127.0.0.1", 80)) as server:
            client = socket.create_connection(("127.0.0.1", 80))
            accepted, _ = server.accept()
            accepted.sendall(b"x" * 1000)
            accepted.close()
        flow = client._link.flow
        from sarab.wiring.network import network
        atexit.unregister(network().drain)
        network().drain()
        print(flow.readable + len(client.recv(2000)))
        client.close()
        """
    assert run(tmp_path, program) == "1000\n"


def test_blocking_tls_runs_over_our_sockets(tmp_path: Path) -> None:
    from tests.unit.aio.certificate import write_certificate

    file = write_certificate(tmp_path)
    program = f"""
        import socket, ssl, threading

        server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server_context.load_cert_chain({str(file)!r})
        client_context = ssl.create_default_context(cafile={str(file)!r})

        def serve(server):
            accepted, _ = server.accept()
            with server_context.wrap_socket(accepted, server_side=True) as secure:
                secure.sendall(secure.recv(100).upper())

        with socket.create_server(("127.0.0.1", 443)) as server:
            threading.Thread(target=serve, args=(server,)).start()
            with socket.create_connection(("localhost", 443), 5) as plain:
                with client_context.wrap_socket(plain, server_hostname="localhost") as secure:
                    secure.sendall(b"secret")
                    print(secure.recv(100), secure.getpeername())
        """
    assert run(tmp_path, program) == "b'SECRET' ('127.0.0.1', 443)\n"
