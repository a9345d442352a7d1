// SPDX-License-Identifier: Apache-2.0
#include "exporter/syscalls.h"

#include <errno.h>
#include <seccomp.h>

#include "proto/base/cache.h"
#include "proto/base/cleanup.h"

#define CGROUPS_MAX 16384 /* remembered */
#define OTHER       UINT16_MAX

enum { UNSEEN, SHOWN, POOLED }; /* does the pair have a series of its own? */

struct cgroup {
	uint64_t total; /* in this pass */
	uint32_t pass;
	uint16_t slot; /* 0: not decided */
};

struct syscalls {
	struct pst_cache *known; /* cgroup id -> struct cgroup */
	uint32_t n_slots, pass, max_series, n_shown;
	uint64_t *slot_ids;
	uint64_t other_now[ABIS][SYSCALLS_NR], other_before[ABIS][SYSCALLS_NR], other_sum[ABIS][SYSCALLS_NR];
	uint8_t (*shown)[ABIS][SYSCALLS_NR];
	uint64_t pooled_before, pooled_sum;
};

int syscalls_new(uint32_t max_cgroups, uint32_t max_series, struct syscalls **ret_syscalls)
{
	struct syscalls *sc = calloc(1, sizeof(*sc));
	int r;

	if (!sc)
		return -ENOMEM;
	sc->n_slots = max_cgroups + 1;
	sc->max_series = max_series;
	sc->slot_ids = calloc(sc->n_slots, sizeof(*sc->slot_ids));
	sc->shown = calloc(sc->n_slots, sizeof(*sc->shown));
	r = pst_cache_new(sizeof(uint64_t), sizeof(struct cgroup), CGROUPS_MAX, NULL, NULL, &sc->known);
	if (r < 0 || !sc->slot_ids || !sc->shown) {
		syscalls_free(sc);
		return r < 0 ? r : -ENOMEM;
	}
	*ret_syscalls = sc;
	return 0;
}

void syscalls_free(struct syscalls *sc)
{
	if (!sc)
		return;
	pst_cache_free(sc->known);
	free(sc->slot_ids);
	free(sc->shown);
	free(sc);
}

static unsigned abi_of(uint32_t nr)
{
	return nr & PST_SYSCALL_COMPAT ? ABI_COMPAT : ABI_NATIVE;
}

static unsigned number_of(uint32_t nr)
{
	nr &= ~(uint32_t)PST_SYSCALL_COMPAT;
	return nr < SYSCALLS_NR ? nr : SYSCALLS_NR - 1;
}

/* Not calls of a cgroup, but those that found no room in the kernel's table. */
static bool is_lost(const struct pst_iter_syscall *v)
{
	return v->nr == PST_SYSCALL_LOST;
}

/* ---- who gets a place ---- */

struct candidate {
	uint64_t id, total;
};

static int by_total(const void *a, const void *b)
{
	uint64_t x = ((const struct candidate *)a)->total, y = ((const struct candidate *)b)->total;

	return x < y ? 1 : x > y ? -1 : 0;
}

static void add_totals(struct syscalls *sc, const struct pst_iter_syscall *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct cgroup *cgroup =
			is_lost(&v[i]) ? NULL : pst_cache_put(sc->known, &v[i].cgroup_id, NULL);

		if (!cgroup)
			continue;
		if (cgroup->pass != sc->pass)
			cgroup->total = 0;
		cgroup->pass = sc->pass;
		cgroup->total += v[i].count;
	}
}

/* A cgroup that the kernel no longer has gives its place back. */
static void free_slots(struct syscalls *sc)
{
	for (uint32_t slot = 1; slot < sc->n_slots; slot++) {
		const struct cgroup *cgroup =
			sc->slot_ids[slot] ? pst_cache_peek(sc->known, &sc->slot_ids[slot]) : NULL;

		if (!sc->slot_ids[slot] || (cgroup && cgroup->pass == sc->pass))
			continue;
		pst_cache_remove(sc->known, &sc->slot_ids[slot]);
		sc->slot_ids[slot] = 0;
		for (unsigned abi = 0; abi < ABIS; abi++)
			for (unsigned nr = 0; nr < SYSCALLS_NR; nr++)
				sc->n_shown -= sc->shown[slot][abi][nr] == SHOWN;
		memset(sc->shown[slot], UNSEEN, sizeof(sc->shown[slot]));
	}
}

