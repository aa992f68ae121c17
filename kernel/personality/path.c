/* Path names: from text to inode, and back. */
#include "personality/files.h"

/* The text of a walk: what is left to go, after links were put in place of their names. Two, for calls with two paths. They can be
 * static because nothing blocks during a walk. */
#define WALK_TEXT_SIZE (2 * PATH_LENGTH_MAX)
static char walk_text[2][WALK_TEXT_SIZE];
static char link_text[PATH_LENGTH_MAX];
static char scratch[PATH_LENGTH_MAX];

char *path_scratch(void)
{
	return scratch;
}

unsigned walk_flags_at(uint64_t at_flags)
{
	return (at_flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) | (at_flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);
}

void walk_done(struct walk *w)
{
	inode_put(w->directory);
	inode_put(w->inode);
	w->directory = w->inode = NULL;
}

/* Where a relative path begins; with a reference. */
static int walk_start(int64_t directory, bool any, struct inode **start)
{
	if ((int32_t)directory == AT_FDCWD) {
		*start = inode_get(working_directory);
		return 0;
	}
	struct file *file = descriptor_file_any((uint32_t)directory);
	if (!file)
		return -EBADF;
	int error = any || is_directory(file->inode) ? 0 : -ENOTDIR;
	if (!error)
		*start = inode_get(file->inode);
	file_put(file);
	return error;
}

static int child(struct inode *directory, const struct name *name, struct inode **found)
{
	struct inode *mounted = mount_on(directory, name);
	if (mounted) {
		*found = inode_get(mounted);
		return 0;
	}
	if (!directory->operations->lookup)
		return -ENOENT;
	return directory->operations->lookup(directory, name, found);
}

/* A link has been met: the text becomes its target and what was left after it, to be walked from *here. */
static int enter_link(struct inode *link, struct inode **here, char *text, const char *rest)
{
	struct inode *next;
	size_t length = 0;
	if (link->operations->follow) {
		int error = link->operations->follow(link, &next);
		if (error)
			return error;
	} else {
		int64_t got = link->operations->target(link, link_text, sizeof link_text - 1);
		if (got < 0)
			return (int)got;
		if (got == 0)
			return -ENOENT;
		length = (size_t)got;
		next = inode_get(link_text[0] == '/' ? root_directory : *here);
	}
	size_t rest_length = strlen(rest);
	if (length + rest_length + 1 > WALK_TEXT_SIZE) {
		inode_put(next);
		return -ENAMETOOLONG;
	}
	memmove(text + length, rest, rest_length + 1);
	memcpy(text, link_text, length);
	inode_put(*here);
	*here = next;
	return 0;
}

/* Walks from here, whose reference it takes over. */
static int walk_from(struct inode *here, char *text, unsigned flags, struct walk *w)
{
	unsigned links = 0;
	const char *at = text;
	int error;

	w->last = LAST_ROOT;
	for (;;) {
		bool slash = *at == '/';
		while (*at == '/')
			at++;
		if (!*at) { /* "/", or the end of what a link said */
			if (slash && !is_directory(here)) {
				error = -ENOTDIR;
				goto failed;
			}
			w->inode = here;
			return 0;
		}
		if (!is_directory(here)) {
			error = -ENOTDIR;
			goto failed;
		}
		error = inode_permission(here, MAY_EXECUTE);
		if (error)
			goto failed;

		struct name name = {at, 0};
		while (at[name.length] && at[name.length] != '/')
			name.length++;
		at += name.length;
		const char *after = at;
		while (*after == '/')
			after++;
		bool last = !*after, trailing = last && after != at;
		if (name.length > NAME_LENGTH_MAX) {
			error = -ENAMETOOLONG;
			goto failed;
		}

		struct inode *next = NULL;
		w->last = LAST_NORMAL;
		if (name.length == 1 && name.bytes[0] == '.') {
			w->last = LAST_DOT;
			next = inode_get(here);
		} else if (name.length == 2 && name.bytes[0] == '.' && name.bytes[1] == '.') {
			w->last = LAST_DOT_DOT;
			next = directory_parent(here);
		} else {
			error = trailing && flags & WALK_CREATE ? -EISDIR : child(here, &name, &next);
			if (error == -ENOENT && last && flags & (WALK_PARENT | WALK_CREATE)) {
				w->directory = here;
				w->name = name;
				w->trailing_slash = trailing;
				return 0;
			}
			if (error)
				goto failed;
		}

		if (is_link(next) && !(last && flags & WALK_PARENT) && (!last || trailing || flags & WALK_FOLLOW)) {
			error = ++links > LINKS_FOLLOWED_MAX ? -ELOOP : enter_link(next, &here, text, at);
			inode_put(next);
			if (error)
				goto failed;
			at = text;
			continue;
		}
		if (last) {
			if (trailing && !(flags & WALK_PARENT) && !is_directory(next)) {
				inode_put(next);
				error = -ENOTDIR;
				goto failed;
			}
			w->directory = here;
			w->inode = next;
			w->name = name;
			w->trailing_slash = trailing;
			return 0;
		}
		inode_put(here);
		here = next;
	}
failed:
	inode_put(here);
	return error;
}

