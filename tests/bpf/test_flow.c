// SPDX-License-Identifier: Apache-2.0
/* The flow programs of bpf/flow.bpf.c on made-up packets (BPF_PROG_TEST_RUN): what is counted, to the byte.
 */
#include "tests/bpf/flowtab.h"
#include "tests/bpf/packets.h"

static struct flowtab tab;
static uint32_t lo_netns; /* packets of a test run belong to lo of this namespace */

enum via { TC_IN, TC_OUT, XDP, VIAS };
static const char *const via_names[VIAS] = {"tc ingress", "tc egress", "XDP"};

static int prog_of(enum via via)
{
	struct flow_bpf *s = tab.skel;

	return bpf_program__fd(via == TC_IN    ? s->progs.flow_ingress
			       : via == TC_OUT ? s->progs.flow_egress
					       : s->progs.flow_xdp);
}

/* Runs it; 0 or -errno. The verdict is always "go on". */
static int run(enum via via, const void *bytes, size_t len, int repeat)
{
	unsigned char out[4096];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = bytes, .data_size_in = (uint32_t)len, .data_out = out,
		.data_size_out = sizeof(out), .repeat = repeat);
	int r = bpf_prog_test_run_opts(prog_of(via), &opts);

	if (r)
		return r;
	assert_int_equal((int)opts.retval, via == XDP ? 2 : -1);
	return 0;
}

static struct pst_flow_key key_of(const struct packet *p, enum via via)
{
	struct pst_flow_key key = p->key;

	key.dir = via == TC_OUT ? PST_DIR_OUT : PST_DIR_IN;
	key.ifindex = 1;
	key.netns = lo_netns;
	return key;
}

static uint16_t type_of(const struct packet *p)
{
	uint16_t type = (uint16_t)(p->bytes[p->l3 - 2] << 8 | p->bytes[p->l3 - 1]);

	return type == 0x0800 || type == 0x86dd || type == 0x0806 ? type : 0;
}

static struct pst_iface_count count_of(const struct packet *p, enum via via, uint8_t protocol)
{
	return iface_sum(&tab, 1, lo_netns, type_of(p), protocol, via == TC_OUT ? PST_DIR_OUT : PST_DIR_IN);
}

/* Counted once as what it is, and in a flow. */
static void assert_counted(const struct packet *p, enum via via)
{
	struct pst_flow_key key = key_of(p, via);
	uint8_t protocol = key.protocol == 200 || key.protocol == 60 ? 255 : key.protocol;
	struct pst_iface_count before = count_of(p, via, protocol), after;
	uint64_t bytes = p->l3_len ? p->l3_len : p->len - p->l3;
	struct pst_flow f, g = {0};

	memset(&f, 0, sizeof(f));
	flow_find(&tab, &key, &f);
	assert_int_equal(run(via, p->bytes, p->len, 1), 0);
	assert_true(flow_find(&tab, &key, &g));
	if (!f.gen)
		assert_int_equal(g.first_ns, g.last_ns);
	else
		assert_true(g.gen == f.gen && g.first_ns == f.first_ns && g.last_ns >= f.last_ns);
	assert_int_equal(g.packets, f.packets + 1);
	assert_int_equal(g.bytes, f.bytes + bytes);
	assert_int_equal(g.tcp_flags, f.tcp_flags | p->tcp_flags);
	assert_int_equal(g.netns, lo_netns);
	assert_int_equal(g.judged_first | g.judged_last | g.gone_packets | g.pad, 0);
	after = count_of(p, via, protocol);
	assert_int_equal(after.packets, before.packets + 1);
	assert_int_equal(after.bytes, before.bytes + bytes);
}

/* Counted with its type and no protocol, and in no flow. False: the kernel takes no packet so short for a
 * test run. */
static bool assert_odd(const struct packet *p, enum via via, size_t len)
{
	struct pst_iface_count before = count_of(p, via, 0), after;
	uint32_t used = flow_used(&tab);
	int r = run(via, p->bytes, len, 1);

	if (r == -EINVAL && len < p->l3 + 40)
		return false;
	assert_int_equal(r, 0);
	after = count_of(p, via, 0);
	assert_int_equal(after.packets, before.packets + 1);
	assert_int_equal(after.bytes, before.bytes + len - p->l3);
	assert_int_equal(flow_used(&tab), used);
	return true;
}

static void check_table(void **state)
{
	(void)state;
	for (int via = 0; via < VIAS; via++)
		for (size_t i = 0; i < PACKETS; i++) {
			struct packet p;

			packets[i].make(&p);
			print_message("# %s: %s\n", via_names[via], packets[i].name);
			if (packets[i].what == 0)
				assert_counted(&p, (enum via)via), assert_counted(&p, (enum via)via);
			else if (packets[i].make != make_three_tags)
				assert_true(assert_odd(&p, (enum via)via, p.len));
		}
}

/* Every packet of the table, cut at every byte that a test run takes: counted as malformed, never in a flow.
 */
static void check_truncated(void **state)
{
	unsigned int runs = 0;

	(void)state;
	for (int via = 0; via < VIAS; via++)
		for (size_t i = 0; i < PACKETS; i++) {
			struct packet p;

			packets[i].make(&p);
			if (packets[i].what != 0)
				continue;
			/* behind the headers it is cut too: the length in the header says that there was more
			 */
			for (size_t len = p.l3 + 1; len < p.l3 + (p.l3_len ? p.l3_len : p.len - p.l3); len++)
				runs += assert_odd(&p, (enum via)via, len);
		}
	print_message("# %u cuts\n", runs);
	assert_true(runs > 1000);
}

