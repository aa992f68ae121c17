/* Takes the place of kernel/layout.h where rooms of the kernel are compiled for the host: addresses there are just addresses. */
#define SARAB_LAYOUT_H
#define PAGE_SHIFT 12
#define PAGE_SIZE 0x1000
#define LARGE_PAGE_SIZE 0x200000
#define USER_END 0x00007ffffffff000
#define DIRECT_BASE 0
#define IMAGE_BASE 0
#define KERNEL_BASE 0xffffffff80000000
