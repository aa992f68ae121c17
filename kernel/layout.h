/* The memory map. Every magic address of the kernel stands here once.
 *
 *   virtual                                   what
 *   0000_0000_0000_0000 .. 0000_0000_0000_ffff  never mapped: a null pointer faults
 *   0000_0000_0001_0000 .. 0000_7fff_ffff_efff  the application (ring 3)
 *   ffff_8800_0000_0000 .. ffff_887f_ffff_ffff  direct map of RAM: NX; writable but for the kernel's code and constants and the image
 *   ffff_c900_0000_0000 ..                      kernel stacks, a slot each, the lower half of a slot unmapped (the guard)
 *   ffff_ca00_0000_0000 ..                      device registers, uncached
 *   ffff_cb00_0000_0000 + physical              the image's file system again, RW and NX: only decompression writes, and only here
 *   ffff_ffff_8000_0000 + physical              the kernel as linked: text RX, constants R, data RW
 *
 *   physical
 *   0000_0000 .. 000f_ffff                      firmware, start information, command line: read once, then never handed out
 *   0020_0000 ..                                the kernel, then (at the next multiple of 2 MiB) the image's file system and its compressed pieces
 */
#ifndef SARAB_LAYOUT_H
#define SARAB_LAYOUT_H

#define PAGE_SHIFT 12
#define PAGE_SIZE 0x1000
#define LARGE_PAGE_SIZE 0x200000

#define USER_START 0x0000000000010000
#define USER_END 0x00007ffffffff000

#define DIRECT_BASE 0xffff880000000000
#define DIRECT_SIZE 0x0000008000000000
#define STACKS_BASE 0xffffc90000000000
#define DEVICES_BASE 0xffffca0000000000
#define DEVICES_SIZE 0x0000000040000000
#define IMAGE_BASE 0xffffcb0000000000
#define KERNEL_BASE 0xffffffff80000000
#define KERNEL_PHYSICAL 0x200000

#define KERNEL_STACK_SIZE 0x4000 /* mapped part of a slot */
#define KERNEL_STACK_SLOT 0x8000

/* Segment selectors; their order is what SYSCALL and SYSRET need. */
#define SELECTOR_KERNEL_CODE 0x08
#define SELECTOR_KERNEL_DATA 0x10
#define SELECTOR_USER_DATA 0x1b
#define SELECTOR_USER_CODE 0x23
#define SELECTOR_TASK 0x28

#endif
