// SPDX-License-Identifier: Apache-2.0
#include "policyd/guard/signatures.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "policyd/guard/counts.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/base/log.h"

/* ---- reading ---- */

static int read_file(const struct ddos_config *c, struct sig_set *set, struct pst_conf_errors *errors)
{
	PST_CLOSE int fd = open(c->signatures, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	PST_FREE char *text = NULL;
	size_t len = 0;
	int e = fd < 0 ? -errno : pst_read_file(fd, SIGS_TEXT_MAX, &text, &len);

	if (fd < 0 && e == -ENOENT && !c->signatures_named)
		return 0;
	if (e) {
		pst_conf_error(errors, c->signatures, 0, 0, "%s",
			e == -EINVAL   ? "expected a regular file"
			: e == -EFBIG  ? "larger than 64 KiB"
			: e == -EAGAIN ? "changed while it was read: reload when it is written"
				       : strerror(-e));
		return e;
	}
	return sigs_parse(c->signatures, text, len, errors, set);
}

/* The operator's own come first. */
static int read_all(const struct ddos_config *c, struct sig_set *set, struct pst_sigs *table,
	struct pst_conf_errors *errors)
{
	int e = c->signatures ? read_file(c, set, errors) : 0;

	if (e)
		return e;
	if (c->amplification != DDOS_OFF)
		e = sigs_add_amplification(c->amplification == DDOS_DROP, set);
	e = e ? e : sigs_build(set, table);
	if (e)
		pst_conf_error(errors, c->signatures ? c->signatures : "signatures", 0, 0,
			"with those of ddos.amplification there are more than %d signatures, or pairs of "
			"source ports and ports",
			PST_SIGS);
	return e;
}

int signatures_load(struct signatures *s, struct pst_conf_errors *errors)
{
	PST_FREE struct signatures *next = calloc(1, sizeof(*next));
	int e = next ? read_all(s->config, &next->set, &next->table, errors) : -ENOMEM;

	if (e)
		return e;
	s->set = next->set;
	s->table = next->table;
	s->loaded = s->pending = true;
	return 0;
}

int signatures_check(const struct ddos_config *config, struct pst_conf_errors *errors)
{
	struct signatures s = {.config = config};

	return signatures_load(&s, errors) ? -EINVAL : 0;
}

/* ---- coming into force ---- */

void signatures_tables_changed(struct signatures *s)
{
	s->pending = s->loaded;
}

/* Copies the table into the idle half, counters that begin cleared, and puts it in force. */
static void put(struct signatures *s, struct guard_tables *tables, uint64_t now_ns)
{
	struct guard_table *t = &tables->signatures;
	uint64_t generation = guard_next_generation(t), fresh;
	struct pst_sigs *to = (struct pst_sigs *)guard_half(t, generation);
	const struct pst_sigs *old = (const struct pst_sigs *)guard_half(t, generation + 1);

	sigs_places(&s->table, old, &fresh);
	for (unsigned i = 0; i < PST_SIGS; i++)
		if (fresh >> i & 1)
			guard_count_clear_sig(tables, i);
	memcpy(to, &s->table, sizeof(*to));
	guard_switch(t, generation, now_ns);
	pst_info("signatures in force signatures=%zu generation=%llu", s->set.n,
		(unsigned long long)generation);
}

uint64_t signatures_commit(struct signatures *s, struct guard_tables *tables, uint64_t now_ns)
{
	struct guard_table *t = &tables->signatures;
	uint64_t left = guard_grace_left(t, now_ns);

	if (!s->pending || !guard_tables_mapped(tables))
		return 0;
	if (s->set.n && left)
		return left;
	if (s->set.n)
		put(s, tables, now_ns);
	else if (guard_generation(t))
		guard_switch_off(t, now_ns);
	s->pending = false;
	return 0;
}

bool signatures_ask(const struct signatures *s)
{
	for (size_t i = 0; i < s->set.n; i++)
		if (s->set.v[i].unasked)
			return true;
	return false;
}

const char *signatures_state(const struct signatures *s, const struct guard_tables *tables)
{
	return guard_state(tables, &tables->signatures, s->pending);
}
