"""The stack's hot modules, compiled by mypyc: a copy of the package in which they are shared objects.

    tree = compiled_tree()            # in build/compiled, made once for what the sources say
    PYTHONPATH=<tree> python ...      # imports them instead of the plain ones

Also `python -m bench.network.compiled [SOURCES]`, which prints the folder. Compiled or not they behave the same:
tests/compiled runs the stack's tests on both.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench.result import Failed

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "sarab"
HOT = (
    "wire/address.py",
    "wire/arp.py",
    "wire/checksum.py",
    "wire/ethernet.py",
    "wire/icmpv4.py",
    "wire/icmpv6.py",
    "wire/ipv4.py",
    "wire/ipv6.py",
    "wire/tcp.py",
    "wire/udp.py",
    "proto/tcp/acknowledge.py",
    "proto/tcp/arrive.py",
    "proto/tcp/block.py",
    "proto/tcp/buffer.py",
    "proto/tcp/congestion.py",
    "proto/tcp/flight.py",
    "proto/tcp/isn.py",
    "proto/tcp/machine.py",
    "proto/tcp/receive.py",
    "proto/tcp/rtt.py",
    "proto/tcp/send.py",
    "proto/tcp/seq.py",
    "proto/tcp/timers.py",
    "proto/tcp/values.py",
    "net/discovery.py",
    "net/endpoints.py",
    "net/interface.py",
    "net/ipv4.py",
    "net/ipv6.py",
    "net/names.py",
    "net/neighbours.py",
    "net/reassembly.py",
    "net/slaac.py",
    "net/stack.py",
    "net/tcp.py",
)
"""Not the errors: mypyc cannot make native classes of OSErrors."""


def compiled_tree(sources: Path = SOURCES) -> Path:
    """Return the folder to put before all others on the import path. Raises Failed with mypyc's words.

    `sources`: the package to compile.
    """
    digest = hashlib.sha256(repr(sys.version).encode())
    for path in sorted(sources.rglob("*.py")):
        digest.update(str(path.relative_to(sources)).encode() + path.read_bytes())
    tree = ROOT / "build" / "compiled" / digest.hexdigest()[:16]
    if (tree / "ready").exists():
        return tree
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(sources, tree / "sarab", ignore=shutil.ignore_patterns("__pycache__"))
    mypyc = Path(sys.executable).with_name("mypyc")
    done = subprocess.run(
        [mypyc, *(f"sarab/{name}" for name in HOT)],
        cwd=tree,
        env={**os.environ, "MYPYC_OPT_LEVEL": "3", "PATH": f"{mypyc.parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise Failed(f"mypyc does not compile the stack: {(done.stderr or done.stdout)[-3000:]}")
    shutil.rmtree(tree / "build", ignore_errors=True)
    (tree / "ready").touch()
    return tree


if __name__ == "__main__":
    print(compiled_tree(*map(Path, sys.argv[1:])))
