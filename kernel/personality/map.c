/* The file's part of mmap; memfd_create. */
#include <linux/memfd.h>
#include <linux/mman.h>

#include "personality/files.h"
#include "personality/syscalls.h"
#include "personality/tmpfs.h"

int64_t sys_mmap(const uint64_t *argument)
{
	uint64_t address = argument[0], length = argument[1], offset = argument[5];
	int protection = (int)argument[2], flags = (int)argument[3];
	if (offset % PAGE_SIZE)
		return -EINVAL;
	if (flags & MAP_ANONYMOUS)
		return memory_map(address, length, protection, flags, NULL, 0);

	struct file *file = descriptor_file((uint32_t)argument[4]);
	if (!file)
		return -EBADF;
	struct mappable *object = NULL;
	bool shared = (flags & MAP_TYPE) != MAP_PRIVATE;
	int64_t result = 0;
	if (!length)
		result = -EINVAL;
	else if (!file_readable(file) || (shared && protection & PROT_WRITE && !file_writable(file)))
		result = -EACCES;
	else if (!file->operations->map)
		result = -ENODEV;
	else if (offset + length < offset || offset + length > FILE_SIZE_MAX)
		result = -EOVERFLOW;
	else
		result = file->operations->map(file, shared ? protection : 0, &object);
	if (!result)
		result = memory_map(address, length, protection, flags, object, object ? offset : 0);
	file_put(file);
	return result;
}

#define MEMFD_NAME_MAX 249 /* NAME_LENGTH_MAX without "memfd:" */

int64_t sys_memfd_create(const uint64_t *argument)
{
	uint32_t flags = (uint32_t)argument[1];
	if (flags & ~(uint32_t)(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC) ||
	    (flags & (MFD_NOEXEC_SEAL | MFD_EXEC)) == (MFD_NOEXEC_SEAL | MFD_EXEC))
		return -EINVAL;
	char *name = path_scratch();
	int64_t length = copy_string_from_user(name, argument[0], MEMFD_NAME_MAX + 1);
	if (length < 0)
		return length == -ENAMETOOLONG ? -EINVAL : length;
	struct inode *inode = tmpfs_file(flags & MFD_NOEXEC_SEAL ? 0666 : 0777);
	if (!inode)
		return -ENOMEM;
	if (flags & (MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL))
		tmpfs_allow_seals(inode);
	tmpfs_of(inode)->mappable.closures = strcmp(name, "libffi") == 0;
	struct file *file;
	int error = file_open(inode, O_RDWR | O_LARGEFILE, &file);
	inode_put(inode);
	return error ? error : descriptor_install(file, 0, flags & MFD_CLOEXEC);
}
