// SPDX-License-Identifier: Apache-2.0
/* Elements that were put into sets, or taken out, by command. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/fw/reader.h"
#include "proto/base/cleanup.h"

/* The list of a set, whatever its elements are; none of them has padding. */
struct elements {
	void **v;
	size_t *n, bytes;
};

static struct elements elements_of(struct fw_set *set, enum fw_holds holds)
{
	switch (holds) {
	case FW_HOLDS_PORTS:
		return (struct elements){(void **)&set->ranges.v, &set->ranges.n, sizeof(*set->ranges.v)};
	case FW_HOLDS_ENDPOINTS:
		return (struct elements){(void **)&set->ends.v, &set->ends.n, sizeof(*set->ends.v)};
	default:
		return (struct elements){(void **)&set->addrs.v, &set->addrs.n, sizeof(*set->addrs.v)};
	}
}

static const void *element_at(const struct elements *list, size_t i)
{
	return (const char *)*list->v + i * list->bytes;
}

int fw_read_element(struct fw_reader *r, const struct pst_node *node, struct fw_set *set)
{
	if (node->text[0] == '$')
		return FW_REJECT(r, node, "%s: expected an element, not a set", r->what);
	switch (set->holds) {
	case FW_HOLDS_PORTS:
		return fw_read_port(r, node, &set->ranges);
	case FW_HOLDS_ENDPOINTS:
		return fw_read_endpoint(r, node, &set->ends);
	default:
		return fw_read_prefix(r, node, &set->addrs);
	}
}

/* ---- text ---- */

static void address_text(const uint8_t addr[16], bool brackets, char *ret_text)
{
	bool ip4 = fw_addr_is_ip4(addr);
	char text[INET6_ADDRSTRLEN];

	inet_ntop(ip4 ? AF_INET : AF_INET6, ip4 ? addr + 12 : addr, text, sizeof(text));
	snprintf(ret_text, FW_ELEMENT_MAX, brackets && !ip4 ? "[%s]" : "%s", text);
}

static void set_text(const struct fw_set *set, char ret_text[FW_ELEMENT_MAX])
{
	char addr[FW_ELEMENT_MAX];

	*ret_text = '\0';
	if (set->ranges.n) {
		const struct fw_range *range = set->ranges.v;

		snprintf(ret_text, FW_ELEMENT_MAX, range->lo == range->hi ? "%u" : "%u-%u", range->lo,
			range->hi);
	} else if (set->ends.n) {
		address_text(set->ends.v->addr, true, addr);
		snprintf(ret_text, FW_ELEMENT_MAX, "%.50s:%u", addr, set->ends.v->port);
	} else if (set->addrs.n) {
		bool ip4 = fw_prefix_is_ip4(set->addrs.v);

		address_text(set->addrs.v->addr, false, addr);
		snprintf(ret_text, FW_ELEMENT_MAX, set->addrs.v->len < 128 ? "%.50s/%u" : "%.50s", addr,
			ip4 ? set->addrs.v->len - 96u : set->addrs.v->len);
	}
}

/* One element as a set of its own. */
static int read_alone(const char *file, const char *element, enum fw_holds holds, const char *what,
	const struct pst_node *where, struct pst_conf_errors *errors, struct fw_set *ret_set)
{
	struct fw_reader r = {.ctx = {.file = file, .errors = errors}};
	struct pst_node node = {.type = PST_NODE_SCALAR, .text = (char *)(uintptr_t)element};

	if (where) {
		node.line = where->line;
		node.column = where->column;
	}
	snprintf(r.what, sizeof(r.what), "%s", what);
	*ret_set = (struct fw_set){.holds = holds};
	return fw_read_element(&r, &node, ret_set);
}

int fw_element_text(const char *element, struct pst_conf_errors *errors, char ret_text[FW_ELEMENT_MAX])
{
	PST_CLEANUP(fw_set_done) struct fw_set set = {0};
	int e = read_alone("firewall", element, fw_element_holds(element), "element", NULL, errors, &set);

	if (!e)
		set_text(&set, ret_text);
	return e;
}

/* ---- changing ---- */

struct change {
	struct fw_reader *r;
	const struct pst_node *node;
	struct fw_set *set;
	size_t *sorted, n; /* places of the elements as they were read, by their bytes */
	bool *gone;
};

