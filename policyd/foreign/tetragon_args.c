// SPDX-License-Identifier: Apache-2.0
/* matchArgs: what is asked of a function's arguments, as conditions on the object. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/foreign/tetragon.h"
#include "proto/base/cleanup.h"

#define WORD_MAX 63

/* One filter. */
struct filter {
	struct tracing_selector *s;
	const struct pst_node *node, *values;
	const char *op; /* without its Not */
	bool not ;
};

/* One value as an element of the list; false: it cannot be. */
typedef bool put_fn(struct foreign_buf *to, const struct filter *f, const char *value);

static bool refuse(const struct filter *f, const char *why)
{
	return tracing_refuse(
		f->s, foreign_at(f->node), "matchArgs: %s%s: %s", f->not ? "Not" : "", f->op, why);
}

/* All values as one condition. */
static bool put_all(struct filter *f, enum policy_key key, put_fn *put)
{
	struct foreign_buf *to = &f->s->rule.conds;
	const char *sep = "";

	if (!tracing_take_key(f->s, f->node, key))
		return false;
	foreign_put(to, ", %s: %s[", policy_rows[key].key, f->not ? "{not: " : "");
	for (const struct pst_node *n = f->values->child; n; n = n->next) {
		foreign_put(to, "%s", sep);
		sep = ", ";
		if (!put(to, f, n->text))
			return tracing_refuse(
				f->s, foreign_at(n), "matchArgs: \"%.64s\" cannot be expressed", n->text);
	}
	foreign_put(to, "]%s", f->not ? "}" : "");
	return true;
}

static bool number(const char *text, unsigned long max, unsigned long *ret)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	*ret = strtoul(text, &end, 0);
	return !*end && *ret <= max;
}

/* ---- paths ---- */

static bool put_path(struct foreign_buf *to, const struct filter *f, const char *value)
{
	const char *kind = !strcmp(f->op, "Prefix") ? "prefix" : !strcmp(f->op, "Postfix") ? "suffix" : NULL;

	foreign_put(to, kind ? "{%s: " : "", kind);
	foreign_put_string(to, value, SIZE_MAX);
	foreign_put(to, kind ? "}" : "");
	return true;
}

static bool read_path(struct filter *f)
{
	if (strcmp(f->op, "Equal") != 0 && strcmp(f->op, "Prefix") != 0 && strcmp(f->op, "Postfix") != 0)
		return refuse(f, "of a path only Equal, Prefix and Postfix can be asked");
	return put_all(f, POLICY_PATHS, put_path);
}

static bool read_written(struct filter *f)
{
	if (!read_path(f))
		return false;
	foreign_note(f->s->d, foreign_at(f->node),
		"%s: the path that the kernel comes to is asked for, not what the caller wrote", f->s->label);
	return true;
}

static bool put_module(struct foreign_buf *to, const struct filter *f, const char *value)
{
	(void)f;
	foreign_put_string(to, value, SIZE_MAX);
	return true;
}

static bool read_module(struct filter *f)
{
	return strcmp(f->op, "Equal") ? refuse(f, "of a module only its whole name can be asked")
				      : put_all(f, POLICY_MODULES, put_module);
}

/* ---- bits ---- */

static bool put_bits(struct foreign_buf *to, const char *value, const char *const names[4])
{
	const char *sep = "";
	unsigned long bits;

	if (!number(value, 15, &bits) || !bits)
		return false;
	for (unsigned i = 0; i < 4; i++) {
		if (!(bits >> i & 1))
			continue;
		if (!names[i])
			return false;
		foreign_put(to, "%s%s", sep, names[i]);
		sep = ", ";
	}
	return true;
}

static bool put_may(struct foreign_buf *to, const struct filter *f, const char *value)
{
	static const char *const names[] = {"execute", "write, append", "read", "append"};
	unsigned long bits;

	/* Equal to two bits is not one of them */
	if (!strcmp(f->op, "Equal") && (!number(value, 15, &bits) || (bits & (bits - 1))))
		return false;
	return put_bits(to, value, names);
}

static bool read_may(struct filter *f)
{
	if ((strcmp(f->op, "Equal") != 0 && strcmp(f->op, "Mask") != 0) || f->not )
		return refuse(f, "of an access only Equal and Mask can be asked");
	return put_all(f, POLICY_ACCESS, put_may);
}

static bool put_prot(struct foreign_buf *to, const struct filter *f, const char *value)
{
	static const char *const names[] = {"read", "write", "execute", NULL};

	(void)f;
	return put_bits(to, value, names);
}

