/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The socket behind a descriptor. */
#ifndef PST_SOCKFD_BPF_H
#define PST_SOCKFD_BPF_H

#include "bpf/lib/common.bpf.h"
#include "bpf/vmlinux_net.h"

#define PST_S_IFMT   0170000
#define PST_S_IFSOCK 0140000

/* The socket behind descriptor @fd of the current process, NULL if it is none. */
static __always_inline struct sock *pst_sock_of_fd(__u32 fd)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct files_struct___net *files = (void *)BPF_CORE_READ(task, files);
	struct fdtable *fdt = BPF_CORE_READ(files, fdt);
	struct file___net *file = NULL;
	struct file **slot;
	struct socket *socket;

	if (fd >= BPF_CORE_READ(fdt, max_fds))
		return NULL;
	slot = BPF_CORE_READ(fdt, fd) + fd;
	if (bpf_probe_read_kernel(&file, sizeof(file), slot) || !file)
		return NULL;
	if ((BPF_CORE_READ(file, f_inode, i_mode) & PST_S_IFMT) != PST_S_IFSOCK)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	if ((void *)BPF_CORE_READ(socket, file) != (void *)file)
		return NULL;
	return BPF_CORE_READ(socket, sk);
}

#endif
