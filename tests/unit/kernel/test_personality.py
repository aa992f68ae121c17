"""The personality on the host: against Linux itself, against failing memory, on a clock of our own."""

from __future__ import annotations

import ctypes
import os
import random
import stat
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.kernel.personality_host import AT_FDCWD, Kernel, build, error_of

CREATE = os.O_RDWR | os.O_CREAT
FOREVER = 0xFFFFFFFFFFFFFFFF


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("personality"))


@pytest.fixture
def boot(library: Path, tmp_path: Path) -> Callable[..., Kernel]:
    return lambda tmp_size=1 << 20: Kernel(library, tmp_path, tmp_size)


# ---- /tmp against Linux --------------------------------------------------------------------------

NAMES = (b"a", b"b", b"c", b"d")


class Both:
    """The same operation here and on the host's own file system; the results must be the same, errors included."""

    def __init__(self, kernel: Kernel, folder: Path, seed: int) -> None:
        self.kernel = kernel
        self.folder = bytes(folder)
        self.random = random.Random(seed)
        self.open_files: list[tuple[int, int]] = []
        self.done: list[str] = []

    def path(self) -> bytes:
        words = [self.random.choice(NAMES) for _ in range(self.random.choice((1, 1, 2, 2, 3)))]
        if self.random.random() < 0.05:
            words.insert(self.random.randrange(len(words) + 1), self.random.choice((b".", b"..")))
        if words[0] == b"..":
            words.pop(0)
        return b"/".join(words or [b"a"]) + (b"/" if self.random.random() < 0.05 else b"")

    def host(self, function: Callable[[], object]) -> object:
        try:
            return function()
        except OSError as error:
            return -(error.errno or 0)

    def check(self, what: str, ours: object, theirs: object) -> None:
        self.done.append(f"{what} -> {error_of(ours) or ours}")
        before = "\n".join(self.done[-12:])
        assert ours == theirs, (
            f"{what}: {error_of(ours) or ours}, Linux: {error_of(theirs) or theirs}; before:\n{before}"
        )

    def step(self) -> None:
        r, k = self.random, self.kernel
        p, q = self.path(), self.path()
        here, there = b"/tmp/o/w/" + p, self.folder + b"/" + p
        here2, there2 = b"/tmp/o/w/" + q, self.folder + b"/" + q
        operation = r.choice(
            "mkdir rmdir unlink rename rename rename link symlink readlink stat lstat open open open close read write "
            "write truncate ftruncate list chmod seek mkfifo".split()
        )
        what = f"{operation} {p!r} {q!r}"

        def plain(ours: int, theirs: Callable[[], object]) -> None:
            self.check(what, ours, self.host(lambda: (theirs(), 0)[1]))

        if operation == "mkdir":
            plain(k.call("mkdir", here, 0o755), lambda: os.mkdir(there, 0o755))
        elif operation == "rmdir":
            plain(k.call("rmdir", here), lambda: os.rmdir(there))
        elif operation == "unlink":
            plain(k.call("unlink", here), lambda: os.unlink(there))
        elif operation == "rename":
            plain(k.call("rename", here, here2), lambda: os.rename(there, there2))
        elif operation == "link":
            linked = k.call("linkat", AT_FDCWD, here, AT_FDCWD, here2, 0)
            plain(linked, lambda: os.link(there, there2, follow_symlinks=False))
        elif operation == "symlink":
            target = r.choice((b"a", b"b/c", b"../a", b"d", b"./b", b"nothing/x"))
            plain(k.call("symlink", target, here), lambda: os.symlink(target, there))
        elif operation == "readlink":
            buffer = ctypes.create_string_buffer(100)
            length = k.call("readlink", here, buffer, 100)
            self.check(what, buffer.raw[:length] if length >= 0 else length, self.host(lambda: os.readlink(there)))
        elif operation in ("stat", "lstat"):
            follow = operation == "stat"
            linux = self.host(lambda: self.seen(os.stat(there, follow_symlinks=follow)))
            self.check(what, self.seen(k.stat(here, follow)), linux)
        elif operation == "open":
            flags = r.choice((os.O_RDONLY, os.O_WRONLY, os.O_RDWR)) | os.O_NONBLOCK
            for flag in (os.O_CREAT, os.O_EXCL, os.O_TRUNC, os.O_APPEND, os.O_NOFOLLOW, os.O_DIRECTORY):
                if r.random() < (0.6 if flag == os.O_CREAT else 0.15):
                    flags |= flag
            if flags & os.O_DIRECTORY:
                flags &= ~os.O_CREAT  # Linux changed what it says to both
            if flags & os.O_EXCL and not flags & os.O_CREAT:
                flags &= ~os.O_EXCL
            ours, theirs = k.open(here, flags, 0o644), self.host(lambda: os.open(there, flags, 0o644))
            assert isinstance(theirs, int)
            if ours >= 0 and theirs >= 0:
                self.open_files.append((ours, theirs))
                ours = theirs = 0
            self.check(f"{what} {flags:#o}", ours, theirs)
        elif operation in ("truncate", "chmod"):
            value = r.choice((0, 1, 100, 5000, 70000)) if operation == "truncate" else r.choice((0o644, 0o755, 0o600))
            # Opening a FIFO would block; truncating one is EINVAL on both.
            plain(k.call(operation, here, value), lambda: getattr(os, operation)(there, value))
        elif operation == "list":
            names = k.list(here)
            ours_listed = names if isinstance(names, int) else sorted(n for n in names if n not in (b".", b".."))
            self.check(what, ours_listed, self.host(lambda: sorted(os.listdir(there))))
        elif operation == "mkfifo":
            plain(k.call("mknod", here, stat.S_IFIFO | 0o644), lambda: os.mkfifo(there, 0o644))
        elif self.open_files:
            self.on_file(operation, *r.choice(self.open_files))

    def on_file(self, operation: str, mine: int, host: int) -> None:
        r, k = self.random, self.kernel
        if stat.S_ISFIFO(os.fstat(host).st_mode):
            operation = "close"  # how full a pipe is depends on the host's
        if operation == "close":
            self.open_files.remove((mine, host))
            os.close(host)
            self.check("close", k.call("close", mine), 0)
        elif operation == "read":
            size = r.choice((0, 1, 10, 5000))
            self.check(f"read {size}", k.read(mine, size), self.host(lambda: os.read(host, size)))
        elif operation == "write":
            data = bytes(r.randrange(256) for _ in range(10)) * r.choice((0, 1, 7, 600))
            self.check(f"write {len(data)}", k.write(mine, data), self.host(lambda: os.write(host, data)))
        elif operation == "ftruncate":
            size = r.choice((0, 3, 4096, 9000))
            linux = self.host(lambda: os.ftruncate(host, size)) or 0
            self.check(f"ftruncate {size}", k.call("ftruncate", mine, size), linux)
        elif operation == "seek" and stat.S_ISREG(os.fstat(host).st_mode):
            offset, whence = r.choice((0, 5, 4095, 20000, -3)), r.choice((os.SEEK_SET, os.SEEK_CUR, os.SEEK_END))
            linux = self.host(lambda: os.lseek(host, offset, whence))
            self.check(f"seek {offset} {whence}", k.call("lseek", mine, offset, whence), linux)

    def seen(self, s: os.stat_result | int) -> object:
        """What must be the same of a stat: links and sizes of directories are each file system's own."""
        if isinstance(s, int):
            return s
        if stat.S_ISDIR(s.st_mode):
            return s.st_mode
        return s.st_mode, s.st_nlink, s.st_size


