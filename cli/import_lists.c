// SPDX-License-Identifier: Apache-2.0
/* A rule's fields as lists: elements, sets that have names, all but some. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/import_internal.h"
#include "proto/base/cleanup.h"

/* ---- elements of lists: printed, or (to is NULL) only counted ---- */

struct writer {
	struct import *im;
	struct import_buf *to;
	size_t n;
	const struct import_word *words;
	int kind;
	bool refused; /* an element that the language does not have */
};

static void element(struct writer *w, const char *text)
{
	if (w->to) {
		bool quote = text[0] == ':' || (*text && text[strlen(text) - 1] == ':');

		import_printf(w->to, quote ? "%s\"%s\"" : "%s%s", w->n ? ", " : "", text);
	}
	w->n++;
}

static void put_number(struct writer *w, import_value n)
{
	const char *word = w->words ? import_word_name(w->words, (unsigned)n) : NULL;
	char text[16];

	snprintf(text, sizeof(text), "%u", (unsigned)n);
	element(w, word ? word : text);
}

/* Protocols, states, code points: one by one */
static void put_each(struct writer *w, const struct import_span *s)
{
	for (import_value n = s->lo; n <= s->hi; n++)
		put_number(w, n);
}

static void put_range(struct writer *w, const struct import_span *s)
{
	char text[32];

	snprintf(text, sizeof(text), s->lo == s->hi ? "%u" : "%u-%u", (unsigned)s->lo, (unsigned)s->hi);
	element(w, text);
}

/* Whole types as 3 or 3-5, else types with codes. */
static void put_icmp(struct writer *w, const struct import_span *s)
{
	unsigned lo = (unsigned)s->lo, hi = (unsigned)s->hi;
	bool whole = !(lo & 255) && (hi & 255) == 255;
	const char *word =
		whole && lo >> 8 == hi >> 8 && w->words ? import_word_name(w->words, lo >> 8) : NULL;
	char text[32];

	/* names that Penstock does not have are left as numbers */
	if (word && (!strncmp(word, "info-", 5) || !strncmp(word, "ind-", 4)))
		word = NULL;
	if (whole)
		snprintf(text, sizeof(text), lo >> 8 == hi >> 8 ? "%u" : "%u-%u", lo >> 8, hi >> 8);
	else
		snprintf(text, sizeof(text), lo == hi ? "%u/%u" : "%u/%u-%u/%u", lo >> 8, lo & 255, hi >> 8,
			hi & 255);
	element(w, word ? word : text);
}

static void put_iface(struct writer *w, const struct import_span *s)
{
	if (s->hi >= w->im->n_ifaces) {
		w->refused = true;
		return;
	}
	for (import_value n = s->lo; n <= s->hi; n++, w->n++) {
		const char *name = w->im->ifaces[n];

		if (!w->to)
			continue;
		import_printf(w->to, "%s", w->n ? ", " : "");
		import_put_name(w->to, name, strlen(name));
	}
}

static void put_prefix(struct writer *w, import_value at, unsigned len)
{
	unsigned char bytes[16];
	char text[INET6_ADDRSTRLEN + 4];
	unsigned width = w->kind == IMPORT_IP4 ? 32 : 128;

	w->n += !w->to;
	if (!w->to)
		return;
	for (unsigned i = width / 8; i--; at >>= 8)
		bytes[i] = (unsigned char)at;
	inet_ntop(w->kind == IMPORT_IP4 ? AF_INET : AF_INET6, bytes, text, INET6_ADDRSTRLEN);
	if (len < width)
		snprintf(text + strlen(text), 5, "/%u", len);
	element(w, text);
}

/* The largest prefixes that fit, from below. */
static void put_addresses(struct writer *w, const struct import_span *s)
{
	static const import_value mapped = (import_value)0xffff << 32;
	unsigned width = w->kind == IMPORT_IP4 ? 32 : 128;
	import_value at = s->lo, host;

	for (;;) {
		unsigned bits = 0;

		while (bits < width) {
			host = bits == 127 ? ~(import_value)0 : ((import_value)2 << bits) - 1;
			if (at & host || s->hi - at < host)
				break;
			bits++;
		}
		host = bits == 128 ? ~(import_value)0 : ((import_value)1 << bits) - 1;
		if (w->kind == IMPORT_IP6 && bits <= 32 && at >> 32 == mapped >> 32)
			w->refused = true; /* an IPv4 address that is written as one of IPv6 */
		put_prefix(w, at, width - bits);
		if (at + host == s->hi)
			return;
		at += host + 1;
	}
}

/* ---- the fields ---- */

static const struct field {
	const char *key;
	void (*put)(struct writer *w, const struct import_span *s);
	const struct import_word *words;
} fields[IMPORT_FIELDS] = {
	[IMPORT_IFACE] = {"interface", put_iface, NULL},
	[IMPORT_VLAN] = {"vlan", put_range, NULL},
	[IMPORT_PROTO] = {"proto", put_each, import_protocols},
	[IMPORT_SRC] = {"src", put_addresses, NULL},
	[IMPORT_DST] = {"dst", put_addresses, NULL},
	[IMPORT_SPORT] = {"sport", put_range, NULL},
	[IMPORT_DPORT] = {"dport", put_range, NULL},
	[IMPORT_ICMP] = {"icmp", put_icmp, NULL},
	[IMPORT_STATE] = {"state", put_each, import_states},
	[IMPORT_DSCP] = {"dscp", put_each, import_dscps},
};

