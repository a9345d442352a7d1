// SPDX-License-Identifier: Apache-2.0
/* Counters by interface: added up over CPUs by name, and the places of interfaces that are gone. */
#include "tests/unit/base_test.h"

#include <net/if.h>
#include <unistd.h>

#include "policyd/guard/ifcounts.h"
#include "proto/abi/records.h"
#include "proto/base/cleanup.h"

#define CPUS     3
#define LO       1u
#define NOBODY   0x7fffff00u /* an index that no interface has */
#define MINUTE   60000000000ull
#define IN(p, v) PST_GUARD_CELL(PST_DIR_IN, p, v)

static struct guard_tables tables;
static struct pst_guard_counts *cpus;
static struct ifnames names;

static int setup(void **state)
{
	(void)state;
	if (pst_shm_fake(sizeof(struct pst_guard_counts), CPUS, &tables.counts) || ifnames_open(&names))
		return -1;
	cpus = tables.counts.base;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ifnames_close(&names);
	pst_shm_unmap(&tables.counts);
	return 0;
}

static void count(int cpu, unsigned place, uint32_t ifindex, unsigned cell, uint64_t packets)
{
	struct pst_guard_count *c = &cpus[cpu].iface[place * PST_GUARD_CELLS + cell];

	if (place < PST_GUARD_COUNTED_IFACES)
		cpus[cpu].ifindex[place] = ifindex;
	c->packets += packets;
	c->bytes += packets * 100;
}

/* Packets of an interface's cell; all of them when @interface is NULL. */
static uint64_t shown(const char *interface, const char *direction, const char *protocol, const char *verdict)
{
	PST_FREE struct guard_ifaces *all = guard_ifaces_read(&tables, &names);
	struct guard_cell c;
	uint64_t sum = 0;

	assert_non_null(all);
	for (size_t at = 0; guard_ifaces_next(all, &at, &c);) {
		assert_int_equal(c.count.bytes, c.count.packets * 100);
		if (!interface || (!strcmp(c.interface, interface) && !strcmp(c.direction, direction) &&
					  !strcmp(c.protocol, protocol) && !strcmp(c.verdict, verdict)))
			sum += c.count.packets;
	}
	return sum;
}

/* One interface, in another place on each CPU. */
static void added_up(void **state)
{
	(void)state;
	count(0, 1, LO, IN(PST_GUARD_TCP, PST_GUARD_PASS), 5);
	count(1, 22, LO, IN(PST_GUARD_TCP, PST_GUARD_PASS), 6);
	count(2, 0, LO, IN(PST_GUARD_TCP, PST_GUARD_DROP), 7);
	count(2, 0, LO, IN(PST_GUARD_ARP, PST_GUARD_PASS), 8);
	count(2, 0, LO, IN(PST_GUARD_OTHER, PST_GUARD_ANSWER), 9);
	count(2, 0, LO, PST_GUARD_CELL(PST_DIR_OUT, PST_GUARD_ICMPV6, PST_GUARD_PASS), 10);
	assert_int_equal(shown("lo", "in", "tcp", "pass"), 11);
	assert_int_equal(shown("lo", "in", "tcp", "drop"), 7);
	assert_int_equal(shown("lo", "in", "arp", "pass"), 8);
	assert_int_equal(shown("lo", "in", "other", "answer"), 9);
	assert_int_equal(shown("lo", "out", "icmpv6", "pass"), 10);
	assert_int_equal(shown(NULL, NULL, NULL, NULL), 45);
}

/* What has no place, what has no name, and cells that mean nothing. */
static void without_a_name(void **state)
{
	(void)state;
	count(0, PST_GUARD_COUNTED_OTHER, 0, IN(PST_GUARD_UDP, PST_GUARD_PASS), 3);
	count(1, PST_GUARD_COUNTED_GONE, 0, IN(PST_GUARD_UDP, PST_GUARD_PASS), 4);
	count(1, 7, NOBODY, IN(PST_GUARD_UDP, PST_GUARD_PASS), 5);
	count(1, 8, LO, IN(PST_GUARD_UDP, PST_GUARD_VERDICTS), 100); /* no program counts there */
	count(1, 9, 0, IN(PST_GUARD_UDP, PST_GUARD_PASS), 100);      /* nobody's place */
	assert_int_equal(shown("other", "in", "udp", "pass"), 3);
	assert_int_equal(shown("gone", "in", "udp", "pass"), 9);
	assert_int_equal(shown(NULL, NULL, NULL, NULL), 12);
}

