// SPDX-License-Identifier: Apache-2.0
#include "loader/object.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <assert.h>
#include <string.h>

#include "loader/pins.h"
#include "proto/abi/ct.h"
#include "proto/abi/guard.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "constants are copied by their low bytes");

#define VERIFIER_LOG_BYTES (1 << 20)

static int print(enum libbpf_print_level level, const char *format, va_list ap)
{
	char line[1024];
	int n;

	(void)level;
	if (!pst_log_enabled(PST_LOG_DEBUG))
		return 0;
	n = vsnprintf(line, sizeof(line), format, ap);
	if (n > 0 && (size_t)n < sizeof(line) && line[n - 1] == '\n')
		line[n - 1] = '\0';
	pst_debug("%s", line);
	return 0;
}

void object_init_library(void)
{
	libbpf_set_print(print);
}

int object_open(const struct image *image, const char *types, struct bpf_object **ret_obj)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = image->name, .btf_custom_path = types);
	struct bpf_object *obj;
	struct bpf_program *prog;
	size_t size = 0;
	const void *bytes = image->bytes(&size);

	obj = bpf_object__open_mem(bytes, size, &opts);
	if (!obj) {
		int r = -errno;

		pst_error("cannot open object object=%s error=%s", image->name, strerror(-r));
		return r;
	}
	bpf_object__for_each_program(prog, obj) bpf_program__set_autoload(prog, false);
	*ret_obj = obj;
	return 0;
}

/* ---- load-time constants ---- */

static struct bpf_map *rodata_of(struct bpf_object *obj)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj)
	{
		const char *name = bpf_map__name(map);
		size_t len = name ? strlen(name) : 0;

		if (bpf_map__is_internal(map) && len >= 7 && !strcmp(name + len - 7, ".rodata"))
			return map;
	}
	return NULL;
}

/* Where the symbol's value lies before loading; NULL: the object has none of that name. */
static void *symbol_of(struct bpf_object *obj, const char *symbol, size_t *ret_size)
{
	const struct btf *btf = bpf_object__btf(obj);
	struct bpf_map *map = rodata_of(obj);
	size_t size = 0;
	char *base = map ? (char *)bpf_map__initial_value(map, &size) : NULL;
	int id = btf ? btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC) : -1;
	const struct btf_type *sec = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;
	const struct btf_var_secinfo *var = sec ? btf_var_secinfos(sec) : NULL;

	for (int i = 0; base && var && i < btf_vlen(sec); i++, var++) {
		const struct btf_type *t = btf__type_by_id(btf, var->type);

		if (strcmp(btf__name_by_offset(btf, t->name_off), symbol))
			continue;
		if ((size_t)var->offset + var->size > size)
			return NULL;
		*ret_size = var->size;
		return base + var->offset;
	}
	return NULL;
}

static int bad_size(const struct bpf_object *obj, const char *symbol, size_t size)
{
	pst_error("constant has an unexpected size object=%s symbol=%s bytes=%zu", bpf_object__name(obj),
		symbol, size);
	return -EINVAL;
}

/* A number of whatever width the object gives it. */
static int set_number(struct bpf_object *obj, const char *symbol, uint64_t value)
{
	size_t size = 0;
	void *at = symbol_of(obj, symbol, &size);

	if (!at)
		return 0;
	if ((size != 4 && size != 8) || (size == 4 && value > UINT32_MAX))
		return bad_size(obj, symbol, size);
	memcpy(at, &value, size);
	return 0;
}

int object_set_bool(struct bpf_object *obj, const char *symbol, bool value)
{
	size_t size = 0;
	void *at = symbol_of(obj, symbol, &size);

	if (!at || size != sizeof(value)) {
		pst_error(
			"no such switch object=%s symbol=%s bytes=%zu", bpf_object__name(obj), symbol, size);
		return -EINVAL;
	}
	memcpy(at, &value, size);
	return 0;
}

static int set_words(struct bpf_object *obj, const char *symbol, const uint64_t *words, size_t n)
{
	size_t size = 0;
	void *at = symbol_of(obj, symbol, &size);

	if (!at)
		return 0;
	if (size != n * sizeof(*words))
		return bad_size(obj, symbol, size);
	memcpy(at, words, size);
	return 0;
}

struct number {
	const char *symbol;
	uint64_t value;
};

