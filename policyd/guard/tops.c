// SPDX-License-Identifier: Apache-2.0
#include "policyd/guard/tops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/wire/event.h"
#include "proto/wire/fmt.h"

#define SAMPLES_A_SECOND (PST_SAMPLES / 2)
#define MASK_MAX         0xffffu
#define SHARE_MIN        0.01
#define SAMPLES_MIN      2 /* one is a lot that fell so */

uint32_t tops_mask(uint64_t packets)
{
	uint32_t one_of = 1;

	while (one_of <= MASK_MAX && packets / (2 * (uint64_t)one_of) >= SAMPLES_A_SECOND)
		one_of *= 2;
	return one_of - 1;
}

unsigned tops_place(unsigned event, unsigned sig)
{
	if (event == PST_GUARD_DRY_SIGNATURE)
		return TOPS - PST_SIGS + sig % PST_SIGS;
	if (event < PST_GUARD_DRY_BLOCKED || event > PST_GUARD_DRY_OFFENDER)
		return TOPS;
	return event - PST_GUARD_DRY_BLOCKED;
}

/* ---- one vector ---- */

static bool is_ip4(const uint8_t addr[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return !memcmp(addr, mapped, sizeof(mapped));
}

static struct top_source *least(struct tally *t)
{
	struct top_source *s = &t->v[0];

	for (size_t i = 1; i < t->n; i++)
		if (t->v[i].packets < s->packets)
			s = &t->v[i];
	return s;
}

/* Its place, or one that it takes. */
static struct top_source *place(struct tally *t, const uint8_t addr[16])
{
	struct top_source *s;

	for (size_t i = 0; i < t->n; i++)
		if (!memcmp(t->v[i].addr, addr, sizeof(t->v[i].addr)))
			return &t->v[i];
	s = t->n < TOP_KEPT ? &t->v[t->n++] : least(t);
	*s = (struct top_source){.packets = s->packets, .unknown = s->packets};
	memcpy(s->addr, addr, sizeof(s->addr));
	return s;
}

static void count(struct tally *t, const uint8_t addr[16], double packets)
{
	struct top_source *s = place(t, addr);

	s->packets += packets;
	s->samples++;
}

static void add(struct top *t, const struct pst_sample *sample, double packets)
{
	uint8_t addr[16], interface[16] = {0};

	memcpy(addr, sample->source, sizeof(addr));
	if (!is_ip4(addr))
		memset(addr + 8, 0, 8);
	memcpy(interface, &sample->ifindex, sizeof(sample->ifindex));
	count(&t->sources, addr, packets);
	count(&t->interfaces, interface, packets);
	t->packets += packets;
	t->sampled += sample->packets;
}

static void clear(struct top *t)
{
	uint64_t before = t->before;

	*t = (struct top){.before = before};
}

/* ---- all ---- */

/* What is in the slots; a program may write meanwhile. */
static void take(struct tops *tops, struct pst_sample *samples)
{
	memcpy(tops->samples, samples, sizeof(tops->samples));
	for (size_t i = 0; i < PST_SAMPLES; i++)
		__atomic_store_n(&samples[i].event, 0, __ATOMIC_RELAXED);
}

/* TOPS: it is empty, or rubbish. */
static unsigned place_of(const struct pst_sample *s)
{
	return s->packets ? tops_place(s->event, s->sig) : TOPS;
}

void tops_look(struct tops *tops, struct pst_sample *samples, const struct detect *detect,
	const struct vector *vectors, size_t n)
{
	double grown[TOPS] = {0};
	uint64_t sampled[TOPS] = {0};

	take(tops, samples);
	for (size_t i = 0; i < n; i++) {
		struct top *t = &tops->v[vectors[i].top];
		uint64_t now = vectors[i].count.packets;

		if (!detect_is_on(detect, vectors[i].name))
			clear(t);
		grown[vectors[i].top] = tops->looked && now > t->before ? (double)(now - t->before) : 0;
		t->before = now;
	}
	tops->looked = true;
	for (size_t i = 0; i < PST_SAMPLES; i++)
		if (place_of(&tops->samples[i]) < TOPS)
			sampled[place_of(&tops->samples[i])] += tops->samples[i].packets;
	for (size_t i = 0; i < PST_SAMPLES; i++) {
		const struct pst_sample *s = &tops->samples[i];
		unsigned at = place_of(s);

		if (at < TOPS && grown[at] > 0)
			add(&tops->v[at], s, grown[at] * s->packets / (double)sampled[at]);
	}
}

/* ---- told ---- */

static double known(const struct top_source *s)
{
	return s->packets - s->unknown;
}

static int by_packets(const void *a, const void *b)
{
	double x = known(a), y = known(b);

	return x < y ? 1 : x > y ? -1 : 0;
}

/* @len bytes of text, and how many. */
static void put(struct pst_buf *elements, char text[128], size_t len, const struct top_source *s)
{
	len += (size_t)snprintf(text + len, 128 - len, " %.0f", known(s));
	pst_list_add(elements, text, (uint32_t)len);
}

static void put_source(struct pst_buf *elements, const struct top_source *s)
{
	struct pst_val addr = pst_val_addr(s->addr);
	char text[128], *w = pst_fmt_addr(text, addr.p, addr.len);

	if (addr.len == 16)
		w = stpcpy(w, "/64");
	put(elements, text, (size_t)(w - text), s);
}

/* Those that are worth telling, the most first; at most TOP_TOLD. */
static uint32_t pick(const struct tally *t, double all, struct top_source v[TOP_KEPT])
{
	uint32_t n = 0;

	memcpy(v, t->v, sizeof(t->v));
	qsort(v, t->n, sizeof(v[0]), by_packets);
	for (size_t i = 0; i < t->n && n < TOP_TOLD && known(&v[i]) >= SHARE_MIN * all; i++)
		if (v[i].samples >= SAMPLES_MIN)
			v[n++] = v[i];
	return n;
}

uint32_t top_put(const struct top *t, struct pst_buf *elements)
{
	struct top_source v[TOP_KEPT];
	uint32_t n = pick(&t->sources, t->packets, v);

	for (uint32_t i = 0; i < n; i++)
		put_source(elements, &v[i]);
	return n;
}

uint32_t top_put_interfaces(const struct top *t, top_name_fn *name, void *arg, struct pst_buf *elements)
{
	struct top_source v[TOP_KEPT];
	uint32_t n = pick(&t->interfaces, t->packets, v), ifindex;

	for (uint32_t i = 0; i < n; i++) {
		char text[128];
		const char *known_as;
		int len;

		memcpy(&ifindex, v[i].addr, sizeof(ifindex));
		known_as = name(ifindex, arg);
		len = known_as ? snprintf(text, sizeof(text), "%.63s", known_as)
			       : snprintf(text, sizeof(text), "?%u", ifindex);
		put(elements, text, (size_t)len, &v[i]);
	}
	return n;
}