/* More than are told apart: all of them are still there. */
static void too_many(void **state)
{
	(void)state;
	for (int cpu = 0; cpu < CPUS; cpu++)
		for (unsigned i = 0; i < PST_GUARD_COUNTED_IFACES; i++)
			count(cpu, i, NOBODY + (unsigned)cpu * PST_GUARD_COUNTED_IFACES + i,
				IN(PST_GUARD_GRE, PST_GUARD_PASS), 1);
	assert_int_equal(shown("gone", "in", "gre", "pass"), GUARD_IFACES_MAX);
	assert_int_equal(
		shown("other", "in", "gre", "pass"), CPUS * PST_GUARD_COUNTED_IFACES - GUARD_IFACES_MAX);
}

/* Whatever the table has: what is shown is bounded, as status has to be. */
static void rubbish(void **state)
{
	PST_FREE struct guard_ifaces *all = NULL;
	struct guard_cell c;
	unsigned cells = 0;

	(void)state;
	memset(cpus, 0xff, CPUS * sizeof(*cpus));
	for (int cpu = 0; cpu < CPUS; cpu++)
		for (unsigned i = 0; i < PST_GUARD_COUNTED_IFACES; i++)
			cpus[cpu].ifindex[i] = i ? (uint32_t)(cpu * 1000) + i : LO;
	all = guard_ifaces_read(&tables, &names);
	assert_non_null(all);
	for (size_t at = 0; guard_ifaces_next(all, &at, &c); cells++)
		assert_true(strlen(c.interface) < IF_NAMESIZE);
	assert_in_range(cells, 3 * 32, (GUARD_IFACES_MAX + 2) * 32);
}

/* Freed when it was gone a minute ago too; sums stay, and whoever comes next begins at nothing. */
static void swept(void **state)
{
	struct guard_gone gone = {0};

	(void)state;
	count(0, 1, LO, IN(PST_GUARD_SCTP, PST_GUARD_PASS), 5);
	count(1, 4, NOBODY, IN(PST_GUARD_SCTP, PST_GUARD_PASS), 6);
	count(2, 25, NOBODY, IN(PST_GUARD_SCTP, PST_GUARD_DROP), 7);
	count(2, PST_GUARD_COUNTED_GONE, 0, IN(PST_GUARD_SCTP, PST_GUARD_DROP), 8);
	guard_ifaces_sweep(&tables, &names, &gone, MINUTE);
	assert_int_equal(gone.n, 1);
	assert_int_equal(cpus[1].ifindex[4], NOBODY);
	guard_ifaces_sweep(&tables, &names, &gone, 2 * MINUTE - 1); /* too early */
	assert_int_equal(cpus[1].ifindex[4], NOBODY);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(shown("lo", "in", "sctp", "pass"), 5);
		assert_int_equal(shown("gone", "in", "sctp", "pass"), 6);
		assert_int_equal(shown("gone", "in", "sctp", "drop"), 15);
		guard_ifaces_sweep(&tables, &names, &gone, 2 * MINUTE);
	}
	assert_int_equal(gone.n, 0);
	assert_int_equal(cpus[0].ifindex[1], LO);
	assert_int_equal(cpus[1].ifindex[4], 0);
	assert_int_equal(cpus[2].ifindex[25], 0);
	count(1, 4, LO, IN(PST_GUARD_SCTP, PST_GUARD_PASS), 1);
	assert_int_equal(shown("lo", "in", "sctp", "pass"), 6);
}

/* One that came back in time keeps its place, and has its minute from anew. */
static void came_back(void **state)
{
	struct guard_gone gone = {.v = {LO}, .n = 1};

	(void)state;
	count(0, 1, LO, IN(PST_GUARD_TCP, PST_GUARD_PASS), 5);
	guard_ifaces_sweep(&tables, &names, &gone, MINUTE);
	assert_int_equal(gone.n, 0);
	assert_int_equal(cpus[0].ifindex[1], LO);
}

/* Who cannot ask does not free anything. */
static void no_answer_is_none(void **state)
{
	struct ifnames deaf = {.sock = -1};
	struct guard_gone gone = {.v = {LO}, .n = 1};

	(void)state;
	count(0, 1, LO, IN(PST_GUARD_TCP, PST_GUARD_PASS), 5);
	guard_ifaces_sweep(&tables, &deaf, &gone, MINUTE);
	assert_int_equal(gone.n, 0);
	assert_int_equal(cpus[0].ifindex[1], LO);
}

static void nothing_mapped(void **state)
{
	const struct guard_tables none = {0};
	PST_FREE struct guard_ifaces *all = guard_ifaces_read(&none, &names);
	struct guard_gone gone = {0};
	struct guard_cell c;
	size_t at = 0;

	(void)state;
	assert_non_null(all);
	assert_false(guard_ifaces_next(all, &at, &c));
	guard_ifaces_sweep(&none, &names, &gone, MINUTE);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(added_up),
		TEST(without_a_name),
		TEST(too_many),
		TEST(rubbish),
		TEST(swept),
		TEST(came_back),
		TEST(no_answer_is_none),
		TEST(nothing_mapped),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
