"""TCP machines against each other, each scenario from its seed, which a failure names: run(seed) plays it again."""

from __future__ import annotations

import os

import pytest

from sarab.testing.tcp_pair import run

BATCHES = 100
SCENARIOS = int(os.environ.get("SARAB_SIM_SCENARIOS", "10000"))
PINNED = {
    57: "both open at once: the SYN-ACKs cross",
    177: "the peer's TIME-WAIT is over before our FIN is acknowledged",
    1396: "a FIN alone behind a tail loss probe, with no room in the congestion window",
}
"""Scenarios that showed a bug once."""


@pytest.mark.parametrize("seed", PINNED, ids=lambda seed: f"{seed}: {PINNED[seed]}")
def test_what_broke_once_holds(seed: int) -> None:
    run(seed)


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(BATCHES))
def test_every_byte_arrives_once_in_order_and_both_ends_finish(batch: int) -> None:
    size = SCENARIOS // BATCHES
    for seed in range(batch * size, (batch + 1) * size):
        run(seed)


def test_the_same_seed_plays_the_same_scenario() -> None:
    for seed in range(20):
        assert run(seed) == run(seed)
