"""What is kept, and for how long."""

from __future__ import annotations

from sarab.proto.dns.cache import Cache
from sarab.proto.dns.question import SECOND, Answer, Outcome
from sarab.wire import dns

NAME = (b"a", b"example")
FOUND = Answer((b"\x0a\0\0\1",), Outcome.FOUND, 10)


def test_an_answer_is_kept_for_its_time_and_gets_older() -> None:
    cache = Cache()
    cache.put(0, NAME, dns.A, FOUND)
    assert cache.get(0, NAME, dns.A) == FOUND
    assert cache.get(9 * SECOND + 1, NAME, dns.A) == FOUND._replace(ttl=1)
    assert cache.get(10 * SECOND, NAME, dns.A) is None and len(cache) == 0
    assert cache.get(0, NAME, dns.AAAA) is None
    assert (cache.hits, cache.misses) == (2, 2)


def test_a_name_that_does_not_exist_has_nothing_of_any_type() -> None:
    cache = Cache()
    cache.put(0, NAME, dns.A, Answer((), Outcome.NO_NAME, 5))
    cache.put(0, (b"b",), dns.A, Answer((), Outcome.NO_DATA, 5))
    known = cache.get(0, NAME, dns.AAAA)
    assert known is not None and not known.exists
    assert cache.get(0, (b"b",), dns.AAAA) is None and cache.get(0, (b"b",), dns.A) is not None


def test_what_has_no_time_to_live_is_not_kept_but_a_failure_is_for_a_second() -> None:
    cache = Cache()
    cache.put(0, NAME, dns.A, FOUND._replace(ttl=0))
    assert len(cache) == 0
    cache.put(0, NAME, dns.A, Answer((), Outcome.TIMED_OUT, 0))
    assert cache.get(SECOND - 1, NAME, dns.A) is not None and cache.get(SECOND, NAME, dns.A) is None


def test_when_it_is_full_what_was_used_longest_ago_goes() -> None:
    cache = Cache(2)
    for label in (b"a", b"b"):
        cache.put(0, (label,), dns.A, FOUND)
    cache.get(0, (b"a",), dns.A)
    cache.put(0, (b"c",), dns.A, FOUND)
    assert len(cache) == 2 and cache.evicted == 1
    assert cache.get(0, (b"b",), dns.A) is None and cache.get(0, (b"a",), dns.A) == FOUND
    cache.put(0, (b"a",), dns.A, FOUND)  # in place of itself
    assert len(cache) == 2 and cache.evicted == 1


def test_a_cache_can_be_forgotten_or_none() -> None:
    cache = Cache()
    cache.put(0, NAME, dns.A, FOUND)
    cache.clear()
    assert cache.get(0, NAME, dns.A) is None
    none = Cache(0)
    none.put(0, NAME, dns.A, FOUND)
    assert len(none) == 0