@pytest.mark.parametrize("seed", range(12))
def test_tmp_does_what_linux_does(boot: Callable[..., Kernel], tmp_path: Path, seed: int) -> None:
    kernel = boot()
    folder = tmp_path / "linux" / "w"  # links may lead one folder up
    folder.mkdir(parents=True)
    assert kernel.call("mkdir", b"/tmp/o", 0o755) == kernel.call("mkdir", b"/tmp/o/w", 0o755) == 0
    old = os.umask(0o022)
    both = Both(kernel, folder, seed)
    try:
        for _ in range(1500):
            both.step()
    finally:
        os.umask(old)
        for mine, host in both.open_files:
            kernel.call("close", mine)
            os.close(host)
    remove_all(kernel, b"/tmp")
    assert kernel.library.host_tmp_pages() == 0
    assert kernel.library.host_tmp_inodes() == 3, "the roots of /tmp, /var/tmp and /dev/shm"


def remove_all(kernel: Kernel, folder: bytes) -> None:
    """Remove what a directory of /tmp holds."""
    names = kernel.list(folder)
    assert isinstance(names, list)
    for name in names:
        path = folder + b"/" + name
        if name not in (b".", b".."):
            s = kernel.stat(path, follow=False)
            assert isinstance(s, os.stat_result)
            if stat.S_ISDIR(s.st_mode):
                remove_all(kernel, path)
                assert kernel.call("rmdir", path) == 0
            else:
                assert kernel.call("unlink", path) == 0


