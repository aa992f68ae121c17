"""`sarab`: find the verb, import its module and nothing else, and turn errors into one sentence and an exit status.

A verb is a module `sarab.cli.VERB` with NAME, HELP, add_arguments(parser) and run(arguments) -> exit status. What
follows a lone `--` on the command line is for the application: verbs with APPLICATION_ARGUMENTS = True find it, as a
tuple, in `arguments.application_arguments`; for the others it is a usage error. A verb that has options which are not
known before it has looked at its application has a parse(parser, words) too.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn, Protocol, cast

from sarab.errors import SarabError, UsageError

# The help lines stand here too, so that `sarab --help` imports no verb; a test holds the two together.
VERBS = {
    "build": "build an application into one bootable image",
    "run": "boot an image, or build an application and boot it",
    "check": "find what is wrong with an application, and build nothing",
    "describe": "show what an application, or an image, is made of and needs",
    "inspect": "say what is inside an image",
    "new": "start a project that builds, boots and tests at once",
    "doctor": "say what this machine offers, and what to do about what is missing",
}

INTERRUPTED = 130
BROKEN_PIPE = 141


class Verb(Protocol):
    """The face of a module `sarab.cli.VERB`."""

    NAME: str
    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, arguments: argparse.Namespace) -> int: ...


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UsageError instead of exiting, and names the option that was probably meant."""

    leftover = ""
    """What a verb says of words that it has no use for."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}. Try '{self.prog} --help'")

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse all of `words`. Raises UsageError."""
        arguments, unknown = self.parse_known_args(words)
        if unknown:
            option = unknown[0].partition("=")[0]
            if option.startswith("-"):
                near = did_you_mean(option, self._option_string_actions)
                self.error(f"there is no option {option}{near}{self.leftover}")
            self.error(f"too many arguments: {' '.join(unknown)}{self.leftover}")
        return arguments


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean X?)` for the nearest of `known`, or nothing if none is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {near[0]}?)" if near else ""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (without the program's name; None is the process's) and return the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    words, debug = _without_debug(words)
    try:
        status = _run(words)
        _flush()
        return status
    except KeyboardInterrupt:
        if debug:
            raise
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone. Python must not try to flush into the pipe again on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return BROKEN_PIPE
    except SarabError as error:
        if debug:
            raise
        text = str(error)
        print(f"sarab: {text}{'' if text.endswith(('.', '?')) else '.'}", file=sys.stderr)
        for line in error.details:
            print(f"  {line}", file=sys.stderr)
        return error.exit_status


def _flush() -> None:
    """Find out here, and not on the interpreter's way out, that what was printed does not get anywhere."""
    try:
        print(end="", flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise SarabError(f"standard output cannot be written: {error.strerror}") from error


def load(verb: str) -> Verb:
    """Import the module of `verb`."""
    return cast(Verb, importlib.import_module(f"sarab.cli.{verb}"))


def _run(words: list[str]) -> int:
    if not words or words[0] in ("--help", "-h", "help"):
        print(_overview())
        return 0 if words else 2
    if words[0] in ("--version", "-V"):
        from importlib.metadata import version

        print(f"sarab {version('sarab')}")
        return 0
    name, *rest = words
    if name not in VERBS:
        what = "option" if name.startswith("-") else "command"
        raise UsageError(f"there is no {what} {name}{did_you_mean(name, VERBS)}. Try 'sarab --help'")
    verb = load(name)
    own, application = _split_at_dashes(rest)
    parser = Parser(prog=f"sarab {name}", description=_sentence(verb.HELP), allow_abbrev=False)
    verb.add_arguments(parser)
    parser.add_argument("--debug", action="store_true", help="show a traceback where there would be one sentence")
    arguments = getattr(verb, "parse", Parser.parse)(parser, own)
    if application is not None and not getattr(verb, "APPLICATION_ARGUMENTS", False):
        raise UsageError(f"'sarab {name}' has no use for arguments after '--'. Try 'sarab {name} --help'")
    arguments.application_arguments = tuple(application or ())
    return verb.run(arguments)


def _split_at_dashes(words: list[str]) -> tuple[list[str], list[str] | None]:
    if "--" not in words:
        return words, None
    at = words.index("--")
    return words[:at], words[at + 1 :]


def _without_debug(words: list[str]) -> tuple[list[str], bool]:
    """Take --debug out from before the verb; behind it, its parser takes it."""
    own, _ = _split_at_dashes(words)
    debug = "--debug" in own
    while words and words[0] == "--debug":
        words = words[1:]
    return words, debug


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _overview() -> str:
    width = max(map(len, VERBS))
    lines = ["Usage: sarab COMMAND ...", "", "Your Python application is the operating system.", "", "Commands:"]
    lines += [f"  {name:<{width}}  {text}" for name, text in VERBS.items()]
    lines += ["", "Options:", "  --debug    show a traceback where there would be one sentence"]
    lines += ["  --version  say which sarab this is", "", "'sarab COMMAND --help' says more about one."]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