/* Flags come together over a flow's life. */
static void check_flags(void **state)
{
	static const uint8_t flags[] = {0x02, 0x10, 0x18, 0x11};
	struct pst_flow_key key;
	struct pst_flow f;
	struct packet p;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		eth(&p, 0x0800), ip4(&p, 6, 0), tcp(&p, flags[i], 0), done(&p, 0, 0);
		put16(p.bytes + p.l3 + 20, 50000);
		assert_int_equal(run(TC_IN, p.bytes, p.len, 1), 0);
	}
	key = key_of(&p, TC_IN);
	key.sport = 50000;
	assert_true(flow_find(&tab, &key, &f));
	assert_int_equal(f.tcp_flags, 0x1b);
	assert_int_equal(f.packets, 4);
}

/* Eight slots and eighteen flows: who finds none is counted; who was idle goes out with his totals. */
static void check_eviction(void **state)
{
	enum { IDLE_MS = 400, FLOWS = 18 };
	uint64_t full, bytes, emitted;
	struct packet p;
	unsigned int seen = 0, ports = 0;

	(void)state;
	flowtab_close(&tab);
	flowtab_open(&tab, 8, IDLE_MS * 1000000ULL);
	make_udp4(&p);
	for (unsigned int i = 0; i < FLOWS; i++) {
		put16(p.bytes + p.l3 + 20, 1000 + i);
		assert_int_equal(run(TC_IN, p.bytes, p.len, 3), 0);
	}
	assert_int_equal(flow_used(&tab), 8);
	full = flow_stat(&tab, offsetof(struct pst_class_stat, table_full));
	bytes = flow_stat(&tab, offsetof(struct pst_class_stat, table_full_bytes));
	assert_int_equal(full, 3 * (FLOWS - 8));
	assert_int_equal(bytes, full * p.l3_len);
	assert_int_equal(reclog_nth(&tab.recs, PST_REC_FLOW_EVICTED, 0, 0) != NULL, 0);

	usleep((IDLE_MS + 50) * 1000);
	for (unsigned int i = 0; i < 8; i++) {
		put16(p.bytes + p.l3 + 20, 2000 + i);
		assert_int_equal(run(TC_IN, p.bytes, p.len, 1), 0);
	}
	ring_buffer__consume(tab.recs.rb);
	for (size_t off = 0; off < tab.recs.len; off += sizeof(struct pst_rec_flow), seen++) {
		const struct pst_rec_flow *r = (const void *)(tab.recs.bytes + off);
		struct pst_flow_key key = key_of(&p, TC_IN);
		struct pst_flow now;

		assert_int_equal(r->h.kind, PST_REC_FLOW_EVICTED);
		assert_int_equal(r->h.size, sizeof(*r));
		assert_true(r->index < 8);
		assert_int_equal(r->slot.gen, 2);
		assert_in_range(r->slot.key.sport, 1000, 1000 + FLOWS - 1);
		key.sport = r->slot.key.sport;
		assert_int_equal(ports & 1U << (key.sport - 1000), 0);
		ports |= 1U << (key.sport - 1000);
		assert_memory_equal(&r->slot.key, &key, sizeof(key));
		assert_int_equal(r->slot.packets, 3);
		assert_int_equal(r->slot.bytes, 3 * p.l3_len);
		assert_true(r->slot.first_ns <= r->slot.last_ns &&
			    r->h.ts_ns - r->slot.last_ns >= IDLE_MS * 1000000ULL);
		assert_true(slot_read(&tab.slots[r->index], &now));
		assert_int_equal(now.gen, 4);
		assert_int_equal(now.packets, 1);
		key.sport = (uint16_t)(2000 + seen); /* in the order in which they came */
		assert_memory_equal(&now.key, &key, sizeof(key));
	}
	assert_int_equal(seen, 8);
	emitted = flow_stat(&tab, offsetof(struct pst_class_stat, emitted));
	assert_int_equal(emitted, 8);
	assert_int_equal(flow_stat(&tab, offsetof(struct pst_class_stat, table_full)), full);
	assert_int_equal(flow_stat(&tab, offsetof(struct pst_class_stat, unread)), 0);
}

/* Two switches of the loader. */
static void check_switches(void **state)
{
	struct flow_bpf *s = flow_bpf__open();
	struct packet p;
	uint32_t key = 0;
	struct pst_iface_key none;

	(void)state;
	assert_non_null(s);
	s->rodata->cfg_flow_table = false;
	s->rodata->cfg_flow_ifaces = false;
	assert_int_equal(bpf_map__set_max_entries(s->maps.flows, 8), 0);
	s->rodata->cfg_flow_mask = 7;
	assert_int_equal(flow_bpf__load(s), 0);
	make_udp4(&p);
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p.bytes, .data_size_in = (uint32_t)p.len);
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(s->progs.flow_ingress), &opts), 0);
	for (key = 0; key < 8; key++) {
		struct pst_flow f;

		assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(s->maps.flows), &key, &f), 0);
		assert_int_equal(f.gen, 0);
	}
	assert_int_equal(bpf_map_get_next_key(bpf_map__fd(s->maps.iface_counters), NULL, &none), -ENOENT);
	flow_bpf__destroy(s);
}

static int setup(void **state)
{
	struct stat st;

	(void)state;
	/* what BPF_PROG_TEST_RUN takes for the packet's device: lo of the namespace we are in */
	if (unshare(CLONE_NEWNET) || stat("/proc/thread-self/ns/net", &st))
		return -1;
	lo_netns = (uint32_t)st.st_ino;
	flowtab_open(&tab, 4096, 60000000000);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	flowtab_close(&tab);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(check_table),
		cmocka_unit_test(check_truncated),
		cmocka_unit_test(check_flags),
		cmocka_unit_test(check_switches),
		cmocka_unit_test(check_eviction),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("flow", tests, setup, teardown);
}