static int give_slots(struct syscalls *sc)
{
	PST_FREE struct candidate *new = calloc(pst_cache_count(sc->known) + 1, sizeof(*new));
	uint32_t cursor = UINT32_MAX, slot = 1;
	const void *key;
	void *value;
	size_t n = 0;

	if (!new)
		return -ENOMEM;
	while (pst_cache_next(sc->known, &cursor, &key, &value)) {
		const struct cgroup *cgroup = value;

		if (cgroup->slot || cgroup->pass != sc->pass)
			continue;
		memcpy(&new[n].id, key, sizeof(new[n].id));
		new[n++].total = cgroup->total;
	}
	qsort(new, n, sizeof(*new), by_total);
	for (size_t i = 0; i < n; i++) {
		struct cgroup *cgroup = pst_cache_get(sc->known, &new[i].id);

		while (slot < sc->n_slots && sc->slot_ids[slot])
			slot++;
		cgroup->slot = slot < sc->n_slots ? (uint16_t)slot : OTHER;
		if (slot < sc->n_slots)
			sc->slot_ids[slot] = new[i].id;
	}
	return 0;
}

/* ---- counts ---- */

static uint32_t slot_of(const struct syscalls *sc, uint64_t cgroup_id)
{
	const struct cgroup *cgroup = pst_cache_peek(sc->known, &cgroup_id);

	return cgroup && cgroup->slot != OTHER ? cgroup->slot : 0;
}

/* The sum over the others only grows, also when the kernel forgets one of them. */
static void sum_others(struct syscalls *sc, struct syscall_counts *counts)
{
	for (unsigned abi = 0; abi < ABIS; abi++) {
		for (unsigned nr = 0; nr < SYSCALLS_NR; nr++) {
			uint64_t now = sc->other_now[abi][nr], before = sc->other_before[abi][nr];

			sc->other_sum[abi][nr] += now > before ? now - before : 0;
			counts->v[0][abi][nr] = sc->other_sum[abi][nr];
		}
	}
	memcpy(sc->other_before, sc->other_now, sizeof(sc->other_before));
}

/* Beyond the bound of the metric, new pairs are counted in one series, and stay there. */
static void bound_series(struct syscalls *sc, struct syscall_counts *counts)
{
	uint64_t pooled = 0;

	for (uint32_t slot = 0; slot < sc->n_slots; slot++) {
		for (unsigned abi = 0; abi < ABIS; abi++) {
			for (unsigned nr = 0; nr < SYSCALLS_NR; nr++) {
				uint8_t *shown = &sc->shown[slot][abi][nr];
				uint64_t *v = &counts->v[slot][abi][nr];

				if (*v && *shown == UNSEEN) {
					*shown = sc->n_shown < sc->max_series ? SHOWN : POOLED;
					sc->n_shown += *shown == SHOWN;
				}
				if (*shown != POOLED)
					continue;
				pooled += *v;
				*v = 0;
			}
		}
	}
	sc->pooled_sum += pooled > sc->pooled_before ? pooled - sc->pooled_before : 0;
	sc->pooled_before = pooled;
	counts->other_series = sc->pooled_sum;
}

static struct syscall_counts *counts_alloc(uint32_t n_slots)
{
	struct syscall_counts *counts = calloc(1, sizeof(*counts));

	if (!counts)
		return NULL;
	counts->n_slots = n_slots;
	counts->cgroup_ids = calloc(n_slots, sizeof(*counts->cgroup_ids));
	counts->v = calloc(n_slots, sizeof(*counts->v));
	if (counts->cgroup_ids && counts->v)
		return counts;
	syscall_counts_free(counts);
	return NULL;
}

void syscall_counts_free(struct syscall_counts *counts)
{
	if (!counts)
		return;
	free(counts->cgroup_ids);
	free(counts->v);
	free(counts);
}

int syscalls_pass(
	struct syscalls *sc, const struct pst_iter_syscall *v, size_t n, struct syscall_counts **ret_counts)
{
	struct syscall_counts *counts = counts_alloc(sc->n_slots);

