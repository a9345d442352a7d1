// SPDX-License-Identifier: Apache-2.0
/* The reduced type information: everything that is asked for is in it as in the kernel's, and nothing else.
 */
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "loader/corebtf.h"
#include "loader/images.h"
#include "loader/object.h"
#include "proto/base/cleanup.h"
#include "tests/unit/base_test.h"

static const struct btf_type *find(const struct btf *btf, const char *name, unsigned kind)
{
	int id = btf__find_by_name_kind(btf, name, kind);

	return id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;
}

static int field_at(const struct btf *btf, const struct btf_type *t, const char *name)
{
	for (unsigned i = 0; i < btf_vlen(t); i++)
		if (!strcmp(btf__name_by_offset(btf, btf_members(t)[i].name_off), name))
			return (int)i;
	return -1;
}

/* A little kernel: outer holds inner by value and points to far; nobody asks for unrelated. */
static struct btf *little_kernel(void)
{
	struct btf *b = btf__new_empty();
	int u32 = btf__add_int(b, "unsigned int", 4, 0);
	int inner = btf__add_struct(b, "inner", 8);
	btf__add_field(b, "a", u32, 0, 0);
	btf__add_field(b, "b", u32, 32, 0);
	int far = btf__add_struct(b, "far", 4);
	btf__add_field(b, "x", u32, 0, 0);
	int far_ptr = btf__add_ptr(b, far);
	int constant = btf__add_const(b, u32);
	int array = btf__add_array(b, u32, inner, 3);
	int self = btf__add_ptr(b, u32 + 100); /* to outer, which comes later: any id does for a pointer */
	btf__add_struct(b, "outer", 64);
	btf__add_field(b, "in", inner, 0, 0);
	btf__add_field(b, "far", far_ptr, 64, 0);
	btf__add_field(b, "bits", constant, 128, 3);
	btf__add_field(b, "more", array, 160, 0);
	btf__add_field(b, "self", self, 384, 0);
	btf__add_struct(b, "unrelated", 4);
	btf__add_field(b, "x", u32, 0, 0);
	btf__add_enum(b, "asked", 4);
	btf__add_enum_value(b, "ASKED_ONE", 1);
	btf__add_enum_value(b, "ASKED_TWO", 2);
	btf__add_typedef(b, "name_t", inner);
	btf__add_func(b, "outer", BTF_FUNC_GLOBAL, btf__add_func_proto(b, 0)); /* a function of that name */
	return b;
}

static struct btf *little_object(void)
{
	struct btf *b = btf__new_empty();

	btf__add_struct(b, "outer___older", 8);
	btf__add_enum(b, "asked", 4);
	btf__add_typedef(b, "name_t", 0);
	btf__add_struct(b, "only_ours", 8);
	return b;
}

static void what_is_asked_for_and_what_it_holds(void **state)
{
	struct btf *kernel = little_kernel(), *local = little_object(), *out = NULL;
	const struct btf *locals[] = {local};
	const struct btf_type *t;

	(void)state;
	assert_int_equal(corebtf_build(kernel, locals, 1, &out), 0);
	t = find(out, "outer", BTF_KIND_STRUCT);
	assert_non_null(t);
	assert_int_equal(t->size, 64);
	assert_int_equal(btf_vlen(t), 5);
	int i = field_at(out, t, "bits");
	assert_int_equal(btf_member_bit_offset(t, (uint32_t)i), 128);
	assert_int_equal(btf_member_bitfield_size(t, (uint32_t)i), 3);
	i = field_at(out, t, "more");
	assert_int_equal(btf_member_bit_offset(t, (uint32_t)i), 160);
	assert_int_equal(btf__resolve_size(out, btf_members(t)[i].type), 24);
	i = field_at(out, t, "far");
	assert_true(btf_is_ptr(btf__type_by_id(out, btf_members(t)[i].type)));

	t = find(out, "inner", BTF_KIND_STRUCT); /* held by value */
	assert_non_null(t);
	assert_int_equal(btf_member_bit_offset(t, 1), 32);
	assert_null(find(out, "far", BTF_KIND_STRUCT)); /* only pointed to */
	assert_null(find(out, "unrelated", BTF_KIND_STRUCT));
	assert_null(find(out, "only_ours", BTF_KIND_STRUCT));
	assert_null(find(out, "outer", BTF_KIND_FUNC));
	t = find(out, "asked", BTF_KIND_ENUM);
	assert_non_null(t);
	assert_int_equal(btf_vlen(t), 2);
	assert_int_equal(btf_enum(t)[1].val, 2);
	assert_non_null(find(out, "name_t", BTF_KIND_TYPEDEF));
	btf__free(out);
	btf__free(local);
	btf__free(kernel);
}

