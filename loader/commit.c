// SPDX-License-Identifier: Apache-2.0
#include "loader/commit.h"

#include <bpf/bpf.h>
#include <assert.h>
#include <string.h>
#include <sys/stat.h>

#include "loader/gate.h"
#include "loader/ownids.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

/* ---- programs at the root cgroup ---- */

struct updated {
	int link, old_prog; /* owned */
};

struct cgroup_pass {
	struct build *b;
	struct updated v[BUILD_LINKS_MAX];
	unsigned n;
};

static void cgroup_done(struct cgroup_pass *pass, bool roll_back)
{
	for (unsigned i = 0; i < pass->n; i++) {
		if (roll_back && bpf_link_update(pass->v[i].link, pass->v[i].old_prog, NULL) < 0)
			pst_error("cannot put the old program back error=%s", strerror(errno));
		pst_closep(&pass->v[i].link);
		pst_closep(&pass->v[i].old_prog);
	}
	pass->n = 0;
}

/* Same folder and same kind of attachment: then the program can be exchanged. A cgroup that is gone has id 0.
 */
static bool link_fits(int link, int cgroup_fd, enum bpf_attach_type type)
{
	struct bpf_link_info info = {0};
	uint32_t len = sizeof(info);
	struct stat st;

	return !bpf_obj_get_info_by_fd(link, &info, &len) && info.type == BPF_LINK_TYPE_CGROUP &&
	       info.cgroup.attach_type == type && !fstat(cgroup_fd, &st) &&
	       info.cgroup.cgroup_id == st.st_ino;
}

static int cgroup_one(struct cgroup_pass *pass, const struct rung_program *p)
{
	const struct pins *pins = &pass->b->l->pins;
	struct bpf_program *prog = build_program(pass->b, p->object, p->program);
	enum bpf_attach_type type = prog ? bpf_program__expected_attach_type(prog) : 0;
	PST_CLOSE int link = pins_get(pins, PIN_LINKS, p->program);
	PST_CLOSE int old = pins_get(pins, PIN_PROGS, p->program);

	if (!prog || pass->n == BUILD_LINKS_MAX)
		return -ESRCH;
	if (link >= 0 && old >= 0 && link_fits(link, pass->b->l->cgroup_fd, type)) {
		if (bpf_link_update(link, bpf_program__fd(prog), NULL) < 0)
			return -errno;
		pass->v[pass->n++] = (struct updated){PST_TAKE_FD(link), PST_TAKE_FD(old)};
		return 0;
	}
	pst_closep(&link);
	link = bpf_link_create(bpf_program__fd(prog), pass->b->l->cgroup_fd, type, NULL);
	return link < 0 ? -errno : pins_stage(pins, PIN_LINKS, p->program, link);
}

static int cgroup_all(struct cgroup_pass *pass)
{
	const struct plan *plan = &pass->b->plan;

	for (int s = 0; s < SENSOR_MAX; s++) {
		const struct rung *rung = plan_rung(plan, (enum sensor_id)s);

		for (unsigned p = 0; rung && p < RUNG_PROGRAMS_MAX && rung->programs[p].object; p++) {
			int r = 0;

			if (rung->programs[p].kind == ATTACH_CGROUP && plan_has(plan, (enum sensor_id)s, p))
				r = cgroup_one(pass, &rung->programs[p]);
			if (r) {
				pst_error("cannot attach program=%s cgroup=%s error=%s",
					rung->programs[p].program, pass->b->l->cgroup_text, strerror(-r));
				return r;
			}
		}
	}
	return 0;
}

/* ---- pins that the plan has no longer ---- */

struct keep {
	const struct pins *pins;
	const struct plan *plan;
	const struct maps *maps;
	enum pin_dir dir;
	uint32_t n_maps;
};

/* Does a rung in use pin something of that name there? */
static bool planned(const struct plan *plan, enum pin_dir dir, const char *name)
{
	for (int s = 0; s < SENSOR_MAX; s++) {
		const struct rung *rung = plan_rung(plan, (enum sensor_id)s);

		for (unsigned p = 0; rung && p < RUNG_PROGRAMS_MAX && rung->programs[p].object; p++) {
			enum attach_kind kind = rung->programs[p].kind;

			if (strcmp(rung->programs[p].program, name) || !plan_has(plan, (enum sensor_id)s, p))
				continue;
			if (dir == PIN_LINKS ? kind == ATTACH_TRACE || kind == ATTACH_CGROUP
					     : kind != ATTACH_TRACE)
				return true;
		}
	}
	return false;
}

static bool planned_iterator(const struct plan *plan, const char *name)
{
	for (size_t i = 0; i < n_iterators; i++)
		if (plan_iterator(plan, i) && !strcmp(iterators[i].name, name))
			return true;
	return false;
}

