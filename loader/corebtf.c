// SPDX-License-Identifier: Apache-2.0
#include "loader/corebtf.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "loader/images.h"
#include "loader/object.h"
#include "proto/base/cleanup.h"

#define NAMES_BUCKETS 8192 /* power of two, several times the number of names */
#define DEPTH_MAX     64   /* structs within structs */

struct names {
	const char *v[NAMES_BUCKETS]; /* not owned: of the locals */
	size_t len[NAMES_BUCKETS];
	size_t n;
};

struct copy {
	const struct btf *from;
	struct btf *to;
	const struct names *names;
	uint32_t *ids; /* new id by old one, 0: not copied */
	int void_ptr;
};

/* ---- names that objects know ---- */

/* A local name ends where its flavour begins: task_struct___old is task_struct. */
static size_t essential(const char *name)
{
	const char *flavour = strstr(name, "___");

	return flavour && flavour != name ? (size_t)(flavour - name) : strlen(name);
}

static uint32_t hash(const char *s, size_t len)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)s[i]) * 16777619u;
	return h;
}

static bool names_slot(const struct names *names, const char *s, size_t len, size_t *ret_slot)
{
	size_t i = hash(s, len) & (NAMES_BUCKETS - 1);

	for (; names->v[i]; i = (i + 1) & (NAMES_BUCKETS - 1))
		if (names->len[i] == len && !memcmp(names->v[i], s, len)) {
			*ret_slot = i;
			return true;
		}
	*ret_slot = i;
	return false;
}

static bool is_named_kind(unsigned kind)
{
	return kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION || kind == BTF_KIND_ENUM ||
	       kind == BTF_KIND_ENUM64 || kind == BTF_KIND_TYPEDEF;
}

static int names_collect(struct names *names, const struct btf *local)
{
	for (uint32_t id = 1; id < btf__type_cnt(local); id++) {
		const struct btf_type *t = btf__type_by_id(local, id);
		const char *name = btf__name_by_offset(local, t->name_off);
		size_t len = name ? essential(name) : 0, slot;

		if (!len || !is_named_kind(btf_kind(t)) || names_slot(names, name, len, &slot))
			continue;
		if (names->n == NAMES_BUCKETS / 2)
			return -E2BIG;
		names->v[slot] = name;
		names->len[slot] = len;
		names->n++;
	}
	return 0;
}

static bool names_has(const struct names *names, const char *name)
{
	size_t slot;

	return name && *name && names_slot(names, name, strlen(name), &slot);
}

/* ---- copying ---- */

static int copy_type(struct copy *c, uint32_t id, unsigned depth);

static const char *name_of(const struct copy *c, const struct btf_type *t)
{
	const char *name = btf__name_by_offset(c->from, t->name_off);

	return name && *name ? name : NULL;
}

/* Members first: what is held by value cannot lead back here. */
static int copy_composite(struct copy *c, const struct btf_type *t, unsigned depth)
{
	const struct btf_member *m = btf_members(t);
	int id = 0;

	for (unsigned i = 0; i < btf_vlen(t); i++) {
		int member = copy_type(c, m[i].type, depth + 1);

		if (member < 0)
			return member;
	}
	id = btf_is_struct(t) ? btf__add_struct(c->to, name_of(c, t), t->size)
			      : btf__add_union(c->to, name_of(c, t), t->size);
	for (unsigned i = 0; i < btf_vlen(t) && id > 0; i++) {
		int member = copy_type(c, m[i].type, depth + 1); /* known by now */
		int r = btf__add_field(c->to, btf__name_by_offset(c->from, m[i].name_off), member,
			btf_member_bit_offset(t, i), btf_member_bitfield_size(t, i));

		if (r)
			return r;
	}
	return id;
}

/* Values only of enums that somebody may ask about. */
static int copy_enum(struct copy *c, const struct btf_type *t)
{
	const char *name = name_of(c, t);
	bool values = names_has(c->names, name);
	bool wide = btf_kind(t) == BTF_KIND_ENUM64;
	int id = wide ? btf__add_enum64(c->to, name, t->size, btf_kflag(t))
		      : btf__add_enum(c->to, name, t->size);

	for (unsigned i = 0; values && i < btf_vlen(t) && id > 0; i++) {
		const char *value = btf__name_by_offset(
			c->from, wide ? btf_enum64(t)[i].name_off : btf_enum(t)[i].name_off);
		int r = wide ? btf__add_enum64_value(c->to, value, btf_enum64_value(&btf_enum64(t)[i]))
			     : btf__add_enum_value(c->to, value, btf_enum(t)[i].val);

		if (r)
			return r;
	}
	return id;
}

