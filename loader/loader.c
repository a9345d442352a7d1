// SPDX-License-Identifier: Apache-2.0
#include "loader/loader.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <bpf/bpf.h>

#include "loader/build.h"
#include "loader/commit.h"
#include "loader/guardmaps.h"
#include "loader/lock.h"
#include "loader/mounts.h"
#include "loader/object.h"
#include "loader/policymaps.h"
#include "loader/unload.h"
#include "proto/abi/maps.h"
#include "proto/abi/policy.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/loop.h"

#define GUARD_PROGRAM "guard_tc" /* in each rung of the guard */

bool loader_kills(const struct loader *l)
{
	return l->features.results[FEATURE_SEND_SIGNAL].ok;
}

/* ---- prepare ---- */

/* Before 5.11 maps and programs count against it; since then nobody asks, so a refusal is no news. */
static void raise_memlock(void)
{
	struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY}, have;

	if (!setrlimit(RLIMIT_MEMLOCK, &all) || getrlimit(RLIMIT_MEMLOCK, &have) < 0)
		return;
	have.rlim_cur = have.rlim_max;
	setrlimit(RLIMIT_MEMLOCK, &have);
}

/* The folder can vanish between making and locking it: another loader's unload. */
static int lock_pins(struct loader *l)
{
	int r = -ENOENT;

	for (int tries = 0; tries < 4 && r == -ENOENT; tries++) {
		if (mkdir(l->common.bpffs, 0711) < 0 && errno != EEXIST) {
			r = -errno;
			pst_error("cannot make folder path=%s error=%s", l->common.bpffs, strerror(-r));
			return r;
		}
		r = lock_dir(l->common.bpffs, &l->pins_lock);
	}
	return r;
}

/* First while everything is allowed, also when nobody wants it yet: a reload may. */
static void open_cgroup(struct loader *l, bool may_mount)
{
	if (l->cgroup_fd < 0)
		l->cgroup_fd =
			mounts_cgroup(l->config.cgroup, may_mount, l->cgroup_text, sizeof(l->cgroup_text));
	if (l->cgroup_fd < 0 && l->config.sensors[SENSOR_UDP])
		pst_warn("%s", l->cgroup_text);
}

static void open_stats(struct loader *l)
{
	if (!l->config.bpf_stats) {
		snprintf(l->stats_why, sizeof(l->stats_why), "off in the configuration");
	} else if (!l->serving) {
		snprintf(l->stats_why, sizeof(l->stats_why), "only while penstock-loader serve runs");
	} else {
		l->stats_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
		if (l->stats_fd < 0)
			feature_why(&l->features, errno, l->stats_why);
	}
}

static uint32_t own_netns(void)
{
	struct stat st;

	return stat("/proc/self/ns/net", &st) < 0 ? 0 : (uint32_t)st.st_ino;
}

/* What hangs on interfaces of another network namespace is let go: our interface numbers mean others there.
 */
static void check_netns(struct loader *l)
{
	uint32_t netns = own_netns();

	if (l->pins.state->netns && l->pins.state->netns != netns) {
		pst_warn("network namespace changed, letting the interfaces of the old one go was=%u is=%u",
			l->pins.state->netns, netns);
		net_let_go(&l->net);
	}
	l->pins.state->netns = netns;
}

static int open_pins(struct loader *l)
{
	int r;

	l->pins.root = l->common.bpffs;
	net_init(&l->net, &l->pins);
	r = pins_open(&l->pins);
	if (r == -EPROTO) {
		pst_warn("the pins are of another version, taking all of it down first path=%s",
			l->common.bpffs);
		r = unload_pins(&l->pins);
		pst_closep(&l->pins_lock);
		l->pins_lock = -1;
		if (!r && (lock_pins(l) || pins_open(&l->pins)))
			r = -EIO;
	}
	if (r)
		return r;
	r = commit_recover(&l->pins);
	if (!r)
		check_netns(l);
	return r;
}