/* Fills @list (PARAMS entries). */
#define PARAMS 23
static void list_params(const struct object_params *p, struct number list[PARAMS])
{
	const struct loader_config *c = p->config;
	int cpus = PST_MAX(libbpf_num_possible_cpus(), 1);
	const struct number numbers[] = {
		{"cfg_generation", p->generation},
		{"cfg_id_seed", p->id_seed},
		{"cfg_percpu_offsets", p->percpu_offsets},
		{"cfg_ncpus", (uint64_t)cpus},
		{"cfg_flow_mask", c->flow_slots - 1},
		{"cfg_flow_idle_ns", c->flow_idle_ns},
		{"cfg_udp_mask", c->udp_slots - 1},
		{"cfg_udp_idle_ns", c->udp_idle_ns},
		{"cfg_drop_rate", c->drop_rate},
		{"cfg_reset_rate", c->drop_rate},
		{"cfg_cgroup_gap_ns", 1000000000ull / PST_MAX(c->cgroup_rate, 1ull)},
		{"cfg_capability_ns", c->capability_ns},
		{"cfg_fw_mask", c->firewall_memory / 2 / sizeof(union pst_line) - 1},
		{"cfg_block_mask", c->list_memory / 2 / sizeof(union pst_line) - 1},
		{"cfg_ct_mask", c->connections / PST_CT_WAYS - 1},
		{"cfg_ct_new_mask", c->connections / PST_CT_WAYS - 1},
		{"cfg_src_mask", c->sources / PST_SRC_WAYS - 1},
		{"cfg_syn_cookies", p->syn_cookies},
		{"cfg_guard_netns", p->net_ns},
		{"cfg_flow_judged", c->sensors[SENSOR_GUARD] && c->guarded.n},
		{"cfg_fwcache_mask", maps_fwcache_bytes((unsigned)cpus) / sizeof(union pst_line) - 1},
		{"cfg_policy_mask", c->policy_memory / 4 / sizeof(union pst_line) - 1},
		{"cfg_path_mask", c->policy_memory / 4 / sizeof(union pst_line) - 1},
	};

	static_assert(PST_ARRAY_SIZE(numbers) == PARAMS, "all fit");
	memcpy(list, numbers, sizeof(numbers));
}

int object_set_params(struct bpf_object *obj, const struct object_params *p)
{
	struct number list[PARAMS];
	int r = set_words(obj, "cfg_hash_seed", p->seed, SEED_WORDS);

	r = r ? r : set_words(obj, "cfg_path_key", p->path_key, PATH_KEY_WORDS);
	list_params(p, list);
	for (size_t i = 0; i < PARAMS && !r; i++)
		r = set_number(obj, list[i].symbol, list[i].value);
	return r;
}

bool object_is_param(const char *symbol)
{
	static const struct loader_config config;
	const struct object_params params = {.config = &config};
	struct number list[PARAMS];

	list_params(&params, list);
	for (size_t i = 0; i < PARAMS; i++)
		if (!strcmp(list[i].symbol, symbol))
			return true;
	return !strcmp(symbol, "cfg_hash_seed") || !strcmp(symbol, "cfg_path_key");
}

/* ---- loading ---- */

void object_target(const char *section, char *ret_name, size_t size, unsigned *ret_kind)
{
	static const struct {
		const char *head, *prefix;
		unsigned kind;
	} kinds[] = {
		{"tp_btf/", "btf_trace_", BTF_KIND_TYPEDEF},
		{"raw_tp/", "btf_trace_", BTF_KIND_TYPEDEF},
		{"fentry/", "", BTF_KIND_FUNC},
		{"fexit/", "", BTF_KIND_FUNC},
		{"iter/", "bpf_iter_", BTF_KIND_FUNC},
		{"lsm/", "bpf_lsm_", BTF_KIND_FUNC},
	};

	*ret_kind = 0;
	for (size_t i = 0; i < PST_ARRAY_SIZE(kinds); i++) {
		size_t n = strlen(kinds[i].head);

		if (strncmp(section, kinds[i].head, n))
			continue;
		snprintf(ret_name, size, "%s%s", kinds[i].prefix, section + n);
		*ret_kind = kinds[i].kind;
		return;
	}
}

/* The verifier's complaint is the last line that is not its statistics. */
static void last_word(char *log, char why[WHY_MAX])
{
	char *best = NULL, *save = NULL;

	for (char *line = strtok_r(log, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (strncmp(line, "processed ", 10) && line[0] != ';' && line[0] != '-' && line[0] != ' ')
			best = line;
	if (best)
		snprintf(why, WHY_MAX, "refused by the verifier: %.*s", WHY_MAX - 32, best);
}

int object_load(struct bpf_object *obj, const struct features *features, char why[WHY_MAX])
{
	PST_FREE char *log = calloc(1, VERIFIER_LOG_BYTES);
	struct bpf_program *prog;
	int r;

	if (!log)
		return -ENOMEM;
	/* libbpf fills it only when it tries a refused program a second time */
	bpf_object__for_each_program(prog, obj) if (bpf_program__autoload(prog))
		bpf_program__set_log_buf(prog, log, VERIFIER_LOG_BYTES);
	r = bpf_object__load(obj);
	bpf_object__for_each_program(prog, obj) bpf_program__set_log_buf(prog, NULL, 0);
	if (!r)
		return 0;
	feature_why(features, r, why);
	last_word(log, why);
	return r;
}
