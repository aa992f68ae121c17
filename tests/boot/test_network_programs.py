"""Programs that nobody here wrote, unchanged, in booted images: servers for real clients, clients of real servers."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boot.certificate import make_certificate
from tests.boot.programs import build_program
from tests.boot.served import client, free_port, served

pytestmark = [pytest.mark.boot, pytest.mark.slow]

HOST_AS_SEEN_BY_THE_GUEST = "10.0.2.2"


def test_fastapi_on_uvicorn(tmp_path: Path) -> None:
    program = """
        import uvicorn
        from fastapi import FastAPI

        app = FastAPI()

        @app.get("/items/{item}")
        async def read(item: int, q: str = "") -> dict:
            return {"item": item, "q": q}

        @app.get("/blocking")
        def blocking() -> str:  # in a thread
            return "from a thread"

        uvicorn.run(app, host="0.0.0.0", port=8000)
        """
    with served(build_program(tmp_path, program), tcp=[8000], ready=b"Uvicorn running") as (machine, ports):
        url = f"http://127.0.0.1:{ports[8000]}"
        assert json.loads(client("curl", "-s", f"{url}/items/5?q=a")) == {"item": 5, "q": "a"}
        assert "int_parsing" in client("curl", "-s", f"{url}/items/five")
        assert client("curl", "-s", f"{url}/blocking") == '"from a thread"'
        machine.power_down()
        outcome = machine.wait()
    assert b"Finished server process" in outcome.console


def test_aiohttp_server(tmp_path: Path) -> None:
    program = """
        from aiohttp import web

        async def hello(request):
            return web.Response(text="hello " + request.match_info["name"])

        async def upload(request):
            count = 0
            async for piece in request.content.iter_any():
                count += len(piece)
            return web.json_response({"bytes": count})

        async def shout(request):
            session = web.WebSocketResponse()
            await session.prepare(request)
            async for message in session:
                await session.send_str(message.data.upper())
            return session

        app = web.Application()
        app.add_routes([web.get("/{name}", hello), web.post("/upload", upload), web.get("/ws/shout", shout)])
        web.run_app(app, port=8000, print=lambda text: print("running", flush=True))
        """
    large = tmp_path / "large"
    large.write_bytes(bytes(5_000_000))
    with served(build_program(tmp_path, program), tcp=[8000], ready=b"running") as (_, ports):
        url = f"http://127.0.0.1:{ports[8000]}"
        assert client("curl", "-s", f"{url}/bob") == "hello bob"
        assert json.loads(client("curl", "-s", "--data-binary", f"@{large}", f"{url}/upload")) == {"bytes": 5_000_000}
        assert asyncio.run(_say(f"ws://127.0.0.1:{ports[8000]}/ws/shout", "quiet")) == "QUIET"


async def _say(url: str, text: str) -> str | bytes:
    from websockets.asyncio.client import connect

    async with asyncio.timeout(60), connect(url, open_timeout=60) as session:
        await session.send(text)
        return await session.recv()


def test_hypercorn(tmp_path: Path) -> None:
    program = """
        import asyncio

        from hypercorn.asyncio import serve
        from hypercorn.config import Config

        async def app(scope, receive, send):
            if scope["type"] == "http":
                await send({"type": "http.response.start", "status": 200, "headers": [(b"x-kind", b"asgi")]})
                await send({"type": "http.response.body", "body": scope["path"].encode()})

        config = Config()
        config.bind = ["0.0.0.0:8000"]
        asyncio.run(serve(app, config))
        """
    with served(build_program(tmp_path, program), tcp=[8000], ready=b"Running on") as (_, ports):
        said = client("curl", "-s", "-i", f"http://127.0.0.1:{ports[8000]}/path")
        assert "x-kind: asgi" in said
        assert said.endswith("/path")


def test_websockets_server(tmp_path: Path) -> None:
    program = """
        import asyncio

        from websockets.asyncio.server import serve

        async def echo(session):
            async for message in session:
                await session.send(message)

        async def main():
            async with serve(echo, "0.0.0.0", 8000) as server:
                print("serving", flush=True)
                await server.serve_forever()

        asyncio.run(main())
        """
    with served(build_program(tmp_path, program), tcp=[8000], ready=b"serving") as (_, ports):
        text = "x" * 300_000
        assert asyncio.run(_say(f"ws://127.0.0.1:{ports[8000]}", text)) == text


def test_the_standard_librarys_own_servers_in_threads(tmp_path: Path) -> None:
    program = """
        import http.server

        class Hello(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(self.path.encode())

        server = http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Hello)
        print("serving", flush=True)
        server.serve_forever()
        """
    with served(build_program(tmp_path, program), tcp=[8000], ready=b"serving") as (_, ports):
        for path in ("/a", "/b"):
            assert client("curl", "-s", f"http://127.0.0.1:{ports[8000]}{path}") == path


@contextlib.contextmanager
def https_server(folder: Path) -> Iterator[int]:
    """A server of the host with a certificate of its own, at cert.pem; yields its port."""
    make_certificate(folder, HOST_AS_SEEN_BY_THE_GUEST)

    class Answer(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = f"you asked for {self.path}".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


CLIENTS = {
    "requests": "import requests; print(requests.get(url, verify=ca, timeout=60).text)",
    "httpx": "import httpx, ssl; print(httpx.get(url, verify=ssl.create_default_context(cafile=ca), timeout=60).text)",
    "httpx async": """
