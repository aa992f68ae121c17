"""Device files with a described device: what they give, and what they refuse (decision 0042)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import probes

pytestmark = pytest.mark.boot

SOURCE = r"""
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "check.h"

static const char *expected;
static void died(int signal, siginfo_t *information, void *context)
{
	(void)context;
	printf("%s %d %d\n", expected, signal, information->si_code);
	puts("SUCCESS");
	fflush(stdout);
	_exit(0);
}

int main(int count, char **words)
{
	int mem = open("/dev/mem", O_RDWR), dma = open("/dev/dma", O_RDWR), irq = open("/dev/irq", O_RDWR | O_NONBLOCK);
	CHECK(mem >= 0 && dma >= 0 && irq >= 0 && count == 2);
	handle(SIGBUS, died, 0);
	expected = words[1];
	if (strcmp(words[1], "registers") == 0) {
		volatile uint32_t *registers = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, mem, 0xfeb00000);
		CHECK(registers != MAP_FAILED && registers[0] == 0x74726976);
		CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, mem, 0xfeb00000) == MAP_FAILED && errno == EINVAL);
	} else if (strcmp(words[1], "ram") == 0) {
		volatile uint32_t *ram = mmap(NULL, 4096, PROT_READ, MAP_SHARED, mem, 0x200000);
		CHECK(ram != MAP_FAILED);
		printf("read %x\n", ram[0]);
		return 1;
	} else if (strcmp(words[1], "apic") == 0) {
		volatile uint32_t *apic = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, mem, 0xfee00000);
		CHECK(apic != MAP_FAILED);
		printf("read %x\n", apic[8]);
		return 1;
	} else if (strcmp(words[1], "ports") == 0) {
		uint32_t value = 0x80000000;
		int port = open("/dev/port", O_RDWR);
		CHECK(port >= 0 && pwrite(port, &value, 4, 0xcf8) == 4 && pread(port, &value, 4, 0xcfc) == 4);
		CHECK((value & 0xffff) == 0x8086); /* the host bridge */
		CHECK(pread(port, &value, 2, 0xcfe) == 2 && pread(port, &value, 1, 0xcff) == 1);
		static const struct {
			int port, size;
		} refused[] = {{0xcf8, 1}, {0xcf9, 1}, {0xcfd, 2}, {0xcfe, 4}, {0xcfc, 3}, {0xcfc, 8}, {0xd00, 1},
			{0x3f8, 1}, {0xf4, 4}, {0, 1}, {0x10cf8, 4}};
		for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
			uint64_t room = 0;
			CHECK(pread(port, &room, refused[i].size, refused[i].port) == -1 && errno == EPERM);
			CHECK(pwrite(port, &room, refused[i].size, refused[i].port) == -1 && errno == EPERM);
		}
	} else if (strcmp(words[1], "messages") == 0) {
		uint32_t message[4], value, line = 16;
		CHECK(ioctl(irq, 0x40045302, &line) == -1 && errno == ENXIO);
		for (int round = 0; round < 100; round++) {
			int each = open("/dev/irq", O_RDWR | O_NONBLOCK);
			CHECK(each >= 0 && ioctl(each, 0x80105303, message) == 0 && message[0] >> 20 == 0xfee && message[1] == 0);
			CHECK(ioctl(each, 0x80105303, message) == -1 && errno == EBUSY);
			CHECK(read(each, &value, 4) == -1 && errno == EAGAIN);
			value = 2;
			CHECK(write(each, &value, 4) == 4 && read(each, &value, 4) == 4 && value == 1 && close(each) == 0);
		}
		for (int count = 0;; count++) {
			int each = open("/dev/irq", O_RDWR);
			CHECK(each >= 0);
			if (ioctl(each, 0x80105303, message) != 0) {
				CHECK(errno == EBUSY && count == 32);
				break;
			}
		}
	} else if (strncmp(words[1], "page", 4) == 0) {
		volatile uint32_t *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, mem, strtol(words[1] + 4, NULL, 16));
		CHECK(page != MAP_FAILED);
		printf("read %x\n", page[0]);
		return 1;
	} else if (strcmp(words[1], "dma") == 0) {
		uint64_t region[2] = {5 << 20, 0};
		CHECK(ioctl(dma, 0xc0105301, region) == -1 && errno == EINVAL);
		region[0] = 10000;
		CHECK(ioctl(dma, 0xc0105301, region) == 0 && region[0] == 16384 && region[1] % 16384 == 0 && region[1] != 0);
		CHECK(ioctl(dma, 0xc0105301, region) == -1 && errno == EBUSY);
		char *memory = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, dma, 0);
		CHECK(memory != MAP_FAILED);
		for (int at = 0; at < 16384; at++)
			CHECK(memory[at] == 0);
		memset(memory, 7, 16384);
		char *again = mmap(NULL, 16384, PROT_READ, MAP_SHARED, dma, 0);
		CHECK(again != MAP_FAILED && again[16383] == 7);
		uint64_t total = 16384;
		for (;;) {
			int other = open("/dev/dma", O_RDWR);
			uint64_t more[2] = {4 << 20, 0};
			CHECK(other >= 0);
			if (ioctl(other, 0xc0105301, more) != 0) {
				CHECK(errno == ENOMEM);
				break;
			}
			total += more[0];
		}
		CHECK(total <= 128u << 20);
	} else {
		uint32_t line = 17, value = 1;
		CHECK(ioctl(irq, 0x40045302, &line) == -1 && errno == ENXIO);
		line = 16;
		CHECK(ioctl(irq, 0x40045302, &line) == 0);
		CHECK(ioctl(irq, 0x40045302, &line) == -1 && errno == EBUSY);
		CHECK(write(irq, &value, 4) == 4 && write(irq, &value, 2) == -1);
		CHECK(read(irq, &value, 4) == -1 && errno == EAGAIN);
		struct pollfd waited = {.fd = irq, .events = POLLIN};
		CHECK(poll(&waited, 1, 20) == 0);
		value = 2;
		CHECK(write(irq, &value, 4) == 4 && poll(&waited, 1, 0) == 1 && waited.revents == POLLIN);
		CHECK(read(irq, &value, 4) == 4 && value == 1 && poll(&waited, 1, 0) == 0);
		value = 3;
		CHECK(write(irq, &value, 4) == -1 && errno == EINVAL);
	}
	puts("SUCCESS");
	return 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("devices")
    (folder / "probe.c").write_text(SOURCE)
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "x86_64-linux-musl", "-static", "-O1", "-D_GNU_SOURCE"]
    command += ["-fno-sanitize=all", f"-I{probes.SOURCES}", str(folder / "probe.c"), "-o", str(folder / "probe")]
    subprocess.run(command, check=True, capture_output=True)
    return (folder / "probe").read_bytes()