static bool only(const struct import_spans *spans, import_value value)
{
	return spans && spans->n == 1 && spans->v[0].lo == value && spans->v[0].hi == value;
}

static struct writer writer_of(struct import *im, const struct import_cond *c, enum import_field field)
{
	struct writer w = {.im = im,
		.words = fields[field].words,
		.kind = only(c->f[IMPORT_KIND], IMPORT_IP6) ? IMPORT_IP6 : IMPORT_IP4};

	if (field == IMPORT_ICMP && only(c->f[IMPORT_PROTO], 1))
		w.words = import_icmp4_types;
	if (field == IMPORT_ICMP && only(c->f[IMPORT_PROTO], 58))
		w.words = import_icmp6_types;
	return w;
}

static size_t put_all(struct writer *w, enum import_field field, const struct import_spans *spans)
{
	for (size_t i = 0; i < spans->n && w->n <= IMPORT_LIST_MAX; i++)
		fields[field].put(w, &spans->v[i]);
	return w->n;
}

/* ---- sets ---- */

static bool name_is_free(struct import *im, json_t *names, const char *name)
{
	if (json_object_get(names, name))
		return false;
	if (json_object_set_new(names, name, json_true()))
		im->error = -ENOMEM;
	return true;
}

/* Letters, digits and -_. of the set's own name; a number behind it where another has it. */
static void name_set(struct import *im, struct import_set *set)
{
	char name[IMPORT_NAME_MAX + 16];
	size_t n = 0;

	for (const char *c = set->from ? set->from : "set"; *c && n < 40; c++)
		name[n++] = isalnum((unsigned char)*c) || strchr("-_.", *c) ? *c : '_';
	name[n] = 0;
	for (unsigned i = 2; !n || !name_is_free(im, im->set_names, name); i++) {
		n = n ? n : 1;
		snprintf(name + n, sizeof(name) - n, "-%u", i);
		name[0] = name[0] ? name[0] : '_';
	}
	set->name = import_format_text(im, "%s", name);
}

/* The set of this name is in the document, from now on if need be. */
static bool write_set(struct import *im, const struct import_cond *c, enum import_field field,
	struct import_set *set, const struct import_spans *elements)
{
	struct writer w = writer_of(im, c, field);

	if (set->name)
		return true;
	set->n = put_all(&w, field, elements);
	if (w.refused || set->n > IMPORT_LIST_MAX || im->n_sets == IMPORT_SETS_MAX ||
		im->nodes + set->n > IMPORT_NODES_MAX)
		return false;
	name_set(im, set);
	if (!set->name)
		return false;
	w = writer_of(im, c, field);
	w.to = &im->sets;
	import_printf(&im->sets, "    %s: [", set->name);
	put_all(&w, field, elements);
	import_printf(&im->sets, "]\n");
	im->n_sets++;
	im->nodes += set->n + 2;
	return true;
}

/* ---- a field: its set, its elements, or all but them, whichever is shorter ---- */

static const char *put_list(struct import *im, struct import_buf *to, const struct import_cond *c,
	enum import_field field, const struct import_spans *spans, const struct import_spans *others)
{
	struct writer all = writer_of(im, c, field), but = all, w = all;
	bool negated, one;

	put_all(&all, field, spans);
	put_all(&but, field, others);
	negated = field != IMPORT_IFACE && others->n && (all.refused || but.n < all.n) && !but.refused;
	if (negated ? but.refused : all.refused)
		return field == IMPORT_IFACE ? "interfaces: \"all but\" cannot be said"
					     : "IPv4 addresses that are written as IPv6 cannot be said";
	one = (negated ? but.n : all.n) == 1;
	w.to = to;
	import_printf(to, ", %s: %s%s", fields[field].key, negated ? "{not: " : "", one ? "" : "[");
	put_all(&w, field, negated ? others : spans);
	import_printf(to, "%s%s", one ? "" : "]", negated ? "}" : "");
	im->nodes += w.n + 3;
	im->elements += w.n;
	return w.n > IMPORT_LIST_MAX ? "a list would be longer than Penstock takes" : NULL;
}

const char *import_put_field(
	struct import *im, struct import_buf *to, const struct import_cond *c, enum import_field field)
{
	const struct import_spans *spans = c->f[field], *others;

	/* worked out where it is asked for: a set may be long, and its rules many */
	others = !spans->set || spans->other ? import_spans_not(im, spans) : NULL;
	if (spans->set && write_set(im, c, field, spans->set, spans->other ? others : spans)) {
		import_printf(to, spans->other ? ", %s: {not: $%s}" : ", %s: $%s", fields[field].key,
			spans->set->name);
		im->elements += spans->set->n;
		im->nodes += 2;
		return NULL;
	}
	return put_list(im, to, c, field, spans, others ? others : import_spans_not(im, spans));
}
