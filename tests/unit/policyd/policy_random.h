/* SPDX-License-Identifier: Apache-2.0 */
/* Random policies as YAML, for the tests and the fuzz target. */
#ifndef TESTS_POLICY_RANDOM_H
#define TESTS_POLICY_RANDOM_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/policy/policy.h"

static uint64_t policy_state = 0x9e3779b97f4a7c15;

/* While there are some, these decide, and chance behind them. */
static const uint8_t *policy_bytes;
static size_t policy_bytes_left;

static inline uint32_t policy_draw(uint32_t n)
{
	if (policy_bytes_left >= 2) {
		uint32_t v = (uint32_t)policy_bytes[0] << 8 | policy_bytes[1];

		policy_bytes += 2;
		policy_bytes_left -= 2;
		return v % n;
	}
	policy_state ^= policy_state >> 12;
	policy_state ^= policy_state << 25;
	policy_state ^= policy_state >> 27;
	return (uint32_t)(policy_state * 0x2545f4914f6cdd1d >> 33) % n;
}

/* Of few values, so that lists of different rules meet. */
static inline void put_path(FILE *f)
{
	static const char *const dirs[] = {"/etc", "/etc/ssh", "/usr/bin", "/home/a", "/home/b/.ssh", "/srv"};
	static const char *const globs[] = {
		"/home/*/.ssh/**", "/**/*.key", "/etc/[a-s]*", "/usr/*/s?", "/srv/**", "/**/.ssh/*"};
	const char *dir = dirs[policy_draw(6)];

	switch (policy_draw(7)) {
	case 0:
		fprintf(f, "{prefix: %s/s}", dir);
		return;
	case 1:
		fprintf(f, "{suffix: %s}", policy_draw(2) ? ".key" : "/id_rsa");
		return;
	case 2:
		fprintf(f, "{directory: %s}", dir);
		return;
	case 3:
		fprintf(f, "{directory: %s, recursive: true}", dir);
		return;
	case 4:
		fprintf(f, "{glob: \"%s\"}", globs[policy_draw(6)]);
		return;
	default:
		fprintf(f, "%s/s%u", dir, policy_draw(4));
	}
}

static inline void put_element(FILE *f, enum policy_key key)
{
	static const char *const cgroups[] = {"/system.slice/a.service", "/system.slice", "\"/docker/*\"",
		"\"/kube/**\"", "\"/docker/*/init\"", "/user.slice"};
	static const char *const addresses[] = {"10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "192.168.0.0/16",
		"0.0.0.0/0", "2001:db8::/32", "2001:db8::1", "::/0"};
	const struct policy_words *words = policy_rows[key].words;
	unsigned v;

	switch (policy_rows[key].type) {
	case POLICY_T_PATTERNS:
		put_path(f);
		return;
	case POLICY_T_FILES:
		fprintf(f, "/bin/s%u", policy_draw(5));
		return;
	case POLICY_T_CGROUPS:
		fputs(cgroups[policy_draw(6)], f);
		return;
	case POLICY_T_GLOBS:
		fprintf(f, "\"--o%u*\"", policy_draw(4));
		return;
	case POLICY_T_NAMES:
		fprintf(f, "mod%u", policy_draw(4));
		return;
	case POLICY_T_IDS:
		v = policy_draw(2) ? policy_draw(4) * 1000 : UINT32_MAX - 1 - policy_draw(9);
		fprintf(f, "%u-%u", v, v + policy_draw(UINT32_MAX - v < 1500 ? UINT32_MAX - v : 1500));
		return;
	case POLICY_T_PORTS:
		v = policy_draw(2) ? policy_draw(100) : 65535 - policy_draw(100);
		fprintf(f, "%u-%u", v, v + policy_draw(65536 - v < 50 ? 65536 - v : 50));
		return;
	case POLICY_T_ADDRESSES:
		fputs(addresses[policy_draw(8)], f);
		return;
	default:
		do
			v = policy_draw(words->n);
		while (!words->name(v));
		fputs(words->name(v), f);
	}
}