static void remove_unplanned(void *arg, const char *name)
{
	struct keep *k = arg;
	bool keep = true;

	if (k->dir == PIN_LINKS) /* those of interfaces are net.c's */
		keep = planned(k->plan, PIN_LINKS, name) || iflink_is_pin(name, NULL);
	else if (k->dir == PIN_PROGS)
		keep = planned(k->plan, PIN_PROGS, name);
	else if (k->dir == PIN_ITERS)
		keep = planned_iterator(k->plan, name);
	else if (k->dir == PIN_MAPS)
		keep = !strcmp(name, MAP_GATE) || maps_find(k->maps, name);
	if (!keep)
		pins_remove(k->pins, k->dir, name);
	else if (k->dir == PIN_MAPS)
		k->n_maps++;
}

static uint32_t remove_rest(const struct build *b)
{
	struct keep k = {.pins = &b->l->pins, .plan = &b->plan, .maps = &b->maps};

	for (int d = PIN_ITERS; d >= PIN_MAPS; d--) {
		k.dir = (enum pin_dir)d;
		pins_each(k.pins, k.dir, remove_unplanned, &k);
	}
	return k.n_maps;
}

/* ---- the step itself ---- */

static void set_phase(struct pin_state *state, enum pin_phase phase)
{
	__atomic_store_n(&state->phase, (uint32_t)phase, __ATOMIC_SEQ_CST);
}

/* From here on there is no way back, only forward: also for whoever finds it after a crash. */
static int bring_into_force(struct pins *pins, uint32_t generation)
{
	struct pin_state *state = pins->state;
	int r;

	state->fingerprint[0] = state->fingerprint[1] = 0;
	state->staged = generation;
	set_phase(state, PHASE_FLIP);
	gate_move(pins->gate, generation);
	r = pins_unstage_all(pins);
	if (r)
		return r;
	state->generation = generation;
	set_phase(state, PHASE_CLEAN);
	return 0;
}

int commit(struct build *b, const struct fingerprint *fp)
{
	struct pin_state *state = b->l->pins.state;
	struct cgroup_pass pass = {.b = b};
	int r;

	uint64_t before = state->fingerprint[0];

	static_assert(sizeof(b->outcomes) <= sizeof(state->outcomes), "outcomes fit the state");
	pins_set_owners(&b->l->pins, &b->l->accounts);
	state->fingerprint[0] = 0; /* whoever finds us dead from here on loads anew */
	r = cgroup_all(&pass);
	r = r ? r : ownids_add(b);
	cgroup_done(&pass, r != 0);
	if (r) {
		ownids_forget(b);
		state->fingerprint[0] = before;
		return r;
	}
	pins_set_owners(&b->l->pins, &b->l->accounts); /* new links of the cgroup */
	r = bring_into_force(&b->l->pins, b->generation);
	if (r)
		return r;
	state->n_maps = remove_rest(b);
	ownids_prune(b);
	memcpy(state->outcomes, &b->outcomes, sizeof(b->outcomes));
	state->fingerprint[1] = fp->v[1];
	__atomic_store_n(&state->fingerprint[0], fp->v[0], __ATOMIC_RELEASE);
	return 0;
}

int commit_recover(struct pins *pins)
{
	if (pins->state->phase == PHASE_CLEAN)
		return pins_drop_staged(pins);
	pst_warn("an earlier loader died while programs came into force: finishing that generation=%u",
		pins->state->staged);
	return bring_into_force(pins, pins->state->staged);
}

static void count_one(void *arg, const char *name)
{
	(void)name;
	++*(uint32_t *)arg;
}

bool commit_current(const struct pins *pins, const struct plan *plan, const struct fingerprint *fp)
{
	const struct pin_state *state = pins->state;
	uint32_t n_maps = 0;

	if (state->fingerprint[0] != fp->v[0] || state->fingerprint[1] != fp->v[1])
		return false;
	for (int s = 0; s < SENSOR_MAX; s++) {
		const struct rung *rung = plan_rung(plan, (enum sensor_id)s);

		for (unsigned p = 0; rung && p < RUNG_PROGRAMS_MAX && rung->programs[p].object; p++) {
			const struct rung_program *rp = &rung->programs[p];
			bool link = rp->kind == ATTACH_TRACE || rp->kind == ATTACH_CGROUP;

			if (!plan_has(plan, (enum sensor_id)s, p))
				continue;
			if ((link && !pins_exists(pins, PIN_LINKS, rp->program)) ||
				(rp->kind != ATTACH_TRACE && !pins_exists(pins, PIN_PROGS, rp->program)))
				return false;
		}
	}
	for (size_t i = 0; i < n_iterators; i++)
		if (plan_iterator(plan, i) && !pins_exists(pins, PIN_ITERS, iterators[i].name))
			return false;
	pins_each(pins, PIN_MAPS, count_one, &n_maps);
	return n_maps == state->n_maps;
}
