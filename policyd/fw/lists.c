// SPDX-License-Identifier: Apache-2.0
/* Lists of addresses, ports and VLAN ids. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/fw/reader.h"

int fw_read_each(struct fw_reader *r, const struct pst_node *node, fw_element *element, void *list)
{
	int e = 0;

	if (node->type == PST_NODE_SCALAR)
		return element(r, node, list);
	if (node->type == PST_NODE_MAPPING)
		return FW_REJECT(r, node, "%s: expected a value or a list of values", r->what);
	if (!node->n_children)
		return FW_REJECT(r, node, "%s: the list is empty: nothing could match", r->what);
	for (const struct pst_node *n = node->child; n; n = n->next) {
		int k = n->type == PST_NODE_SCALAR
				? element(r, n, list)
				: FW_REJECT(
					  r, n, "%s: expected one value in each place of the list", r->what);

		if (k && k != -EINVAL)
			return k;
		e = e ? e : k;
	}
	return e;
}

int fw_read_list(
	struct fw_reader *r, const struct pst_node *node, fw_element *element, void *list, bool *ret_other)
{
	*ret_other = node->type == PST_NODE_MAPPING;
	if (!*ret_other)
		return fw_read_each(r, node, element, list);
	if (node->n_children != 1 || strcmp(node->child->key, "not") != 0)
		return FW_REJECT(
			r, node, "%s: expected a value, a list of values, or {not: value or list}", r->what);
	return fw_read_each(r, node->child, element, list);
}

int fw_reject_word(
	struct fw_reader *r, const struct pst_node *node, const struct fw_words *words, const char *text)
{
	const char *near = fw_wants_hint(r) ? fw_word_near(words, text) : NULL;

	if (near)
		return FW_REJECT(r, node, "%s: \"%.64s\" is no %s, did you mean \"%s\"?", r->what, text,
			words->what, near);
	return FW_REJECT(
		r, node, "%s: \"%.64s\" is no %s, expected %s", r->what, text, words->what, words->examples);
}

static size_t room_for(size_t n)
{
	size_t room = n ? 1 : 0;

	while (room < n)
		room *= 2;
	return room;
}

int fw_append(struct fw_reader *r, const struct pst_node *node, void **v, size_t *n, const void *from,
	size_t more, size_t bytes)
{
	if (*n + more > FW_SET_MAX) {
		FW_REJECT(r, node, "%s: more than %d elements", r->what, FW_SET_MAX);
		return -E2BIG;
	}
	if (r->elements + more > FW_ELEMENTS_MAX) {
		FW_REJECT(r, node,
			"%s: here all lists have more than %d elements (a set counts wherever it is named)",
			r->what, FW_ELEMENTS_MAX);
		return -E2BIG;
	}
	if (room_for(*n + more) != room_for(*n)) {
		void *p = reallocarray(*v, room_for(*n + more), bytes);

		if (!p)
			return -ENOMEM;
		*v = p;
	}
	if (more)
		memcpy((char *)*v + *n * bytes, from, more * bytes);
	*n += more;
	r->elements += more;
	return 0;
}

/* ---- addresses ---- */

static bool has_host_bits(const struct fw_prefix *p)
{
	for (unsigned bit = p->len; bit < 128; bit++)
		if (p->addr[bit / 8] & 0x80 >> bit % 8)
			return true;
	return false;
}

/* What the prefix would be without the bits behind it. */
static int reject_host_bits(
	struct fw_reader *r, const struct pst_node *node, const struct fw_prefix *p, bool ip4)
{
	struct fw_prefix cut = *p;
	char text[INET6_ADDRSTRLEN];

