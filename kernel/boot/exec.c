/* The start of the first program: its segments and its interpreter's mapped at random places, its stack built as the System V ABI
 * (AMD64 supplement, section 3.4.1) and Linux's auxiliary vector have it. */
#include <asm/auxvec.h>
#include <linux/auxvec.h>
#include <linux/mman.h>
#include <linux/stat.h>

#include "boot/boot.h"
#include "image/elf.h"
#include "memory/memory.h"
#include "personality/personality.h"
#include "pvm/pvm.h"
#include "thread/thread.h"

#define STACK_SIZE (8ull << 20)
#define STACK_GUARD (1ull << 20)
#define RANDOM_BITS 28 /* pages, for each base */
#define PIE_BASE 0x550000000000ull
#define CLOCK_TICKS 100
#define SIGNAL_STACK_MINIMUM 2048

struct loaded {
	uint64_t entry, bias, end, headers;
	uint16_t header_count;
};

static uint64_t random_pages(unsigned bits)
{
	return (random_u64() & ((1ull << bits) - 1)) << PAGE_SHIFT;
}

static uint64_t map_or_stop(uint64_t address, uint64_t length, int protection, int flags, struct mappable *object, uint64_t offset)
{
	int64_t at = memory_map(address, length, protection, flags, object, offset);
	if (at < 0)
		panic("this image cannot be started in %lu MiB of memory (error %ld): give the machine more", frames_total_count() >> 8, -at);
	return (uint64_t)at;
}

static uint32_t find_program(const char *path)
{
	int64_t number = image_lookup(path);
	for (unsigned depth = 0; number >= 0 && S_ISLNK(image_node((uint32_t)number)->mode); depth++) {
		const struct image_node *link = image_node((uint32_t)number);
		static char target[4096];
		memcpy(target, image_data(link, 0, link->size), link->size);
		target[link->size] = 0;
		if (depth == 8 || target[0] != '/')
			panic("%s is a symbolic link that cannot be followed at boot", path);
		number = image_lookup(target);
	}
	if (number < 0 || !S_ISREG(image_node((uint32_t)number)->mode))
		panic("this image cannot be started: there is no program %s in it", path);
	const char *wrong;
	if (elf_of_image(image_node((uint32_t)number), &wrong) == NULL)
		panic("%s cannot be started: %s", path, wrong);
	return (uint32_t)number;
}

/* Maps all segments. base: where a position-independent file starts; 0: wherever there is room. */
static struct loaded load(uint32_t number, uint64_t base)
{
	const Elf64_Ehdr *h = elf_of_image(image_node(number), NULL); /* find_program() has checked it */
	const Elf64_Phdr *segment = elf_segments(h);
	struct mappable *object = image_mappable(number);
	uint64_t low = UINT64_MAX, high = 0;

	if (object == NULL)
		panic("out of memory while starting the program");
	for (unsigned i = 0; i < h->e_phnum; i++)
		if (segment[i].p_type == PT_LOAD) {
			low = MIN(low, ROUND_DOWN(segment[i].p_vaddr, PAGE_SIZE));
			high = MAX(high, ROUND_UP(segment[i].p_vaddr + segment[i].p_memsz, PAGE_SIZE));
		}
	if (low >= high)
		panic("the program has nothing to load");
	struct loaded l = {.header_count = h->e_phnum};
	if (h->e_type == ET_DYN) {
		uint64_t at = map_or_stop(base, high - low, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0); /* keeps the place together */
		l.bias = at - low;
	}
	for (unsigned i = 0; i < h->e_phnum; i++) {
		const Elf64_Phdr *s = &segment[i];
		if (s->p_type != PT_LOAD)
			continue;
		int protection = (s->p_flags & PF_R ? PROT_READ : 0) | (s->p_flags & PF_W ? PROT_WRITE : 0) | (s->p_flags & PF_X ? PROT_EXEC : 0);
		uint64_t start = l.bias + s->p_vaddr, page = ROUND_DOWN(start, PAGE_SIZE), offset = ROUND_DOWN(s->p_offset, PAGE_SIZE);
		uint64_t file_end = start + s->p_filesz, memory_end = start + s->p_memsz, mapped_end = page;
		if (s->p_filesz > 0) {
			map_or_stop(page, file_end - page, protection, MAP_PRIVATE | MAP_FIXED, object, offset);
			mapped_end = ROUND_UP(file_end, PAGE_SIZE);
			/* To the end of the page, past the segment: ld.so's first allocations take what is left of it for zeroes. */
			if ((s->p_flags & PF_W) && memory_end > file_end && mapped_end > file_end &&
			    clear_user(file_end, mapped_end - file_end) != 0)
				panic("out of memory while starting the program");
		}
		if (ROUND_UP(memory_end, PAGE_SIZE) > mapped_end)
			map_or_stop(mapped_end, ROUND_UP(memory_end, PAGE_SIZE) - mapped_end, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0);
		if (h->e_phoff >= s->p_offset && h->e_phoff < s->p_offset + s->p_filesz)
			l.headers = start + (h->e_phoff - s->p_offset);
	}
	object->operations->put(object);
	l.entry = l.bias + h->e_entry;
	l.end = l.bias + high;
	return l;
}

static const char *interpreter_of(uint32_t number, char *path, size_t size)
{
	const struct image_node *node = image_node(number);
	const Elf64_Ehdr *h = elf_of_image(node, NULL);
	const Elf64_Phdr *s = elf_segments(h);
	for (unsigned i = 0; i < h->e_phnum; i++, s++) {
		if (s->p_type != PT_INTERP)
			continue;
		if (s->p_filesz < 2 || s->p_filesz > size || s->p_offset > node->size || s->p_filesz > node->size - s->p_offset)
			panic("the program names an impossible interpreter");
		memcpy(path, image_data(node, s->p_offset, s->p_filesz), s->p_filesz);
		path[s->p_filesz - 1] = 0;
		return path;
	}
	return NULL;
}

