"""Whether this machine has the cards and disks that an application was built for: asked before anything is opened."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Offer(NamedTuple):
    """What this machine, or process, offers."""

    cards: int
    disks: frozenset[str]
    is_process: bool
    has_hosts_network: bool
    """A process without a tap: its stack is the host's."""


def offer(environ: Mapping[str, str], *, disks: bool) -> Offer:
    """Look at what is here; at disks only if they are wanted, for they must be started to say their names."""
    if os.path.exists("/dev/dma"):
        from sarab.driver.virtio import discovery, platform
        from sarab.driver.virtio.transport import NETWORK

        found = discovery.devices(platform.Kernel(), lambda _: None)
        cards = 0 if environ.get("SARAB_NET") == "none" else sum(one.transport.device_id == NETWORK for one in found)
        if not disks:
            return Offer(cards, frozenset(), False, False)
        from sarab.wiring.disks import disks as started

        return Offer(cards, frozenset(started()), False, False)
    taps = [name for name in environ.get("SARAB_TAP", "").split(",") if name]
    given = {item.partition("=")[0] for item in environ.get("SARAB_BLOCK", "").split(",") if item}
    return Offer(len(taps), frozenset(given), True, not taps)


def missing(needs: Sequence[tuple[str, str]], environ: Mapping[str, str], raw: Sequence[str] = ()) -> str:
    """Return a sentence that names the first thing that is missing, and how to add it; or nothing."""
    wanted = [name for kind, name in needs if kind == "block"]
    here = offer(environ, disks=bool(wanted))
    cards = [name for kind, name in needs if kind == "network" and (name in raw or not here.has_hosts_network)]
    if cards and here.has_hosts_network and raw:
        cards = [name for kind, name in needs if kind == "network"]
    if len(cards) > here.cards:
        option = "--tap NAME" if here.is_process or len(cards) > 1 else "--net user, or --tap NAME"
        have = f"has {here.cards}" if here.cards else "has none"
        return (
            f"this application needs {_count(len(cards), 'network card')} ({', '.join(cards)}), and "
            f"{'the process' if here.is_process else 'the machine'} {have}: "
            f"'sarab run' gives it one for each {option}"
        )
    for name in wanted:
        if name not in here.disks:
            have = f"; it has {', '.join(sorted(here.disks))}" if here.disks else ""
            return f"this application needs the disk {name}{have}: 'sarab run' gives it one by --block {name}=FILE"
    return ""


def _count(number: int, what: str) -> str:
    return f"a {what}" if number == 1 else f"{number} {what}s"
