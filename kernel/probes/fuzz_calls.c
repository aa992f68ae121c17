/* A storm of random system calls from a seed, in several threads, and what must hold after it. SUCCESS */

/* Arguments: SEED CALLS [count] [wild] [tight] [threads=N] [show] [skip=FIRST-LAST]... Without them a short storm of seed 1. tests/fuzz/calls.py drives it. */
#pragma clang attribute push(__attribute__((no_stack_protector)), apply_to = function) /* the canary lies behind FS, which the storm moves */
#include "fuzz_arguments.h"
#include <sched.h>
#include <sys/stat.h>
#include <ucontext.h>

#define CHILD_CALLS 40
#define PATIENCE_MS 4000 /* a worker that gets no call done in it, kicked again and again, is stuck */
#define KICK_AFTER_MS 3
/* Frames that may be missing after everything was given back: of page tables and slabs that the checks themselves hold. Measured: below 10. */
#define FRAMES_KEPT 48

struct results results;
struct worker workers[ALL_WORKERS];
uint64_t seed = 1, zone = 0x100000000000;
bool wild;
static bool tight; /* hardly any memory, */
static volatile bool hogged; /* now */
static bool show;
static unsigned threads;
static struct {
	uint64_t first, last;
} skips[64];
static unsigned skip_count;
_Alignas(BLOCK_SIZE) uint8_t blocks[ALL_WORKERS][BLOCK_SIZE];
static int console_fd, maps_fd, sarab_fd, devnull_fd, tmp_fd;
static volatile uint64_t signals_seen, recoveries;
static unsigned made[CALLS][2]; /* how often a call succeeded, and failed */
static struct region first_maps[64];
static unsigned first_map_count;

/* ---- reports: no libc, for workers --------------------------------------------------------------------------------------------- */

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
	char line[512];
	__builtin_va_list arguments;
	__builtin_va_start(arguments, format);
	int length = vsnprintf(line, sizeof line, format, arguments);
	__builtin_va_end(arguments);
	CALL(SYS_write, (uint64_t)console_fd, (uint64_t)line, MIN((uint64_t)length, sizeof line - 1));
}

static void say_call(const struct worker *w, const char *what)
{
	const uint64_t *a = w->argument;
	say("%s: worker %d call %llu %s[%llu](%llx, %llx, %llx, %llx, %llx, %llx) = %lld\n", what, w->id, (unsigned long long)w->index,
	    w->call ? w->call->name : "", (unsigned long long)w->number, (unsigned long long)a[0], (unsigned long long)a[1],
	    (unsigned long long)a[2], (unsigned long long)a[3], (unsigned long long)a[4], (unsigned long long)a[5], (long long)w->result);
}

static _Noreturn void finding(const char *what)
{
	say("FINDING: %s (seed %llu)\n", what, (unsigned long long)seed);
	CALL(SYS_exit_group, 3);
	__builtin_unreachable();
}

/* ---- workers --------------------------------------------------------------------------------------------------------------------- */

/* Nothing of the kernel's may lie in what it gave: no address, no released object (which it fills with 0x5a). What is compared with must not lie in
 * a register, for a signal's frame holds those. */
static volatile uint64_t below_direct = -DIRECT_BASE, below_stacks = -STACKS_BASE, below_kernel = -(KERNEL_BASE + KERNEL_FIRST),
			 not_released = ~0x5a5a5a5a5a5a5a5aull;

static void look_for_leaks(struct worker *w)
{
	const uint64_t *words = (const uint64_t *)(void *)w->scratch;
	for (unsigned i = 0; i < SCRATCH_SIZE / sizeof *words; i++) {
		uint64_t x = words[i];
		if (x + below_direct >= DIRECT_USED && x + below_stacks >= STACKS_USED && x + below_kernel >= KERNEL_USED && ~x != not_released)
			continue;
		say_call(w, "after");
		say("at %u: %llx\n", i * 8, (unsigned long long)x);
		finding("a kernel address or a released object came out");
	}
}

