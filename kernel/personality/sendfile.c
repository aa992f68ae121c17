/* Data from file to file without the application: sendfile, copy_file_range, splice, tee. */
#include "personality/files.h"
#include "personality/syscalls.h"

#define BUFFER_SIZE 16384
#define COPY_MOST (16ull << 20) /* bytes a call: nobody else runs meanwhile. Who copies more asks again, as after any short count */
#define SPLICE_NONBLOCKING 2u /* SPLICE_F_NONBLOCK */
#define SPLICE_FLAGS 15u

/* One end of a copy. */
struct end {
	struct file *file;
	int64_t position, *at; /* at: &position, or the file's own */
	uint64_t address;      /* where the application keeps position; 0: the file's own is used */
};

static void ends_close(struct end *from, struct end *to)
{
	file_put(from->file);
	file_put(to->file);
}

static int end_position(struct end *end)
{
	if (!end->address) {
		end->at = &end->file->position;
		return 0;
	}
	end->at = &end->position;
	if (GET_USER(end->position, end->address))
		return -EFAULT;
	if (!end->file->operations->seek)
		return -ESPIPE;
	return end->position < 0 ? -EINVAL : 0;
}

static int ends_open(struct end *from, uint64_t from_descriptor, struct end *to, uint64_t to_descriptor)
{
	from->file = descriptor_file((uint32_t)from_descriptor);
	to->file = descriptor_file((uint32_t)to_descriptor);
	if (from->file && to->file && file_readable(from->file) && file_writable(to->file))
		return 0;
	ends_close(from, to);
	return -EBADF;
}

/* Copies up to length bytes; stops at the end of the source, or when the target takes less than it was given. */
static int64_t copy_data(struct end *from, struct end *to, uint64_t length, bool nonblocking)
{
	char *buffer = allocate(BUFFER_SIZE);
	int64_t done = 0, error = 0;
	if (!buffer)
		return -ENOMEM;
	length = MIN(length, COPY_MOST);
	bool pipe = file_is_pipe(from->file);
	while ((uint64_t)done < length) {
		struct transfer t;
		size_t n = MIN(BUFFER_SIZE, length - (uint64_t)done);
		int64_t got, put, before = *from->at;
		if (pipe) {
			if (!pipe_has(from->file, true) && (nonblocking || done))
				error = done ? 0 : -EAGAIN;
			else
				error = pipe_wait(from->file, true);
			if (error || (done && !pipe_has(from->file, true)))
				break;
			got = (int64_t)pipe_peek(from->file, buffer, n);
		} else {
			transfer_init_kernel(&t, buffer, n);
			t.nonblocking = nonblocking;
			got = file_read(from->file, &t, from->at);
		}
		if (got <= 0) {
			error = got;
			break;
		}
		transfer_init_kernel(&t, buffer, (size_t)got);
		t.nonblocking = nonblocking;
		put = file_write(to->file, &t, to->at);
		if (pipe && put > 0)
			pipe_discard(from->file, (size_t)put);
		else if (!pipe && put < got)
			*from->at = before + MAX(put, 0); /* what was not taken is read again */
		if (put <= 0) {
			error = put;
			break;
		}
		done += put;
		if (put < got)
			break;
	}
	release(buffer);
	return done ? done : error;
}

static int64_t put_positions(struct end *from, struct end *to, int64_t result)
{
	if (result >= 0 && from->address && PUT_USER(from->address, from->position))
		result = -EFAULT;
	if (result >= 0 && to->address && PUT_USER(to->address, to->position))
		result = -EFAULT;
	return result;
}

int64_t sys_sendfile(const uint64_t *argument)
{
	struct end from = {.address = argument[2]}, to = {0};
	int error = ends_open(&from, argument[1], &to, argument[0]);
	if (error)
		return error;
	int64_t result = end_position(&from);
	end_position(&to);
	if (!result && (!from.file->operations->seek || !from.file->operations->read || to.file->flags & O_APPEND))
		result = -EINVAL;
	if (!result && is_directory(from.file->inode))
		result = -EINVAL;
	if (!result)
		result = copy_data(&from, &to, argument[3], to.file->flags & O_NONBLOCK);
	result = put_positions(&from, &to, result);
	ends_close(&from, &to);
	return result;
}

