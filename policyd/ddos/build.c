// SPDX-License-Identifier: Apache-2.0
/* Signatures as the table of the packet programs: an entry for each pair of port ranges. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/ddos/sigs.h"
#include "proto/base/cleanup.h"

/* FNV-1a: names are the operator's own, and a collision only joins two counters. */
static uint64_t id_of(const char *name)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 0x100000001b3ull;
	return h ? h : 1;
}

static enum pst_sig_protocol protocol_of(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return PST_SIG_TCP;
	case IPPROTO_UDP:
		return PST_SIG_UDP;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return PST_SIG_ICMP;
	default:
		return PST_SIG_OTHER;
	}
}

static const struct sig_range any_port = {0, UINT16_MAX};

static size_t ranges(const struct sig_ports *ports)
{
	return ports->n ? ports->n : 1;
}

static const struct sig_range *range(const struct sig_ports *ports, size_t i)
{
	return ports->n ? &ports->v[i] : &any_port;
}

static void set_words(uint64_t words[PST_SIG_PORTS], const struct sig_range *ports, uint64_t bit)
{
	for (uint32_t p = ports->lo; p <= ports->hi && p < (uint32_t)ports->lo + PST_SIG_PORTS; p++)
		words[p % PST_SIG_PORTS] |= bit;
}

static void put(struct pst_sigs *t, unsigned at, const struct sig *s, const struct sig_range *sport,
	const struct sig_range *dport, uint8_t counter)
{
	struct pst_sig *e = &t->sig[at];
	uint64_t bit = 1ull << at;

	*e = (struct pst_sig){.sport = {sport->lo, sport->hi},
		.dport = {dport->lo, dport->hi},
		.len = {s->len.lo, s->len.hi},
		.offset = s->offset,
		.protocol = s->protocol,
		.flags = (uint8_t)((s->drop ? PST_SIG_DROP : 0) | (s->unasked ? PST_SIG_UNASKED : 0)),
		.need = s->need,
		.counter = counter,
		.id = id_of(s->name)};
	memcpy(e->mask, s->mask, sizeof(e->mask));
	memcpy(e->value, s->value, sizeof(e->value));
	t->protocol[protocol_of(s->protocol)] |= bit;
	set_words((uint64_t *)t->sport, sport, bit);
	set_words((uint64_t *)t->dport, dport, bit);
}

static int by_start(const void *a, const void *b)
{
	const struct sig_range *x = a, *y = b;

	return (int)x->lo - (int)y->lo;
}

void sigs_merge_ports(struct sig_ports *ports)
{
	size_t n = 0;

	qsort(ports->v, ports->n, sizeof(ports->v[0]), by_start);
	for (size_t i = 0; i < ports->n; i++) {
		struct sig_range r = ports->v[i];

		if (n && r.lo <= (uint32_t)ports->v[n - 1].hi + 1)
			ports->v[n - 1].hi = PST_MAX(ports->v[n - 1].hi, r.hi);
		else
			ports->v[n++] = r;
	}
	ports->n = n;
}

int sigs_build(const struct sig_set *set, struct pst_sigs *t)
{
	unsigned at = 0;

	memset(t, 0, sizeof(*t));
	for (size_t i = 0; i < set->n; i++) {
		const struct sig *s = &set->v[i];

		for (size_t a = 0; a < ranges(&s->sport); a++)
			for (size_t b = 0; b < ranges(&s->dport); b++, at++) {
				if (at == PST_SIGS)
					return -ENOSPC;
				put(t, at, s, range(&s->sport, a), range(&s->dport, b), (uint8_t)i);
			}
	}
	return 0;
}

/* -1: none */
static int place_of(const struct pst_sigs *t, uint64_t id)
{
	for (unsigned i = 0; i < PST_SIGS; i++)
		if (t->sig[i].id == id)
			return t->sig[i].counter % PST_SIGS;
	return -1;
}

/* Of the first entry of each signature; the others of it follow. */
static void give(struct pst_sigs *t, unsigned from, uint8_t place)
{
	for (unsigned i = from; i < PST_SIGS; i++)
		if (t->sig[i].id == t->sig[from].id)
			t->sig[i].counter = place;
}

static bool is_first(const struct pst_sigs *t, unsigned i)
{
	for (unsigned k = 0; k < i; k++)
		if (t->sig[k].id == t->sig[i].id)
			return false;
	return t->sig[i].id;
}

static uint8_t free_place(uint64_t taken)
{
	uint8_t place = 0;

	while (place < PST_SIGS - 1 && taken >> place & 1)
		place++;
	return place;
}

void sigs_places(struct pst_sigs *t, const struct pst_sigs *old, uint64_t *ret_fresh)
{
	uint64_t taken = 0, kept = 0, fresh = 0;

	for (unsigned i = 0; i < PST_SIGS; i++) {
		int place = is_first(t, i) ? place_of(old, t->sig[i].id) : -1;

		if (place < 0 || taken >> place & 1)
			continue;
		give(t, i, (uint8_t)place);
		taken |= 1ull << place;
		kept |= 1ull << i;
	}
	for (unsigned i = 0; i < PST_SIGS; i++)
		if (is_first(t, i) && !(kept >> i & 1)) {
			uint8_t place = free_place(taken);

			give(t, i, place);
			taken |= 1ull << place;
			fresh |= 1ull << place;
		}
	*ret_fresh = fresh;
}

uint8_t sigs_place(const struct pst_sigs *t, const struct sig *sig)
{
	int place = place_of(t, id_of(sig->name));

	return place < 0 ? 0 : (uint8_t)place;
}
