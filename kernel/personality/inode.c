/* Inodes: counting, attributes, permissions. */
#include "personality/files.h"

void inode_put(struct inode *inode)
{
	if (!inode)
		return;
	ASSERT(inode->references > 0);
	if (--inode->references == 0 && inode->operations->free)
		inode->operations->free(inode);
}

void inode_attributes(struct inode *inode, struct attributes *a)
{
	*a = (struct attributes){
		.device = inode->file_system->device,
		.number = inode->number,
		.mode = inode->mode,
		.links = 1,
	};
	if (inode->operations->attributes)
		inode->operations->attributes(inode, a);
}

static bool in_group(uint32_t group)
{
	if (identity.file_group == group)
		return true;
	for (size_t i = 0; i < identity.group_count; i++)
		if (identity.groups[i] == group)
			return true;
	return false;
}

int inode_permission(struct inode *inode, unsigned mask)
{
	/* Root may do anything but execute what nobody may execute. */
	if (identity.file_user == 0) {
		if ((mask & MAY_EXECUTE) && !is_directory(inode) && !(inode->mode & 0111))
			return -EACCES;
		return 0;
	}
	struct attributes a;
	inode_attributes(inode, &a);
	unsigned allowed = a.mode & 7;
	if (a.user == identity.file_user)
		allowed = a.mode >> 6 & 7;
	else if (in_group(a.group))
		allowed = a.mode >> 3 & 7;
	return mask & ~allowed ? -EACCES : 0;
}

struct timestamp timestamp_now(void)
{
	int64_t now = time_realtime();
	return (struct timestamp){now / (int64_t)NANOSECONDS, (uint32_t)(now % (int64_t)NANOSECONDS)};
}

const struct file_system anonymous_file_system = {
	.type = "anon_inodefs", .source = "none", .mount_options = "rw", .device = 10, .magic = ANON_INODE_FS_MAGIC,
};
static const struct inode_operations anonymous_operations = {0};
struct inode anonymous_inode = {
	.operations = &anonymous_operations,
	.file_system = &anonymous_file_system,
	.number = 1,
	.references = 1,
	.mode = 0600,
};
