"""Answers, kept for their time: what there is, what there is not (RFC 2308), and what nobody could say (RFC 9520)."""

from __future__ import annotations

from sarab.proto.dns.question import SECOND, Answer, Outcome
from sarab.wire.dns import Name

SIZE = 1024
"""Answers: a host that talks to more names than this in a day asks for some of them twice."""
FAILURE_TTL = 1
"""Seconds for which a failure holds, the least that RFC 9520 section 3.2 allows: who loops must not ask without end."""
ANY_KIND = 0
"""Under which it is kept that a name does not exist, for then it has nothing of any type (RFC 8020)."""


class Cache:
    """Answers by name, in lower case, and type. When it is full, what was used longest ago goes first."""

    def __init__(self, size: int = SIZE) -> None:
        self._size = size
        self._known: dict[tuple[Name, int], tuple[int, Answer]] = {}
        self.hits = self.misses = self.evicted = 0

    def __len__(self) -> int:
        return len(self._known)

    def get(self, now: int, name: Name, kind: int) -> Answer | None:
        """Return what is known, its time to live as much as is left of it, in seconds, rounded up."""
        for key in ((name, kind), (name, ANY_KIND)):
            entry = self._known.pop(key, None)
            if entry is not None and entry[0] > now:
                self._known[key] = entry  # the last one used
                self.hits += 1
                return entry[1]._replace(ttl=-((now - entry[0]) // SECOND))
        self.misses += 1
        return None

    def put(self, now: int, name: Name, kind: int, answer: Answer) -> None:
        """Keep an answer. One with no time to live holds only for those who wait for it."""
        ttl = max(answer.ttl, FAILURE_TTL) if answer.failed else answer.ttl
        if ttl <= 0 or self._size <= 0:
            return
        key = (name, ANY_KIND if answer.outcome is Outcome.NO_NAME else kind)
        self._known.pop(key, None)
        if len(self._known) >= self._size:
            del self._known[next(iter(self._known))]
            self.evicted += 1
        self._known[key] = (now + ttl * SECOND, answer)

    def clear(self) -> None:
        """Forget everything: the network is another one."""
        self._known.clear()
