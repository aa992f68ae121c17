"""Whole stacks against each other over bad links, every segment judged; play(seed) plays a scenario again."""

from __future__ import annotations

import os

import pytest

from sarab.testing.simulation import play

BATCHES = 20
SCENARIOS = int(os.environ.get("SARAB_SIM_STACKS", "200"))
PINNED = {
    7: "data with SACK blocks was longer than the link carries",
    18: "a keepalive's acknowledgement moved the window's right edge",
    165: "nobody answers while the link is bad: the user tries again",
    497: "the connection is over before its user has looked",
}
"""Scenarios that showed something once."""


@pytest.mark.slow
@pytest.mark.parametrize("seed", PINNED, ids=lambda seed: f"{seed}: {PINNED[seed]}")
def test_what_broke_once_holds(seed: int) -> None:
    play(seed)


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(BATCHES))
def test_stacks_keep_their_promises(batch: int) -> None:
    size = SCENARIOS // BATCHES
    for seed in range(batch * size, (batch + 1) * size):
        play(seed)


@pytest.mark.slow
def test_the_same_seed_plays_the_same_frames() -> None:
    for seed in range(5):
        assert play(seed, amount_max=5000) == play(seed, amount_max=5000)


def test_seeds_differ() -> None:
    assert len({play(seed, amount_max=2000).digest for seed in range(3)}) == 3