int loader_prepare(struct loader *l)
{
	int r;

	if (geteuid()) {
		pst_error(
			"must run as root: everything that the other processes are not allowed is done here");
		return -EPERM;
	}
	object_init_library();
	raise_memlock();
	accounts_load(&l->accounts, &l->common);
	features_init(&l->features);
	r = mounts_bpffs(l->common.bpffs);
	r = r ? r : mounts_run_dir(l->common.run_dir, l->accounts.common);
	r = r ? r : lock_run_dir(l->common.run_dir, &l->run_lock);
	r = r ? r : lock_pins(l);
	if (r)
		return r;
	open_cgroup(l, true);
	open_stats(l);
	if (accounts_join(&l->accounts) < 0)
		pst_warn("cannot join the stages' groups: their pins may stay root's");
	if (!feature_get(&l->features, FEATURE_PERCPU_ELEM)->ok)
		l->features.percpu_offsets = feature_kallsyms("__per_cpu_offset");
	(void)feature_get(&l->features, FEATURE_SYN_COOKIES);
	(void)feature_get(&l->features, FEATURE_SEND_SIGNAL);
	r = caps_limit(&l->caps);
	return r ? r : open_pins(l);
}

/* ---- apply ---- */

static void add_text(struct fingerprint *fp, const char *text)
{
	fingerprint_add(fp, text, strlen(text) + 1);
}

/* Everything that decides what is loaded. Interfaces are not: those are compared one by one each time. */
static struct fingerprint fingerprint_of(const struct loader *l)
{
	const struct loader_config *c = &l->config;
	const uint64_t numbers[] = {PST_ABI_VERSION, c->ring_bytes[0], c->ring_bytes[1], c->ring_bytes[2],
		c->flow_slots, c->flow_idle_ns, c->udp_slots, c->udp_idle_ns, c->drop_rate, c->xdp.n > 0,
		c->cgroup_rate, c->capability_ns, c->guarded.n > 0, c->firewall_memory, c->list_memory,
		c->connections, c->sources, c->policy_memory};
	struct fingerprint fp;
	struct stat st = {0};

	fingerprint_init(&fp);
	for (size_t i = 0; i < n_images; i++) {
		size_t size = 0;
		const void *bytes = images[i].bytes(&size);

		add_text(&fp, images[i].name);
		fingerprint_add(&fp, bytes, size);
	}
	fingerprint_add(&fp, numbers, sizeof(numbers));
	fingerprint_add(&fp, c->sensors, sizeof(c->sensors));
	for (int s = 0; s < SENSOR_MAX; s++)
		add_text(&fp, c->rungs[s]);
	if (l->cgroup_fd >= 0 && !fstat(l->cgroup_fd, &st))
		fingerprint_add(&fp, &st.st_ino, sizeof(st.st_ino));
	return fp;
}

/* Outcomes that lie in the kernel are not to be trusted blindly: an older binary may have written them. */
static bool outcomes_sane(const struct outcomes *o)
{
	for (int s = 0; s < SENSOR_MAX; s++) {
		int r = o->sensors[s].rung;

		if (r != RUNG_NONE && (r < 0 || r >= RUNGS_MAX || !sensors[s].rungs[r].name))
			return false;
		for (int i = 0; i < RUNGS_MAX; i++)
			if (!memchr(o->sensors[s].why[i], 0, WHY_MAX))
				return false;
	}
	for (int i = 0; i < ITERATORS_MAX; i++)
		if (!memchr(o->iterators[i], 0, WHY_MAX))
			return false;
	return true;
}

static bool is_current(struct loader *l, const struct fingerprint *fp)
{
	struct plan plan = {.config = &l->config, .o = &l->outcomes};

	memcpy(&l->outcomes, l->pins.state->outcomes, sizeof(l->outcomes));
	return outcomes_sane(&l->outcomes) && commit_current(&l->pins, &plan, fp);
}

static uint32_t next_generation(const struct pin_state *state)
{
	uint32_t next = state->generation + 1;

	return next ? next : 1;
}

/* Without a guard that works, the one that is attached is better than none. */
static int check_guard(struct loader *l, const struct build *b)
{
	const struct outcome *o = &b->outcomes.sensors[SENSOR_GUARD];

	if (o->off || o->rung != RUNG_NONE || !pins_exists(&l->pins, PIN_PROGS, GUARD_PROGRAM))
		return 0;
	snprintf(l->load_error, sizeof(l->load_error),
		"the guard does not load, the one that is attached goes on working: %s",
		o->why[0][0] ? o->why[0] : "no way is left");
	pst_error("%s", l->load_error);
	return -ENOEXEC;
}

