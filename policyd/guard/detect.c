// SPDX-License-Identifier: Apache-2.0
#include "policyd/guard/detect.h"

#include <string.h>

#include "proto/base/cleanup.h"

#define SECOND_NS 1000000000ull

/* 0 when the counter began anew. */
static uint64_t grown(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

static uint64_t a_second(uint64_t n, uint64_t ns)
{
	return (uint64_t)((double)n * (double)SECOND_NS / (double)ns);
}

static void add(struct flood *f, const struct pst_guard_count *more, const struct pst_guard_count *rate)
{
	f->total.packets += more->packets;
	f->total.bytes += more->bytes;
	f->rate.packets = PST_MAX(f->rate.packets, rate->packets);
	f->rate.bytes = PST_MAX(f->rate.bytes, rate->bytes);
}

/* One vector, over the interval from @from_ns to @now_ns. True: it began or has ended. */
static bool look(struct flood *f, const struct detect_limits *limits, const struct vector *v,
	uint64_t from_ns, uint64_t now_ns)
{
	struct pst_guard_count more = {grown(v->count.packets, f->vector.count.packets),
		grown(v->count.bytes, f->vector.count.bytes)};
	struct pst_guard_count rate = {
		a_second(more.packets, now_ns - from_ns), a_second(more.bytes, now_ns - from_ns)};
	bool was_on = f->on;

	f->vector = *v;
	if (!f->on && rate.packets >= limits->packets)
		*f = (struct flood){.vector = *v, .on = true, .first_ns = from_ns};
	if (!f->on)
		return false;
	add(f, &more, &rate);
	/* half: a flood about the limit is one flood */
	if (rate.packets >= limits->packets / 2 && more.packets)
		f->last_ns = now_ns;
	f->on = now_ns - f->last_ns < limits->quiet_ns;
	return f->on != was_on;
}

static const struct flood *find(const struct detect *d, const char *name)
{
	for (size_t i = 0; i < d->n; i++)
		if (!strcmp(d->v[i].vector.name, name))
			return &d->v[i];
	return NULL;
}

bool detect_is_on(const struct detect *d, const char *name)
{
	const struct flood *f = find(d, name);

	return f && f->on;
}

static bool is_among(const struct vector *vectors, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(vectors[i].name, name))
			return true;
	return false;
}

static void end_others(struct detect *d, const struct vector *vectors, size_t n, detect_fn *fn, void *arg)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->v[i].on && !is_among(vectors, n, d->v[i].vector.name)) {
			d->v[i].on = false;
			fn(arg, &d->v[i]);
		}
}

void detect_look(struct detect *d, const struct detect_limits *limits, const struct vector *vectors, size_t n,
	uint64_t now_ns, detect_fn *fn, void *arg)
{
	struct detect next = {.looked_ns = now_ns};

	if (d->looked_ns && now_ns <= d->looked_ns)
		return;
	end_others(d, vectors, n, fn, arg);
	for (size_t i = 0; i < n && i < DETECT_VECTORS; i++) {
		const struct flood *known = find(d, vectors[i].name);
		struct flood *f = &next.v[next.n++];

		*f = known ? *known : (struct flood){.vector = vectors[i]};
		if (known && look(f, limits, &vectors[i], d->looked_ns, now_ns))
			fn(arg, f);
		next.n_on += f->on;
	}
	*d = next;
}
