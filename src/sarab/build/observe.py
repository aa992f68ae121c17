"""What extension modules import as they load: seen, because no source says it.

Each extension module is imported once in an isolated process of the same interpreter, which then lists what has been
loaded. All of that is loaded whenever the module is imported, inside an image too, so nothing is packed in vain.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

TIME_LIMIT_SECONDS = 60
"""For one package's extension modules; importing numpy's takes some 0.2 s."""

_PROGRAM = """
import sys
sys.path[:] = sys.argv[1].split("\\n")
before = set(sys.modules)
result = {}
for name in sys.argv[2:]:
    try:
        __import__(name)
    except BaseException:
        continue
    result[name] = sorted(set(sys.modules) - before)
    before |= set(sys.modules)
import json, os
sys.__stdout__.write("\\n\\0" + json.dumps(result))
sys.__stdout__.flush()
os._exit(0)
"""


def observe(names: Sequence[str], search_path: Sequence[str]) -> dict[str, list[str]]:
    """Import `names` in turn in one process; return what each one loaded that those before it had not.

    A module that cannot be imported is not in the result, nor is any if the process dies or takes too long.
    """
    arguments = [sys.executable, "-I", "-S", "-B", "-W", "ignore", "-c", _PROGRAM, "\n".join(search_path), *names]
    try:
        done = subprocess.run(
            arguments, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIME_LIMIT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    _, mark, text = done.stdout.rpartition(b"\n\0")
    if not mark:
        return {}
    result: dict[str, list[str]] = json.loads(text)
    return result
