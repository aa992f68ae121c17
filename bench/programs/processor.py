"""Small loops in the style of pyperformance: the host takes the time between the lines that begin and end each."""

import json
import re
import zlib

REPEATS = 5


def nbody() -> None:
    """Floating-point arithmetic on attributes of small lists: a body on its orbit."""
    position, velocity = [1.0, 0.0, 0.1], [0.0, 1.0, 0.2]
    for _ in range(20_000):
        distance = (position[0] ** 2 + position[1] ** 2 + position[2] ** 2) ** 1.5
        for axis in range(3):
            velocity[axis] -= 0.001 * position[axis] / distance
            position[axis] += 0.001 * velocity[axis]


def json_round_trip() -> None:
    """Encode and decode a nested document: C code, many small allocations."""
    document = {"users": [{"id": i, "name": f"user {i}", "tags": ["a", "b"], "score": i / 7} for i in range(200)]}
    for _ in range(20):
        document = json.loads(json.dumps(document))


def regular_expression() -> None:
    """Find and replace in a text with the backtracking matcher."""
    text = "The quick brown fox (aged 7) jumps over 13 lazy dogs at 09:41. " * 100
    pattern = re.compile(r"(\w+)\s+\((\w+)\s(\d+)\)|(\d\d):(\d\d)")
    for _ in range(20):
        pattern.sub(lambda match: match.group(0)[::-1], text)


def allocation() -> None:
    """Fill, sort and drop containers: the memory allocator, and pages that come and go."""
    for _ in range(3):
        numbers = [(i * 7919) % 50_021 for i in range(30_000)]
        numbers.sort()
        index = {number: str(number) for number in numbers}
        del index


def checksums() -> None:
    """Add up the bytes of a mebibyte again and again: the processor alone, in C."""
    data = bytes(range(256)) * 4096
    for _ in range(40):
        zlib.crc32(data)


def main() -> None:
    """Run every loop REPEATS times, each between its two lines."""
    for work in (nbody, json_round_trip, regular_expression, allocation, checksums):
        for _ in range(REPEATS):
            print(f"begin {work.__name__}", flush=True)
            work()
            print("end", flush=True)


if __name__ == "__main__":
    main()