import asyncio, httpx, ssl
async def main():
    async with httpx.AsyncClient(verify=ssl.create_default_context(cafile=ca), timeout=60) as client:
        print(*{answer.text for answer in await asyncio.gather(*(client.get(url) for _ in range(8)))})
asyncio.run(main())
""",
    "aiohttp": """
import aiohttp, asyncio, ssl
async def main():
    async with aiohttp.ClientSession() as session:
        async with session.get(url, ssl=ssl.create_default_context(cafile=ca)) as answer:
            print(await answer.text())
asyncio.run(main())
""",
    "urllib": """
import ssl, urllib.request
print(urllib.request.urlopen(url, context=ssl.create_default_context(cafile=ca), timeout=60).read().decode())
""",
}


@pytest.mark.parametrize("name", CLIENTS)
def test_clients_fetch_over_https(name: str, tmp_path: Path) -> None:
    with https_server(tmp_path) as port:
        url = f"https://{HOST_AS_SEEN_BY_THE_GUEST}:{port}/page"
        certificate = (tmp_path / "cert.pem").read_text()
        lines = [
            "ca = '/tmp/cert.pem'",
            f"url = {url!r}",
            f"open(ca, 'w').write({certificate!r})",
            CLIENTS[name].strip(),
        ]
        image = build_program(tmp_path, "\n".join(lines))
        with served(image, memory_mib=192) as (machine, _):
            outcome = machine.wait()
    assert outcome.console.decode() == "you asked for /page\n"
    assert outcome.status == 0


def test_redis_py_with_a_real_server(tmp_path: Path) -> None:
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("redis-server is not installed: 'make clients' installs it")
    port = free_port()
    words = [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        program = f"""
            import asyncio

            import redis
            import redis.asyncio

            with redis.Redis("{HOST_AS_SEEN_BY_THE_GUEST}", {port}, socket_timeout=60) as blocking:
                blocking.set("key", "x" * 100_000)
                print(len(blocking.get("key")))

            async def main():
                async with redis.asyncio.Redis(host="{HOST_AS_SEEN_BY_THE_GUEST}", port={port}) as client:
                    async with client.pipeline() as pipeline:
                        for number in range(100):
                            pipeline.incr("count")
                        print((await pipeline.execute())[-1])

            asyncio.run(main())
            """
        with served(build_program(tmp_path, program), memory_mib=192) as (machine, _):
            outcome = machine.wait()
    finally:
        process.terminate()
        process.wait()
    assert outcome.console.decode() == "100000\n100\n"
    assert outcome.status == 0