int64_t sys_copy_file_range(const uint64_t *argument)
{
	struct end from = {.address = argument[1]}, to = {.address = argument[3]};
	uint64_t length = MIN(argument[4], TRANSFER_MAX);
	int error = ends_open(&from, argument[0], &to, argument[2]);
	if (error)
		return error;
	int64_t result = end_position(&from);
	if (!result)
		result = end_position(&to);
	if (is_directory(from.file->inode) || is_directory(to.file->inode))
		result = -EISDIR;
	else if (!is_regular(from.file->inode) || !is_regular(to.file->inode) || (uint32_t)argument[5])
		result = -EINVAL;
	else if (to.file->flags & O_APPEND)
		result = -EBADF;
	if (!result && from.file->inode == to.file->inode && *from.at < *to.at + (int64_t)length && *to.at < *from.at + (int64_t)length)
		result = -EINVAL; /* they overlap */
	if (!result)
		result = copy_data(&from, &to, length, false);
	result = put_positions(&from, &to, result);
	ends_close(&from, &to);
	return result;
}

int64_t sys_splice(const uint64_t *argument)
{
	struct end from = {.address = argument[1]}, to = {.address = argument[3]};
	uint32_t flags = (uint32_t)argument[5];
	if (!argument[4])
		return 0;
	if (flags & ~SPLICE_FLAGS)
		return -EINVAL;
	int error = ends_open(&from, argument[0], &to, argument[2]);
	if (error)
		return error;
	int64_t result = 0;
	bool nonblocking = flags & SPLICE_NONBLOCKING;
	bool from_pipe = file_is_pipe(from.file), to_pipe = file_is_pipe(to.file);
	if (!from_pipe && !to_pipe)
		result = -EINVAL;
	else if ((from_pipe && from.address) || (to_pipe && to.address))
		result = -ESPIPE;
	else if (from_pipe && to_pipe && from.file->inode == to.file->inode)
		result = -EINVAL;
	else if (!from.file->operations->read || !to.file->operations->write || (!to_pipe && to.file->flags & O_APPEND))
		result = -EINVAL;
	if (!result)
		result = end_position(&from);
	if (!result)
		result = end_position(&to);
	if (!result && to_pipe && !pipe_has(to.file, false)) {
		result = nonblocking ? -EAGAIN : pipe_wait(to.file, false);
	}
	/* After the wait a pipe takes what it has room for, and no more is tried. */
	if (!result)
		result = copy_data(&from, &to, argument[4], nonblocking || (to_pipe && !from_pipe));
	result = put_positions(&from, &to, result);
	ends_close(&from, &to);
	return result;
}

int64_t sys_tee(const uint64_t *argument)
{
	struct end from = {0}, to = {0};
	uint32_t flags = (uint32_t)argument[3];
	if (flags & ~SPLICE_FLAGS)
		return -EINVAL;
	if (!argument[2])
		return 0;
	int error = ends_open(&from, argument[0], &to, argument[1]);
	if (error)
		return error;
	int64_t result = 0;
	bool nonblocking = flags & SPLICE_NONBLOCKING;
	if (!file_is_pipe(from.file) || !file_is_pipe(to.file) || from.file->inode == to.file->inode)
		result = -EINVAL;
	else if (nonblocking && (!pipe_has(from.file, true) || !pipe_has(to.file, false)))
		result = -EAGAIN;
	if (!result)
		result = pipe_wait(from.file, true);
	if (!result)
		result = pipe_wait(to.file, false);
	if (!result)
		result = pipe_copy(from.file, to.file, MIN(argument[2], TRANSFER_MAX));
	ends_close(&from, &to);
	return result;
}
