// SPDX-License-Identifier: Apache-2.0
/*
 * bench_apply FOLDER [RUNS]: how long policyd takes from files to tables in force, in memory in the place of
 * maps. One line a run: ms of 10,000 rules, ms of the same again, ms of 1,000,000 IPv4 addresses.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/guard/firewall.h"
#include "policyd/guard/lists.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/loop.h"

#define RULES      10000u
#define ADDRESSES  1000000u
#define LINES      (1u << 18)
#define CPUS       2
#define NEVER_BUSY 1000000000ull /* later than any grace */

static void die(const char *what, int error)
{
	fprintf(stderr, "bench_apply: %s: %s\n", what, strerror(error < 0 ? -error : error));
	exit(PST_EXIT_SYSTEM);
}

static uint32_t mixed(uint32_t i)
{
	return i * 2654435761u;
}

static FILE *open_to_write(const char *path)
{
	FILE *f = fopen(path, "we");

	if (!f)
		die(path, errno);
	return f;
}

/* Networks, protocol and ports, as firewalls have them. */
static void write_rules(const char *path)
{
	PST_FCLOSE FILE *f = open_to_write(path);

	fputs("firewall:\n  policy: drop\n  rules:\n", f);
	for (uint32_t i = 0; i < RULES; i++) {
		uint32_t a = mixed(i), b = mixed(a + 1);

		fprintf(f,
			"    - {name: rule %u, proto: %s, src: %u.%u.%u.0/24, dst: 10.%u.%u.0/24, dport: %u, "
			"action: %s}\n",
			i, a & 1 ? "tcp" : "udp", 1 + a % 200, a >> 8 & 255, a >> 16 & 255, b & 255,
			b >> 8 & 255, 1 + (b >> 16) % 2000, b & 1 ? "accept" : "drop");
	}
}

static void write_list(const char *path)
{
	PST_FCLOSE FILE *f = open_to_write(path);

	for (uint32_t i = 0; i < ADDRESSES; i++) {
		uint32_t a = mixed(i);

		fprintf(f, "%u.%u.%u.%u\n", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
	}
}

static void make_tables(struct guard_tables *t)
{
	int e = pst_shm_fake(sizeof(struct pst_guard), 1, &t->guard);

	e = e ? e : pst_shm_fake(LINES * sizeof(union pst_line), 2, &t->fw);
	e = e ? e : pst_shm_fake(sizeof(union pst_line), 2 * LINES, &t->block);
	e = e ? e : pst_shm_fake(sizeof(struct pst_sigs), 2, &t->sigs);
	e = e ? e : pst_shm_fake(sizeof(struct pst_offenders), PST_OFFENDER_SETS + 1, &t->offenders);
	e = e ? e : pst_shm_fake(sizeof(struct pst_sample), PST_SAMPLES, &t->samples);
	e = e ? e : pst_shm_fake(sizeof(struct pst_guard_counts), CPUS, &t->counts);
	e = e ? e : guard_tables_check(t, 0);
	if (e)
		die("tables", e);
}

static void check(int e, const struct pst_conf_errors *errors, uint64_t left)
{
	if (e)
		die(errors->text ? errors->text : "load", e);
	if (left)
		die("not in force at once", EAGAIN);
}

static double apply_rules(struct firewall *fw, struct guard_tables *t)
{
	struct pst_conf_errors errors = {0};
	uint64_t start = pst_now_mono_ns();
	int e = firewall_load(fw, t, &errors);

	check(e, &errors, e ? 0 : firewall_commit(fw, t, start + NEVER_BUSY));
	return (double)(pst_now_mono_ns() - start) / 1e6;
}

static double apply_list(struct lists *l, struct guard_tables *t)
{
	struct pst_conf_errors errors = {0};
	uint64_t start = pst_now_mono_ns();
	int e = lists_load(l, t, &errors);

	check(e, &errors, e ? 0 : lists_commit(l, t, start + NEVER_BUSY));
	return (double)(pst_now_mono_ns() - start) / 1e6;
}

static void run(const char *folder, const char *rules, char *list)
{
	const struct pst_strs none = {0}, block = {.v = &list, .n = 1};
	const struct lists_config config = {.allow = &none, .block = &block, .block_named = true};
	struct guard_tables t = {0};
	struct firewall fw;
	struct lists l;
	double first, again, load;
	int e = firewall_open(&fw, rules, true, folder);

	e = e ? e : lists_open(&l, &config, folder);
	if (e)
		die("open", e);
	make_tables(&t);
	first = apply_rules(&fw, &t);
	t.firewall.left_ns = 0;
	again = apply_rules(&fw, &t);
	load = apply_list(&l, &t);
	printf("%.1f %.1f %.1f\n", first, again, load);
	firewall_close(&fw);
	lists_close(&l);
	guard_tables_unmap(&t);
}

int main(int argc, char **argv)
{
	const char *folder = argc > 1 ? argv[1] : ".";
	int runs = argc > 2 ? atoi(argv[2]) : 3;
	char rules[512], list[512];

	pst_log_init("bench", PST_LOG_TEXT, PST_LOG_ERROR);
	snprintf(rules, sizeof(rules), "%s/rules.yaml", folder);
	snprintf(list, sizeof(list), "%s/block.list", folder);
	write_rules(rules);
	write_list(list);
	for (int i = 0; i < runs; i++)
		run(folder, rules, list);
	return 0;
}