# ---- memory that fails ---------------------------------------------------------------------------


def exercise(kernel: Kernel) -> list[int]:
    """Something of everything that takes memory; the results."""
    pair = ctypes.create_string_buffer(8)
    opened: list[int] = []
    results = []

    def keep(result: int) -> int:
        results.append(result)
        if result >= 0:
            opened.append(result)
        return result

    f = keep(kernel.open(b"/tmp/f", CREATE))
    results += [kernel.write(f, b"x" * 10000), kernel.call("pwrite64", f, b"y", 1, 1 << 40)]
    results += [kernel.call("mkdir", b"/tmp/d", 0o755), kernel.call("rename", b"/tmp/f", b"/tmp/d/g")]
    results += [kernel.call("symlink", b"target", b"/tmp/l"), kernel.call("link", b"/tmp/d/g", b"/tmp/h")]
    results += [kernel.call("renameat2", AT_FDCWD, b"/tmp/h", AT_FDCWD, b"/tmp/l", 2)]
    for name, arguments in (("pipe2", (pair, 0)), ("socketpair", (1, 1, 0, pair)), ("socketpair", (1, 2, 0, pair))):
        results.append(kernel.call(name, *arguments))
        if results[-1] == 0:
            ends = struct.unpack("<ii", pair.raw)
            opened += ends
            results.append(kernel.write(ends[1], b"z" * 9000))
    epoll = keep(kernel.call("epoll_create1", 0))
    event = keep(kernel.call("eventfd2", 1, 0))
    results.append(kernel.call("epoll_ctl", epoll, 1, event, struct.pack("<IQ", 1, 5)))
    keep(kernel.call("timerfd_create", 1, 0))
    keep(kernel.call("memfd_create", b"m", 0))
    keep(kernel.open(b"/proc/self/fd/0"))
    maps = keep(kernel.open(b"/proc/self/limits"))
    results.append(kernel.call("read", maps, ctypes.create_string_buffer(100), 100))
    keep(kernel.call("dup2", f, 200))
    results.append(kernel.call("fcntl", opened[-1] if opened else 0, 1031, 1 << 20))
    for descriptor in opened:
        kernel.call("close", descriptor)
    for path in (b"/tmp/f", b"/tmp/d/g", b"/tmp/l", b"/tmp/h"):
        kernel.call("unlink", path)
    kernel.call("rmdir", b"/tmp/d")
    return results


def test_nothing_is_lost_when_memory_fails(boot: Callable[..., Kernel]) -> None:
    kernel = boot()
    exercise(kernel)  # what stays for ever is there after the first time: the image's inodes, the grown table
    before = kernel.number("host_objects"), kernel.number("host_frames")
    whole = exercise(kernel)
    for nth in range(400):
        kernel.set("host_fail_after", nth)
        results = exercise(kernel)
        failed = kernel.number("host_fail_after") == -1
        kernel.set("host_fail_after", -1)
        assert (kernel.number("host_objects"), kernel.number("host_frames")) == before, f"allocation {nth}: {results}"
        assert kernel.library.host_tmp_pages() == 0
        if not failed:
            assert results == whole
            break
    else:
        pytest.fail("there is no end to allocations")


# ---- bounds --------------------------------------------------------------------------------------


