// SPDX-License-Identifier: Apache-2.0
/* Any bytes as what the guard reads of commands: a packet that is asked about (first byte even), and the
 * files in the run folder. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/block/set.h"
#include "policyd/guard/internal.h"
#include "proto/wire/ctl_internal.h"

#define LINES 64
#define NOW_S 1000

static uint32_t any_interface(const char *name, void *arg)
{
	(void)arg;
	return (uint32_t)strlen(name);
}

static void check_packet(const struct pst_fw_packet *p)
{
	static union pst_line lines[LINES];

	for (int i = 0; i < PST_FW_DIMS; i++)
		if (p->root[i] >= PST_FW_ROOTS)
			abort();
	if (p->key[PST_FW_DSCP] > 63 || p->key[PST_FW_VLAN] > 4095 || p->key[PST_FW_STATE] >= PST_CT_STATES ||
		(p->key[PST_FW_PROTO] & 255) + PST_FW_PROTO_6 < p->key[PST_FW_PROTO])
		abort();
	fw_lookup(lines, LINES, p);
}

static void ask(const uint8_t *data, size_t size)
{
	static const struct fw_context context = {.ifindex = any_interface};
	struct pst_conf_errors errors = {0};
	struct guard_question q;
	msgpack_unpacked value;
	int e;

	if (ctl_unpack(data, size, &value) < 0)
		return;
	e = guard_question_parse(&value.data, &context, &errors, &q);
	if (!e)
		check_packet(&q.packet);
	if (!e != !errors.count)
		abort();
	if (!e && q.src.len != (q.src.ip6 ? 128 : 32))
		abort();
	msgpack_unpacked_destroy(&value);
	pst_conf_errors_done(&errors);
}

/* What is accepted is written the same. */
static void read_rules(const char *text, size_t len)
{
	struct runtime_rules rules;
	size_t again_len;
	char *again;

	if (runtime_rules_parse(text, len, &rules))
		return;
	again = runtime_rules_document(&rules, &again_len);
	if (!again || again_len != len || memcmp(again, text, len) != 0)
		abort();
	free(again);
	runtime_rules_done(&rules);
}

static void read_sets(const char *text, size_t len)
{
	struct runtime_sets sets;
	size_t again_len;
	char *again;

	if (runtime_sets_parse(text, len, &sets))
		return;
	again = runtime_sets_text(&sets, &again_len);
	if (!again || again_len != len || memcmp(again, text, len) != 0)
		abort();
	free(again);
	for (size_t i = 0; i < sets.n; i++) {
		struct pst_conf_errors errors = {0};
		char element[FW_ELEMENT_MAX], same[FW_ELEMENT_MAX];

		if (!fw_element_text(sets.v[i].element, &errors, element) &&
			(fw_element_text(element, &errors, same) || strcmp(same, element) != 0))
			abort();
		pst_conf_errors_done(&errors);
	}
	runtime_sets_done(&sets);
}

static void read_places(const char *text, size_t len)
{
	struct fw_ruleset *set;

	if (runtime_places_parse(text, len, 7, &set))
		return;
	for (size_t i = 0; i < set->n; i++)
		if (!set->rules[i].name || set->rules[i].counter >= PST_FW_COUNTERS)
			abort();
	fw_ruleset_free(set);
}

static void read_blocks(const char *text, size_t len)
{
	static const struct block_clock clock = {
		.boot_ns = NOW_S * 1000000000ull, .unix_ns = 1893456000000000000ull};
	struct pst_conf_errors errors = {0};
	struct runtime_blocks blocks;

	if (!runtime_blocks_parse("fuzz", text, len, &clock, &errors, &blocks)) {
		for (size_t i = 0; i < blocks.n; i++) {
			const struct runtime_block *b = &blocks.v[i];
			struct block_entry again;
			char addr[64];

			runtime_block_text(&b->entry, addr);
			if (block_entry_parse(addr, strlen(addr), &again) || again.hi != b->entry.hi ||
				again.lo != b->entry.lo || again.len != b->entry.len ||
				again.ip6 != b->entry.ip6)
				abort();
			if (b->reason && !runtime_reason_ok(b->reason))
				abort();
			if (runtime_blocks_find(&blocks, &b->entry) != b)
				abort();
		}
		runtime_blocks_done(&blocks);
	}
	pst_conf_errors_done(&errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* exactly these bytes, so that one too far is seen */
	char *text = size > 1 ? malloc(size - 1) : NULL;

	if (!text)
		return 0;
	memcpy(text, data + 1, size - 1);
	if (data[0] % 2 == 0)
		ask((const uint8_t *)text, size - 1);
	else if (data[0] % 8 == 1)
		read_rules(text, size - 1);
	else if (data[0] % 8 == 3)
		read_places(text, size - 1);
	else if (data[0] % 8 == 5)
		read_sets(text, size - 1);
	else
		read_blocks(text, size - 1);
	free(text);
	return 0;
}
