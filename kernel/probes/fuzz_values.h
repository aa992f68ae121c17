/* Values that arguments are drawn from, and what pointers show to: lengths, descriptors, pointers, times, vectors, names, messages, paths. */
#ifndef FUZZ_VALUES_H
#define FUZZ_VALUES_H

#include "fuzz.h"
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

static const char *const places[] = {
	"/tmp/", "/tmp/", "/tmp/", "/tmp/d/", "/tmp/d/e/", "/dev/shm/", "/var/tmp/", "", "./", "../", "/proc/self/cwd/", "/proc/self/root/tmp/",
	"//tmp//./", "/tmp/a/", "/tmp/d/../d/", "/proc/thread-self/", "/proc/self/", "/proc/self/fd/", "/proc/self/fdinfo/", "/proc/self/task/",
	"/proc/1/", "/proc/", "/dev/", "/sys/", "/", "/", "/",
};
static const char *const names[] = {
	"a", "b", "c", "d", "e", "f", "d/e", ".", "..", "", "a/", "d/", "null", "zero", "full", "random", "mem", "dma", "irq", "port", "fd",
	"shm", "maps", "status", "stat", "statm", "comm", "auxv", "environ", "limits", "mounts", "mountinfo", "exe", "root", "cwd", "cgroup",
	"io", "meminfo", "sarab", "self", "task", "cpuinfo", "3", "4", "5", "17", "1023", "4294967296", "tmp", "bin/probe", "boot/start",
	"sys/kernel/hostname", "sys/kernel/random/uuid", "sys/fs/pipe-max-size", "devices/system/cpu/online", "var/tmp/x", "data", "data", "data",
};

/* ---- values -------------------------------------------------------------------------------------------------------------------- */

static uint64_t length_value(struct worker *w)
{
	switch (below(w, 8)) {
	case 0: return below(w, 64);
	case 1: return below(w, 4096);
	case 2: return 4096 * below(w, 64);
	case 3: return PICK(w, 4095, 4097, 65535, 65536, 65537, 1 << 20, 0x7fffefff, 0x7ffff000, 0x7fffffff, 0x80000000);
	case 4: return PICK(w, 0xffffffff, 1ull << 32, 1ull << 46, 1ull << 47, INT64_MAX, 1ull << 63, ~0ull, -4096ull, -8ull, USER_END);
	case 5: return PICK(w, 4, 8, 12, 16, 24, 32, 48, 64, 128);
	default: return PICK(w, 0, 1, 2, 7, 8, 100, 512, 4096, 8192);
	}
}

static uint64_t number_value(struct worker *w)
{
	switch (below(w, 8)) {
	case 0: return PICK(w, INT32_MAX, 0x80000000, UINT32_MAX, INT64_MAX, INT64_MIN, 1ull << 32, 1ull << 62, -4096ull);
	case 1: return (uint64_t)-(int64_t)below(w, 16);
	case 2: return below(w, 128);
	case 3: return 4096 * below(w, 32);
	case 4: return 1ull << below(w, 64);
	case 5: return (uint64_t)workers[below(w, ALL_WORKERS)].alive;
	default: return below(w, 10);
	}
}

static uint64_t flags_value(struct worker *w)
{
	uint64_t flags = 0;
	if (one_in(w, 2))
		return 0;
	for (uint64_t n = below(w, 4); n > 0; n--)
		flags |= 1ull << below(w, one_in(w, 8) ? 64 : 20);
	return one_in(w, 16) ? next(w) : one_in(w, 3) ? below(w, 8) : flags;
}

static uint64_t descriptor_value(struct worker *w)
{
	uint64_t d;
	switch (below(w, 12)) {
	case 0: d = below(w, 24); break;
	case 1: d = PICK(w, ~0ull, -100ull, INT32_MAX, 0x80000000, 1ull << 32, 4096, 4095, 999, 1023, 0xffffff9c); break;
	default: d = (uint64_t)(int64_t)results.descriptor[below(w, RESULTS)]; break;
	}
	return (uint32_t)d >= FIRST_KEPT && (uint32_t)d < FIRST_KEPT + KEPT ? ~0ull : d;
}

