"""Both buffers of a connection against the plain bytes that they stand for."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from sarab.proto.tcp.buffer import SendBuffer
from sarab.proto.tcp.receive import Receiver
from sarab.proto.tcp.values import REASSEMBLY_PIECES_MAX

SIZES = st.sampled_from((1, 5, 100, 1023, 1024, 5000, 20000))
KINDS = st.sampled_from((bytes, bytearray, memoryview))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 1 << 33), st.lists(st.tuples(st.sampled_from("wwta"), SIZES, KINDS, st.floats(0, 1)), max_size=40)
)
def test_what_is_taken_from_the_send_buffer_is_what_was_written(
    start: int, steps: list[tuple[str, int, type, float]]
) -> None:
    buffer, model = SendBuffer(start), bytearray()
    for number, (what, size, kind, share) in enumerate(steps):
        if what == "w":
            data = random.Random(number).randbytes(size)
            taken = max(int(size * share), 1)
            buffer.append(kind(data), taken)
            model += data[:taken]
        elif what == "t" and model:
            at = int((len(model) - 1) * share)
            length = min(size, len(model) - at)
            assert bytes(buffer.take(buffer.start + at, length)) == model[at : at + length]
        elif what == "a":
            gone = int(len(model) * share)
            buffer.acknowledged(buffer.start + gone)
            del model[:gone]
        assert len(buffer) == len(model)


def test_a_long_write_is_not_copied() -> None:
    buffer = SendBuffer(0)
    data = bytes(100_000)
    buffer.append(data, len(data))
    piece = buffer.take(1000, 50_000)
    assert isinstance(piece, memoryview)
    assert piece.obj is data
    assert buffer.take(0, 100_000) is data


def test_what_the_user_changes_after_writing_is_not_sent() -> None:
    buffer = SendBuffer(0)
    data = bytearray(b"a" * 5000)
    buffer.append(data, 5000)
    data[:] = b"b" * 5000
    assert buffer.take(0, 5000) == b"a" * 5000


def test_writing_byte_by_byte_does_not_cost_an_object_each() -> None:
    buffer = SendBuffer(0)
    for _ in range(50_000):
        buffer.append(b"x", 1)
    assert len(buffer._chunks) < 10


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3999), st.sampled_from((1, 10, 500, 1500))), max_size=60), st.integers(1, 3000)
)
def test_pieces_in_any_order_make_the_stream(arrivals: list[tuple[int, int]], limit: int) -> None:
    stream = random.Random(1).randbytes(4000)
    receiver = Receiver(7, 1 << 20, 1 << 20)
    held: set[int] = set()
    for at, size in arrivals:
        data = stream[at : at + size]
        held.update(range(at, at + len(data)))
        receiver.take(7 + at, data)
        for left, right in receiver.sack_blocks(4):
            assert set(range(left - 7, right - 7)) <= held
    whole = next((at for at in range(4001) if at not in held), 4000)
    assert receiver.readable == whole
    got = b""
    while piece := receiver.read(limit):
        assert len(piece) <= limit
        got += piece
    assert got == stream[:whole]


def test_all_that_lies_behind_one_hole_is_kept() -> None:
    receiver = Receiver(0, 4 << 20, 4 << 20)
    for number in range(1, 2000):
        receiver.take(number * 1448, bytes(1448))
    assert receiver.sack_blocks(3) == [(1448, 2000 * 1448)]
    assert receiver.take(0, bytes(1448)) == 2000 * 1448
    assert receiver.dropped == 0


def test_holes_are_bounded() -> None:
    receiver = Receiver(0, 4 << 20, 4 << 20)
    for number in range(1, 2000):
        receiver.take(number * 10, b"x")
    assert len(receiver.pieces) == REASSEMBLY_PIECES_MAX
    assert receiver.dropped == 1999 - REASSEMBLY_PIECES_MAX
