"""Read an application's wiring, in a process of its own: `python -m sarab.wiring.read ROOT MODULE[:NAME] TARGET`.

Standard input is JSON: {"baked": {...}, "keys": {...}, "devices": {...}}, all optional. The plan, or what is wrong,
goes to the descriptor in SARAB_PLAN_FD, or to standard output; what the application prints while it is imported goes to
standard error. Status 1: there is an error, and the JSON says it.
"""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

import sarab
from sarab.wiring import target as target_module
from sarab.wiring.errors import WiringError
from sarab.wiring.unikernel import Unikernel


def main(words: list[str]) -> int:
    """Answer, and return the status."""
    root, entry, target = words
    answer = _answer_descriptor()
    configuration = json.loads(sys.stdin.read() or "{}") if not sys.stdin.isatty() else {}
    try:
        plan, status = plan_of(root, entry, target, configuration), 0
    except WiringError as error:
        plan, status = {"error": {"sentence": str(error), "chain": list(error.chain)}}, 1
    with os.fdopen(answer, "w", encoding="utf-8") as file:
        json.dump(plan, file)
        file.write("\n")
    return status


def _answer_descriptor() -> int:
    told = os.environ.pop("SARAB_PLAN_FD", None)
    if told is not None:
        return int(told)
    answer = os.dup(1)
    os.dup2(2, 1)  # what the application prints must not mix with the plan
    return answer


def plan_of(root: str, entry: str, target: str, configuration: dict[str, Any]) -> dict[str, Any]:
    """Return the plan of the application `entry`, module or module:name, whose imports start at `root`.

    Raises WiringError.
    """
    from sarab.wiring.emit import describe
    from sarab.wiring.graph import Configuration, resolve

    target_module.TARGET = target
    sys.path.insert(0, root)
    module_name, _, name = entry.partition(":")
    module = _import(module_name, root)
    if name:
        found: Any = module
        for part in name.split("."):
            found = getattr(found, part, None)
        if not isinstance(found, Unikernel):
            raise WiringError(f"{module_name} has no application {name}: decorate an async function with @unikernel")
    else:
        own = {key: value for key, value in vars(module).items() if isinstance(value, Unikernel)}
        own = {key: value for key, value in own.items() if value.__module__ == module_name}
        if not own:
            raise WiringError(f"{module_name} has no application: decorate an async function with @unikernel")
        if len(own) > 1:
            raise WiringError(
                f"{module_name} has the applications {', '.join(own)}: name one, {module_name}:{next(iter(own))}"
            )
        name, found = next(iter(own.items()))
    settings = Configuration(
        baked=configuration.get("baked", {}),
        keys=configuration.get("keys", {}),
        devices=configuration.get("devices", {}),
    )
    return describe(resolve(found, target, settings), f"{module_name}:{name}")


def _import(name: str, root: str) -> Any:
    try:
        return import_module(name)
    except WiringError:
        raise
    except ModuleNotFoundError as error:
        if error.name == name:
            raise WiringError(f"there is no module {name} in {root}") from None
        at = _last_line(error, root)
        raise WiringError(f"{at} imports {error.name}, which is not installed") from None
    except ImportError as error:
        wanted = _not_in_sarab(error)
        if not wanted:
            raise _failed(name, root, error) from None
        near = get_close_matches(wanted, dir(sarab), n=1, cutoff=0.6)
        hint = f" (is {near[0]} meant?)" if near else ""
        raise WiringError(f"{_last_line(error, root)} imports {wanted} from sarab, which has none{hint}") from None
    except SyntaxError as error:
        raise WiringError(f"{error.filename}:{error.lineno}: {error.msg}") from None
    except SystemExit as error:
        raise WiringError(
            f"{_last_line(error, root)}: {name} ends the program when it is imported: keep what runs under "
            "`if __name__ == '__main__':`"
        ) from None
    except BaseException as error:
        raise _failed(name, root, error) from None


def _failed(name: str, root: str, error: BaseException) -> WiringError:
    if os.environ.get("SARAB_DEBUG"):
        traceback.print_exc()
    text = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    return WiringError(f"{_last_line(error, root)}: importing {name} failed: {text}")


def _not_in_sarab(error: ImportError) -> str:
    """Return the name that `from sarab import NAME` did not find; nothing if it was another failure."""
    found = re.match(r"cannot import name '(\w+)' from 'sarab'", str(error))
    return found[1] if found is not None else ""


def _last_line(error: BaseException, root: str) -> str:
    """Return the last line of the application's own code in a traceback, or the last of all."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<frozen")]
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(root)] or frames
    if not own:
        return root
    from sarab.wiring.signature import from_here

    return f"{from_here(own[-1].filename)}:{own[-1].lineno}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
