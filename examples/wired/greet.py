"""Says hello as its keys tell it: `sarab run examples/wired/greet.py -- --name World --times 2`."""

from typing import Annotated, Literal

from sarab import Console, Key, unikernel

GREETINGS = {"en": "Hello", "fr": "Bonjour", "ar": "Marhaban"}


@unikernel
async def main(
    console: Console,
    *,
    name: Annotated[str, Key("who is greeted")] = "World",
    language: Annotated[Literal["en", "fr", "ar"], Key("in which language")] = "en",
    times: Annotated[int, Key("how often")] = 1,
) -> None:
    """Greet somebody on the console."""
    for _ in range(times):
        console.write(f"{GREETINGS[language]}, {name}!\n")