static int by_bytes(const void *a, const void *b, void *list)
{
	const struct elements *l = list;

	return memcmp(element_at(l, *(const size_t *)a), element_at(l, *(const size_t *)b), l->bytes);
}

static int sort(struct change *c, struct elements *list)
{
	c->n = *list->n;
	c->sorted = calloc(c->n + 1, sizeof(*c->sorted));
	c->gone = calloc(c->n + 1, sizeof(*c->gone));
	if (!c->sorted || !c->gone)
		return -ENOMEM;
	for (size_t i = 0; i < c->n; i++)
		c->sorted[i] = i;
	qsort_r(c->sorted, c->n, sizeof(*c->sorted), by_bytes, list);
	return 0;
}

/* The first of the sorted ones that is not below @element. */
static size_t find(const struct change *c, const struct elements *list, const void *element)
{
	size_t lo = 0, hi = c->n;

	while (lo < hi) {
		size_t at = lo + (hi - lo) / 2;

		if (memcmp(element_at(list, c->sorted[at]), element, list->bytes) < 0)
			lo = at + 1;
		else
			hi = at;
	}
	return lo;
}

static bool is_at(const struct change *c, const struct elements *list, size_t at, const void *element)
{
	return at < c->n && !memcmp(element_at(list, c->sorted[at]), element, list->bytes);
}

/* One more element would be an error of the document: it is not put in, and only who asked is told. */
static bool is_full(const struct change *c, const struct elements *list, const struct fw_set_change *change)
{
	if (*list->n < FW_SET_MAX && c->r->elements < FW_ELEMENTS_MAX)
		return false;
	if (change->errors)
		pst_conf_error(change->errors, c->r->ctx.file, c->node->line, c->node->column,
			"%s: more than %d elements, or than %d in all lists", c->r->what, FW_SET_MAX,
			FW_ELEMENTS_MAX);
	return true;
}

static int apply(struct change *c, struct fw_set_change *change, const void *element)
{
	struct elements list = elements_of(c->set, c->set->holds);
	size_t at = find(c, &list, element);

	change->done = is_at(c, &list, at, element) != change->add;
	if (change->add && change->done) {
		change->done = !is_full(c, &list, change);
		return change->done ? fw_append(c->r, c->node, list.v, list.n, element, 1, list.bytes) : 0;
	}
	for (; !change->add && is_at(c, &list, at, element); at++)
		c->gone[c->sorted[at]] = true;
	return 0;
}

/* An element that is none, or of another kind, changes nothing: only who just asked for it is told. */
static int apply_text(struct change *c, struct fw_set_change *change)
{
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors ignored = {0};
	PST_CLEANUP(fw_set_done) struct fw_set one = {0};
	struct elements list;
	int e;

	if (c->set->holds == FW_HOLDS_UNKNOWN)
		c->set->holds = fw_element_holds(change->element);
	e = read_alone(c->r->ctx.file, change->element, c->set->holds, c->r->what, c->node,
		change->errors ? change->errors : &ignored, &one);
	if (e)
		return e == -ENOMEM ? e : 0;
	list = elements_of(&one, one.holds);
	return apply(c, change, *list.v);
}

static void close_gaps(const struct change *c, struct elements *list)
{
	size_t n = 0;

	for (size_t i = 0; i < *list->n; i++)
		if (i >= c->n || !c->gone[i])
			memmove((char *)*list->v + n++ * list->bytes, element_at(list, i), list->bytes);
	*list->n = n;
}

static int change_all(struct change *c)
{
	const struct fw_context *context = c->r->context;
	struct elements list = elements_of(c->set, c->set->holds);
	int e = sort(c, &list);

	for (size_t i = 0; i < context->n_changes && !e; i++)
		if (!strcmp(context->changes[i].set, c->set->name))
			e = apply_text(c, &context->changes[i]);
	list = elements_of(c->set, c->set->holds);
	if (!e)
		close_gaps(c, &list);
	free(c->sorted);
	free(c->gone);
	return e;
}

int fw_set_change(struct fw_reader *r, const struct pst_node *node, struct fw_set *set)
{
	struct change c = {.r = r, .node = node, .set = set};

	for (size_t i = 0; r->context && i < r->context->n_changes; i++)
		if (!strcmp(r->context->changes[i].set, set->name))
			return change_all(&c);
	return 0;
}