/* Mostly one that the call can use. */
static uint64_t descriptor_of(struct worker *w, enum kind kind)
{
	return one_in(w, 6) ? descriptor_value(w) : (uint64_t)(int64_t)results.kind[kind][below(w, OF_A_KIND)];
}

static uint64_t zone_address(struct worker *w)
{
	return zone + 4096 * below(w, one_in(w, 4) ? ZONE_SIZE / 4096 : 256);
}

static uint64_t bad_pointer(struct worker *w)
{
	return PICK(w, 0, 1, 8, 4096, 65536, USER_END, USER_END - 1, USER_END - 8, USER_END - 4096, KERNEL_BASE + KERNEL_GIVEN, KERNEL_BASE + KERNEL_GIVEN + 8,
		    DIRECT_GIVEN, DIRECT_GIVEN + 8, STACKS_GIVEN, 0x0000800000000000, 0x8000000000000000, ~0ull, -8ull, -4096ull,
		    0x00007fffffffffff, 0xffff7fffffffffff);
}

/* Into a part of the scratch, or near one of its ends, or somewhere else. */
static uint64_t pointer_value(struct worker *w, unsigned part)
{
	uint64_t start = (uint64_t)w->scratch;
	switch (below(w, 36)) {
	case 0: return bad_pointer(w);
	case 1: return start + SCRATCH_SIZE - below(w, 64);
	case 2: return start - 1 - below(w, 64);
	case 3: return start + part * PART_SIZE + below(w, 64); /* not aligned */
	case 4: return zone_address(w) + below(w, 4096);
	case 5: {
		struct region r = results.region[below(w, RESULTS)];
		return r.address + (one_in(w, 2) ? r.length - MIN(r.length, below(w, 64)) : below(w, 64));
	}
	default: return start + part * PART_SIZE;
	}
}

static bool in_scratch(const struct worker *w, uint64_t address)
{
	return address >= (uint64_t)w->scratch && address - (uint64_t)w->scratch < SCRATCH_SIZE;
}

/* Words that do not lie on their boundary could look like what look_for_leaks() looks for. */
static uint64_t aligned(uint64_t address)
{
	return address & ~7ull;
}

/* Something to write to if the pointer shows into the scratch: `size` bytes fit; else a place nobody reads. */
static void *at(struct worker *w, uint64_t address, size_t size)
{
	static uint8_t nowhere[PART_SIZE];
	return in_scratch(w, address) && address + size <= (uint64_t)w->scratch + SCRATCH_SIZE ? (void *)address : nowhere;
}

/* Words that are a little of everything: lengths, descriptors, pointers, times. */
static void fill(struct worker *w, uint64_t address)
{
	uint64_t words[24];
	for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
		switch (below(w, 8)) {
		case 0: words[i] = pointer_value(w, (unsigned)below(w, 8)); break;
		case 1: words[i] = (uint32_t)descriptor_value(w) | below(w, 0x50) << 32; break;
		case 2: words[i] = length_value(w); break;
		case 3: words[i] = number_value(w); break;
		case 4: words[i] = below(w, 1000000000); break;
		case 5: words[i] = one_in(w, 4) ? next(w) : 0; break;
		default: words[i] = below(w, 32); break;
		}
	memcpy(at(w, aligned(address), sizeof words), words, sizeof words);
}

static void fill_time(struct worker *w, uint64_t address)
{
	int64_t t[4];
	for (unsigned i = 0; i < 4; i += 2) {
		t[i] = (int64_t)PICK(w, 0, 0, 0, 0, 0, 0, 1, -1ull, INT64_MAX, 1ull << 33, INT64_MIN);
		t[i + 1] = (int64_t)PICK(w, 0, 1, 1000, 100000, 999999, 1000000, 999999999, 1000000000, -1ull, INT64_MAX);
	}
	memcpy(at(w, aligned(address), sizeof t), t, sizeof t);
}

