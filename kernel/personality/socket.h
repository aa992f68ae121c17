/* Between socket.c (what a pair of sockets does) and socket_calls.c (the system calls on it). */
#ifndef SARAB_SOCKET_H
#define SARAB_SOCKET_H

#include "personality/files.h"
#include "personality/ring.h"

/* Not in the uapi headers, which leave them to the C library. */
#define AF_UNSPEC 0
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

#define SOCKET_NAME_MAX 108 /* sun_path */
#define BACKLOG_MAX 128	    /* connections that wait to be accepted */

struct socket_name {
	uint8_t length; /* 0: none; text that begins with NUL: abstract */
	char text[SOCKET_NAME_MAX];
};

enum socket_state { SOCKET_NEW, SOCKET_LISTENING, SOCKET_CONNECTED };

struct socket {
	struct inode inode;
	int type;
	enum socket_state state;
	struct file *file;   /* its own; no reference */
	struct socket *peer; /* NULL: none, or closed. Of datagram sockets the peer's peer may be another */
	struct list senders, in_senders; /* whose peer this is; its place among those of its own peer */
	struct list in_bound;
	struct socket_name name;
	struct inode *node; /* where it is bound; NULL: nowhere, or an abstract name */
	struct list backlog, in_backlog;
	unsigned backlog_length, backlog_limit;
	struct ring received;
	unsigned messages; /* datagrams in received */
	bool shut_read, shut_write;
	int error; /* SO_ERROR */
	int64_t receive_timeout, send_timeout; /* nanoseconds; 0: none */
	int send_size, receive_size;	       /* as set and told; streams keep to send_size */
	struct readiness readiness;
};

struct socket *socket_of_file(struct file *file); /* NULL: ENOTSOCK */
/* By a descriptor, with a reference to the file. -EBADF, -ENOTSOCK */
int socket_get(uint64_t descriptor, struct file **file, struct socket **socket);
/* These may block. */
int64_t socket_receive(struct socket *s, struct transfer *t, unsigned flags, bool *truncated, struct socket_name *sender);
int64_t socket_send(struct socket *s, struct transfer *t, unsigned flags, const struct socket_name *receiver); /* NULL: its peer */
struct file *socket_new(int type, uint32_t flags); /* NULL: no memory */
void socket_peers_changed(struct socket *s, uint32_t events); /* tells those that send to s */
/* socket_names.c */
int socket_find(const struct socket_name *name, int type, struct socket **found); /* no reference */
int socket_name_get(uint64_t address, uint64_t length, struct socket_name *name);
int socket_name_put(uint64_t address, uint64_t length_address, const struct socket_name *name);
void socket_peer_set(struct socket *s, struct socket *peer); /* NULL: none any more */
extern struct list bound_sockets; /* those that bind() gave a name */
void socket_shutdown(struct socket *s, bool reading, bool writing);

/* The application's vectors as a transfer; *vectors is to be released. io.c */
#define VECTORS_SMALL 8
int vectors_get(uint64_t address, uint64_t count, struct iovec *small, struct iovec **vectors, struct transfer *t);

#endif