static bool skipped(uint64_t index)
{
	for (unsigned i = 0; i < skip_count; i++)
		if (index >= skips[i].first && index <= skips[i].last)
			return true;
	return false;
}

static bool start_worker(int id, uint64_t first, uint64_t count);

__attribute__((noreturn, used)) static void work(struct worker *w)
{
	while (w->index < w->end) {
		w->index++;
		w->done++;
		if (skipped(w->index) || !draw(w))
			continue;
		if (w->number == SYS_clone && w->id < WORKERS)
			start_worker(WORKERS + (int)below(w, CHILDREN), w->index << 16, 1 + below(w, CHILD_CALLS));
		if (show)
			say_call(w, "makes");
		w->result = call6(w->number, w->argument);
		if (w->call->number == w->number)
			made[w->call - calls][w->result < 0 && w->result > -4096]++;
		if (show)
			say_call(w, "made");
		remember(w);
		if (w->index % 16 == 0 || show)
			look_for_leaks(w);
	}
	for (;;)
		CALL(SYS_exit, 0);
}

static void reset_stack(struct worker *w, stack_t *stack)
{
	*stack = (stack_t){.ss_sp = blocks[w->id] + BLOCK_SIZE / 2, .ss_size = BLOCK_SIZE / 2};
}

/* A worker's thread: the registers but rax and rsp are copied, so r12 tells it who it is. */
static bool start_worker(int id, uint64_t first, uint64_t count)
{
	struct worker *w = &workers[id];
	int free = 0;
	if (!__atomic_compare_exchange_n(&w->alive, &free, -1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return false;
	w->index = first;
	w->end = first + count;
	register int64_t result __asm__("rax") = SYS_clone;
	register uint64_t flags __asm__("rdi") = 0x50f00 | 0x100000 | 0x200000 | 0x1000000; /* VM FS FILES SIGHAND THREAD SYSVSEM, tids */
	register uint64_t stack __asm__("rsi") = (uint64_t)blocks[id] + BLOCK_SIZE / 2 - 16;
	register uint64_t parent __asm__("rdx") = (uint64_t)&w->alive;
	register uint64_t child __asm__("r10") = (uint64_t)&w->alive;
	register uint64_t pointer __asm__("r8") = 0;
	register struct worker *self __asm__("r12") = w;
	__asm__ volatile("syscall\n\ttest %%rax, %%rax\n\tjnz 1f\n\txor %%ebp, %%ebp\n\tmov %%r12, %%rdi\n\tcall %P[work]\n\tud2\n1:"
			 : "+r"(result)
			 : "r"(flags), "r"(stack), "r"(parent), "r"(child), "r"(pointer), "r"(self), [work] "i"(work)
			 : "rcx", "r11", "memory", "cc");
	if (result < 0)
		w->alive = 0;
	return result > 0;
}

static struct worker *worker_at(uint64_t address)
{
	uint64_t id = (address - (uint64_t)blocks) / BLOCK_SIZE;
	if (id >= ALL_WORKERS)
		id = (address - SCRATCH_AT) >> 20;
	return id < ALL_WORKERS ? &workers[id] : NULL;
}

/* What a handler can do to the frame that it returns by. */
static void spoil(ucontext_t *u)
{
	static uint64_t state;
	uint64_t x = mix(state += 0x9e3779b97f4a7c15 ^ seed);
	uint8_t *fpu = (uint8_t *)u->uc_mcontext.fpregs;
	switch (x % 12) {
	case 0: *(uint32_t *)(void *)(fpu + 24) = (uint32_t)(x >> 20); break; /* MXCSR */
	case 1: fpu[512 + (x >> 8) % 64] = (uint8_t)(x >> 20); break;	      /* XSAVE header */
	case 2: *(uint32_t *)(void *)(fpu + 464 + 4 * ((x >> 8) % 12)) = (uint32_t)(x >> 32); break;
	case 3: u->uc_mcontext.gregs[REG_EFL] ^= (greg_t)(x >> 8) & ~0x40100; break;
	case 4:
		if (wild)
			u->uc_stack.ss_sp = (void *)(x >> 8);
		break;
	case 5: u->uc_stack.ss_flags = wild ? (int)(x >> 32) : 2; break;
	case 6: u->uc_mcontext.gregs[REG_ERR] = u->uc_mcontext.gregs[REG_TRAPNO] = (greg_t)x; break;
	case 7: u->uc_mcontext.gregs[REG_CSGSFS] = (greg_t)x; break;
	case 8: u->uc_mcontext.fpregs = NULL; break;
	default: break;
	}
}

void on_signal(int signal, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
	uint64_t here = (uint64_t)__builtin_frame_address(0);
	(void)info;
	signals_seen++;
	if (!((TRAP_SIGNALS & ~(1ull << (SIGABRT - 1))) >> (signal - 1) & 1)) {
		if (worker_at(here) != NULL && signal != KICK)
			spoil(u);
		return;
	}
	/* A worker lost its way, or touched what it took away itself: on with its next call. */
	struct worker *w = worker_at(here);
	if (w != NULL && w->alive != CALL(SYS_gettid)) /* a handler without a stack borrows another thread's */
		w = NULL;
	if (w == NULL && (wild || hogged)) { /* a handler that is none, or a stack that finds no memory */
		say("the storm reached the checks\nSUCCESS\n");
		CALL(SYS_exit_group, 0);
	}
	if (w == NULL) {
		for (int i = 0; i < (int)NGREG; i++)
			say("register %d: %llx\n", i, (unsigned long long)u->uc_mcontext.gregs[i]);
		finding("the checks themselves faulted");
	}
	recoveries++;
	u->uc_mcontext.gregs[REG_RIP] = (greg_t)work;
	u->uc_mcontext.gregs[REG_RDI] = (greg_t)w;
	u->uc_mcontext.gregs[REG_RSP] = (greg_t)(blocks[w->id] + BLOCK_SIZE / 2 - 24);
	u->uc_mcontext.gregs[REG_EFL] = 0x202;
	u->uc_mcontext.fpregs = NULL;
	memset(&u->uc_sigmask, 0, 8);
	reset_stack(w, &u->uc_stack);
}

__asm__(".globl restorer\nrestorer:\n\tmov $15, %eax\n\tsyscall\n\tud2");

static void set_handlers(void)
{
	for (int signal = 1; signal <= 64; signal++) {
		const uint64_t action[4] = {(uint64_t)on_signal, 0x04000004 | 0x08000000, (uint64_t)restorer, ~NEVER_BLOCKED};
		CALL(SYS_rt_sigaction, (uint64_t)signal, (uint64_t)action, 0, 8);
	}
}

/* ---- the checks ------------------------------------------------------------------------------------------------------------------ */

static char text[1 << 18];

static const char *read_text(int fd)
{
	int64_t length = 0, n;
	while ((n = CALL(SYS_pread64, (uint64_t)fd, (uint64_t)text + (uint64_t)length, sizeof text - 1 - (uint64_t)length, (uint64_t)length)) > 0)
		length += n;
	if (length == 0 && !(n == -ENOMEM && hogged))
		finding("/proc gives nothing any more");
	text[length] = 0;
	return text;
}

static uint64_t counter(const char *name)
{
	const char *found = strstr(read_text(sarab_fd), name);
	return found ? strtoull(found + strlen(name), NULL, 10) : 0;
}

/* Each line of maps: nothing writable and executable. keep: it was there at the start. take: what was not is taken away. */
static void look_at_maps(bool keep, bool take)
{
	char *line = (char *)(uintptr_t)read_text(maps_fd);
	while (*line) {
		char *end = strchr(line, '\n'), *rest;
		if (end == NULL) /* there is more than room for it: next time */
			break;
		struct region r = {strtoull(line, &rest, 16), 0};
		r.length = strtoull(rest + 1, &rest, 16) - r.address;
		if (rest[2] == 'w' && rest[3] == 'x') {
			*end = 0;
			say("%s\n", line);
			finding("a mapping is writable and executable");
		}
		bool known = false;
		for (unsigned i = 0; i < first_map_count; i++)
			known = known || (r.address < first_maps[i].address + first_maps[i].length && first_maps[i].address < r.address + r.length);
		if (keep && first_map_count < 64)
			first_maps[first_map_count++] = r;
		int64_t error = take && !known ? CALL(SYS_munmap, r.address, r.length) : 0;
		if (error != 0) {
			say("%.80s\nmunmap(%llx, %llx) = %lld\n", line, (unsigned long long)r.address, (unsigned long long)r.length, (long long)error);
			finding("a mapping could not be taken away");
		}
		line = end + 1;
	}
}

static void remove_all(const char *path)
{
	struct {
		uint64_t number, next;
		uint16_t length;
		uint8_t type;
		char name[];
	} *entry;
	char list[1024], name[4096];
	for (int round = 0; round < 10000; round++) {
		int64_t fd = CALL(SYS_open, (uint64_t)path, O_RDONLY | O_DIRECTORY), n = CALL(SYS_getdents64, (uint64_t)fd, (uint64_t)list, sizeof list);
		CALL(SYS_close, (uint64_t)fd);
		unsigned removed = 0;
		for (int64_t at = 0; at < n; at += entry->length) {
			entry = (void *)(list + at);
			if (strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0)
				continue;
			snprintf(name, sizeof name, "%s/%s", path, entry->name);
			if (entry->type == 4 && strlen(path) < 3000)
				remove_all(name);
			int64_t error = CALL(SYS_unlinkat, (uint64_t)-100, (uint64_t)name, entry->type == 4 ? 0x200 : 0);
			if (error < 0) {
				say("%s: %lld\n", name, (long long)error);
				finding("a name in /tmp cannot be removed");
			}
			removed++;
		}
		if (removed == 0)
			return;
	}
	finding("a directory does not become empty");
}

static void stop_timers(void)
{
	const uint64_t zero[4] = {0};
	for (uint64_t i = 0; i < 256; i++)
		CALL(SYS_timer_delete, i);
	for (uint64_t i = 0; i < 3; i++)
		CALL(SYS_setitimer, i, (uint64_t)zero, 0);
	set_handlers();
}

static uint64_t first_brk;

static void clean_up(void)
{
	const uint64_t zero = 0;
	stop_timers();
	CALL(SYS_rt_sigprocmask, SIG_SETMASK, (uint64_t)&zero, 0, 8);
	CALL(SYS_close_range, 0, FIRST_KEPT - 1, 0);
	CALL(SYS_close_range, (uint64_t)tmp_fd + 1, ~0u, 0);
	for (uint64_t i = 0; i < 3; i++)
		CALL(SYS_dup2, (uint64_t)devnull_fd, i);
	for (int i = 0; i < 8; i++) {
		look_at_maps(false, true);
		hogged = false; /* what is left is no excuse any more */
	}
	CALL(SYS_brk, first_brk);
	CALL(SYS_chdir, (uint64_t) "/");
	CALL(SYS_umask, 022);
	if (!wild) {
		remove_all("/tmp");
		remove_all("/dev/shm");
		remove_all("/var/tmp");
	}
	memset(&results, -1, offsetof(struct results, region));
	memset(results.region, 0, sizeof results.region);
}

static void map_scratch(struct worker *w)
{
	w->scratch = (uint8_t *)SCRATCH_AT + ((uint64_t)w->id << 20) + BLOCK_SIZE;
	CALL(SYS_munmap, (uint64_t)w->scratch, SCRATCH_SIZE);
	if (CALL(SYS_mmap, (uint64_t)w->scratch, SCRATCH_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, ~0ull, 0) !=
	    (int64_t)w->scratch)
		finding("no memory for the scratch");
	memset(w->scratch, 0, SCRATCH_SIZE); /* all its frames: their number is part of the measure */
}

static unsigned alive(void)
{
	unsigned count = 0;
	for (int i = 0; i < ALL_WORKERS; i++)
		count += workers[i].alive != 0;
	return count;
}

/* The main thread kicks who waits, looks at the map now and then, and has patience only for so long. */
static void watch(void)
{
	uint64_t seen[ALL_WORKERS] = {0};
	int64_t since[ALL_WORKERS], maps_at = now();
	for (int i = 0; i < ALL_WORKERS; i++)
		since[i] = now();
	while (alive() > 0) {
		const uint64_t pause[2] = {0, 1000000}, zero[1] = {0};
		CALL(SYS_rt_sigprocmask, SIG_SETMASK, (uint64_t)zero, 0, 8);
		CALL(SYS_nanosleep, (uint64_t)pause, 0);
		int64_t time = now();
		if (time - maps_at > 50 * MILLISECOND) {
			look_at_maps(false, false);
			maps_at = now();
		}
		for (int i = 0; i < ALL_WORKERS; i++) {
			struct worker *w = &workers[i];
			if (w->alive <= 0 || w->done != seen[i]) {
				seen[i] = w->done;
				since[i] = time;
			} else if (time - since[i] > PATIENCE_MS * MILLISECOND) {
				say_call(w, "stuck");
				finding("a call does not come back");
			} else if (time - since[i] > KICK_AFTER_MS * MILLISECOND) {
				if (time - since[i] > PATIENCE_MS / 4 * MILLISECOND) /* a timer may have its call begin again each time */
					stop_timers();
				CALL(SYS_tgkill, 1, (uint64_t)w->alive, KICK);
			}
		}
	}
}

/* Leaves so little memory that many a call fails in its middle. */
static void hog(void)
{
	hogged = true;
	for (uint64_t length = 16 << 20; length >= 4096; length /= 2)
		while (CALL(SYS_mmap, 0, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, ~0ull, 0) > 0)
			;
}

static void storm(uint64_t count)
{
	set_handlers();
	for (int i = 0; i < ALL_WORKERS; i++)
		map_scratch(&workers[i]);
	if (tight)
		hog();
	for (unsigned i = 0; i < threads; i++)
		if (!start_worker((int)i, 0, count))
			finding("no thread can be started");
	watch();
	clean_up();
}

static void *adds(void *argument)
{
	return (char *)argument + 1;
}

/* A little of everything that a program needs. */
static void still_answers(void)
{
	int pair[2];
	char byte = 0;
	struct timespec moment = {0, 1000};
	void *result, *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED && memset(memory, 1, 1 << 20) && munmap(memory, 1 << 20) == 0);
	CHECK(pipe(pair) == 0 && write(pair[1], "x", 1) == 1 && read(pair[0], &byte, 1) == 1 && byte == 'x');
	CHECK(close(pair[0]) == 0 && close(pair[1]) == 0 && nanosleep(&moment, NULL) == 0);
	CHECK(pthread_join(start(adds, &byte), &result) == 0 && result == &byte + 1);
	int fd = open("/tmp/last", O_RDWR | O_CREAT | O_EXCL, 0600);
	CHECK(fd >= 0 && write(fd, text, 10000) == 10000 && lseek(fd, 0, SEEK_END) == 10000 && close(fd) == 0 && unlink("/tmp/last") == 0);
}

static int keep(const char *path, int number)
{
	int fd = open(path, path[1] == 't' ? O_RDONLY | O_DIRECTORY : O_RDWR);
	if (fd < 0)
		fd = open(path, O_RDONLY);
	CHECK(fd >= 0 && dup2(fd, FIRST_KEPT + number) >= 0 && close(fd) == 0);
	return FIRST_KEPT + number;
}

int main(int count, char **argument)
{
	uint64_t number = count > 2 ? strtoull(argument[2], NULL, 0) : 4000;
	seed = count > 1 ? strtoull(argument[1], NULL, 0) : 1;
	threads = 1 + (seed / 2) % 4 * (seed % 2); /* even seeds: one thread, so that a replay does the same */
	for (int i = 3; i < count; i++) {
		char *rest = strchr(argument[i], '=');
		wild = wild || strcmp(argument[i], "wild") == 0;
		show = show || strcmp(argument[i], "show") == 0;
		tight = tight || strcmp(argument[i], "tight") == 0;
		if (strncmp(argument[i], "threads=", 8) == 0)
			threads = (unsigned)strtoul(rest + 1, NULL, 0);
		if (strncmp(argument[i], "skip=", 5) == 0 && skip_count < 64) {
			skips[skip_count].first = strtoull(rest + 1, &rest, 0);
			skips[skip_count++].last = strtoull(rest + 1, NULL, 0);
		}
	}
	for (int i = 0; i < ALL_WORKERS; i++) {
		workers[i].id = i;
		map_scratch(&workers[i]);
	}
	memset(text, 1, sizeof text);
	memset(blocks, 1, sizeof blocks);
	console_fd = keep("/dev/console", 0);
	maps_fd = keep("/proc/self/maps", 1);
	sarab_fd = keep("/proc/sarab", 2);
	devnull_fd = keep("/dev/null", 3);
	tmp_fd = keep("/tmp", 4);
	for (int i = 0; i < 3; i++)
		dup2(devnull_fd, i);
	memset(&results, -1, offsetof(struct results, region));
	still_answers();
	look_at_maps(true, false);
	for (unsigned i = 0; i < first_map_count; i++) /* the kernel puts mappings anywhere: not where the storm will be */
		if (first_maps[i].address + ZONE_SIZE > zone && first_maps[i].address < zone + 2 * ZONE_SIZE)
			zone = 0x300000000000;
	first_brk = (uint64_t)CALL(SYS_brk, 0);

	bool was_shown = show;
	show = false;
	storm(MIN(number / 20, 100u)); /* what is made once and kept (page tables, slabs) is there afterwards */
	show = was_shown;
	uint64_t before = counter("frames_free "), resident = counter("resident_pages "), inodes = counter("tmp_inodes ");
	storm(number);
	uint64_t after = counter("frames_free "), tmp_pages = counter("tmp_pages "), left = counter("resident_pages ");
	uint64_t inodes_left = counter("tmp_inodes ");
	say("%llu calls in %u threads, %llu signals, %llu recoveries, frames %llu before, %llu after\n", (unsigned long long)number * threads, threads,
	    (unsigned long long)signals_seen, (unsigned long long)recoveries, (unsigned long long)before, (unsigned long long)after);
	if (!wild && (after + FRAMES_KEPT < before || left > resident + FRAMES_KEPT || tmp_pages != 0 || inodes_left != inodes)) {
		say("resident %llu, then %llu, inodes of /tmp %llu, then %llu, pages %llu\n", (unsigned long long)resident, (unsigned long long)left,
		    (unsigned long long)inodes, (unsigned long long)inodes_left, (unsigned long long)tmp_pages);
		finding("frames were not given back");
	}
	if (!wild)
		still_answers();
	for (unsigned i = 0; i < CALLS && count > 3 && strcmp(argument[3], "count") == 0; i++)
		say("made %s %u %u\n", calls[i].name, made[i][0], made[i][1]);
	say("SUCCESS\n");
	return 0;
}
#pragma clang attribute pop