static inline void put_cond(FILE *f, enum policy_key key)
{
	bool other = !policy_draw(4);
	uint32_t n = 1 + policy_draw(3);

	fprintf(f, ", %s: ", policy_rows[key].key);
	if (policy_rows[key].type == POLICY_T_NAMESPACES) {
		fprintf(f, "{mnt: %s, user: %s}", policy_draw(2) ? "host" : "other",
			policy_draw(2) ? "host" : "other");
		return;
	}
	if (policy_rows[key].type == POLICY_T_TRUE) {
		fputs("true", f);
		return;
	}
	fprintf(f, "%s[", other ? "{not: " : "");
	for (uint32_t i = 0; i < n; i++) {
		fputs(i ? ", " : "", f);
		put_element(f, key);
	}
	fprintf(f, "]%s", other ? "}" : "");
}

/* Conditions that the operations can have; few, so that acts often meet all of them. */
static inline void put_conds(FILE *f, unsigned in, uint64_t ops)
{
	for (unsigned key = 0; key < POLICY_KEYS; key++) {
		if (!(policy_rows[key].in & in) || policy_draw(in == POLICY_IN_SCOPE ? 3 : 6))
			continue;
		if (policy_is_on_object(key) && (ops & ~policy_key_ops(key)))
			continue;
		if (key == POLICY_HOST) /* not beside containers */
			continue;
		put_cond(f, key);
	}
}

static inline void put_rule(FILE *f, unsigned i)
{
	static const char *const actions[] = {
		"allow", "audit", "alert", "deny, errno: EACCES", "kill", "throttle, rate: 5/1s"};
	const struct policy_op *a = &policy_ops[policy_draw((uint32_t)policy_n_ops)];
	const struct policy_op *b = &policy_ops[policy_draw((uint32_t)policy_n_ops)];

	if (policy_draw(2))
		a = &policy_ops[11]; /* file.open */
	if (policy_draw(2) || a == b)
		b = NULL;
	fprintf(f, "    - {name: r%u, operations: [%s%s%s], action: %s", i, a->name, b ? ", " : "",
		b ? b->name : "", actions[policy_draw(6)]);
	put_conds(f, POLICY_IN_RULE, PST_OP_BIT(a->number) | (b ? PST_OP_BIT(b->number) : 0));
	fputs("}\n", f);
}

static inline void put_policy(FILE *f, unsigned i, unsigned rules)
{
	static const char *const modes[] = {"enforce", "enforce", "audit", "\"off\""};

	fprintf(f,
		"---\napiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: p%u}\nspec:\n  mode: %s\n",
		i, modes[policy_draw(4)]);
	if (policy_draw(3)) {
		fputs("  scope: {uids: [0-4294967294]", f);
		put_conds(f, POLICY_IN_SCOPE, 0);
		fputs("}\n", f);
	}
	fputs("  rules:\n", f);
	for (unsigned r = 0; r < rules; r++)
		put_rule(f, r);
}

/* Those of so many that are good. */
static inline void policy_random_set(struct policy_set *set, unsigned policies, unsigned rules)
{
	for (unsigned i = 0; i < policies; i++) {
		struct pst_conf_errors errors = {0};
		struct policy_set tried = {0};
		char *text = NULL;
		size_t len = 0;
		FILE *f = open_memstream(&text, &len);

		put_policy(f, i, 1 + policy_draw(rules));
		fclose(f);
		/* a set that refused something is good for nothing: tried by itself first */
		if (!policy_parse(&tried, "random.yaml", text, len, &errors, NULL) &&
			policy_parse(set, "random.yaml", text, len, &errors, NULL))
			abort();
		policy_set_done(&tried);
		pst_conf_errors_done(&errors);
		free(text);
	}
}

#endif
