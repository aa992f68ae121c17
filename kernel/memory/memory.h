/* Between the files of memory/, and for boot/ and cpu/. */
#ifndef SARAB_MEMORY_H
#define SARAB_MEMORY_H

#include "cpu/cpu.h"
#include "kernel.h"

/* Page-table entries, Intel SDM volume 3 section 4.5. */
#define PTE_PRESENT 0x1ull
#define PTE_WRITE 0x2ull
#define PTE_USER 0x4ull
#define PTE_WRITE_THROUGH 0x8ull
#define PTE_UNCACHED 0x10ull
#define PTE_USED 0x60ull /* accessed, dirty. Nobody here asks, so all have it: who sets it (the CPU, or a hypervisor that shadows) need not */
#define PTE_LARGE 0x80ull
#define PTE_OWNED 0x200ull /* ours: the frame belongs to this mapping and is freed with it */
#define PTE_OPEN 0x400ull /* ours, of device registers: ring 3 may have the page, too */
#define PTE_NX (1ull << 63)
#define PTE_FRAME 0x000ffffffffff000ull

void memory_init(void);
#define FRAMES_USED_RANGES_MAX 4
void frames_init(uint64_t metadata, const struct memory_range *used, size_t used_count);
uint64_t frames_metadata_size(void);
void objects_init(void);

/* Kernel page tables (paging.c). */
extern uint64_t kernel_pml4; /* physical; the application's half lives in it too: there is one address space */
void kernel_map_page(uint64_t virtual, uint64_t physical, uint64_t flags); /* 4 KiB; panics without memory */
uint64_t kernel_unmap_page(uint64_t virtual);				       /* the frame that was there */
/* The entry of an application address in its lowest table. NULL: no table (create false), or no memory (create true). */
uint64_t *user_entry(uint64_t virtual, bool create);
/* The first address in [at, end) that has a lowest table; end: none. */
uint64_t user_table_next(uint64_t at, uint64_t end);
/* After [start, end) was unmapped and (below, above) around it is free: the tables that served only that. */
void user_tables_free(uint64_t start, uint64_t end, uint64_t below, uint64_t above);
void flush_page(uint64_t virtual);
void flush_all(void);

/* Mappings (mapping.c): the sorted table of what the application has mapped. */
struct mapping {
	uint64_t start, end; /* page-aligned */
	uint64_t offset;     /* into the object, bytes */
	struct mappable *object; /* NULL: anonymous */
	const char *name;    /* "[heap]", "[stack]", ...: static, or NULL */
	uint8_t protection;  /* PROT_READ | PROT_WRITE | PROT_EXEC */
	bool shared, charged, uncommitted; /* uncommitted: taken from what is left when touched (stacks, MAP_NORESERVE) */
	bool guard;	     /* never accessible: a touch is a stack that ran over */
	bool kept;	     /* anonymous and MAP_SHARED: its contents are no copy, and advice drops none of them */
};
size_t mapping_index(uint64_t address); /* of the first mapping that ends above address; mapping_count() if none */
size_t mapping_count(void);
struct mapping *mapping_at(size_t index);
struct mapping *mapping_find(uint64_t address); /* the one that holds address, or NULL */
uint64_t mapping_gap(uint64_t length, uint64_t hint); /* a free range, or 0 */
int mapping_reserve(size_t count); /* so many more can be inserted, or cut, without fail */
int mapping_insert(const struct mapping *m); /* the range must be free; joins neighbours where it can */
int mapping_isolate(uint64_t start, uint64_t end); /* cut mappings so that none crosses start or end */
void mapping_remove(size_t first, size_t count); /* from the table only: entries and references are the caller's */
void mapping_join(uint64_t start, uint64_t end); /* join equal neighbours again around a range */
bool mapping_continues(const struct mapping *a, const struct mapping *b);
extern uint64_t mapping_top; /* mappings are placed downwards from here: random at start */

/* Entries (fault.c): what is behind a mapping. */
struct fault_result {
	int signal, code; /* 0: resolved */
	const char *what;
};
struct fault_result fault_resolve(uint64_t address, bool write, bool execute);
void entries_unmap(const struct mapping *m, uint64_t start, uint64_t end);
void entries_protect(const struct mapping *m, uint64_t start, uint64_t end);
bool entries_move_prepare(uint64_t from, uint64_t to, uint64_t length); /* makes the tables that entries_move() needs. False: no memory */
void entries_move(uint64_t from, uint64_t to, uint64_t length);
void entries_populate(const struct mapping *m); /* of an in-place object: every page at once, so that none faults */
extern uint64_t resident_pages, page_faults;

/* Commit accounting (commit.c). */
uint64_t commit_take(bool zeroed); /* a frame that was charged before; 0 is a kernel mistake or a kernel out of memory */
bool commit_kernel_may_take(uint64_t pages); /* for kernel objects: what was promised to the application stays */
bool commit_table_may_take(void); /* for a table of the application's: of what is kept for them, and of nothing that was promised */

/* brk (system_calls.c) and start (boot/exec.c). */
void heap_init(uint64_t start);
void memory_describe_address(uint64_t address, char *to, size_t size); /* for reports (describe.c) */

#endif
