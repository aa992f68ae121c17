/* The pages behind the vDSO: a frame of RAM each, shared with the application and the host, so that nothing else lies in them. */
#ifndef SARAB_VDSO_H
#define SARAB_VDSO_H

#include "time/vdso_data.h"

extern struct vdso_data *vdso_data;
extern struct kvm_clock *kvm_clock;
void vdso_pages_init(void);

#endif