/* From the text of a walk, which may be empty. */
static int walk_text_from(int64_t directory, char *text, size_t length, unsigned flags, struct walk *w)
{
	struct inode *start;
	if (text[0] == '/') {
		start = inode_get(root_directory);
	} else {
		int error = walk_start(directory, length == 0, &start);
		if (error)
			return error;
	}
	if (length == 0) {
		w->inode = start;
		w->last = LAST_ROOT;
		return 0;
	}
	return walk_from(start, text, flags, w);
}

int path_walk(int64_t directory, uint64_t path, unsigned flags, struct walk *w)
{
	char *text = walk_text[flags & WALK_SECOND ? 1 : 0];
	*w = (struct walk){0};
	int64_t length = 0;
	text[0] = 0;
	if (path || !(flags & WALK_EMPTY)) /* AT_EMPTY_PATH allows a null pointer since Linux 6.11 */
		length = copy_string_from_user(text, path, PATH_LENGTH_MAX);
	if (length < 0)
		return (int)length;
	if (length == 0 && !(flags & WALK_EMPTY))
		return -ENOENT;

	return walk_text_from(directory, text, (size_t)length, flags, w);
}

int path_walk_text(const char *path, unsigned flags, struct walk *w)
{
	size_t length = strlen(path);
	*w = (struct walk){0};
	if (length >= PATH_LENGTH_MAX)
		return -ENAMETOOLONG;
	memcpy(walk_text[0], path, length + 1);
	return length ? walk_text_from(AT_FDCWD, walk_text[0], length, flags, w) : -ENOENT;
}

int path_inode(int64_t directory, uint64_t path, unsigned flags, struct inode **inode)
{
	struct walk w;
	int error = path_walk(directory, path, flags, &w);
	if (error)
		return error;
	*inode = inode_get(w.inode);
	walk_done(&w);
	return 0;
}

int path_kernel(const char *path, struct inode **inode)
{
	struct walk w;
	int error = path_walk_text(path, WALK_FOLLOW, &w);
	if (error)
		return error;
	*inode = inode_get(w.inode);
	walk_done(&w);
	return 0;
}

int64_t path_of(struct inode *inode, char *to, size_t size)
{
	char name[NAME_LENGTH_MAX + 1];
	size_t start = size; /* written backwards from the end, moved to the front last */
	if (size < 2)
		return -ENAMETOOLONG;
	to[--start] = 0;
	while (inode != root_directory) {
		const struct mount *m = mount_of(inode);
		const char *text = name;
		if (m) {
			text = m->name;
			inode = m->directory;
		} else {
			if (!inode->operations->locate)
				return -ENOENT;
			int error = inode->operations->locate(inode, &inode, name);
			if (error)
				return error;
		}
		size_t length = strlen(text);
		if (length + 1 > start)
			return -ENAMETOOLONG;
		start -= length;
		memcpy(to + start, text, length);
		to[--start] = '/';
	}
	if (start == size - 1)
		to[--start] = '/';
	memmove(to, to + start, size - start);
	return (int64_t)(size - start - 1);
}

int64_t path_of_file(struct file *file, char *to, size_t size)
{
	if (file->operations->name)
		return snprintf(to, size, "%s", file->operations->name);
	int64_t length = path_of(file->inode, to, size);
	if (length == -ENOENT)
		length = snprintf(to, size, "/ (deleted)");
	return length;
}
