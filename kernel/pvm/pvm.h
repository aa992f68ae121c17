/* The kernel as a PVM guest: in hardware ring 3, on page tables that the hypervisor shadows. Decision 0050 says what is known of the interface. */
#ifndef SARAB_PVM_H
#define SARAB_PVM_H

#include "kernel.h"

/* Shared with the hypervisor, a page of its own. */
struct pvm_shared {
	uint64_t interrupts_on; /* 1: ring 0 takes interrupts. Ring 3 always does */
	uint64_t fault_address; /* CR2 */
	uint8_t rest[4096 - 16];
};
extern struct pvm_shared pvm_shared;

extern bool pvm; /* this machine is one, and pvm_init() has made the kernel its guest */

/* Calls of the hypervisor: numbers, and what they take. */
#define PVM_LOAD_TABLES 0x1001 /* CR3; flushes all translations */
#define PVM_WRITE_MSR 0x1003   /* register, value */
#define PVM_FLUSH_PAGE 0x1008  /* virtual address */
static inline uint64_t pvm_call(uint64_t number, uint64_t a, uint64_t b)
{
	uint64_t result = number;
	__asm__ volatile("int $0x1b" : "+a"(result) : "b"(a), "c"(b) : "memory");
	return result;
}

/* First of all at boot, on boot's own page tables: looks for PVM and becomes its guest. Until then every instruction is emulated. */
void pvm_init(void);
struct cpu_features;
/* CPUID is the host's then: what a guest may use of it, and what the hypervisor said before. */
void pvm_correct_features(struct cpu_features *features);

#endif