static void nothing_in_common(void **state)
{
	struct btf *kernel = little_kernel(), *local = btf__new_empty(), *out = NULL;
	const struct btf *locals[] = {local};

	(void)state;
	assert_int_equal(corebtf_build(kernel, locals, 1, &out), 0);
	assert_null(find(out, "outer", BTF_KIND_STRUCT));
	btf__free(out);
	assert_int_equal(corebtf_build(kernel, NULL, 0, &out), 0);
	btf__free(out);
	btf__free(local);
	btf__free(kernel);
}

/* Members of each type that our objects know: same name, same place, same size as in the running kernel. */
static void compare(const struct btf *kernel, const struct btf *out, const char *name, unsigned kind)
{
	const struct btf_type *a = find(kernel, name, kind), *b = find(out, name, kind);

	if (!a != !b)
		fail_msg("%s is only in one of the two", name);
	if (!a || kind == BTF_KIND_TYPEDEF)
		return;
	assert_int_equal(a->size, b->size);
	assert_int_equal(btf_vlen(a), btf_vlen(b));
	for (uint32_t i = 0; i < btf_vlen(a); i++) {
		if (kind == BTF_KIND_ENUM) {
			assert_string_equal(btf__name_by_offset(kernel, btf_enum(a)[i].name_off),
				btf__name_by_offset(out, btf_enum(b)[i].name_off));
			assert_int_equal(btf_enum(a)[i].val, btf_enum(b)[i].val);
			continue;
		}
		assert_string_equal(btf__name_by_offset(kernel, btf_members(a)[i].name_off),
			btf__name_by_offset(out, btf_members(b)[i].name_off));
		assert_int_equal(btf_member_bit_offset(a, i), btf_member_bit_offset(b, i));
		assert_int_equal(btf_member_bitfield_size(a, i), btf_member_bitfield_size(b, i));
		assert_int_equal(btf__resolve_size(kernel, btf_members(a)[i].type),
			btf__resolve_size(out, btf_members(b)[i].type));
	}
}

static void running_kernel(void **state)
{
	struct btf *kernel = btf__load_vmlinux_btf(), *out;
	char path[32];

	(void)state;
	if (!kernel)
		skip();
	int fd = corebtf_open(kernel);
	assert_true(fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	out = btf__parse(path, NULL);
	assert_non_null(out);
	assert_true(btf__type_cnt(out) * 4 < btf__type_cnt(kernel)); /* that is what it is for */
	for (size_t i = 0; i < n_images; i++) {
		struct bpf_object *obj = NULL;

		assert_int_equal(object_open(&images[i], NULL, &obj), 0);
		const struct btf *local = bpf_object__btf(obj);
		for (uint32_t id = 1; id < btf__type_cnt(local); id++) {
			const struct btf_type *t = btf__type_by_id(local, id);
			const char *name = btf__name_by_offset(local, t->name_off);
			unsigned kind = btf_kind(t);

			if (*name && !strstr(name, "___") &&
				(kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION || kind == BTF_KIND_ENUM ||
					kind == BTF_KIND_TYPEDEF))
				compare(kernel, out, name, kind);
		}
		bpf_object__close(obj);
	}
	btf__free(out);
	btf__free(kernel);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_asked_for_and_what_it_holds),
		cmocka_unit_test(nothing_in_common),
		cmocka_unit_test(running_kernel),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("loader corebtf", tests, NULL, NULL);
}
