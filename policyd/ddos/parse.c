// SPDX-License-Identifier: Apache-2.0
/* The signatures' document. Each value is read by a function of its key. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "policyd/ddos/sigs.h"
#include "policyd/fw/words.h"
#include "proto/base/cleanup.h"

struct reader {
	struct pst_conf_ctx ctx;
	const struct sig_set *set; /* those before */
};

#define REJECT(r, node, ...) pst_conf_reject(&(r)->ctx, node, __VA_ARGS__)

static const char *text_of(const struct pst_node *n)
{
	return n->type == PST_NODE_SCALAR ? n->text : "";
}

static bool is_name(const char *s)
{
	size_t len = strlen(s);

	return len && len <= SIG_NAME_MAX &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == len;
}

static int read_name(struct reader *r, const struct pst_node *n, struct sig *s)
{
	if (!is_name(text_of(n)))
		return REJECT(r, n, "name: expected at most %d letters, digits, dashes, dots and underscores",
			SIG_NAME_MAX);
	if (sigs_is_built_in(n->text))
		return REJECT(r, n, "name: \"%s\" is built in", n->text);
	for (size_t i = 0; i < r->set->n; i++)
		if (!strcmp(r->set->v[i].name, n->text))
			return REJECT(r, n, "name: there is another \"%s\"", n->text);
	snprintf(s->name, sizeof(s->name), "%s", n->text);
	return 0;
}

static int read_protocol(struct reader *r, const struct pst_node *n, struct sig *s)
{
	uint16_t v;

	if (!fw_word_value(&fw_protocols, text_of(n), &v) || v > UINT8_MAX)
		return REJECT(r, n, "protocol: expected a name such as udp, or a number up to 255");
	s->protocol = (uint8_t)v;
	return 0;
}

/* "7" or "7-9" */
static bool take_range(const char *text, struct sig_range *ret)
{
	const char *dash = strchr(text, '-');
	char first[16];
	uint32_t lo, hi;

	if (dash && (size_t)(dash - text) >= sizeof(first))
		return false;
	snprintf(first, sizeof(first), "%.*s", dash ? (int)(dash - text) : 15, text);
	if (!fw_number(first, UINT16_MAX, &lo) || !fw_number(dash ? dash + 1 : text, UINT16_MAX, &hi) ||
		lo > hi)
		return false;
	*ret = (struct sig_range){(uint16_t)lo, (uint16_t)hi};
	return true;
}

static int read_ports(struct reader *r, const struct pst_node *n, struct sig_ports *ports)
{
	const struct pst_node *list = n->type == PST_NODE_SEQUENCE ? n->child : n;

	ports->n = 0;
	for (const struct pst_node *p = list; p; p = p == n ? NULL : p->next) {
		if (ports->n == SIG_RANGES)
			return REJECT(r, p, "%s: more than %d ports and ranges", n->key, SIG_RANGES);
		if (!take_range(text_of(p), &ports->v[ports->n]))
			return REJECT(
				r, p, "%s: expected a port or a range, such as 53 or 1024-65535", n->key);
		ports->n++;
	}
	sigs_merge_ports(ports);
	return ports->n ? 0 : REJECT(r, n, "%s: the list is empty: nothing could match", n->key);
}

static int read_source_port(struct reader *r, const struct pst_node *n, struct sig *s)
{
	return read_ports(r, n, &s->sport);
}

static int read_port(struct reader *r, const struct pst_node *n, struct sig *s)
{
	return read_ports(r, n, &s->dport);
}

static int read_length(struct reader *r, const struct pst_node *n, struct sig *s)
{
	return take_range(text_of(n), &s->len)
		       ? 0
		       : REJECT(r, n, "length: expected bytes of payload, such as 100 or 512-65535");
}

static int read_bool(struct reader *r, const struct pst_node *n, struct sig *s)
{
	const char *t = text_of(n);

	s->unasked = !strcmp(t, "yes") || !strcmp(t, "true");
	if (!s->unasked && strcmp(t, "no") != 0 && strcmp(t, "false") != 0)
		return REJECT(r, n, "unasked: expected yes or no");
	return 0;
}

static int read_action(struct reader *r, const struct pst_node *n, struct sig *s)
{
	s->drop = !strcmp(text_of(n), "drop");
	return s->drop || !strcmp(text_of(n), "count") ? 0 : REJECT(r, n, "action: expected count or drop");
}

/* ---- payload ---- */

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Pairs of digits, with blanks between them. False: it is none, or too long. */
static bool take_hex(const char *text, uint8_t bytes[PST_SIG_BYTES], uint8_t *ret_n)
{
	uint8_t n = 0;

	for (; *text; text++) {
		if (*text == ' ')
			continue;
		if (n == PST_SIG_BYTES || digit(text[0]) < 0 || digit(text[1]) < 0)
			return false;
		bytes[n++] = (uint8_t)(digit(text[0]) << 4 | digit(text[1]));
		text++;
	}
	*ret_n = n;
	return n;
}

static int read_value(
	struct reader *r, const struct pst_node *hex, const struct pst_node *text, struct sig *s)
{
	size_t len = text ? strlen(text_of(text)) : 0;

	if (hex)
		return take_hex(text_of(hex), s->value, &s->need)
			       ? 0
			       : REJECT(r, hex, "hex: expected 1 to %d bytes as pairs of hexadecimal digits",
					 PST_SIG_BYTES);
	if (!len || len > PST_SIG_BYTES)
		return REJECT(r, text, "text: expected 1 to %d bytes", PST_SIG_BYTES);
	memcpy(s->value, text->text, len);
	s->need = (uint8_t)len;
	return 0;
}