/* ---- the stack ------------------------------------------------------------------------------------------------------------------------ */

struct stack {
	char *image;	  /* kernel copy of what goes to [top - size, top) */
	uint64_t top, size, used;
};

static uint64_t push(struct stack *s, const void *bytes, uint64_t length, uint64_t alignment)
{
	uint64_t used = ROUND_UP(s->used + length, alignment);
	if (used > s->size)
		panic("the arguments and the environment do not fit on the stack");
	memcpy(s->image + s->size - used, bytes, length);
	s->used = used;
	return s->top - used;
}

static void push_pointers(uint64_t *vector, size_t *n, const char *words, size_t length, uint64_t at)
{
	for (size_t i = 0; i < length; i += strlen(words + i) + 1)
		vector[(*n)++] = at + i;
	vector[(*n)++] = 0;
}

static uint64_t build_stack(const struct program *p, const struct loaded *program, const struct loaded *interpreter, uint64_t top)
{
	struct stack s = {.top = top, .size = ROUND_UP(p->arguments_length + p->environment_length + 8 * (p->argument_count + p->environment_count) + 8192, 4096)};
	s.image = allocate(s.size);
	uint64_t *vector = allocate(8 * (p->argument_count + p->environment_count + 64));
	if (s.image == NULL || vector == NULL)
		panic("out of memory while building the program's stack");

	uint8_t random[16];
	random_bytes(random, sizeof random);
	uint64_t name = push(&s, p->exec, strlen(p->exec) + 1, 1);
	uint64_t environment = push(&s, p->environment, p->environment_length, 1);
	uint64_t arguments = push(&s, p->arguments, p->arguments_length, 1);
	uint64_t platform = push(&s, "x86_64", 7, 1);
	uint64_t seed = push(&s, random, sizeof random, 16);
	uint64_t vdso = vdso_map();

	size_t n = 0;
	vector[n++] = p->argument_count;
	push_pointers(vector, &n, p->arguments, p->arguments_length, arguments);
	push_pointers(vector, &n, p->environment, p->environment_length, environment);
	const uint64_t auxiliary[][2] = {
		{AT_SYSINFO_EHDR, vdso},
		{AT_HWCAP, cpuid(1, 0).edx},
		{AT_HWCAP2, cpu_features.fsgsbase && !pvm ? 2 : 0},
		{AT_PAGESZ, PAGE_SIZE},
		{AT_CLKTCK, CLOCK_TICKS},
		{AT_MINSIGSTKSZ, SIGNAL_STACK_MINIMUM + fpu_state_size},
		{AT_PHDR, program->headers},
		{AT_PHENT, sizeof(Elf64_Phdr)},
		{AT_PHNUM, program->header_count},
		{AT_BASE, interpreter != NULL ? interpreter->bias : 0},
		{AT_FLAGS, 0},
		{AT_ENTRY, program->entry},
		{AT_UID, 0},
		{AT_EUID, 0},
		{AT_GID, 0},
		{AT_EGID, 0},
		{AT_SECURE, 0},
		{AT_RANDOM, seed},
		{AT_EXECFN, name},
		{AT_PLATFORM, platform},
		{AT_NULL, 0},
	};
	size_t first = n;
	for (size_t i = 0; i < ARRAY_LENGTH(auxiliary); i++) {
		if (auxiliary[i][0] == AT_SYSINFO_EHDR && vdso == 0)
			continue;
		vector[n++] = auxiliary[i][0];
		vector[n++] = auxiliary[i][1];
	}
	process_describe(p->exec, p->arguments, p->arguments_length, p->environment, p->environment_length, vector + first, 8 * (n - first));
	uint64_t rsp = push(&s, vector, 8 * n, 16);
	if (copy_to_user(rsp, s.image + s.size - s.used, s.used) != 0)
		panic("out of memory for the program's stack");
	memset(s.image, 0, s.size);
	release(s.image);
	release(vector);
	return rsp;
}

void program_start(const struct program *p)
{
	uint64_t stack_top = USER_END - STACK_GUARD - random_pages(24);
	mapping_top = stack_top - STACK_SIZE - STACK_GUARD - random_pages(RANDOM_BITS);

	struct mapping stack = {.start = stack_top - STACK_SIZE, .end = stack_top, .name = "[stack]", .protection = PROT_READ | PROT_WRITE, .uncommitted = true};
	struct mapping guard = {.start = stack.start - STACK_GUARD, .end = stack.start, .protection = PROT_NONE, .guard = true};
	if (mapping_insert(&stack) != 0 || mapping_insert(&guard) != 0)
		panic("out of memory for the program's stack");

	uint32_t number = find_program(p->exec);
	struct loaded program = load(number, PIE_BASE + random_pages(RANDOM_BITS)), interpreter;
	static char path[256];
	bool dynamic = interpreter_of(number, path, sizeof path) != NULL;
	if (dynamic)
		interpreter = load(find_program(path), 0);
	heap_init(program.end + random_pages(24));

	uint64_t rsp = build_stack(p, &program, dynamic ? &interpreter : NULL, stack_top - (random_u64() & 0xff0));
	if (process_start_in(p->cwd) != 0)
		panic("the start file's working directory %s is no directory", p->cwd);
	mark("user");
	thread_start_first(dynamic ? interpreter.entry : program.entry, rsp);
}
