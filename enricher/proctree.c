// SPDX-License-Identifier: Apache-2.0
#include "enricher/proctree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/cache.h"
#include "proto/base/cleanup.h"
#include "proto/base/iter.h"
#include "proto/base/log.h"
#include "proto/base/stat.h"

/* Ended processes in the order of their end, so that they go before any that is alive. */
struct ended {
	struct proc_key key;
	uint64_t at_ns;
};

struct proctree {
	struct pst_cache *cache;
	uint64_t linger_ns;
	struct ended *ended; /* ring */
	uint32_t ended_max, ended_head, ended_count;
	struct pst_stat *count, *evicted;
};

static void drop(void *arg, void *value)
{
	struct proc *p = value;

	(void)arg;
	str_unref(p->exe);
	str_unref(p->argv);
	cgroup_facts_done(&p->container);
}

int proctree_new(uint32_t max, uint64_t linger_ns, struct proctree **ret_tree)
{
	struct proctree *t = calloc(1, sizeof(*t));
	int e;

	if (!t)
		return -ENOMEM;
	t->linger_ns = linger_ns;
	t->ended_max = max / 2;
	t->ended = calloc(t->ended_max, sizeof(*t->ended));
	e = t->ended ? pst_cache_new(sizeof(struct proc_key), sizeof(struct proc), max, drop, NULL, &t->cache)
		     : -ENOMEM;
	if (e) {
		proctree_free(t);
		return e;
	}
	t->count = pst_gauge("processes", "processes in the table, alive and lately ended");
	t->evicted = pst_counter("processes_evicted", "processes forgotten because the table was full");
	*ret_tree = t;
	return 0;
}

void proctree_free(struct proctree *t)
{
	if (!t)
		return;
	pst_cache_free(t->cache);
	free(t->ended);
	free(t);
}

static struct proc_key key_of(uint32_t pid, uint64_t start_ns)
{
	return (struct proc_key){.start_ns = start_ns, .pid = pid};
}

struct proc *proctree_get(struct proctree *t, uint32_t pid, uint64_t start_ns)
{
	struct proc_key key = key_of(pid, start_ns);

	return pid ? pst_cache_get(t->cache, &key) : NULL;
}

struct proc *proctree_put(struct proctree *t, uint32_t pid, uint64_t start_ns)
{
	struct proc_key key = key_of(pid, start_ns);
	struct proc *p = pst_cache_put(t->cache, &key, NULL);

	t->count->value = pst_cache_count(t->cache);
	t->evicted->value = pst_cache_evictions(t->cache);
	return p;
}

static void forget_oldest(struct proctree *t)
{
	pst_cache_remove(t->cache, &t->ended[t->ended_head].key);
	t->ended_head = (t->ended_head + 1) % t->ended_max;
	t->ended_count--;
}

void proctree_end(struct proctree *t, uint32_t pid, uint64_t start_ns, uint64_t now_ns)
{
	struct proc *p = proctree_get(t, pid, start_ns);

	if (!p || p->ended_ns)
		return;
	p->ended_ns = now_ns;
	if (t->ended_count == t->ended_max)
		forget_oldest(t);
	t->ended[(t->ended_head + t->ended_count++) % t->ended_max] =
		(struct ended){.key = key_of(pid, start_ns), .at_ns = now_ns};
}

void proctree_expire(struct proctree *t, uint64_t now_ns)
{
	while (t->ended_count && t->ended[t->ended_head].at_ns + t->linger_ns <= now_ns)
		forget_oldest(t);
	t->count->value = pst_cache_count(t->cache);
}

uint32_t proctree_count(const struct proctree *t)
{
	return pst_cache_count(t->cache);
}

static struct str *read_cmdline(uint32_t pid)
{
	char name[32], buf[PROC_ARGV_MAX];
	PST_CLOSE int fd = -1;
	ssize_t n;

	snprintf(name, sizeof(name), "/proc/%u/cmdline", pid);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, buf, sizeof(buf));
	while (n > 0 && !buf[n - 1])
		n--;
	return n > 0 ? str_new(buf, (uint32_t)n) : NULL;
}

struct load {
	struct proctree *tree;
	bool hybrid;
};

static int on_task(void *arg, const void *element, size_t len)
{
	const struct pst_iter_task *t = element;
	struct load *load = arg;
	struct proc *p;

	if (t->path_len > len - sizeof(*t))
		return -EBADMSG;
	if (proctree_get(load->tree, t->task.pid, t->task.start_ns))
		return 0;
	p = proctree_put(load->tree, t->task.pid, t->task.start_ns);
	if (!p)
		return -ENOMEM;
	p->parent = key_of(t->parent_pid, t->parent_start_ns);
	p->cgroup_id = t->task.cgroup_id;
	p->uid = t->task.uid;
	p->kthread = t->kthread != 0;
	memcpy(p->comm, t->task.comm, sizeof(p->comm));
	str_set(&p->exe, str_new(t + 1, t->path_len));
	if (!p->kthread)
		str_set(&p->argv, read_cmdline(t->task.pid));
	if (load->hybrid && !p->kthread)
		cgroups_of_process(t->task.pid, &p->container);
	return 0;
}

int proctree_load(struct proctree *t, const char *path, bool hybrid)
{
	struct load load = {.tree = t, .hybrid = hybrid};
	int r = pst_iter_sized(path, sizeof(struct pst_iter_task), on_task, &load);

	return r < 0 ? r : 0;
}

static int by_pid(const void *a, const void *b)
{
	uint32_t x = ((const struct proc_row *)a)->key.pid, y = ((const struct proc_row *)b)->key.pid;

	return x < y ? -1 : x > y;
}

/* Keeps the @max smallest: a max-heap would be faster, but lists are short and asked for by people. */
static void keep(struct proc_row *rows, uint32_t *n, uint32_t max, struct proc_row row)
{
	uint32_t worst = 0;

	if (*n < max) {
		rows[(*n)++] = row;
		return;
	}
	for (uint32_t i = 1; i < *n; i++)
		if (rows[i].key.pid > rows[worst].key.pid)
			worst = i;
	if (rows[worst].key.pid > row.key.pid)
		rows[worst] = row;
}

uint32_t proctree_list(struct proctree *t, uint32_t after, struct proc_row *rows, uint32_t max)
{
	uint32_t cursor = UINT32_MAX, n = 0;
	const void *key;
	void *value;

	while (pst_cache_next(t->cache, &cursor, &key, &value)) {
		const struct proc *p = value;
		struct proc_row row = {.proc = p};

		memcpy(&row.key, key, sizeof(row.key));
		if (!p->ended_ns && row.key.pid > after)
			keep(rows, &n, max, row);
	}
	qsort(rows, n, sizeof(*rows), by_pid);
	return n;
}
