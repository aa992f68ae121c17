"""Claim: the time until the application's first line, from the start of the machine and from kernel entry.

Boots alternate (sarab, its twin, Linux, its twin, sarab, ...), so that noise on the host meets all of them.
"""

from dataclasses import replace

from bench.entry import write_twin
from bench.guest import Boot, Guest, boot, warm_memory
from bench.pair import HELLO, make_pair
from bench.result import Failed, Row, Setting, median

FIRST_LINE = "Hello"
AIM_MS = 20
LINUX_RATIO_MAX = 0.1
PATIENCE_S = 60.0
"""How long a Linux guest that KVM emulates is waited for, once."""
EMULATION_FAILURE = "emulation failure"
"""What QEMU says of an instruction that KVM does not emulate; the guest stands still from then on."""


def measure(setting: Setting) -> list[Row]:
    """Boot hello again and again on each side; return a row for each starting point and one for each phase."""
    pair = make_pair(HELLO, setting)
    from_start: dict[str, list[float]] = {"sarab": [], "linux": []}
    from_entry: dict[str, list[float]] = {"sarab": [], "linux": []}
    entry: dict[str, list[float]] = {"sarab": [], "linux": []}
    to_user: dict[str, list[float]] = {"sarab": [], "linux": []}
    marks: dict[str, list[float]] = {}
    twins = {}
    for guest in pair.guests:
        twin = setting.folder / f"{guest.name}-entry.elf"
        write_twin(guest.kernel, twin)
        twins[guest.name] = replace(guest, name=f"{guest.name} entry", kernel=twin)
    for run in range(setting.runs + 1):
        for guest in pair.guests:
            warm_memory()
            done = boot(guest, setting.accelerator)
            if done.status != 0:
                raise Failed(f"hello in the {guest.name} guest ended with status {done.status}:\n{done.text[-2000:]}")
            entered = boot(twins[guest.name], setting.accelerator)
            if run == 0:
                continue  # The first boot reads the files from disk; all later ones find them in memory.
            from_start[guest.name].append(done.first(done.console, FIRST_LINE) / 1e6)
            entry[guest.name].append(entered.first(entered.control, "entry") / 1e6)
            if guest.name == "linux":
                to_user["linux"].append(done.first(done.control, "mark user") / 1e6)
            else:
                from_entry["sarab"].append((done.first(done.console, FIRST_LINE) - done.entry) / 1e6)
                _add_marks(marks, done)
    # Linux says nothing of its entry: its twin does, of another boot.
    from_entry["linux"] = [time - median(entry["linux"]) for time in from_start["linux"]]
    rows = _rows(from_start, from_entry, entry, to_user, marks, setting.accelerator)
    return rows if pair.emulated is None else with_bound(rows, pair.emulated, setting.accelerator)


def with_bound(rows: list[Row], guest: Guest, accelerator: str) -> list[Row]:
    """Return the rows with the least that an emulated Linux guest takes, which is booted once and given up."""
    try:
        done = boot(guest, accelerator, PATIENCE_S, last=FIRST_LINE)
    except Failed as failure:
        if EMULATION_FAILURE not in str(failure):
            raise
        done = Boot()
    if done.finished:
        raise Failed(
            f"the Linux guest ended, or was quick, where KVM was to emulate it; it printed:\n{done.text[-2000:]}"
        )
    from_start, from_entry, to_entry, *rest = rows
    # What QEMU does before the entry is the same: sarab's own twin tells it.
    least_ms = PATIENCE_S * 1e3 - median(to_entry.sarab)
    from_start = replace(from_start, linux=[PATIENCE_S * 1e3], linux_beyond=True)
    from_entry = replace(from_entry, linux=[least_ms], linux_beyond=True)
    return [from_start, from_entry, to_entry, *rest]


def _add_marks(marks: dict[str, list[float]], done: Boot) -> None:
    """Add the sarab kernel's own marks, in milliseconds since its entry, by name."""
    for _, line in done.control:
        word, _, rest = line.partition(" ")
        name, _, nanoseconds = rest.rpartition(" ")
        if word == "mark" and nanoseconds.isdigit():
            marks.setdefault(name, []).append(int(nanoseconds) / 1e6)


def _rows(
    from_start: dict[str, list[float]],
    from_entry: dict[str, list[float]],
    entry: dict[str, list[float]],
    to_user: dict[str, list[float]],
    marks: dict[str, list[float]],
    accelerator: str,
) -> list[Row]:
    """Return the rows of the claim."""
    user = {name: [time - median(entry[name]) for time in times] for name, times in to_user.items()}
    main = Row(
        "kernel entry to the first line",
        "ms",
        from_entry["sarab"],
        from_entry["linux"],
        "less than a tenth of Linux",
    )
    if main.ratio is not None:
        main = replace(main, reached=main.ratio < LINUX_RATIO_MAX)
    elif accelerator == "kvm":
        main = replace(main, aim=f"{AIM_MS} ms under KVM", reached=median(main.sarab) <= AIM_MS)
    rows = [Row("machine start to the first line", "ms", from_start["sarab"], from_start["linux"]), main]
    rows.append(Row("  machine start to kernel entry (QEMU, firmware)", "ms", entry["sarab"], entry["linux"]))
    first_user = marks.pop("user", [])
    rows.append(Row("  kernel entry to the first program's first instruction", "ms", first_user, user["linux"]))
    for name, samples in sorted(marks.items(), key=lambda item: median(item[1])):
        rows.append(Row(f"  kernel entry to the mark {name!r}", "ms", samples))
    return rows
