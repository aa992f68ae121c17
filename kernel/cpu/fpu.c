/* The application's floating-point and vector state. The kernel itself uses none of it. Intel SDM volume 1 chapter 13. */
#include "cpu/cpu.h"
#include "pvm/pvm.h"

#define XSTATE_X87 1u
#define XSTATE_SSE 2u
#define XSTATE_AVX 4u
#define XSTATE_AVX512 0xe0u
#define MXCSR_INITIAL 0x1f80
#define FCW_INITIAL 0x37f
#define XSAVE_HEADER 512

uint32_t fpu_state_size = 512;
uint64_t fpu_feature_mask = XSTATE_X87 | XSTATE_SSE;
static uint32_t mxcsr_mask = 0xffbf;

void fpu_init(void);

void fpu_init(void)
{
	if (!pvm) {
		uint64_t cr0;
		__asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
		cr0 = (cr0 & ~0xcull) | 0x22; /* no EM, no TS; MP, NE */
		__asm__ volatile("mov %0, %%cr0" : : "r"(cr0));
	}
	__asm__ volatile("fninit");
	if (cpu_features.xsave) {
		uint64_t offered = cpuid(0xd, 0).eax;
		fpu_feature_mask = offered & (XSTATE_X87 | XSTATE_SSE | XSTATE_AVX);
		if ((offered & XSTATE_AVX512) == XSTATE_AVX512)
			fpu_feature_mask |= XSTATE_AVX512;
		if (pvm) { /* the host's components are switched on, and stay so */
			uint32_t low, high;
			__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
			fpu_feature_mask &= low;
		} else {
			__asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)fpu_feature_mask), "d"(0));
		}
		fpu_state_size = cpuid(0xd, 0).ebx; /* for what XCR0 now holds */
		ASSERT(fpu_state_size <= FPU_STATE_MAX);
	}
	static uint8_t state[512] __attribute__((aligned(16)));
	__asm__ volatile("fxsave64 %0" : "=m"(state));
	uint32_t mask;
	memcpy(&mask, state + 28, sizeof mask);
	if (mask != 0)
		mxcsr_mask = mask;
}

void fpu_save(void *state)
{
	uint32_t low = (uint32_t)fpu_feature_mask;
	if (cpu_features.xsaveopt)
		__asm__ volatile("xsaveopt64 (%0)" : : "r"(state), "a"(low), "d"(0) : "memory");
	else if (cpu_features.xsave)
		__asm__ volatile("xsave64 (%0)" : : "r"(state), "a"(low), "d"(0) : "memory");
	else
		__asm__ volatile("fxsave64 (%0)" : : "r"(state) : "memory");
}

void fpu_restore(const void *state)
{
	if (cpu_features.xsave)
		__asm__ volatile("xrstor64 (%0)" : : "r"(state), "a"((uint32_t)fpu_feature_mask), "d"(0) : "memory");
	else
		__asm__ volatile("fxrstor64 (%0)" : : "r"(state) : "memory");
}

void fpu_initial(void *state)
{
	uint16_t fcw = FCW_INITIAL;
	uint32_t mxcsr = MXCSR_INITIAL;
	memset(state, 0, fpu_state_size);
	memcpy(state, &fcw, sizeof fcw);
	memcpy((char *)state + 24, &mxcsr, sizeof mxcsr);
}

void fpu_sanitize(void *state)
{
	uint32_t mxcsr;
	memcpy(&mxcsr, (char *)state + 24, sizeof mxcsr);
	mxcsr &= mxcsr_mask;
	memcpy((char *)state + 24, &mxcsr, sizeof mxcsr);
	if (cpu_features.xsave) {
		uint64_t components;
		memcpy(&components, (char *)state + XSAVE_HEADER, sizeof components);
		components &= fpu_feature_mask;
		memset((char *)state + XSAVE_HEADER, 0, 64); /* a compact format or a reserved bit would fault */
		memcpy((char *)state + XSAVE_HEADER, &components, sizeof components);
	}
}
