/* Who the process is and what machine this is. */
#include <linux/sysinfo.h>
#include <linux/utsname.h>

#include "personality/files.h"
#include "personality/syscalls.h"
#include "thread/thread.h"

struct identity identity;
uint32_t file_creation_mask = 022;
char host_name[65] = "sarab";

bool is_privileged(void)
{
	return identity.effective_user == 0;
}

#define UNCHANGED UINT32_MAX

int64_t sys_getuid(const uint64_t *argument)
{
	(void)argument;
	return identity.user;
}

int64_t sys_geteuid(const uint64_t *argument)
{
	(void)argument;
	return identity.effective_user;
}

int64_t sys_getgid(const uint64_t *argument)
{
	(void)argument;
	return identity.group;
}

int64_t sys_getegid(const uint64_t *argument)
{
	(void)argument;
	return identity.effective_group;
}

static int64_t put_three(const uint64_t *argument, uint32_t real, uint32_t effective, uint32_t saved)
{
	return PUT_USER(argument[0], real) || PUT_USER(argument[1], effective) || PUT_USER(argument[2], saved) ? -EFAULT : 0;
}

int64_t sys_getresuid(const uint64_t *argument)
{
	return put_three(argument, identity.user, identity.effective_user, identity.saved_user);
}

int64_t sys_getresgid(const uint64_t *argument)
{
	return put_three(argument, identity.group, identity.effective_group, identity.saved_group);
}

/* The three numbers of users, or of groups; the rules are the same. */
struct three {
	uint32_t *real, *effective, *saved, *file;
};

static struct three users(void)
{
	return (struct three){&identity.user, &identity.effective_user, &identity.saved_user, &identity.file_user};
}

static struct three groups(void)
{
	return (struct three){&identity.group, &identity.effective_group, &identity.saved_group, &identity.file_group};
}

static int64_t set_one(struct three t, uint32_t id)
{
	if (id == UNCHANGED)
		return -EINVAL;
	if (is_privileged())
		*t.real = *t.saved = id;
	else if (id != *t.real && id != *t.saved)
		return -EPERM;
	*t.effective = *t.file = id;
	return 0;
}

static int64_t set_two(struct three t, uint32_t real, uint32_t effective)
{
	uint32_t old = *t.real;
	if (!is_privileged()) {
		if (real != UNCHANGED && real != *t.real && real != *t.effective)
			return -EPERM;
		if (effective != UNCHANGED && effective != *t.real && effective != *t.effective && effective != *t.saved)
			return -EPERM;
	}
	if (real != UNCHANGED)
		*t.real = real;
	if (effective != UNCHANGED)
		*t.effective = *t.file = effective;
	if (real != UNCHANGED || (effective != UNCHANGED && effective != old))
		*t.saved = *t.effective;
	return 0;
}

static int64_t set_three(struct three t, const uint64_t *argument)
{
	uint32_t *place[3] = {t.real, t.effective, t.saved};
	const uint32_t has[3] = {*t.real, *t.effective, *t.saved};
	for (int i = 0; i < 3; i++) {
		uint32_t id = (uint32_t)argument[i];
		if (!is_privileged() && id != UNCHANGED && id != has[0] && id != has[1] && id != has[2])
			return -EPERM;
	}
	for (int i = 0; i < 3; i++)
		if ((uint32_t)argument[i] != UNCHANGED)
			*place[i] = (uint32_t)argument[i];
	*t.file = *t.effective;
	return 0;
}

int64_t sys_setuid(const uint64_t *argument)
{
	return set_one(users(), (uint32_t)argument[0]);
}

int64_t sys_setgid(const uint64_t *argument)
{
	return set_one(groups(), (uint32_t)argument[0]);
}

int64_t sys_setreuid(const uint64_t *argument)
{
	return set_two(users(), (uint32_t)argument[0], (uint32_t)argument[1]);
}

int64_t sys_setregid(const uint64_t *argument)
{
	return set_two(groups(), (uint32_t)argument[0], (uint32_t)argument[1]);
}

int64_t sys_setresuid(const uint64_t *argument)
{
	return set_three(users(), argument);
}

int64_t sys_setresgid(const uint64_t *argument)
{
	return set_three(groups(), argument);
}

int64_t sys_getgroups(const uint64_t *argument)
{
	int32_t size = (int32_t)argument[0];
	if (size < 0 || (size && (size_t)size < identity.group_count))
		return -EINVAL;
	if (size && copy_to_user(argument[1], identity.groups, identity.group_count * sizeof identity.groups[0]))
		return -EFAULT;
	return (int64_t)identity.group_count;
}

int64_t sys_setgroups(const uint64_t *argument)
{
	uint32_t fresh[ARRAY_LENGTH(identity.groups)];
	uint64_t count = (uint32_t)argument[0];
	if (!is_privileged())
		return -EPERM;
	if (count > ARRAY_LENGTH(fresh))
		return -EINVAL;
	if (copy_from_user(fresh, argument[1], count * sizeof fresh[0]))
		return -EFAULT;
	memcpy(identity.groups, fresh, count * sizeof fresh[0]);
	identity.group_count = count;
	return 0;
}

int64_t sys_umask(const uint64_t *argument)
{
	uint32_t old = file_creation_mask;
	file_creation_mask = (uint32_t)argument[0] & 0777;
	return old;
}

int64_t sys_personality(const uint64_t *argument)
{
	uint32_t wanted = (uint32_t)argument[0];
	return wanted == UINT32_MAX || wanted == 0 ? 0 : -EINVAL; /* PER_LINUX is all there is */
}

/* ---- the machine -------------------------------------------------------------------------------------------------------------------- */

int64_t sys_uname(const uint64_t *argument)
{
	struct new_utsname name = {
		.sysname = "Linux", /* what programs look for: this is the interface they get */
		.release = SYSTEM_RELEASE,
		.version = SYSTEM_VERSION,
		.machine = "x86_64",
		.domainname = "(none)",
	};
	memcpy(name.nodename, host_name, sizeof host_name);
	return PUT_USER(argument[0], name);
}

int64_t sys_sethostname(const uint64_t *argument)
{
	char name[sizeof host_name] = {0};
	int64_t length = (int32_t)argument[1];
	if (!is_privileged())
		return -EPERM;
	if (length < 0 || length >= (int64_t)sizeof name)
		return -EINVAL;
	if (copy_from_user(name, argument[0], (size_t)length))
		return -EFAULT;
	memcpy(host_name, name, sizeof name);
	return 0;
}

int64_t sys_sysinfo(const uint64_t *argument)
{
	struct sysinfo s;
	memset(&s, 0, sizeof s); /* it has holes between its fields, and these go out too */
	s.uptime = time_monotonic() / (int64_t)NANOSECONDS;
	s.totalram = frames_total_count() * PAGE_SIZE;
	s.freeram = frames_free_count() * PAGE_SIZE;
	s.procs = (uint16_t)MIN(thread_count, UINT16_MAX);
	s.mem_unit = 1;
	return PUT_USER(argument[0], s);
}
