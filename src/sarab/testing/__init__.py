"""Public tools for tests: virtual time and wires, simulated peers, checkers of what a device promises."""