	for (unsigned bit = p->len; bit < 128; bit++)
		cut.addr[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	inet_ntop(ip4 ? AF_INET : AF_INET6, ip4 ? cut.addr + 12 : cut.addr, text, sizeof(text));
	return FW_REJECT(r, node, "%s: %.64s has bits behind its prefix, expected %s/%u", r->what, node->text,
		text, ip4 ? p->len - 96u : p->len);
}

static bool parse_address(const char *text, size_t len, struct fw_prefix *p, bool *ret_ip4)
{
	char addr[INET6_ADDRSTRLEN];

	if (len >= sizeof(addr))
		return false;
	memcpy(addr, text, len);
	addr[len] = 0;
	memset(p, 0, sizeof(*p));
	p->len = 128;
	*ret_ip4 = !strchr(addr, ':');
	if (!*ret_ip4)
		return inet_pton(AF_INET6, addr, p->addr) == 1;
	p->addr[10] = p->addr[11] = 0xff;
	return inet_pton(AF_INET, addr, p->addr + 12) == 1;
}

static int parse_prefix(struct fw_reader *r, const struct pst_node *node, struct fw_prefix *p)
{
	const char *slash = strchrnul(node->text, '/');
	uint32_t len = 0;
	bool ip4;

	if (!parse_address(node->text, (size_t)(slash - node->text), p, &ip4))
		return FW_REJECT(r, node,
			"%s: \"%.64s\" is no address, expected one such as 192.0.2.1, 192.0.2.0/24, "
			"2001:db8::/32 or $set",
			r->what, node->text);
	if (*slash && (!fw_number(slash + 1, ip4 ? 32 : 128, &len) || slash[1] == '\0'))
		return FW_REJECT(r, node, "%s: \"%.64s\": expected 0 to %d behind the /", r->what, node->text,
			ip4 ? 32 : 128);
	if (*slash)
		p->len = (uint8_t)(ip4 ? 96 + len : len);
	if (!ip4 && fw_prefix_is_ip4(p))
		return FW_REJECT(r, node, "%s: \"%.64s\" is an IPv4 address, expected it written as one",
			r->what, node->text);
	return has_host_bits(p) ? reject_host_bits(r, node, p, ip4) : 0;
}

int fw_read_prefix(struct fw_reader *r, const struct pst_node *node, void *list)
{
	struct fw_prefixes *to = list;
	const struct fw_set *set;
	struct fw_prefix p;
	int e;

	if (node->text[0] == '$') {
		e = fw_find_set(r, node, FW_HOLDS_ADDRESSES, &set);
		return e ? e
			 : fw_append(r, node, (void **)&to->v, &to->n, set->addrs.v, set->addrs.n, sizeof(p));
	}
	e = parse_prefix(r, node, &p);
	return e ? e : fw_append(r, node, (void **)&to->v, &to->n, &p, 1, sizeof(p));
}

/* ---- addresses with ports ---- */

/* "192.0.2.1:443", "[2001:db8::1]:443" */
static bool parse_endpoint(const char *text, struct fw_endpoint *ret_end)
{
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;
	bool brackets = len > 2 && text[0] == '[' && text[len - 1] == ']', ip4;
	struct fw_prefix p;
	uint32_t port;

	if (!len || !fw_number(colon + 1, 65535, &port) ||
		!parse_address(text + brackets, len - 2 * brackets, &p, &ip4) || ip4 == brackets ||
		(!ip4 && fw_addr_is_ip4(p.addr)))
		return false;
	memcpy(ret_end->addr, p.addr, sizeof(p.addr));
	ret_end->port = (uint16_t)port;
	return true;
}

int fw_read_endpoint(struct fw_reader *r, const struct pst_node *node, void *list)
{
	struct fw_endpoints *to = list;
	const struct fw_set *set;
	struct fw_endpoint end;
	int e;

	if (node->text[0] == '$') {
		e = fw_find_set(r, node, FW_HOLDS_ENDPOINTS, &set);
		return e ? e
			 : fw_append(r, node, (void **)&to->v, &to->n, set->ends.v, set->ends.n, sizeof(end));
	}
	if (!parse_endpoint(node->text, &end))
		return FW_REJECT(r, node,
			"%s: \"%.64s\" is no address with a port, expected one such as 192.0.2.1:443 or "
			"\"[2001:db8::1]:443\"",
			r->what, node->text);
	return fw_append(r, node, (void **)&to->v, &to->n, &end, 1, sizeof(end));
}

int fw_read_address(struct fw_reader *r, const struct pst_node *node, void *list)
{
	const struct fw_side *side = list;
	enum fw_holds holds = fw_element_holds(node->text);
	const struct fw_set *set;
	int e;

	if (node->text[0] == '$') {
		e = fw_find_set(r, node, FW_HOLDS_UNKNOWN, &set);
		if (e)
			return e;
		holds = set->holds;
	}
	e = holds == FW_HOLDS_ENDPOINTS ? fw_read_endpoint(r, node, side->ends)
					: fw_read_prefix(r, node, side->addrs);
	if (!e && side->addrs->n && side->ends->n)
		return FW_REJECT(r, node,
			"%s: addresses with ports and without in one list, expected a rule for each",
			r->what);
	return e;
}

/* ---- numbers ---- */

/* "n" or "n-m" */
static bool parse_range(const char *text, uint32_t max, uint32_t *ret_lo, uint32_t *ret_hi)
{
	const char *dash = strchr(text, '-');
	char lo[16];
	size_t len = dash ? (size_t)(dash - text) : strlen(text);

	if (len >= sizeof(lo))
		return false;
	memcpy(lo, text, len);
	lo[len] = 0;
	if (!fw_number(lo, max, ret_lo))
		return false;
	*ret_hi = *ret_lo;
	return !dash || fw_number(dash + 1, max, ret_hi);
}

static int read_range(struct fw_reader *r, const struct pst_node *node, struct fw_ranges *to, uint32_t max,
	const char *expected)
{
	struct fw_range range;
	uint32_t lo, hi;

	if (!parse_range(node->text, max, &lo, &hi))
		return FW_REJECT(r, node, "%s: \"%.64s\": expected %s", r->what, node->text, expected);
	if (lo > hi)
		return FW_REJECT(
			r, node, "%s: the range %u-%u is empty, expected %u-%u", r->what, lo, hi, hi, lo);
	range = (struct fw_range){(uint16_t)lo, (uint16_t)hi};
	return fw_append(r, node, (void **)&to->v, &to->n, &range, 1, sizeof(range));
}

int fw_read_port(struct fw_reader *r, const struct pst_node *node, void *list)
{
	struct fw_ranges *to = list;
	const struct fw_set *set;
	int e;

	if (node->text[0] != '$')
		return read_range(
			r, node, to, 65535, "a port of 0 to 65535, a range such as 8000-8099, or $set");
	e = fw_find_set(r, node, FW_HOLDS_PORTS, &set);
	return e ? e
		 : fw_append(r, node, (void **)&to->v, &to->n, set->ranges.v, set->ranges.n,
			   sizeof(*set->ranges.v));
}

int fw_read_vlan(struct fw_reader *r, const struct pst_node *node, void *list)
{
	return read_range(r, node, list, 4095, "a VLAN id of 0 to 4095 or a range such as 100-199");
}
