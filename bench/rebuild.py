"""Claim: how long `sarab build` takes after a change of one line."""

import time

from bench.pair import HELLO, build_image
from bench.result import Row, Setting, median

AIM_S = 2


def measure(setting: Setting) -> list[Row]:
    """Build hello once, then again and again after changing a line, and return the seconds of the whole command."""
    application = setting.folder / "changed.py"
    source = HELLO.read_text()
    application.write_text(source)
    image = setting.folder / "changed.elf"
    build_image(application, image)
    seconds = []
    for run in range(setting.runs):
        application.write_text(f"{source}\nCHANGED = {run}\n")
        start = time.monotonic()
        build_image(application, image)
        seconds.append(time.monotonic() - start)
    return [Row("rebuild after a change of one line", "s", seconds, (), f"under {AIM_S} s", median(seconds) < AIM_S)]
