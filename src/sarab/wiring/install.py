"""Puts our network where CPython looks for one: asyncio's loops, and the socket module (decision 0043).

Called by sarab.runtime.start when `asyncio` or `socket` has just been imported; nothing else imports this.
"""

from __future__ import annotations

from typing import Any

from sarab.wiring.network import network


def install_asyncio() -> None:
    """Have every new event loop be ours."""
    import asyncio
    from asyncio import unix_events

    from sarab.aio.loop import Loop

    class SelectorEventLoop(Loop):
        """asyncio's default loop, over this image's network."""

        def __init__(self, selector: object = None) -> None:
            super().__init__(network())

    modules: list[Any] = [asyncio, unix_events]
    for module in modules:
        module.SelectorEventLoop = SelectorEventLoop
        if hasattr(module, "EventLoop"):
            module.EventLoop = SelectorEventLoop
    for name in ("_UnixDefaultEventLoopPolicy", "_DefaultEventLoopPolicy"):  # the second is 3.14's name
        policy = getattr(unix_events, name, None)
        if policy is not None:
            policy._loop_factory = SelectorEventLoop


def install_socket() -> None:
    """Have every new socket be ours."""
