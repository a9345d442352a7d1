/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a stage gets its descriptors without bpf(2): the loader's `loader.fds` socket.
 *
 * Protocol, version 1 (SOCK_SEQPACKET): the client sends one byte, '1'. The server looks at the peer's uid
 * (SO_PEERCRED) and answers with one message per descriptor, struct pst_fd_msg with the descriptor as
 * SCM_RIGHTS, then one with an empty name and no descriptor, and closes. An unknown uid gets the closing
 * message with `error` set to EACCES. The server reads nothing more from a client. Another question on the
 * same socket is why.h's. A client takes nothing
 * from a server that is neither root's nor its own user's.
 *
 * Where the loader is gone, the supervisor passes what it kept by the environment:
 * PENSTOCK_FDS=fd:name,fd:name,... (also LISTEN_FDS/LISTEN_FDNAMES/LISTEN_PID as systemd's fd store does,
 * names with '.' or '-' as they are).
 */
#ifndef PST_BASE_FDS_H
#define PST_BASE_FDS_H

#include <stdint.h>
#include <sys/types.h>

#define PST_FDS_MAX     32
#define PST_FD_NAME_LEN 32

struct pst_fd_msg {
	char name[PST_FD_NAME_LEN]; /* map name as in abi/maps.h, NUL-padded; "" ends */
	uint64_t size;              /* ring: bytes of data; array: entries; else 0 */
	uint32_t abi;               /* PST_ABI_VERSION of the loader */
	uint32_t error;             /* errno in the closing message, 0: complete */
};

struct pst_fd {
	char name[PST_FD_NAME_LEN];
	uint64_t size;
	int fd; /* owned, close-on-exec */
};

struct pst_fds {
	struct pst_fd v[PST_FDS_MAX];
	unsigned n;
};

/*
 * Fetch by the first way that works: the environment, then @socket_path (waiting up to @timeout_ms for it to
 * appear and answer). Sizes missing in the environment form are taken from an appended ":size". 0;
 * -ETIMEDOUT, -EACCES, -EPERM (not the loader's socket), -EPROTO (abi differs) or other -errno after a log
 * line that says what to do.
 */
int pst_fds_fetch(const char *socket_path, int timeout_ms, struct pst_fds *ret_fds);
/* The environment's alone. -ENOENT: there are none; -EINVAL (after a log line): unusable. */
int pst_fds_inherited(struct pst_fds *ret_fds);
/* One connection's answer into @ret_fds, no waiting for the path. Used by the supervisor too. */
int pst_fds_request(const char *socket_path, int timeout_ms, struct pst_fds *ret_fds);
const struct pst_fd *pst_fds_find(const struct pst_fds *fds, const char *name); /* NULL if absent */
void pst_fds_done(struct pst_fds *fds);                                         /* closes all */
/* What a map's descriptor says of itself in /proc/self/fdinfo, without bpf(2). 0; -EBADF: no map; -errno. */
struct pst_fd_map {
	uint32_t type, value_size;
	uint64_t max_entries;
};
int pst_fds_map(int fd, struct pst_fd_map *ret_map);
/* Server side: send one descriptor / the closing message on a connected socket. 0 or -errno; never blocks. */
int pst_fds_send(int sock, const char *name, uint64_t size, int fd);
int pst_fds_send_end(int sock, uint32_t error);
/* Format PENSTOCK_FDS for a child from @fds: "3:ring_net:8388608,..."; the fds must be inheritable there. 0
 * or -ENOSPC. */
int pst_fds_env(const struct pst_fds *fds, char *buf, size_t size);

#endif