DESCRIBED = "virtio_mmio.device=512@0xfeb00000:16"


@pytest.mark.parametrize("what", ["registers", "ram", "apic", "dma", "irq"])
def test_a_described_device(what: str, program: bytes, tmp_path: Path) -> None:
    image = probes.image_of(program, tmp_path / "probe.elf", f"arg {what}")
    outcome = probes.boot(image, kernel_options=(DESCRIBED,))
    text = outcome.console.decode(errors="replace")
    assert outcome.status == 0, text
    assert "SUCCESS" in text.splitlines(), text
    assert (f"{what} 7 2" in text) == (what in ("ram", "apic")), text


# What is a machine's own: RAM, what firmware keeps behind it, controllers, ROM; and nothing at all.
OWN = ["200000", "a0000", "3fff000", "fec00000", "fed00000", "fee00000", "fffff000", "7fffffff000"]


@pytest.mark.parametrize("what", ["ports", "messages", *(f"page{page}" for page in OWN)])
def test_pci(what: str, program: bytes, tmp_path: Path) -> None:
    image = probes.image_of(program, tmp_path / "probe.elf", f"arg {what}")
    outcome = probes.boot(image, machine="pc", kernel_options=("pci",))
    text = outcome.console.decode(errors="replace")
    assert outcome.status == 0, text
    assert "SUCCESS" in text.splitlines(), text
    assert (f"{what} 7 2" in text) == what.startswith("page"), text


def test_registers_that_the_kernel_uses_are_not_for_drivers(program: bytes, tmp_path: Path) -> None:
    """microvm's power button, described as if it were a device."""
    image = probes.image_of(program, tmp_path / "probe.elf", "arg pagefea00000")
    outcome = probes.boot(image, kernel_options=("virtio_mmio.device=512@0xfea00000:17",))
    assert b"pagefea00000 7 2" in outcome.console, outcome.console


@pytest.mark.parametrize(
    "word", ["512@0x200000:16", "512@0xfee00000:16", "4096@0xfec00000:16", "0@0xfeb00000:16", "512@0xfeb00000:99", "x"]
)
def test_a_description_of_what_is_no_device_is_refused(word: str, program: bytes, tmp_path: Path) -> None:
    image = probes.image_of(program, tmp_path / "probe.elf", "arg registers")
    outcome = probes.boot(image, kernel_options=(f"virtio_mmio.device={word}",))
    text = outcome.console.decode(errors="replace")
    assert "describes no device" in text
    assert outcome.status == 1, text
