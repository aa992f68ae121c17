/* The pages behind the vDSO. */
#ifndef SARAB_VDSO_H
#define SARAB_VDSO_H

#include "layout.h"
#include "time/vdso_data.h"

/* A page each, shared with the application and with the host: nothing else may lie in them. */
union vdso_page {
	struct vdso_data data;
	uint8_t bytes[PAGE_SIZE];
};
struct kvm_page {
	union {
		struct kvm_clock clock;
		uint8_t bytes[PAGE_SIZE];
	};
};
extern union vdso_page vdso_page;
extern struct kvm_page kvm_page;

#endif
