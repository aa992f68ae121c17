"""Prints lines, and says how long each kept the program: many in a row, then one at a time."""

import statistics
import time

LINE = "x" * 69
"""With its newline 70 bytes, as an access log's."""
IN_A_ROW = 1000
ALONE = 200
PAUSE_S = 0.001


def waits(count: int, pause_s: float) -> list[float]:
    """Print `count` lines, with a pause before each, and return the microseconds that each took."""
    found = []
    for _ in range(count):
        if pause_s:
            time.sleep(pause_s)
        began = time.perf_counter_ns()
        print(LINE, flush=True)
        found.append((time.perf_counter_ns() - began) / 1000)
    return found


def main() -> None:
    """Print the mean of the lines in a row, which wait for each other, and the median of the single ones."""
    waits(10, PAUSE_S)
    print("in-a-row", statistics.fmean(waits(IN_A_ROW, 0)))
    print("alone", statistics.median(waits(ALONE, PAUSE_S)))


main()
