"""What a Python program finds in an image, each seen from inside a booted one."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import pytest

from sarab.build import elf
from tests.boot.programs import boot, build_program, processor_seconds, run, start, text

pytestmark = pytest.mark.boot

ET_EXEC = 2


@pytest.mark.parametrize(
    ("statement", "status"),
    [
        ("pass", 0),
        ("import sys; sys.exit(0)", 0),
        ("import sys; sys.exit(7)", 7),
        ("import sys; sys.exit(255)", 255),
        ("import os; os._exit(200)", 200),
        ("raise ValueError('no')", 1),
        ("import sys; sys.exit('a sentence')", 1),
        ("import os; os.abort()", 128 + 6),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 128 + 15),
        ("exit(3)", 3),
    ],
)
def test_the_exit_status_is_the_programs(tmp_path: Path, statement: str, status: int) -> None:
    assert run(tmp_path, statement).status == status


@pytest.mark.emulated_too
def test_arguments_and_environment_come_from_the_command_line(tmp_path: Path) -> None:
    words = ("plain", "two words", 'quo"te', "back\\slash", "", "--dash", "ünïcode")
    program = "import os, sys\nprint(sys.argv[1:])\nprint(os.environ['GREETING'])"
    outcome = run(tmp_path, program, arguments=words, environment=(("GREETING", "hello there"),))
    assert text(outcome).splitlines() == [str(list(words)), "hello there"]


@pytest.mark.emulated_too
def test_standard_input_reaches_the_program_whole(tmp_path: Path) -> None:
    data = bytes(range(256)) * 64
    program = "import hashlib, sys\nprint(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())"
    outcome = run(tmp_path, program, stdin=data)
    import hashlib

    assert text(outcome).strip() == hashlib.sha256(data).hexdigest()


def test_output_is_passed_on_byte_by_byte(tmp_path: Path) -> None:
    program = "import sys\nsys.stdout.buffer.write(bytes(range(256)) * 1000)"
    assert run(tmp_path, program).console == bytes(range(256)) * 1000


def test_a_traceback_is_the_programs_own(tmp_path: Path) -> None:
    program = """
        def inner():
            return {}["missing"]

        inner()
        """
    shown = text(run(tmp_path, program))
    assert shown.splitlines()[0] == "Traceback (most recent call last):"
    assert 'File "/app/program.py", line 4, in <module>' in shown
    assert shown.splitlines()[-1] == "KeyError: 'missing'"


@pytest.mark.emulated_too
def test_memory_that_is_not_there_is_a_memory_error_and_the_program_goes_on(tmp_path: Path) -> None:
    program = """
        pieces = []
        try:
            while True:
                pieces.append(bytearray(1 << 20))
        except MemoryError:
            count = len(pieces)
            pieces.clear()
            print("refused after", count)
        print(len(bytearray(4 << 20)))
        """
    shown = text(run(tmp_path, program, memory_mib=64))
    assert re.fullmatch(r"refused after \d+\n4194304\n", shown)
    assert int(shown.split()[2]) > 24


def test_threads_without_memory_are_an_error_of_their_maker_and_stacks_still_grow(tmp_path: Path) -> None:
    program = """
        import mmap, threading

        def deep(count):
            made = []
            for _ in range(count):
                made = [made]
            return made

        nested = deep(900)
        wait, threads = threading.Event(), []
        try:
            while True:
                threads.append(threading.Thread(target=wait.wait))
                threads[-1].start()
        except (RuntimeError, MemoryError) as error:
            del threads[-1]
            wait.set()
            print(type(error).__name__)
        for thread in threads:
            thread.join()
        pieces, size = [], 1 << 20
        while size >= mmap.PAGESIZE:
            try:
                pieces.append(mmap.mmap(-1, size))
                pieces[-1][0] = 1
            except OSError:
                size //= 2
        try:
            repr(nested)
        except MemoryError:
            pass
        pieces.clear()
        print(len(repr(nested)))
        """
    shown = text(run(tmp_path, program, memory_mib=48))
    assert shown in ("RuntimeError\n1802\n", "MemoryError\n1802\n")


def test_a_signal_interrupts_the_main_thread_whoever_runs_when_it_comes(tmp_path: Path) -> None:
    program = """
        import os, select, signal, threading, time

        class Alarm(Exception):
            pass

        def handler(number, frame):
            raise Alarm

        over = False

        def compute():
            while not over:
                sum(range(1000))

        signal.signal(signal.SIGALRM, handler)
        threading.Thread(target=compute).start()
        reader, _ = os.pipe()
        for _ in range(5):
            begun = time.monotonic()
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            try:
                select.select([reader], [], [], 10)
            except Alarm:
                print("interrupted" if time.monotonic() - begun < 5 else "late")
        over = True
        """
    assert text(run(tmp_path, program)) == "interrupted\n" * 5


@pytest.mark.alone
@pytest.mark.emulated_too
def test_a_computing_thread_starves_nobody(tmp_path: Path) -> None:
    program = """
        import threading, time

        done = False

        def compute():
            while not done:
                pass

        thread = threading.Thread(target=compute)
        thread.start()
        late = 0.0
        for _ in range(20):
            before = time.monotonic()
            time.sleep(0.01)
            late = max(late, time.monotonic() - before - 0.01)
        done = True
        thread.join()
        print(late)
        """
    # CPython's own GIL makes a waking thread wait 5 ms; an emulated machine on a busy host adds to it.
    assert float(text(run(tmp_path, program))) < 0.25


@pytest.mark.alone
def test_sleep_is_right_and_costs_no_processor(tmp_path: Path) -> None:
    program = """
        import time

        print("ready", flush=True)
        before = time.monotonic()
        time.sleep(2)
        print(time.monotonic() - before, "slept")
        """
    image = build_program(tmp_path, program)
    with start(image) as machine:
        machine.wait_for(b"ready", 60)
        used = processor_seconds(machine.process.pid)
        shown = machine.wait_for(b"slept", 60).decode()
        used = processor_seconds(machine.process.pid) - used
    slept = float(shown.split()[-2])
    assert 2.0 <= slept < 2.1
    assert used < 0.5, f"an idle guest used {used} s of the processor in 2 s"


@pytest.mark.emulated_too
def test_the_clock_is_the_hosts(tmp_path: Path) -> None:
    import time

    before = time.time()
    shown = float(text(run(tmp_path, "import time\nprint(time.time())")))
    assert before - 2 < shown < time.time() + 2


@pytest.mark.parametrize("machine", ["microvm", "q35", "pc"])
def test_a_request_to_stop_is_sigterm(tmp_path: Path, machine: str) -> None:
    program = """
        import asyncio, signal

        async def main():
            stop = asyncio.Event()
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
            print("ready", flush=True)
            await stop.wait()
            print("stopping", flush=True)

        asyncio.run(main())
        """
    with start(build_program(tmp_path, program), machine=machine) as running:
        running.wait_for(b"ready", 90)
        running.power_down()
        outcome = running.wait()
    assert outcome.status == 0
    assert "stopping" in text(outcome)


def test_a_request_to_stop_ends_a_program_that_does_not_care(tmp_path: Path) -> None:
    program = "import time\nprint('ready', flush=True)\ntime.sleep(100)"
    with start(build_program(tmp_path, program)) as running:
        running.wait_for(b"ready", 60)
        running.power_down()
        outcome = running.wait()
    assert outcome.status == 128 + 15
    assert "sarab: ended by signal SIGTERM" in text(outcome)


@pytest.mark.emulated_too
def test_a_fault_shows_every_python_thread_and_the_registers(tmp_path: Path) -> None:
    program = """
        import faulthandler, threading

        def waiting():
            threading.Event().wait()

        def failing():
            faulthandler._sigsegv()

        threading.Thread(target=waiting, daemon=True).start()
        failing()
        """
    outcome = run(tmp_path, program)
    shown = text(outcome)
    assert outcome.status == 128 + 11
    assert "Fatal Python error: Segmentation fault" in shown
    assert 'File "/app/program.py", line 4 in waiting' in shown
    assert 'File "/app/program.py", line 7 in failing' in shown
    assert "sarab: ended by signal 11 (SIGSEGV)" in shown
    assert re.search(r"sarab:   code at [0-9a-f]{16}: .*r-xp", shown)
    assert re.search(r"sarab:   rip [0-9a-f]{16}  rsp [0-9a-f]{16}", shown)


def test_a_stack_that_a_thread_ran_over_shows_every_python_thread(tmp_path: Path) -> None:
    program = """
        import ctypes, sys, threading

        c, array = ctypes.CDLL(None), (ctypes.c_int * 2)()

        @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
        def deeper(a, b):
            c.qsort(array, 2, 4, deeper)
            return 0

        def failing():
            c.qsort(array, 2, 4, deeper)

        sys.setrecursionlimit(1 << 30)
        thread = threading.Thread(target=failing)
        thread.start()
        thread.join()
        """
    outcome = run(tmp_path, program)
    shown = text(outcome)
    assert outcome.status == 128 + 11
    assert 'File "/app/program.py", line 7 in deeper' in shown
    assert 'File "/app/program.py", line 16 in <module>' in shown
    assert "sarab: ended by signal 11 (SIGSEGV): a stack ran over into its guard" in shown


def test_an_executable_page_from_python_ends_in_the_report(tmp_path: Path) -> None:
    program = "import mmap\nmmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)"
    outcome = run(tmp_path, program)
    assert outcome.status == 128 + 11
    assert "an executable mapping of something other than the image's code was asked for" in text(outcome)
    assert 'File "/app/program.py", line 2 in <module>' in text(outcome)


@pytest.mark.emulated_too
def test_ctypes_callbacks_work_without_an_executable_page(tmp_path: Path) -> None:
    program = """
        import ctypes

        INT = ctypes.POINTER(ctypes.c_int)
        calls = 0

        @ctypes.CFUNCTYPE(ctypes.c_int, INT, INT)
        def compare(a, b):
            global calls
            calls += 1
            return a[0] - b[0]

        array = (ctypes.c_int * 5)(5, 1, 4, 2, 3)
        ctypes.CDLL(None).qsort(array, 5, ctypes.sizeof(ctypes.c_int), compare)
        print(list(array), calls >= 4)
        for line in open("/proc/self/maps"):
            protection = line.split()[1]
            assert not ("w" in protection and "x" in protection), line
        """
    outcome = run(tmp_path, program)
    assert text(outcome) == "[1, 2, 3, 4, 5] True\n"


@pytest.mark.emulated_too
def test_a_sealed_image_loads_its_extensions_first_and_runs(tmp_path: Path) -> None:
    program = """
        def main():
            import math, _decimal, zlib
            return zlib.crc32(b"x"), math.sqrt(4), _decimal.Decimal(1)

        print(*main())
        """
    image = build_program(tmp_path, program, seal=True)
    outcome = boot(image)
    assert text(outcome).split() == ["2363233923", "2.0", "1"], text(outcome)
    assert outcome.status == 0


def test_tmp_is_writable_and_bounded_and_the_rest_is_not(tmp_path: Path) -> None:
    program = """
        import errno, os

        with open("/tmp/file", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(65536))
            except OSError as error:
                print(errno.errorcode[error.errno], os.path.getsize("/tmp/file") <= 1 << 20)
        os.unlink("/tmp/file")
        for path in "/file", "/app/file", "/usr/lib/file":
            try:
                open(path, "w")
            except OSError as error:
                print(errno.errorcode[error.errno])
        """
    shown = text(run(tmp_path, program, tmp="1M")).split()
    assert shown == ["ENOSPC", "True", "EROFS", "EROFS", "EROFS"]


def test_what_the_library_finds_by_name_at_run_time_is_there(tmp_path: Path) -> None:
    program = """
        import io, locale, shelve, zipfile

        print(locale.setlocale(locale.LC_ALL, ""), "é", open("/dev/null").encoding)
        with shelve.open("/tmp/shelf") as shelf:
            shelf["key"] = [1]
            print(shelf["key"])
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("name", "text")
        print(zipfile.ZipFile(file).namelist())  # in code page 437
        """
    assert text(run(tmp_path, program)).splitlines() == ["C é utf-8", "[1]", "['name']"]


def test_there_is_no_second_process(tmp_path: Path) -> None:
    program = """
        import errno, os, subprocess

        for action in os.fork, lambda: os.execv("/usr/bin/true", ["true"]), lambda: subprocess.run(["true"]):
            try:
                action()
            except OSError as error:
                print(errno.errorcode[error.errno])
        """
    shown = text(run(tmp_path, program)).split()
    assert shown[0] == "ENOSYS" and shown[1] in ("ENOSYS", "ENOENT") and shown[2] in ("ENOSYS", "ENOENT")


def test_unknown_calls_are_counted_and_traced(tmp_path: Path) -> None:
    program = "import ctypes\nprint(ctypes.CDLL(None, use_errno=True).syscall(600), ctypes.get_errno())"
    outcome = run(tmp_path, program, trace=True, memory_mib=96)
    shown = text(outcome)
    assert "-1 38" in shown
    assert re.search(r"sarab: \[1\] .*600.*ENOSYS", shown)
    assert re.search(r'sarab: \[1\] openat\(AT_FDCWD, "/[^"]*", O_RDONLY\|O_CLOEXEC\) = ', shown)
    assert re.search(r"mmap\(NULL, \d+, PROT_READ\|PROT_WRITE, MAP_PRIVATE\|MAP_ANONYMOUS, -1, 0x0\) = 0x7", shown)


def test_two_boots_of_python_share_no_address(tmp_path: Path) -> None:
    program = """
        for line in open("/proc/self/maps"):
            words = line.split()
            if len(words) > 5 and words[2] in ("00000000", "0"):
                print(words[5], words[0].partition("-")[0])
            elif words[-1] in ("[heap]", "[stack]", "[vdso]"):
                print(words[-1], words[0].partition("-")[0])
        """
    image = build_program(tmp_path, program)
    maps = []
    for _ in range(2):
        outcome = boot(image)
        assert outcome.status == 0, text(outcome)
        maps.append(dict(line.split() for line in text(outcome).splitlines()))
    assert maps[0].keys() == maps[1].keys()
    assert {"[heap]", "[stack]", "[vdso]"} <= maps[0].keys()
    assert any("python" in name for name in maps[0])
    assert any("ld-linux" in name or "ld-musl" in name for name in maps[0])
    # Debian's interpreter is linked for one address; ld.so, the libraries and the rest move all the same.
    linked_for_one_place = elf.read(Path(sys.executable).resolve().read_bytes(), "the interpreter").type == ET_EXEC
    fixed = {name for name in maps[0] if "/bin/python" in name} if linked_for_one_place else set()
    for name in maps[0].keys() - fixed:
        assert maps[0][name] != maps[1][name], name


@pytest.mark.emulated_too
def test_marks_come_in_order_however_many_and_before_the_end_of_a_program_that_waits(tmp_path: Path) -> None:
    program = """
    import sys
    print("up", flush=True)
    sys.stdin.read(1)
    with open("/dev/mark", "w") as device:
        for number in range(20):
            print(f"own-{number}", file=device, flush=True)
    """
    with start(build_program(tmp_path, program), marks=True) as machine:
        machine.wait_for(b"up", timeout_s=60)
        while not machine.control.marks:  # told while the program waits, and nothing is done that somebody may measure
            machine.step()
        told_ns = time.monotonic_ns() - machine.started_ns
        assert told_ns - machine.control.marks[-1].host_ns >= 1_000_000_000
        machine.close_input()
        outcome = machine.wait()
    names = [mark.name for mark in outcome.marks]
    assert names == ["kernel", "user", "application", *(f"own-{number}" for number in range(20))]
    moments = [(mark.guest_ns, mark.host_ns) for mark in outcome.marks]
    assert moments == sorted(moments)
    assert all(guest < host < outcome.elapsed_ns for guest, host in moments)