static int copy_array(struct copy *c, const struct btf_type *t, unsigned depth)
{
	const struct btf_array *a = btf_array(t);
	int index = copy_type(c, a->index_type, depth + 1);
	int element = index < 0 ? index : copy_type(c, a->type, depth + 1);

	return element < 0 ? element : btf__add_array(c->to, index, element, a->nelems);
}

static int copy_typedef(struct copy *c, const struct btf_type *t, unsigned depth)
{
	int to = copy_type(c, t->type, depth + 1);

	return to < 0 ? to : btf__add_typedef(c->to, name_of(c, t), to);
}

static int copy_new(struct copy *c, const struct btf_type *t, unsigned depth)
{
	switch (btf_kind(t)) {
	case BTF_KIND_INT:
		return btf__add_int(c->to, name_of(c, t), t->size, btf_int_encoding(t));
	case BTF_KIND_FLOAT:
		return btf__add_float(c->to, name_of(c, t), t->size);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return copy_composite(c, t, depth);
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
		return copy_enum(c, t);
	case BTF_KIND_ARRAY:
		return copy_array(c, t, depth);
	case BTF_KIND_TYPEDEF:
		return copy_typedef(c, t, depth);
	case BTF_KIND_CONST:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_TYPE_TAG:
		return copy_type(c, t->type, depth + 1); /* nothing that a relocation looks at */
	default:
		return c->void_ptr; /* a pointer, whatever it leads to */
	}
}

static int copy_type(struct copy *c, uint32_t id, unsigned depth)
{
	int new_id;

	if (!id)
		return 0;
	if (c->ids[id])
		return (int)c->ids[id];
	if (depth > DEPTH_MAX)
		return -ELOOP;
	new_id = copy_new(c, btf__type_by_id(c->from, id), depth);
	if (new_id > 0)
		c->ids[id] = (uint32_t)new_id;
	return new_id;
}

static int copy_all(struct copy *c)
{
	uint32_t types = btf__type_cnt(c->from);

	for (uint32_t id = 1; id < types; id++) {
		const struct btf_type *t = btf__type_by_id(c->from, id);

		if (!is_named_kind(btf_kind(t)) || !names_has(c->names, name_of(c, t)))
			continue;
		int r = copy_type(c, id, 0);
		if (r < 0)
			return r;
	}
	return 0;
}

static void free_btf(struct btf **btf)
{
	btf__free(*btf);
}

int corebtf_build(
	const struct btf *kernel, const struct btf *const *locals, size_t n_locals, struct btf **ret_btf)
{
	PST_FREE struct names *names = calloc(1, sizeof(*names));
	PST_FREE uint32_t *ids = calloc(btf__type_cnt(kernel), sizeof(*ids));
	PST_CLEANUP(free_btf) struct btf *to = btf__new_empty();
	struct copy c = {.from = kernel, .to = to, .names = names, .ids = ids};
	int r = 0;

	if (!names || !ids || !to || libbpf_get_error(to))
		return -ENOMEM;
	for (size_t i = 0; i < n_locals && !r; i++)
		r = names_collect(names, locals[i]);
	if (r)
		return r;
	c.void_ptr = btf__add_ptr(to, 0);
	r = c.void_ptr < 0 ? c.void_ptr : copy_all(&c);
	if (r)
		return r;
	*ret_btf = PST_TAKE_PTR(to);
	return 0;
}

/* ---- as a file ---- */

static int write_file(const struct btf *btf)
{
	PST_CLOSE int fd = memfd_create("penstock-btf", MFD_CLOEXEC);
	uint32_t size = 0;
	const char *raw = btf__raw_data(btf, &size);

	if (fd < 0 || !raw)
		return fd < 0 ? -errno : -ENOMEM;
	while (size) {
		ssize_t n = write(fd, raw, size);

		if (n < 0)
			return -errno;
		raw += n;
		size -= (uint32_t)n;
	}
	return PST_TAKE_FD(fd);
}

int corebtf_open(const struct btf *kernel)
{
	PST_CLEANUP(free_btf) struct btf *btf = NULL;
	struct bpf_object *objs[IMAGES_MAX] = {NULL};
	const struct btf *locals[IMAGES_MAX] = {NULL};
	size_t n = 0;
	int r = 0;

	for (; n < n_images && !r; n++) {
		r = object_open(&images[n], NULL, &objs[n]);
		locals[n] = r ? NULL : bpf_object__btf(objs[n]);
		if (!r && !locals[n])
			r = -EINVAL;
	}
	r = r ? r : corebtf_build(kernel, locals, n, &btf);
	for (size_t i = 0; i < n_images; i++)
		bpf_object__close(objs[i]);
	return r ? r : write_file(btf);
}