def test_tmp_is_bounded(boot: Callable[..., Kernel]) -> None:
    kernel = boot(64 * 4096)
    f = kernel.open(b"/tmp/f", CREATE)
    block = b"x" * 4096
    written = 0
    while (result := kernel.write(f, block)) > 0:
        written += result
    assert error_of(result) == "ENOSPC"
    assert 62 * 4096 <= written <= 64 * 4096
    assert kernel.call("ftruncate", f, 0) == 0
    assert kernel.write(f, block) == 4096
    # Sparse files cannot take more either: their tables count.
    for exponent in range(12, 62):
        kernel.call("pwrite64", f, b"x", 1, 1 << exponent)
    assert kernel.number("host_frames") <= 64
    count = 0
    while (result := kernel.call("mkdir", b"/tmp/d%d" % count, 0o755)) == 0:
        count += 1
    assert error_of(result) == "ENOSPC"
    assert 1000 <= count <= 1024


def test_descriptors_are_bounded(boot: Callable[..., Kernel]) -> None:
    kernel = boot()
    while (result := kernel.call("dup", 0)) >= 0:
        last = result
    assert (error_of(result), last) == ("EMFILE", 1023)
    assert kernel.call("setrlimit", 7, struct.pack("<QQ", 4096, 4096)) == 0
    assert kernel.call("dup", 0) == 1024
    assert error_of(kernel.call("setrlimit", 7, struct.pack("<QQ", 4096, 5000))) == "EPERM"


def test_partial_writes_end_where_memory_ends(boot: Callable[..., Kernel]) -> None:
    kernel = boot()
    f = kernel.open(b"/tmp/f", CREATE)
    buffer = ctypes.create_string_buffer(b"q" * 20000)
    start = ctypes.addressof(buffer)
    wall = (start + 8192) & ~4095
    kernel.set("host_forbidden_start", wall)
    kernel.set("host_forbidden_end", wall + 4096)
    assert kernel.call("write", f, start, 20000) == wall - start
    assert error_of(kernel.call("write", f, wall, 10)) == "EFAULT"
    assert kernel.call("read", f, wall, 10) == 0, "at the end of the file nothing is read, so nothing faults"
    assert kernel.call("pread64", f, wall - 5, 10, 0) == 5
    assert error_of(kernel.call("stat", b"/tmp", wall)) == "EFAULT"
    assert error_of(kernel.call("openat", AT_FDCWD, wall, 0)) == "EFAULT"
    assert error_of(kernel.call("write", f, 1 << 63, 10)) == "EFAULT"
    assert error_of(kernel.call("write", f, start, 1 << 63)) == "EINVAL"


def test_the_image_is_read_only(boot: Callable[..., Kernel]) -> None:
    kernel = boot()
    for result in (
        kernel.open(b"/etc/small", os.O_WRONLY),
        kernel.open(b"/etc/small", os.O_RDONLY | os.O_TRUNC),
        kernel.open(b"/etc/new", CREATE),
        kernel.call("unlink", b"/etc/small"),
        kernel.call("mkdir", b"/new", 0o755),
        kernel.call("rmdir", b"/etc"),
        kernel.call("rename", b"/etc/small", b"/etc/other"),
        kernel.call("symlink", b"x", b"/x"),
        kernel.call("chmod", b"/etc/small", 0o777),
        kernel.call("truncate", b"/etc/small", 0),
        kernel.call("access", b"/etc/small", os.W_OK),
        kernel.call("utimensat", AT_FDCWD, b"/etc/small", 0, 0),
    ):
        assert error_of(result) == "EROFS"
    assert error_of(kernel.call("mkdir", b"/etc", 0o755)) == "EEXIST"
    for name in "unlink", "rmdir":
        assert error_of(kernel.call(name, b"/etc/nothing")) == "ENOENT"
    assert error_of(kernel.call("rename", b"/etc/nothing", b"/etc/other")) == "ENOENT"
    assert error_of(kernel.call("rename", b"/etc/small", b"/tmp/x")) == "EXDEV"
    assert error_of(kernel.call("link", b"/etc/small", b"/tmp/x")) == "EXDEV"
    assert kernel.read(kernel.open(b"/etc/up/../etc/link"), 100) == b"small\n"
    assert kernel.list(b"/etc") == [b".", b"..", b"link", b"small", b"up"]
    names = kernel.list(b"/")
    assert isinstance(names, list) and {b"bin", b"dev", b"etc", b"proc", b"sys", b"tmp", b"var"} <= set(names)