static void fill_vectors(struct worker *w, uint64_t address, unsigned count)
{
	struct iovec v[16];
	for (unsigned i = 0; i < MIN(count, 16u); i++)
		v[i] = (struct iovec){(void *)pointer_value(w, 4 + (unsigned)below(w, 4)), one_in(w, 4) ? length_value(w) : below(w, 5000)};
	memcpy(at(w, aligned(address), sizeof v), v, sizeof(struct iovec) * MIN(count, 16u));
}

static void fill_name(struct worker *w, uint64_t address)
{
	struct sockaddr_un name = {.sun_family = (uint16_t)PICK(w, AF_UNIX, AF_UNIX, AF_UNIX, AF_UNIX, AF_INET, 0, AF_INET6, 0xffff)};
	snprintf(name.sun_path + one_in(w, 3), 32, "/tmp/s%u", (unsigned)below(w, 12)); /* abstract, sometimes */
	if (one_in(w, 16))
		memset(name.sun_path, 'x', sizeof name.sun_path);
	memcpy(at(w, address, sizeof name), &name, sizeof name);
}

static void fill_message(struct worker *w, uint64_t address)
{
	struct {
		struct msghdr header;
		struct iovec vectors[4];
		_Alignas(16) struct {
			struct cmsghdr header;
			int32_t words[8];
		} control[2];
	} m;
	memset(&m, 0, sizeof m);
	for (unsigned i = 0; i < 2; i++) {
		unsigned count = (unsigned)below(w, 8);
		m.control[i].header.cmsg_len = one_in(w, 6) ? length_value(w) : sizeof m.control[i].header + 4 * count;
		m.control[i].header.cmsg_level = (int)PICK(w, SOL_SOCKET, SOL_SOCKET, SOL_SOCKET, 0, 41);
		m.control[i].header.cmsg_type = (int)PICK(w, SCM_RIGHTS, SCM_RIGHTS, SCM_RIGHTS, 2, 77);
		for (unsigned n = 0; n < 8; n++)
			m.control[i].words[n] = (int)descriptor_value(w);
	}
	m.header.msg_iov = (struct iovec *)(address + offsetof(__typeof__(m), vectors));
	m.header.msg_iovlen = (int)(one_in(w, 10) ? length_value(w) : below(w, 5));
	m.header.msg_control = one_in(w, 3) ? NULL : (void *)(one_in(w, 8) ? pointer_value(w, 3) : address + offsetof(__typeof__(m), control));
	m.header.msg_controllen = (socklen_t)(one_in(w, 6) ? length_value(w) : 0);
	if (one_in(w, 4)) {
		m.header.msg_name = (void *)pointer_value(w, 5);
		m.header.msg_namelen = (socklen_t)(one_in(w, 4) ? length_value(w) : sizeof(struct sockaddr_un));
		fill_name(w, (uint64_t)m.header.msg_name);
	}
	for (unsigned i = 0; i < 4; i++)
		m.vectors[i] = (struct iovec){(void *)pointer_value(w, 6), one_in(w, 6) ? length_value(w) : below(w, 3000)};
	memcpy(at(w, address, sizeof m), &m, sizeof m);
}

static void fill_path(struct worker *w, uint64_t address)
{
	char *to = at(w, address, 4200);
	if (one_in(w, 40)) { /* long: a name, a path, or one without an end */
		uint64_t length = PICK(w, 254, 255, 256, 4094, 4095, 4096, 4199);
		memset(to, one_in(w, 2) ? 'n' : '/', length);
		memcpy(to, "/tmp/", 5);
		to[length] = 0;
		return;
	}
	const char *place = places[below(w, sizeof places / sizeof *places)], *name = names[below(w, sizeof names / sizeof *names)];
	if (one_in(w, 2)) {
		place = "/tmp/";
		name = names[below(w, 8)];
	}
	size_t length = strlen(place);
	memcpy(to, place, length);
	memcpy(to + length, name, strlen(name) + 1);
	if (strstr(to, "console") || strstr(to, "fd/10")) /* the report goes there */
		to[0] = 0;
}

#endif
