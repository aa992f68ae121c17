"""The wired examples, each on hosts of a virtual world: what they do, with no machine."""

from __future__ import annotations

import asyncio

from examples.wired import bridge, greet, pages, store
from sarab.testing.world import World


async def ask(host: str, port: int, question: bytes) -> bytes:
    """Return all that a host answers to a question."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(question)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


def test_greet_says_what_its_keys_say() -> None:
    async def scenario(world: World) -> None:
        host = world.start(greet.main, name="Ada", language="fr", times=2)
        assert await host.result() == 0
        assert host.console.text == "Bonjour, Ada!\n" * 2

    World().run(scenario)


def test_pages_serves_its_page_and_closes_silent_connections() -> None:
    async def scenario(world: World) -> None:
        host = world.start(pages.main, port=8080, page="It works.", idle="10s")
        answer = await ask("pages", 8080, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\n\r\nIt works.\n")
        assert (await ask("pages", 8080, b"GET /x HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 404 ")
        assert (await ask("pages", 8080, b"PUT / HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 405 ")
        assert await ask("pages", 8080, b"nonsense\r\n") == b""
        reader, writer = await asyncio.open_connection("pages", 8080)
        began = world.now
        assert await reader.read() == b""
        assert 10 <= world.now - began < 11
        writer.close()
        assert next(event.fields for event in host.log if event.message == "answered")["peer"] == str(world.address)

    World().run(scenario)


def test_store_keeps_its_values_on_the_disk_when_the_power_fails() -> None:
    async def scenario(world: World) -> None:
        host = world.start(store.main)
        assert await ask("store", 6000, b"set colour deep blue\nget colour\nget size\nwhat\n") == (
            b"ok\ndeep blue\n(nothing)\nerror: get KEY, or set KEY VALUE\n"
        )
        assert await ask("store", 6000, b"set long " + b"x" * 500 + b"\n") == b"error: the entry is too long\n"
        host.kill()
        host.boot()
        assert await ask("store", 6000, b"get colour\n") == b"deep blue\n"

    World().run(scenario)


def test_bridge_joins_two_networks_and_learns_who_is_where() -> None:
    async def scenario(world: World) -> None:
        far = world.network("far")
        world.start(bridge.main, left=world.link.card("bridge"), right=far.card("bridge"))
        greeter = world.host("greeter", link=far)
        greeter.start(store.main)
        await world.sleep(1)
        assert await ask("greeter", 6000, b"set a b\n") == b"ok\n"
        crossed = len(far.sent)
        own = world.start(store.main)
        assert await ask(own.name, 6000, b"set a b\n") == b"ok\n"
        assert len(far.sent) - crossed <= 2, "frames between hosts of one side stay there, but for the ARP requests"

    World().run(scenario)
