"""Puts our network where CPython looks for one: asyncio's loops, and the socket module (decision 0043).

Called by sarab.runtime.start when `asyncio` or `socket` has just been imported; nothing else imports this.
"""

from __future__ import annotations

from typing import Any

from sarab.wiring.network import network

POLICIES = ("_UnixDefaultEventLoopPolicy", "_DefaultEventLoopPolicy")
"""What makes loops; the second is 3.14's name."""
IN_ROOM = (
    "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo",
    "if_nameindex", "if_nametoindex", "if_indextoname",
)  # fmt: skip
"""Functions of the socket module that ask the network."""


def install_asyncio() -> None:
    """Have every new event loop be ours."""
    import asyncio
    from asyncio import unix_events

    policies = [getattr(unix_events, name, None) for name in POLICIES]
    try:
        from sarab.aio.loop import Loop
    except ImportError:
        # It is being imported itself, before asyncio: the first loop is early enough.
        for policy in policies:
            if policy is not None:
                policy._loop_factory = _install_and_make
        return

    class SelectorEventLoop(Loop):
        """asyncio's default loop, over this image's network."""

        def __new__(cls, selector: object = None) -> SelectorEventLoop:
            network()  # before there is a loop that would have to be closed, for this may end the program
            return super().__new__(cls)

        def __init__(self, selector: object = None) -> None:
            super().__init__(network())

    # Programs tell asyncio's own loop from others, uvloop's for one, by its name.
    stood_for = unix_events.SelectorEventLoop
    for name in ("__module__", "__name__", "__qualname__"):
        setattr(SelectorEventLoop, name, getattr(stood_for, name))
    modules: list[Any] = [asyncio, unix_events]
    for module in modules:
        module.SelectorEventLoop = SelectorEventLoop
        if hasattr(module, "EventLoop"):
            module.EventLoop = SelectorEventLoop
    for policy in policies:
        if policy is not None:
            policy._loop_factory = SelectorEventLoop


def _install_and_make() -> Any:
    import asyncio

    install_asyncio()
    return asyncio.SelectorEventLoop()


def install_socket() -> None:
    """Have every new socket be ours, and names be resolved by our stack."""
    import _socket
    import socket
    from functools import partial

    from sarab.aio import blocking, sockets

    # asyncio wakes a loop by pairs that are the kernel's, which our class leaves to it.
    sockets.install(network)
    replaced: dict[str, Any] = {"dup": sockets.dup, "close": sockets.close}
    for name in IN_ROOM:
        replaced[name] = partial(_in_room, getattr(blocking, name))
    replaced["getservbyname"] = blocking.getservbyname
    replaced["getservbyport"] = blocking.getservbyport
    modules: list[Any] = [socket]
    for module in modules:
        for name, value in replaced.items():
            setattr(module, name, value)
        module.socket = sockets.Socket
    for name, value in replaced.items():
        if name not in ("dup", "close"):  # ours call these
            setattr(_socket, name, value)
    setattr(_socket, "getaddrinfo", partial(_in_room, blocking.getaddrinfo))  # noqa: B010


def _in_room(function: Any, *arguments: Any) -> Any:
    from sarab.aio import sockets

    return function(sockets.room(), *arguments)
