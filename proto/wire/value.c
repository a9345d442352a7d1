// SPDX-License-Identifier: Apache-2.0
/* One value as people see it, and back. */
#include <errno.h>
#include <stdlib.h>

#include "proto/base/cleanup.h"
#include "proto/wire/event.h"
#include "proto/wire/fmt.h"
#include "proto/wire/names.h"

#define ID_UNSET 0xffffffffu
#define NO_NAME  "unset"

bool pst_val_empty(const struct pst_val *val, const struct pst_field *field)
{
	switch (field->type) {
	case PST_T_S:
	case PST_T_A:
		return !val->len;
	case PST_T_L:
	case PST_T_P:
		return !val->n;
	default:
		break;
	}
	switch (field->format) {
	case PST_FMT_ID:
		return val->u == ID_UNSET; /* 0 is root */
	case PST_FMT_CODE:
	case PST_FMT_SEVERITY:
		return false;
	default:
		return !val->u;
	}
}

struct pst_val pst_val_str(const void *bytes, size_t len)
{
	return (struct pst_val){.p = bytes, .len = len > UINT32_MAX ? UINT32_MAX : (uint32_t)len};
}

struct pst_val pst_val_addr(const uint8_t bytes[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	bool v4 = !memcmp(bytes, mapped, sizeof(mapped));

	return pst_val_str(v4 ? bytes + 12 : bytes, v4 ? 4 : 16);
}

/* ---- to text ---- */

struct text {
	char *p;
	size_t len, size; /* size without the NUL */
};

static void add(struct text *t, const void *bytes, size_t len)
{
	if (len > t->size - t->len)
		len = t->size - t->len;
	if (len)
		memcpy(t->p + t->len, bytes, len);
	t->len += len;
}

static void add_str(struct text *t, const char *s)
{
	add(t, s, strlen(s));
}

static void add_u64(struct text *t, uint64_t v)
{
	char buf[20];

	add(t, buf, (size_t)(pst_fmt_u64(buf, v) - buf));
}

static void add_flags(struct text *t, enum pst_field_format format, uint64_t v)
{
	unsigned n;
	const char *const *names = pst_name_bits(format, &n);

	if (format == PST_FMT_CAPS && v == (1ull << n) - 1) {
		add_str(t, "all");
		return;
	}
	if (!v)
		add_str(t, "none");
	for (uint64_t rest = v; rest; rest &= rest - 1) {
		unsigned bit = (unsigned)__builtin_ctzll(rest);

		if (rest != v)
			add_str(t, "|");
		if (bit < n) {
			add_str(t, names[bit]);
		} else {
			add_str(t, "bit");
			add_u64(t, bit);
		}
	}
}

static void add_time(struct text *t, uint64_t ns)
{
	char buf[32], *w = pst_fmt_u64(buf, ns / 1000000000);

	*w++ = '.';
	w = pst_fmt_digits(w, ns % 1000000000, 9);
	*w++ = 's';
	add(t, buf, (size_t)(w - buf));
}

static void add_number(struct text *t, enum pst_field_format format, uint64_t v)
{
	char buf[32], *w;
	unsigned n;

	switch (format) {
	case PST_FMT_NS:
		w = pst_fmt_duration(buf, v);
		break;
	case PST_FMT_BYTES:
		w = pst_fmt_size(buf, v);
		break;
	case PST_FMT_HEX:
		w = pst_fmt_hex(buf, v);
		break;
	case PST_FMT_DEV: /* the kernel's dev_t */
		w = pst_fmt_u64(buf, v >> 20);
		*w++ = ':';
		w = pst_fmt_u64(w, v & 0xfffff);
		break;
	case PST_FMT_TIME:
		add_time(t, v);
		return;
	case PST_FMT_ID:
		if (v == ID_UNSET)
			w = pst_fmt_raw(buf, NO_NAME, strlen(NO_NAME));
		else
			w = pst_fmt_u64(buf, v);
		break;
	default: {
		const char *name = pst_name_of(format, v);

		if (name) {
			add_str(t, name);
			return;
		}
		if (pst_name_bits(format, &n)) {
			add_flags(t, format, v);
			return;
		}
		w = pst_fmt_u64(buf, v);
	}
	}
	add(t, buf, (size_t)(w - buf));
}

static void add_list(struct text *t, const struct pst_val *val)
{
	struct pst_cur c = pst_cur(val->p, val->len);
	const void *bytes;
	uint32_t len;

	for (bool first = true; pst_list_next(&c, &bytes, &len) && t->len < t->size; first = false) {
		if (!first)
			add_str(t, " ");
		add(t, bytes, len);
	}
}

static void add_procs(struct text *t, const struct pst_val *val)
{
	struct pst_cur c = pst_cur(val->p, val->len);
	struct pst_proc_ref proc;

	for (bool first = true; pst_procs_next(&c, &proc) && t->len < t->size; first = false) {
		if (!first)
			add_str(t, " ");
		if (proc.exe_len)
			add(t, proc.exe, proc.exe_len);
		else
			add_u64(t, proc.pid);
	}
}

size_t pst_val_text(const struct pst_val *val, const struct pst_field *field, char *buf, size_t size)
{
	struct text t = {.p = buf, .size = size - 1};
	char addr[45];

	if (!size)
		return 0;
	switch (field->type) {
	case PST_T_S:
		add(&t, val->p, val->len);
		break;
	case PST_T_A:
		add(&t, addr, (size_t)(pst_fmt_addr(addr, val->p, val->len) - addr));
		break;
	case PST_T_L:
		add_list(&t, val);
		break;
	case PST_T_P:
		add_procs(&t, val);
		break;
	case PST_T_I:
		if (val->i < 0)
			add_str(&t, "-");
		add_number(&t, field->format, val->i < 0 ? -val->u : val->u);
		break;
	default:
		add_number(&t, field->format, val->u);
	}
	buf[t.len] = '\0';
	return t.len;
}

/* ---- from text ---- */

/* Names of flags or their numbers, separated by '|' or ','. */
static int parse_flags(enum pst_field_format format, const char *text, uint64_t *ret_value)
{
	uint64_t sum = 0, v;
	unsigned n;

	pst_name_bits(format, &n);
	if (!strcmp(text, "none")) {
		*ret_value = 0;
		return 0;
	}
	if (format == PST_FMT_CAPS && !strcmp(text, "all")) {
		*ret_value = (1ull << n) - 1;
		return 0;
	}
	for (const char *p = text;; p++) {
		size_t len = strcspn(p, "|,");

		if (pst_name_value(format, p, len, &v) < 0 && pst_parse_u64(p, len, &v) < 0)
			return -EINVAL;
		sum |= v;
		p += len;
		if (!*p)
			break;
	}
	*ret_value = sum;
	return 0;
}

static int parse_dev(const char *text, uint64_t *ret_value)
{
	const char *colon = strchr(text, ':');
	uint64_t major, minor;

	if (!colon)
		return -EINVAL;
	if (pst_parse_u64(text, (size_t)(colon - text), &major) < 0 ||
		pst_parse_u64(colon + 1, strlen(colon + 1), &minor) < 0)
		return -EINVAL;
	if (major > 0xfff || minor > 0xfffff)
		return -EINVAL;
	*ret_value = major << 20 | minor;
	return 0;
}

static int parse_unsigned(enum pst_field_format format, const char *text, uint64_t *ret_value)
{
	size_t len = strlen(text);
	unsigned n;

	if (!pst_parse_u64(text, len, ret_value))
		return 0;
	switch (format) {
	case PST_FMT_NS:
		return pst_parse_duration(text, len, ret_value);
	case PST_FMT_BYTES:
		return pst_parse_size(text, len, ret_value);
	case PST_FMT_DEV:
		return parse_dev(text, ret_value);
	case PST_FMT_ID:
		if (strcmp(text, NO_NAME))
			return -EINVAL;
		*ret_value = ID_UNSET;
		return 0;
	default:
		return pst_name_bits(format, &n) ? parse_flags(format, text, ret_value)
						 : pst_name_value(format, text, len, ret_value);
	}
}

int pst_val_parse(const struct pst_field *field, const char *text, uint64_t *ret_value)
{
	bool negative = field->type == PST_T_I && text[0] == '-';
	uint64_t v;

	if (field->type != PST_T_U && field->type != PST_T_I)
		return -EINVAL;
	if (parse_unsigned(field->format, text + negative, &v) < 0)
		return -EINVAL;
	if (field->type == PST_T_I && v > (uint64_t)INT64_MAX + negative)
		return -EINVAL;
	*ret_value = negative ? -v : v;
	return 0;
}
