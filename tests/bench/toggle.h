/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs of a running Penstock, switched off and on again: their links are taken over from the pins, so
 * that a workload can be measured with and without them within the same half second. What passes interfaces
 * (tcx, XDP) stays as it is.
 */
#ifndef BENCH_TOGGLE_H
#define BENCH_TOGGLE_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/cleanup.h"

#define TOGGLE_MAX 32

struct toggle {
	struct toggled {
		int prog, link, cgroup;
		uint32_t type; /* of the link */
		uint32_t attach;
		char tracepoint[64]; /* "": the program knows */
		char name[32];
	} v[TOGGLE_MAX];
	unsigned n;
};

static int toggle_fail(const char *what, const char *name)
{
	fprintf(stderr, "toggle: %s: %s: %s\n", name, what, strerror(errno));
	exit(PST_EXIT_SYSTEM);
}

/* The cgroup of that id: its folder's inode number, searched from the root of the hierarchy that the
 * configuration would take. */
static int toggle_cgroup(uint64_t id)
{
	static const char *const roots[] = {"/sys/fs/cgroup/unified", "/sys/fs/cgroup", NULL};

	for (unsigned i = 0; roots[i]; i++) {
		int fd = open(roots[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		struct stat st;

		if (fd >= 0 && !fstat(fd, &st) && st.st_ino == id)
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -1;
}

/* 0: taken; 1: of no kind that is switched. */
static int toggle_take(struct toggled *t, int link, const char *name)
{
	struct bpf_link_info info = {0};
	struct bpf_prog_info prog = {0};
	uint32_t len = sizeof(info), prog_len = sizeof(prog);

	*t = (struct toggled){.link = -1, .cgroup = -1};
	snprintf(t->name, sizeof(t->name), "%.31s", name);
	info.raw_tracepoint.tp_name = (uintptr_t)t->tracepoint;
	info.raw_tracepoint.tp_name_len = sizeof(t->tracepoint);
	if (bpf_obj_get_info_by_fd(link, &info, &len))
		toggle_fail("what link it is", name);
	t->type = info.type;
	if (t->type != BPF_LINK_TYPE_RAW_TRACEPOINT && t->type != BPF_LINK_TYPE_TRACING &&
		t->type != BPF_LINK_TYPE_CGROUP)
		return 1;
	t->prog = bpf_prog_get_fd_by_id(info.prog_id);
	if (t->prog < 0 || bpf_obj_get_info_by_fd(t->prog, &prog, &prog_len))
		toggle_fail("its program", name);
	if (prog.type != BPF_PROG_TYPE_RAW_TRACEPOINT)
		t->tracepoint[0] = '\0';
	if (t->type == BPF_LINK_TYPE_CGROUP) {
		t->attach = info.cgroup.attach_type;
		t->cgroup = toggle_cgroup(info.cgroup.cgroup_id);
		if (t->cgroup < 0)
			toggle_fail("its cgroup", name);
	}
	return 0;
}

/* Takes all links over; they are off afterwards. */
static void toggle_open(struct toggle *all, const char *bpffs)
{
	PST_FREE char *folder = NULL;
	PST_CLOSEDIR DIR *dir = NULL;
	struct dirent *e;

	if (asprintf(&folder, "%s/links", bpffs) < 0 || !(dir = opendir(folder)))
		toggle_fail("open", bpffs);
	while ((e = readdir(dir))) {
		PST_FREE char *path = NULL;
		PST_CLOSE int link = -1;

		if (e->d_name[0] == '.' || asprintf(&path, "%s/%s", folder, e->d_name) < 0)
			continue;
		link = bpf_obj_get(path);
		if (link < 0)
			toggle_fail("open", path);
		if (all->n == TOGGLE_MAX)
			toggle_fail("one too many", path);
		if (toggle_take(&all->v[all->n], link, e->d_name))
			continue;
		all->n++;
		unlink(path);
	}
	if (all->n < 4)
		toggle_fail("hardly a program is attached", bpffs);
}

static int toggle_attach(const struct toggled *t)
{
	if (t->type == BPF_LINK_TYPE_CGROUP)
		return bpf_link_create(t->prog, t->cgroup, (enum bpf_attach_type)t->attach, NULL);
	return bpf_raw_tracepoint_open(t->tracepoint[0] ? t->tracepoint : NULL, t->prog);
}

/* What is read at a call's entry is attached before what looks at it at its exit. */
static bool toggle_first(const struct toggled *t)
{
	return strstr(t->name, "enter") != NULL;
}

static void toggle_on(struct toggle *all)
{
	for (int first = 1; first >= 0; first--)
		for (unsigned i = 0; i < all->n; i++) {
			struct toggled *t = &all->v[i];

			if (toggle_first(t) != first)
				continue;
			t->link = toggle_attach(t);
			if (t->link < 0)
				toggle_fail("attach", t->name);
		}
}

static void toggle_off(struct toggle *all)
{
	for (unsigned i = 0; i < all->n; i++)
		if (all->v[i].link >= 0)
			close(PST_TAKE_FD(all->v[i].link));
}

#endif
