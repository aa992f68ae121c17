/* Between socket.c (what a pair of sockets does) and socket_calls.c (the system calls on it). */
#ifndef SARAB_SOCKET_H
#define SARAB_SOCKET_H

#include "personality/files.h"
#include "personality/ring.h"

/* Not in the uapi headers, which leave them to the C library. */
#define AF_UNIX 1
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_SEQPACKET 5
#define MSG_OOB 0x1u
#define MSG_PEEK 0x2u
#define MSG_CTRUNC 0x8u
#define MSG_TRUNC 0x20u
#define MSG_DONTWAIT 0x40u
#define MSG_EOR 0x80u
#define MSG_WAITALL 0x100u
#define MSG_NOSIGNAL 0x4000u

struct socket {
	struct inode inode;
	int type;
	struct socket *peer; /* NULL: closed */
	struct ring received;
	unsigned messages; /* datagrams in received */
	bool shut_read, shut_write;
	int error; /* SO_ERROR */
	int64_t receive_timeout, send_timeout; /* nanoseconds; 0: none */
	int send_size, receive_size;	       /* as set and told; the buffer stays what it is */
	struct readiness readiness;
};

struct socket *socket_of_file(struct file *file); /* NULL: ENOTSOCK */
/* These may block. */
int64_t socket_receive(struct socket *s, struct transfer *t, unsigned flags, bool *truncated);
int64_t socket_send(struct socket *s, struct transfer *t, unsigned flags);
void socket_shutdown(struct socket *s, bool reading, bool writing);

/* The application's vectors as a transfer; *vectors is to be released. io.c */
#define VECTORS_SMALL 8
int vectors_get(uint64_t address, uint64_t count, struct iovec *small, struct iovec **vectors, struct transfer *t);

#endif
