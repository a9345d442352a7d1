// SPDX-License-Identifier: Apache-2.0
/* Addresses that were blocked by command. */
#include <errno.h>
#include <string.h>

#include "policyd/block/set.h"
#include "policyd/guard/runtime.h"
#include "proto/base/cleanup.h"
#include "proto/base/own.h"
#include "proto/wire/fmt.h"
#include "proto/wire/json.h"

#define MODE     0640
#define NS       1000000000ull
#define LINE_MAX 256 /* an address, its time and a reason, which is the longest of them */

void runtime_blocks_done(struct runtime_blocks *blocks)
{
	for (size_t i = 0; i < blocks->n; i++)
		free(blocks->v[i].reason);
	free(blocks->v);
	*blocks = (struct runtime_blocks){0};
}

static bool same(const struct block_entry *a, const struct block_entry *b)
{
	return a->hi == b->hi && a->lo == b->lo && a->len == b->len && a->ip6 == b->ip6;
}

struct runtime_block *runtime_blocks_find(
	const struct runtime_blocks *blocks, const struct block_entry *entry)
{
	for (size_t i = 0; i < blocks->n; i++)
		if (same(&blocks->v[i].entry, entry))
			return &blocks->v[i];
	return NULL;
}

int runtime_blocks_put(struct runtime_blocks *blocks, const struct block_entry *entry, const char *reason)
{
	struct runtime_block *b = runtime_blocks_find(blocks, entry);
	PST_FREE char *copy = reason && *reason ? strdup(reason) : NULL;

	if (reason && *reason && !copy)
		return -ENOMEM;
	if (!b) {
		if (blocks->n == RUNTIME_BLOCKS_MAX)
			return -ENOSPC;
		if (array_room((void **)&blocks->v, &blocks->size, blocks->n, sizeof(*b)))
			return -ENOMEM;
		b = &blocks->v[blocks->n++];
		*b = (struct runtime_block){0};
	}
	free(b->reason);
	*b = (struct runtime_block){.entry = *entry, .reason = PST_TAKE_PTR(copy)};
	b->entry.reason = 0;
	return 0;
}

void runtime_blocks_remove(struct runtime_blocks *blocks, struct runtime_block *b)
{
	size_t behind = (size_t)(blocks->v + blocks->n - b) - 1;

	free(b->reason);
	memmove(b, b + 1, behind * sizeof(*b));
	blocks->n--;
}

void runtime_blocks_expire(struct runtime_blocks *blocks, uint32_t now)
{
	for (size_t i = blocks->n; i-- > 0;)
		if (block_expiry(blocks->v[i].entry.expires) <= now)
			runtime_blocks_remove(blocks, &blocks->v[i]);
}

void runtime_block_text(const struct block_entry *e, char *buf)
{
	uint8_t bytes[16];
	char *w;

	for (int i = 0; i < 8; i++) {
		bytes[i] = (uint8_t)(e->hi >> (56 - 8 * i));
		bytes[8 + i] = (uint8_t)(e->lo >> (56 - 8 * i));
	}
	w = e->ip6 ? pst_fmt_addr(buf, bytes, 16) : pst_fmt_addr(buf, bytes + 12, 4);
	if (e->len < (e->ip6 ? 128 : 32)) {
		*w++ = '/';
		w = pst_fmt_u64(w, e->len);
	}
	*w = '\0';
}

bool runtime_reason_ok(const char *reason)
{
	size_t len = strlen(reason);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)reason[i] < 0x20 || reason[i] == 0x7f || reason[i] == '"')
			return false;
	return len <= BLOCK_REASON_MAX;
}

/* ---- file ---- */

static int take(const struct block_set *set, const struct block_entry *e, struct runtime_blocks *blocks)
{
	const char *reason = block_reason(&set->reasons, e->reason);

	return runtime_blocks_put(blocks, e, runtime_reason_ok(reason) ? reason : NULL);
}

static int take_all(const struct block_set *set, struct runtime_blocks *blocks)
{
	const struct block_list *l = &set->block;
	int e = 0;

	for (size_t i = 0; !e && i < l->n_addrs4; i++) {
		const struct block_addr4 *a = &l->addrs4[i];

		e = take(set,
			&(struct block_entry){
				.lo = a->addr, .len = 32, .expires = a->expires, .reason = a->reason},
			blocks);
	}
	for (size_t i = 0; !e && i < l->addrs6.n; i++)
		e = take(set, &l->addrs6.v[i], blocks);
	for (size_t i = 0; !e && i < l->prefixes.n; i++)
		e = take(set, &l->prefixes.v[i], blocks);
	return e;
}

int runtime_blocks_parse(const char *name, const char *text, size_t len, const struct block_clock *clock,
	struct pst_conf_errors *errors, struct runtime_blocks *ret_blocks)
{
	PST_CLEANUP(block_set_done) struct block_set set = {0};
	PST_CLEANUP(runtime_blocks_done) struct runtime_blocks blocks = {0};
	struct block_loaded loaded;
	int e = block_parse(name, text, len, clock, &set.reasons, &set.block, errors, &loaded);

	if (!e && loaded.bad)
		e = -EBADMSG;
	e = e ? e : take_all(&set, &blocks);
	if (e)
		return e;
	*ret_blocks = blocks;
	blocks = (struct runtime_blocks){0};
	return 0;
}

int runtime_blocks_load(const char *path, const struct block_clock *clock, struct pst_conf_errors *errors,
	struct runtime_blocks *ret_blocks)
{
	PST_FREE char *text = NULL;
	size_t len;
	int e = pst_own_read(path, (size_t)RUNTIME_BLOCKS_MAX * LINE_MAX, &text, &len);

	if (e == -ENOENT) {
		*ret_blocks = (struct runtime_blocks){0};
		return 0;
	}
	return e ? e : runtime_blocks_parse(path, text, len, clock, errors, ret_blocks);
}

static void write_block(FILE *out, const struct runtime_block *b, const struct block_clock *clock)
{
	uint64_t now_s = clock->boot_ns / NS;
	char addr[64], time[31];

	runtime_block_text(&b->entry, addr);
	fputs(addr, out);
	if (b->entry.expires) {
		uint64_t left = b->entry.expires > now_s ? b->entry.expires - now_s : 0;

		pst_time_format(time, clock->unix_ns + left * NS);
		fprintf(out, " expires=%s", time);
	}
	if (b->reason)
		fprintf(out, " reason=\"%s\"", b->reason);
	fputc('\n', out);
}

int runtime_blocks_save(
	const char *path, const struct runtime_blocks *blocks, const struct block_clock *clock)
{
	PST_FREE char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < blocks->n; i++)
		write_block(out, &blocks->v[i], clock);
	return fclose(out) ? -ENOMEM : pst_own_write(path, MODE, text, len);
}