static int read_mask(struct reader *r, const struct pst_node *n, struct sig *s)
{
	uint8_t len = s->need;

	memset(s->mask, 0xff, s->need);
	if (!n)
		return 0;
	if (!take_hex(text_of(n), s->mask, &len) || len != s->need)
		return REJECT(r, n, "mask: expected %u bytes as pairs of hexadecimal digits", s->need);
	for (unsigned i = 0; i < s->need; i++)
		if (s->value[i] & ~s->mask[i])
			return REJECT(
				r, n, "mask: byte %u of the value has bits that the mask leaves out", i);
	return 0;
}

static int read_offset(struct reader *r, const struct pst_node *n, struct sig *s)
{
	uint32_t v = 0;

	if (n && !fw_number(text_of(n), 9000, &v))
		return REJECT(r, n, "offset: expected a number up to 9000");
	s->offset = (uint16_t)v;
	return 0;
}

static int read_payload(struct reader *r, const struct pst_node *n, struct sig *s)
{
	const struct pst_node *hex = pst_node_get(n, "hex"), *text = pst_node_get(n, "text");
	const struct pst_node *mask = pst_node_get(n, "mask"), *offset = pst_node_get(n, "offset");
	uint32_t known = (uint32_t)(!!hex + !!text + !!mask + !!offset);
	int e;

	if (n->type != PST_NODE_MAPPING || known != n->n_children || !hex == !text)
		return REJECT(r, n, "payload: expected hex or text, and maybe offset and mask");
	e = read_value(r, hex, text, s);
	e = e ? e : read_mask(r, mask, s);
	return e ? e : read_offset(r, offset, s);
}

/* ---- a signature ---- */

static const struct key {
	const char *name;
	int (*read)(struct reader *r, const struct pst_node *n, struct sig *s);
} keys[] = {
	{"name", read_name},
	{"protocol", read_protocol},
	{"source_port", read_source_port},
	{"port", read_port},
	{"length", read_length},
	{"payload", read_payload},
	{"unasked", read_bool},
	{"action", read_action},
};

static int read_key(struct reader *r, const struct pst_node *n, struct sig *s)
{
	const char *names[PST_ARRAY_SIZE(keys)], *near;

	for (size_t i = 0; i < PST_ARRAY_SIZE(keys); i++) {
		if (!strcmp(keys[i].name, n->key))
			return keys[i].read(r, n, s);
		names[i] = keys[i].name;
	}
	near = pst_conf_did_you_mean(n->key, names, PST_ARRAY_SIZE(names));
	pst_conf_error(r->ctx.errors, r->ctx.file, n->key_line, n->key_column,
		"unknown key \"%.64s\" of a signature%s%s%s", n->key, near ? ", did you mean \"" : "",
		near ? near : "", near ? "\"?" : "");
	return -EINVAL;
}

static bool has_ports(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE ||
	       protocol == IPPROTO_SCTP || protocol == IPPROTO_DCCP;
}

/* What goes over single values. */
static int check(struct reader *r, const struct pst_node *n, const struct sig *s)
{
	bool ports = s->sport.n || s->dport.n;

	if (!*s->name || !pst_node_get(n, "protocol"))
		return REJECT(r, n, "expected name and protocol");
	if (!ports && !s->need && !pst_node_get(n, "length"))
		return REJECT(r, n,
			"\"%s\": without source_port, port, length and payload it would match all of its "
			"protocol",
			s->name);
	if (ports && !has_ports(s->protocol))
		return REJECT(r, n, "\"%s\": its protocol has no ports", s->name);
	if ((uint32_t)s->offset + s->need > s->len.hi)
		return REJECT(r, n,
			"\"%s\": nothing could match: what is compared lies behind the longest payload",
			s->name);
	return 0;
}

static int read_one(struct reader *r, const struct pst_node *n, struct sig *s)
{
	int e = 0;

	*s = (struct sig){.drop = true, .len = {0, UINT16_MAX}};
	if (n->type != PST_NODE_MAPPING)
		return REJECT(r, n, "expected a signature: name, protocol, and what it looks like");
	for (const struct pst_node *k = n->child; k; k = k->next)
		e = read_key(r, k, s) ? -EINVAL : e;
	return e ? e : check(r, n, s);
}

static int read_all(struct reader *r, const struct pst_node *root, struct sig_set *set)
{
	const struct pst_node *list = root ? pst_node_get(root, "signatures") : NULL;
	struct pst_sigs table;
	int e = 0;

	if (!list || list->type != PST_NODE_SEQUENCE || root->n_children != 1) {
		pst_conf_error(r->ctx.errors, r->ctx.file, root ? root->line : 1, root ? root->column : 1,
			"expected one key, signatures, with a list below it");
		return -EINVAL;
	}
	for (const struct pst_node *n = list->child; n; n = n->next) {
		if (set->n == PST_SIGS)
			return REJECT(r, n, "more than %d signatures", PST_SIGS);
		if (read_one(r, n, &set->v[set->n]))
			e = -EINVAL;
		else
			set->n++;
	}
	if (!e && sigs_build(set, &table))
		e = REJECT(
			r, list, "more than %d pairs of source ports and ports in all signatures", PST_SIGS);
	return e;
}

int sigs_parse(
	const char *name, const char *text, size_t len, struct pst_conf_errors *errors, struct sig_set *set)
{
	static const struct pst_doc_bounds bounds = {.bytes = SIGS_TEXT_MAX, .nodes = SIGS_NODES_MAX};
	PST_CLEANUP(pst_doc_freep) struct pst_doc *doc = NULL;
	struct reader r = {.ctx = {.file = name, .errors = errors}, .set = set};
	size_t before = set->n;
	int e = pst_doc_parse_within(name, text, len, &bounds, errors, &doc);

	e = e ? e : read_all(&r, pst_doc_root(doc), set);
	if (e)
		set->n = before;
	return e;
}