static bool read_prot(struct filter *f)
{
	if (strcmp(f->op, "Mask") != 0)
		return refuse(f, "of a protection only Mask can be asked");
	return put_all(f, POLICY_ACCESS, put_prot);
}

/* ---- sockets ---- */

/* "AF_INET" as "inet"; a number stays. */
static bool put_word(struct foreign_buf *to, const char *prefix, const char *value)
{
	size_t n = strlen(prefix);

	if (!strncmp(value, prefix, n))
		value += n;
	if (!*value || strlen(value) > WORD_MAX)
		return false;
	for (const char *p = value; *p; p++) {
		if (!isalnum((unsigned char)*p) && *p != '_')
			return false;
		foreign_put(to, "%c", tolower((unsigned char)*p));
	}
	return true;
}

static bool put_family(struct foreign_buf *to, const struct filter *f, const char *value)
{
	(void)f;
	return put_word(to, "AF_", value);
}

static bool put_protocol(struct foreign_buf *to, const struct filter *f, const char *value)
{
	(void)f;
	return put_word(to, "IPPROTO_", value);
}

/* What is behind the prefix of an address is left out, as it is not asked for there either. */
static bool put_prefix(struct foreign_buf *to, unsigned char *bytes, int family, const char *text, size_t n)
{
	unsigned long len = n * 8;
	char name[INET6_ADDRSTRLEN];

	if (text && !number(text, n * 8, &len))
		return false;
	for (size_t bit = len; bit < n * 8; bit++)
		bytes[bit / 8] &= (unsigned char)~(0x80 >> bit % 8);
	if (!inet_ntop(family, bytes, name, sizeof(name)))
		return false;
	foreign_put(to, "\"%s/%lu\"", name, len);
	return true;
}

static bool put_address(struct foreign_buf *to, const struct filter *f, const char *value)
{
	unsigned char bytes[16];
	const char *slash = strchrnul(value, '/');
	char host[INET6_ADDRSTRLEN] = "";

	(void)f;
	if ((size_t)(slash - value) >= sizeof(host))
		return false;
	memcpy(host, value, (size_t)(slash - value));
	slash = *slash ? slash + 1 : NULL;
	if (inet_pton(AF_INET, host, bytes) == 1)
		return put_prefix(to, bytes, AF_INET, slash, 4);
	return inet_pton(AF_INET6, host, bytes) == 1 && put_prefix(to, bytes, AF_INET6, slash, 16);
}

/* "80" or "8000:8099" */
static bool put_port(struct foreign_buf *to, const struct filter *f, const char *value)
{
	const char *colon = strchrnul(value, ':');
	char lo[16] = "";
	unsigned long a, b;

	(void)f;
	if ((size_t)(colon - value) >= sizeof(lo))
		return false;
	memcpy(lo, value, (size_t)(colon - value));
	if (!number(lo, 65535, &a) || !number(*colon ? colon + 1 : lo, 65535, &b))
		return false;
	foreign_put(to, "%lu-%lu", a, b);
	return true;
}

/* Ports below 1024: without values. */
static bool read_privileged(struct filter *f)
{
	if (!tracing_take_key(f->s, f->node, POLICY_PORTS))
		return false;
	foreign_put(&f->s->rule.conds, f->not ? ", ports: {not: 0-1023}" : ", ports: 0-1023");
	return true;
}

/* @end: S or D, the end of the connection that the operation's address is; 0: none. */
static bool read_socket(struct filter *f, char end)
{
	const char *of = f->op + 1;

	if (!strcmp(f->op, "Family"))
		return put_all(f, POLICY_FAMILIES, put_family);
	if (!strcmp(f->op, "Protocol"))
		return put_all(f, POLICY_PROTOCOLS, put_protocol);
	if (end && *f->op == end && !strcmp(of, "Addr"))
		return put_all(f, POLICY_ADDRESSES, put_address);
	if (end && *f->op == end && !strcmp(of, "Port"))
		return put_all(f, POLICY_PORTS, put_port);
	if (end && *f->op == end && !strcmp(of, "PortPriv"))
		return read_privileged(f);
	return refuse(f, "it cannot be asked of this argument");
}

static bool read_family(struct filter *f)
{
	if (strcmp(f->op, "Equal") != 0 && strcmp(f->op, "Family") != 0)
		return refuse(f, "of a family only Equal can be asked");
	return put_all(f, POLICY_FAMILIES, put_family);
}

/* ---- numbers ---- */

static bool put_signal(struct foreign_buf *to, const struct filter *f, const char *value)
{
	unsigned long n;

	(void)f;
	if (!number(value, 64, &n))
		return false;
	foreign_put(to, "%lu", n);
	return true;
}