# ---- waiting, on a clock of our own --------------------------------------------------------------


def test_a_reader_is_woken_by_a_writer(boot: Callable[..., Kernel]) -> None:
    kernel = boot()
    pair = ctypes.create_string_buffer(8)
    assert kernel.call("pipe2", pair, 0) == 0
    reader, writer = struct.unpack("<ii", pair.raw)
    kernel.when_blocked(lambda: kernel.write(writer, b"late") == 4)
    assert kernel.read(reader, 10) == b"late"
    kernel.when_blocked(lambda: kernel.call("close", writer) == 0)
    assert kernel.read(reader, 10) == b""
    kernel.when_blocked(None)


def test_poll_waits_as_long_as_it_was_told(boot: Callable[..., Kernel]) -> None:
    kernel = boot()
    pair = ctypes.create_string_buffer(8)
    kernel.call("pipe2", pair, 0)
    reader, _ = struct.unpack("<ii", pair.raw)
    before = kernel.number("host_now")
    assert kernel.call("poll", struct.pack("<ihh", reader, 1, 0), 1, 1500) == 0
    assert kernel.number("host_now") - before == 1_500_000_000
    assert error_of(kernel.call("poll", struct.pack("<ihh", reader, 1, 0), 1, FOREVER)) == "EINTR"


def test_a_timer_counts_the_periods_nobody_read(boot: Callable[..., Kernel]) -> None:
    kernel = boot()
    timer = kernel.call("timerfd_create", 1, os.O_NONBLOCK)
    assert kernel.call("timerfd_settime", timer, 0, struct.pack("<qqqq", 0, 10_000_000, 0, 25_000_000), 0) == 0
    kernel.library.host_advance(ctypes.c_int64(kernel.number("host_now") + 66_000_000))
    assert kernel.read(timer, 8) == struct.pack("<Q", 5)
    assert error_of(kernel.read(timer, 8)) == "EAGAIN"
    event = struct.pack("<IQ", 1, 7)
    epoll = kernel.call("epoll_create1", 0)
    assert kernel.call("epoll_ctl", epoll, 1, timer, event) == 0
    out = ctypes.create_string_buffer(12)
    assert kernel.call("epoll_wait", epoll, out, 1, FOREVER) == 1
    assert out.raw == event


def test_a_broken_pipe_sends_the_signal(boot: Callable[..., Kernel]) -> None:
    kernel = boot()
    pair = ctypes.create_string_buffer(8)
    kernel.call("pipe2", pair, 0)
    reader, writer = struct.unpack("<ii", pair.raw)
    kernel.call("close", reader)
    assert error_of(kernel.write(writer, b"x")) == "EPIPE"
    assert ctypes.c_int.in_dll(kernel.library, "host_signal").value == 13


def test_console(boot: Callable[..., Kernel]) -> None:
    kernel = boot()
    assert kernel.write(1, b"hello\n") == 6
    assert ctypes.c_char.in_dll(kernel.library, "host_console").value == b"h"
    text = b"ab\x04"
    ctypes.memmove((ctypes.c_char * 3).in_dll(kernel.library, "host_input"), text, len(text))
    kernel.set("host_input_length", len(text))
    assert kernel.read(0, 2) == b"ab"
    assert kernel.read(0, 10) == b"", "0x04 at the start of a read is the end"
    assert error_of(kernel.call("ioctl", 1, 0x5401, 0)) == "ENOTTY"


def test_unknown_calls_are_counted(boot: Callable[..., Kernel]) -> None:
    kernel = boot()
    assert error_of(kernel.call("bpf", 0)) == "ENOSYS"
    assert error_of(kernel.call("bpf", 0)) == "ENOSYS"
    counters = kernel.read(kernel.open(b"/proc/sarab"), 4000)
    assert isinstance(counters, bytes) and b"unknown_system_calls 2\nunknown_system_call 321 2\n" in counters
