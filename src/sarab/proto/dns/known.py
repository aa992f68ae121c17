"""Names that need no question: addresses, this host, and names that are nobody's (RFC 6761, RFC 7686)."""

from __future__ import annotations

from collections.abc import Mapping

from sarab.proto.dns.question import TTL_MAX, Answer, Outcome
from sarab.wire import address, dns

Hosts = Mapping[str, tuple[bytes, ...]]
"""Addresses by name, in lower case, without a dot at the end."""

_SIZES = {dns.A: 4, dns.AAAA: 16}
_LOOPBACK = (address.LOOPBACK6, address.LOOPBACK4)
_NOBODYS = ("invalid", "onion")
"""RFC 6761 section 6.4; RFC 7686 section 2: such a name must not leak to a server."""


def known(text: str, kind: int, hosts: Hosts) -> Answer | None:
    """Return the answer to a name, or None: it must be asked for. `text` is ASCII."""
    bare = text.lower().removesuffix(".")
    size = _SIZES.get(kind)
    try:
        found: tuple[bytes, ...] | None = (address.parse(bare),)
    except ValueError:
        found = hosts.get(bare) if size is not None else None  # a table of addresses says nothing of other types
        last = bare.rpartition(".")[2]
        if found is None and last == "localhost":
            found = _LOOPBACK
        elif found is None and last in _NOBODYS:
            return Answer((), Outcome.NO_NAME, TTL_MAX)
    if found is None:
        return None
    fitting = tuple(one for one in found if len(one) == size)
    return Answer(fitting, Outcome.FOUND if fitting else Outcome.NO_DATA, TTL_MAX)