	if (!counts)
		return -ENOMEM;
	sc->pass++;
	add_totals(sc, v, n);
	free_slots(sc);
	if (give_slots(sc) < 0) {
		syscall_counts_free(counts);
		return -ENOMEM;
	}
	memset(sc->other_now, 0, sizeof(sc->other_now));
	for (size_t i = 0; i < n; i++) {
		uint32_t slot = slot_of(sc, v[i].cgroup_id);
		uint64_t(*row)[SYSCALLS_NR] = slot ? counts->v[slot] : sc->other_now;

		if (is_lost(&v[i])) {
			counts->lost += v[i].count;
			continue;
		}
		row[abi_of(v[i].nr)][number_of(v[i].nr)] += v[i].count;
	}
	memcpy(counts->cgroup_ids, sc->slot_ids, sc->n_slots * sizeof(*sc->slot_ids));
	sum_others(sc, counts);
	bound_series(sc, counts);
	*ret_counts = counts;
	return 0;
}

/* ---- names and exposition ---- */

void syscall_names_init(struct syscall_names *names)
{
	uint32_t native = seccomp_arch_native();
	uint32_t compat = native == SCMP_ARCH_X86_64 ? SCMP_ARCH_X86 : SCMP_ARCH_ARM;

	for (int nr = 0; nr < SYSCALLS_NR - 1; nr++) {
		names->v[ABI_NATIVE][nr] = seccomp_syscall_resolve_num_arch(native, nr);
		names->v[ABI_COMPAT][nr] = seccomp_syscall_resolve_num_arch(compat, nr);
	}
}

void syscall_names_done(struct syscall_names *names)
{
	for (unsigned abi = 0; abi < ABIS; abi++)
		for (unsigned nr = 0; nr < SYSCALLS_NR; nr++)
			free(names->v[abi][nr]);
	memset(names, 0, sizeof(*names));
}

static void cgroup_labels(struct cgroups *cgroups, uint64_t id, size_t max_label, struct pst_buf *out)
{
	const struct cgroup_name *name = id ? cgroups_get(cgroups, id) : NULL;
	char number[32];

	if (name) {
		expo_label(out, "cgroup", name->path, name->path_len, max_label);
		expo_label(out, "container_id", name->container, name->container_len, max_label);
		return;
	}
	snprintf(number, sizeof(number), "id:%llu", (unsigned long long)id);
	expo_label_text(out, "cgroup", id ? number : "other");
	expo_label_text(out, "container_id", "");
}

static void expose_one(const struct syscall_names *names, unsigned abi, unsigned nr, const char *suffix,
	uint64_t value, struct pst_buf *label, struct expo *expo)
{
	const char *name = names->v[abi][nr];
	char number[24];

	snprintf(number, sizeof(number), nr < SYSCALLS_NR - 1 ? "syscall_%u" : "unknown", nr);
	label->len = 0;
	expo_label_text(label, "syscall", name ? name : number);
	expo_label_text(label, "abi", abi == ABI_NATIVE ? "native" : "compat");
	pst_mp_raw(label, ",", 1);
	pst_mp_raw(label, suffix, strlen(suffix) + 1);
	if (!label->failed)
		expo_u64(expo, (const char *)label->p, value);
}

void syscall_counts_expose(const struct syscall_counts *counts, const struct syscall_names *names,
	struct cgroups *cgroups, size_t max_label, struct expo *expo)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf suffix = {0}, label = {0};

	for (uint32_t slot = 0; slot < counts->n_slots; slot++) {
		if (slot && !counts->cgroup_ids[slot])
			continue;
		suffix.len = 0;
		cgroup_labels(cgroups, counts->cgroup_ids[slot], max_label, &suffix);
		if (suffix.failed)
			return;
		for (unsigned abi = 0; abi < ABIS; abi++)
			for (unsigned nr = 0; nr < SYSCALLS_NR; nr++)
				if (counts->v[slot][abi][nr])
					expose_one(names, abi, nr, (const char *)suffix.p,
						counts->v[slot][abi][nr], &label, expo);
	}
	if (counts->other_series)
		expo_u64(expo, "syscall=\"other\",abi=\"other\",cgroup=\"other\",container_id=\"\"",
			counts->other_series);
}

bool syscall_counts_nameless(const struct syscall_counts *counts, const struct cgroups *cgroups)
{
	for (uint32_t slot = 1; slot < counts->n_slots; slot++)
		if (counts->cgroup_ids[slot] && !cgroups_known(cgroups, counts->cgroup_ids[slot]))
			return true;
	return false;
}
