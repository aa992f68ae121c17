"""Which address to connect to, and when to try the next as well (RFC 8305).

    race = Race(now, addresses)                  # sorted by RFC 6724
    for address in race.poll(now): ...           # begin to connect
    race.failed(now, address)                    # that attempt came to nothing
    others = race.connected(now, address)        # that attempt has won: end the others
    race.deadline()

Addresses may come in two goes: with `waiting`, poll() holds an IPv4 address back for a moment, for an IPv6 address.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

MILLISECOND = 1_000_000
ADDRESSES_MAX = 64
"""Of one name: with a quarter of a second between two, nobody waits for more."""
ATTEMPTS_MAX = 8
"""At once: each holds a connection's memory, and the first ones have had two seconds by then."""


class Settings(NamedTuple):
    """Section 8 names and advises these."""

    attempt_delay: int = 250 * MILLISECOND
    """Until the next address is tried beside the last; 100 ms to 2 s are advised, less than 10 ms is not taken."""
    resolution_delay: int = 50 * MILLISECOND
    """For how long IPv6 addresses that may still come are waited for."""
    first_family_count: int = 1
    """Addresses of the first family before one of the other follows."""


ATTEMPT_DELAY_MIN = 10 * MILLISECOND
DEFAULTS = Settings()


def interleave(addresses: Sequence[bytes], first_family_count: int = 1) -> list[bytes]:
    """Return the addresses, each once, with the families in turn; the first address's family begins (section 4)."""
    unique = list(dict.fromkeys(addresses))
    if not unique:
        return []
    first = [one for one in unique if len(one) == len(unique[0])]
    second = [one for one in unique if len(one) != len(unique[0])]
    at = max(first_family_count, 1) - 1
    found, first = first[:at], first[at:]
    for index in range(max(len(first), len(second))):
        found += first[index : index + 1] + second[index : index + 1]
    return found


class Race:
    """The machine. It knows attempts only by their addresses."""

    def __init__(
        self, now: int, addresses: Sequence[bytes], *, waiting: bool = False, settings: Settings = DEFAULTS
    ) -> None:
        """`waiting`: more addresses may come, by add()."""
        self.winner: bytes | None = None
        self._settings = settings
        self._delay = max(settings.attempt_delay, ATTEMPT_DELAY_MIN)
        self._seen: dict[bytes, None] = {}
        self._left: list[bytes] = []
        self._under_way: dict[bytes, None] = {}
        self._last = b""
        """The address that was tried last."""
        self._waiting = False
        self._next_at = self._gate = now
        self.add(now, addresses, more=waiting)

    @property
    def exhausted(self) -> bool:
        """Nothing is under way, left, or to come, and nobody has won."""
        return self.winner is None and not (self._left or self._under_way or self._waiting)

    @property
    def under_way(self) -> tuple[bytes, ...]:
        """The attempts that have neither failed nor won."""
        return tuple(self._under_way)

    def deadline(self) -> int | None:
        """Return when poll() has something to do."""
        if self.winner is not None or not self._left or len(self._under_way) >= ATTEMPTS_MAX:
            return None
        return max(self._next_at, self._gate)

    def add(self, now: int, addresses: Iterable[bytes], *, more: bool = False) -> None:
        """Take addresses that were found, the best first; `more` says whether others may follow (section 3)."""
        late = bool(self._seen)
        for one in addresses:
            if one not in self._seen and len(self._seen) < ADDRESSES_MAX:
                self._seen[one] = None
                self._left.append(one)
        if self._last:  # a family's turn does not change because an address came
            self._left.sort(key=lambda one: len(one) == len(self._last))
            self._left = interleave(self._left)
        else:
            if late:
                self._left.sort(key=len, reverse=True)
            self._left = interleave(self._left, self._settings.first_family_count)
        if not more or any(len(one) == 16 for one in self._seen):
            self._gate = now
        elif self._seen and not late:
            self._gate = now + self._settings.resolution_delay
        self._waiting = more

    def poll(self, now: int) -> list[bytes]:
        """Return the addresses to which to connect now: one or none."""
        due = self.deadline()
        if due is None or now < due:
            return []
        self._last = self._left.pop(0)
        self._under_way[self._last] = None
        self._next_at = now + self._delay
        return [self._last]

    def failed(self, now: int, address: bytes) -> None:
        """An attempt came to nothing: the next one's turn is now."""
        if address in self._under_way:
            del self._under_way[address]
            self._next_at = now

    def connected(self, now: int, address: bytes) -> list[bytes]:
        """An attempt has succeeded. Return the attempts to end; when it comes after the winner, itself."""
        if self.winner is not None:
            return [address] if address != self.winner else []
        self._under_way.pop(address, None)
        self.winner = address
        others = list(self._under_way)
        self._under_way.clear()
        self._left.clear()
        self._waiting = False
        return others