static bool put_cap(struct foreign_buf *to, const struct filter *f, const char *value)
{
	const struct policy_words *words = policy_rows[POLICY_CAPABILITIES].words;
	unsigned long n;
	const char *name = number(value, words->n - 1, &n) ? words->name((unsigned)n) : NULL;

	(void)f;
	if (!name && strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != strlen(value))
		return false;
	foreign_put(to, "%s", name ? name : value);
	return true;
}

static bool read_numbers(struct filter *f, enum policy_key key, put_fn *put)
{
	return strcmp(f->op, "Equal") ? refuse(f, "only Equal can be asked of this argument")
				      : put_all(f, key, put);
}

/* ---- one filter ---- */

static bool read_filter(struct filter *f, enum tracing_arg arg)
{
	switch (arg) {
	case TRACING_PATH:
		return read_path(f);
	case TRACING_WRITTEN:
		return read_written(f);
	case TRACING_MAY:
		return read_may(f);
	case TRACING_PROT:
		return read_prot(f);
	case TRACING_FAMILY:
		return read_family(f);
	case TRACING_SOCKADDR:
	case TRACING_OWN:
		return read_socket(f, 'S');
	case TRACING_PEER:
		return read_socket(f, 'D');
	case TRACING_SOCKET:
		return read_socket(f, 0);
	case TRACING_SIGNAL:
		return read_numbers(f, POLICY_SIGNALS, put_signal);
	case TRACING_CAP:
		return read_numbers(f, POLICY_CAPABILITIES, put_cap);
	case TRACING_MODULE:
		return read_module(f);
	case TRACING_NO_ARG:
		break;
	}
	return refuse(f, "this argument of the function has no condition here");
}

/* Arguments by number, or by their place in the hook's own list. */
static bool find_index(const struct tracing_selector *s, const struct pst_node *node, unsigned long *ret)
{
	const struct pst_node *places = pst_node_get(node, "args"), *args = pst_node_get(s->entry, "args");
	const struct pst_node *arg = args ? args->child : NULL;
	const char *index = foreign_text(node, "index");
	unsigned long place;

	if (places) {
		if (places->n_children != 1 || !places->child->text ||
			!number(places->child->text, 15, &place))
			return false;
		while (arg && place--)
			arg = arg->next;
		index = arg ? foreign_text(arg, "index") : NULL;
	}
	return index && number(index, 15, ret);
}

/* Part of the argument, and not what the function is given. */
static bool is_resolved(const struct tracing_selector *s, unsigned long index)
{
	const struct pst_node *args = pst_node_get(s->entry, "args");

	for (const struct pst_node *n = args ? args->child : NULL; n; n = n->next) {
		const char *at = foreign_text(n, "index"), *resolve = foreign_text(n, "resolve");
		unsigned long i;

		if (at && number(at, 15, &i) && i == index &&
			((resolve && *resolve) || pst_node_get(n, "source")))
			return true;
	}
	return false;
}

static bool is_privileged(const char *op)
{
	return strstr(op, "PortPriv") != NULL;
}

static bool read_one(struct tracing_selector *s, const struct pst_node *node)
{
	static const char *const known[] = {"index", "args", "operator", "values", NULL};
	struct filter f = {.s = s, .node = node};
	unsigned long index = 0;
	size_t i = 0;

	f.op = foreign_text(node, "operator");
	if (node->type != PST_NODE_MAPPING || foreign_unknown(node, known) || !f.op ||
		!find_index(s, node, &index))
		return tracing_refuse(s, foreign_at(node), "matchArgs: expected index, operator and values");
	f.not = !strncmp(f.op, "Not", 3);
	f.op += f.not ? 3 : 0;
	if (s->args_have_other_numbers || is_resolved(s, index))
		return refuse(&f, "what a tracepoint or a part of an argument holds cannot be asked");
	if (!is_privileged(f.op) && !tracing_values(s, node, &f.values))
		return false;
	while (i < PST_ARRAY_SIZE(s->hook->args) &&
		(s->hook->args[i].index != index || !s->hook->args[i].arg))
		i++;
	return read_filter(&f, i < PST_ARRAY_SIZE(s->hook->args) ? s->hook->args[i].arg : TRACING_NO_ARG);
}

bool tracing_read_args(struct tracing_selector *s, const struct pst_node *list)
{
	if (list->type != PST_NODE_SEQUENCE)
		return tracing_refuse(s, foreign_at(list), "matchArgs: expected a list");
	for (const struct pst_node *n = list->child; n; n = n->next)
		if (!read_one(s, n))
			return false;
	return true;
}