/* Nor is what the policies in force can do to become less because programs do not load. */
static int check_policies(struct loader *l, const struct build *b)
{
	const char *weaker = policymaps_weaker(&l->pins, &b->plan, loader_kills(l));

	if (!weaker)
		return 0;
	snprintf(l->load_error, sizeof(l->load_error),
		"policies are in force, and %s would be weaker than what is attached, which goes on working",
		weaker);
	pst_error("%s", l->load_error);
	return -ENOEXEC;
}

/* What is in force, into the maps of the new programs. */
static int take_over(struct loader *l, const struct build *b)
{
	int r = guardmaps_take_over(&l->pins, &b->maps);

	r = r ? r : guardmaps_tell(&b->maps, l->features.results[FEATURE_SYN_COOKIES].ok);
	r = r ? r : guardmaps_pick_up(&l->pins, &b->maps);
	return r ? r : policymaps_take_over(&l->pins, &b->maps);
}

static void stay(const struct pins *pins)
{
	guardmaps_stay(pins);
	policymaps_stay(pins);
}

static int load_anew(struct loader *l, const struct fingerprint *fp)
{
	PST_CLEANUP(region_unmap) struct region page = {0};
	PST_CLEANUP(build_done) struct build b = {0};
	int r = policymaps_key(&l->pins);

	r = r ? r : build_run(&b, l, next_generation(l->pins.state));
	r = r ? r : check_guard(l, &b);
	r = r ? r : check_policies(l, &b);
	r = r ? r : take_over(l, &b);
	if (!r)
		(void)region_map_pinned(&l->pins, PST_MAP_POLICY, &page);
	r = r ? r : commit(&b, fp);
	if (r) {
		if (l->pins.state->phase == PHASE_CLEAN) {
			pins_drop_staged(&l->pins);
			stay(&l->pins);
		}
		return r;
	}
	if (page.p && !maps_find(&b.maps, PST_MAP_POLICY))
		policymaps_left(&page);
	l->outcomes = b.outcomes;
	return 0;
}

/* Interfaces, by the plan. */
static int attach(struct loader *l)
{
	int r;

	l->plan = (struct plan){.config = &l->config, .o = &l->outcomes};
	r = net_sync(&l->net, &l->config, &l->plan, &l->features);
	stay(&l->pins); /* also after a load that was killed */
	guardmaps_attached(&l->pins, &l->net);
	policymaps_attached(&l->pins, &l->outcomes, loader_kills(l));
	l->waiting = (struct waiting){0}; /* the lists may be others */
	waiting_look(&l->waiting, &l->config, &l->net, l->serving);
	pins_set_owners(&l->pins, &l->accounts);
	return r;
}

int loader_keep(struct loader *l)
{
	memcpy(&l->outcomes, l->pins.state->outcomes, sizeof(l->outcomes));
	if (outcomes_sane(&l->outcomes))
		return attach(l);
	pst_error("cannot serve what an earlier load left in force, another build made it: it goes on as it "
		  "is");
	return -EBADMSG;
}

int loader_apply(struct loader *l)
{
	uint64_t start = pst_now_mono_ns();
	open_cgroup(l, false); /* it may have been mounted since */
	struct fingerprint fp = fingerprint_of(l);
	bool current = !l->force && is_current(l, &fp);
	int r;

	l->load_error[0] = '\0';
	r = current ? 0 : load_anew(l, &fp);
	if (r) {
		if (!l->load_error[0])
			snprintf(l->load_error, sizeof(l->load_error), "%s", strerror(-r));
		pst_error("loading failed, what was in force stays error=%s", strerror(-r));
		return r;
	}
	r = attach(l);
	l->load_ns = pst_now_mono_ns() - start;
	pst_info("%s generation=%u interfaces=%u ms=%.1f", current ? "nothing changed" : "loaded",
		l->pins.state->generation, l->net.n, (double)l->load_ns / 1e6);
	return r;
}

void loader_done(struct loader *l)
{
	net_done(&l->net);
	pins_close(&l->pins);
	features_done(&l->features);
	pst_closep(&l->cgroup_fd);
	pst_closep(&l->stats_fd);
	pst_closep(&l->pins_lock);
	pst_closep(&l->run_lock);
	loader_config_done(&l->config);
	pst_common_done(&l->common);
}
