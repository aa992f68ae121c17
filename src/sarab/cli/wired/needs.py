"""What a wired application needs of its machine, beside what `sarab run` is told to give it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sarab.cli.main import did_you_mean
from sarab.errors import UsageError

if TYPE_CHECKING:
    from sarab.build.plan import Plan


def check_disks(plan: Plan, what: str, given: Sequence[str]) -> None:
    """Raise UsageError if a disk is missing, or is one that `what` has no use for; `given` are names."""
    needed = plan.of_machine("block")
    missing = [name for name in needed if name not in given]
    unused = [name for name in given if name not in needed]
    if unused:
        has = f"its disks are {', '.join(needed)}" if needed else "it needs none"
        raise UsageError(
            f"--block {unused[0]}: {what} has no disk of that name{did_you_mean(unused[0], missing)}; {has}"
        )
    if missing:
        words = " ".join(f"--block {name}=FILE" for name in missing)
        disks = f"a disk called {missing[0]}" if len(missing) == 1 else f"disks called {', '.join(missing)}"
        raise UsageError(f"{what} needs {disks}: add {words}")


def check_cards(plan: Plan, what: str, taps: Sequence[str], has_network: bool) -> None:
    """Raise UsageError if there are too few network cards, or more than `what` has a use for.

    `has_network` says whether there is a card without a tap: behind the host's own network.
    """
    needed = plan.of_machine("network")
    given = len(taps) or int(has_network)
    if given < len(needed):
        if len(needed) == 1:
            raise UsageError(f"{what} needs a network card, {needed[0]}: leave out --net none, or add --tap NAME")
        words = " ".join(["--tap NAME"] * len(needed))
        raise UsageError(f"{what} needs {len(needed)} network cards, {', '.join(needed)}: add {words}")
    if needed and len(taps) > len(needed) and not plan.has_stack:
        raise UsageError(
            f"--tap {taps[len(needed)]}: {what} has no use for another network card than {', '.join(needed)}"
        )


def check_taps_of_process(plan: Plan, what: str, taps: Sequence[str]) -> None:
    """A process has the host's own network for its stack, and no card at all without a tap. Raises UsageError."""
    cards = plan.of_machine("network")
    needed = cards[1:] if plan.has_stack and not taps else cards
    if len(taps) < len(needed):
        count = "a network card" if len(cards) == 1 else f"{len(cards)} network cards"
        raise UsageError(f"{what} needs {count} of its own on a process: add {' '.join(['--tap NAME'] * len(cards))}")
