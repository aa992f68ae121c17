"""asyncio, threads and a request to stop: a service that works until it is told to end, or until its work is done."""

import argparse
import asyncio
import hashlib
import signal


def digest(number: int) -> str:
    """Work for a thread: sarab's threads are CPython's."""
    return hashlib.sha256(str(number).encode() * 100_000).hexdigest()


async def work(name: str, jobs: asyncio.Queue[int], stop: asyncio.Event) -> None:
    while not jobs.empty() and not stop.is_set():
        number = jobs.get_nowait()
        print(f"{name}: job {number} is {(await asyncio.to_thread(digest, number))[:16]}", flush=True)


async def main() -> int:
    parser = argparse.ArgumentParser(description="Do some jobs, two at a time.")
    parser.add_argument("--jobs", type=int, default=4, help="how many (4)")
    arguments = parser.parse_args()
    jobs: asyncio.Queue[int] = asyncio.Queue()
    for number in range(arguments.jobs):
        jobs.put_nowait(number)
    stop = asyncio.Event()
    # The machine's power button, and Ctrl-C of `sarab run`.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await asyncio.gather(work("one", jobs, stop), work("two", jobs, stop))
    print("asked to stop" if stop.is_set() else "all done", flush=True)
    return 3 if stop.is_set() else 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
