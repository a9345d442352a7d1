// SPDX-License-Identifier: Apache-2.0
#include "collector/names.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/abi/guard.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/base/log.h"

#define REPORT_MAX (4 << 20)

static void clear(char **table)
{
	for (unsigned i = 0; i < NAMES_MAX; i++) {
		free(table[i]);
		table[i] = NULL;
	}
}

/* An array of names by number; null where a number has none. */
static void read_table(char **table, const json_t *array)
{
	if (!json_is_array(array))
		return;
	clear(table);
	for (size_t i = 0; i < json_array_size(array) && i < NAMES_MAX; i++) {
		const char *text = json_string_value(json_array_get(array, i));

		table[i] = text && strlen(text) < 64 ? strdup(text) : NULL;
	}
}

static void read_ifaces(struct names *names, const json_t *array)
{
	names->n_ifaces = 0;
	for (size_t i = 0; i < json_array_size(array) && names->n_ifaces < NAMES_IFACES; i++) {
		const json_t *item = json_array_get(array, i);
		const char *name = json_string_value(json_object_get(item, "name"));
		json_int_t ifindex = json_integer_value(json_object_get(item, "ifindex"));

		if (!name || ifindex <= 0)
			continue;
		names->iface[names->n_ifaces].ifindex = (uint32_t)ifindex;
		snprintf(names->iface[names->n_ifaces].name, sizeof(names->iface[0].name), "%s", name);
		names->n_ifaces++;
	}
}

/* Does a sensor of that name run? */
static bool is_sensor(const json_t *sensors, const char *name)
{
	for (size_t i = 0; i < json_array_size(sensors); i++) {
		const json_t *item = json_array_get(sensors, i);
		const char *text = json_string_value(json_object_get(item, "name"));

		if (text && !strcmp(text, name))
			return json_is_string(json_object_get(item, "rung"));
	}
	return false;
}

static int load(const char *path, json_t **ret_root)
{
	/* Others may make files in this folder: a FIFO of this name must not hold us. */
	PST_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	json_error_t error;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > REPORT_MAX)
		return -EINVAL;
	*ret_root = json_loadfd(fd, 0, &error);
	if (*ret_root)
		return 0;
	pst_warn_limited(
		"loader's report is malformed path=%s line=%d column=%d", path, error.line, error.column);
	return -EBADMSG;
}

int names_update(struct names *names, const char *path)
{
	struct stat st;
	json_t *root = NULL;
	uint64_t mtime;

	if (stat(path, &st) < 0)
		return -errno;
	mtime = (uint64_t)st.st_mtim.tv_sec * 1000000000ull + (uint64_t)st.st_mtim.tv_nsec;
	if (mtime == names->mtime_ns)
		return 0;
	int e = load(path, &root);
	if (e)
		return e;
	read_table(names->drop, json_object_get(root, "drop_reasons"));
	read_table(names->reset, json_object_get(root, "reset_reasons"));
	read_ifaces(names, json_object_get(root, "interfaces"));
	names->guarded = is_sensor(json_object_get(root, "sensors"), "guard");
	names->net_ns = (uint32_t)json_integer_value(json_object_get(root, "net_ns"));
	names->mtime_ns = mtime;
	json_decref(root);
	return 0;
}

/* ---- rules ---- */

#define RULES_HEAD  "penstock-places "
#define RULES_BYTES (PST_FW_RULES_MAX * 80u) /* as policyd has it: a number and a name in a line */
#define RULES_TRY   1000000ull               /* an unknown generation: the file is looked at so often */

static void rules_done(struct rule_names *r)
{
	free(r->text);
	free(r->at);
	*r = (struct rule_names){0};
}

/* "COUNTER NAME", ended by @end, which is made a NUL. */
static bool read_rule(struct rule_names *r, char *line, char *end)
{
	char *name;
	unsigned long counter;

	*end = 0;
	if (*line < '0' || *line > '9')
		return false;
	counter = strtoul(line, &name, 10);
	if (*name != ' ' || counter >= PST_FW_COUNTERS || memchr(name, 0, (size_t)(end - name)) ||
		end - name < 2 || end - name > PST_FW_NAME_BYTES + 1)
		return false;
	r->at[counter] = (uint32_t)(name + 1 - r->text);
	return true;
}

/* All of it or nothing. */
static bool read_rules(struct rule_names *r)
{
	char *p = r->text, *end = p + r->len, *newline = memchr(p, '\n', r->len), *rest;

	if (!newline || strncmp(p, RULES_HEAD, strlen(RULES_HEAD)) != 0)
		return false;
	*newline = 0;
	r->generation = strtoull(p + strlen(RULES_HEAD), &rest, 10);
	if (rest != newline || !r->generation)
		return false;
	for (p = newline + 1; p < end; p = newline + 1) {
		newline = memchr(p, '\n', (size_t)(end - p));
		if (!newline || !read_rule(r, p, newline))
			return false;
	}
	return true;
}

static int load_rules(int fd, struct rule_names *r)
{
	int e = pst_read_file(fd, RULES_BYTES, &r->text, &r->len);

	if (e)
		return e;
	r->at = calloc(PST_FW_COUNTERS, sizeof(*r->at));
	if (!r->at)
		return -ENOMEM;
	return read_rules(r) ? 0 : -EBADMSG;
}

static bool same_rules(const struct rule_names *a, const struct rule_names *b)
{
	return a->generation == b->generation && a->len == b->len && !memcmp(a->text, b->text, a->len);
}

/* Numbers that do not grow are of tables that were made anew, and say nothing of flows of before. */
static void take_rules(struct names *names, struct rule_names *r, uint64_t now_ns)
{
	struct rule_names *newest = &names->rules[0], *before = &names->rules[1];

	if (newest->generation && same_rules(newest, r))
		return;
	rules_done(before);
	if (newest->generation && r->generation <= newest->generation) {
		names->rules_begun_ns = now_ns;
		rules_done(newest);
	}
	*before = *newest;
	*newest = *r;
	*r = (struct rule_names){0};
}

void names_update_rules(struct names *names, uint64_t now_ns)
{
	PST_CLEANUP(rules_done) struct rule_names fresh = {0};
	PST_CLOSE int fd = -1;
	struct stat st;
	uint64_t mtime;

	names->rules_tried_ns = now_ns;
	errno = 0;
	/* As with the report, for what others may have put there. */
	fd = names->rules_path ? open(names->rules_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		if (names->rules_path && errno != ENOENT)
			pst_warn_limited("can't read the names of rules path=%s error=%s", names->rules_path,
				strerror(errno));
		return;
	}
	mtime = (uint64_t)st.st_mtim.tv_sec * 1000000000ull + (uint64_t)st.st_mtim.tv_nsec;
	if (mtime == names->rules_mtime_ns && st.st_ino == names->rules_ino)
		return;
	names->rules_mtime_ns = mtime;
	names->rules_ino = st.st_ino;
	int e = load_rules(fd, &fresh);
	if (e)
		pst_warn_limited(
			"can't read the names of rules path=%s error=%s", names->rules_path, strerror(-e));
	else
		take_rules(names, &fresh, now_ns);
}

static const struct rule_names *rules_of(const struct names *names, uint32_t generation)
{
	for (size_t i = 0; i < PST_ARRAY_SIZE(names->rules); i++)
		if (names->rules[i].generation && (uint32_t)names->rules[i].generation == generation)
			return &names->rules[i];
	return NULL;
}

const char *names_rule(
	struct names *names, uint32_t generation, uint32_t counter, uint64_t first_ns, uint64_t now_ns)
{
	const struct rule_names *r = generation ? rules_of(names, generation) : NULL;

	if (!generation || counter >= PST_FW_COUNTERS)
		return "";
	if (!r && names->rules_path && now_ns - names->rules_tried_ns >= RULES_TRY) {
		names_update_rules(names, now_ns);
		r = rules_of(names, generation);
	}
	return r && r->at[counter] && first_ns >= names->rules_begun_ns ? r->text + r->at[counter] : "";
}

/* ---- rules of policies ---- */

/* By words: others may write there meanwhile, and what was read is thrown away then. */
static void copy_label(struct pst_pol_label *to, const struct pst_pol_label *from)
{
	uint64_t words[sizeof(*to) / sizeof(uint64_t)];
	const uint64_t *w = (const void *)from;

	for (size_t i = 0; i < PST_ARRAY_SIZE(words); i++)
		words[i] = __atomic_load_n(&w[i], __ATOMIC_RELAXED);
	memcpy(to, words, sizeof(*to));
}

static bool read_label(const struct pst_pol_labels *half, uint32_t generation, uint32_t rule,
	struct pst_pol_label *ret_label)
{
	uint64_t before = __atomic_load_n(&half->generation, __ATOMIC_ACQUIRE), after;

	if (!before || (uint32_t)before != generation)
		return false;
	copy_label(ret_label, &half->rule[rule]);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	after = __atomic_load_n(&half->generation, __ATOMIC_RELAXED);
	return before == after;
}

bool names_is_label(const struct pst_pol_label *l)
{
	return *l->policy && *l->rule && memchr(l->policy, 0, sizeof(l->policy)) &&
	       memchr(l->rule, 0, sizeof(l->rule));
}

bool names_policy(
	const struct names *names, uint32_t generation, uint32_t rule, struct pst_pol_label *ret_label)
{
	const struct pst_shm *map = &names->policies;

	return map->base && rule < PST_POL_RULES_MAX &&
	       read_label(pst_shm_at(map, generation & 1), generation, rule, ret_label) &&
	       names_is_label(ret_label);
}

void names_done(struct names *names)
{
	rules_done(&names->rules[0]);
	rules_done(&names->rules[1]);
	free(names->rules_path);
	names->rules_path = NULL;
	clear(names->drop);
	clear(names->reset);
}

static const char *lookup(struct names *names, char *const *table, uint32_t number)
{
	/* The kernel keeps the subsystem of a drop reason in its upper half; those have no name here. */
	if (number < NAMES_MAX && table[number])
		return table[number];
	snprintf(names->scratch, sizeof(names->scratch), number > 0xffff ? "0x%x" : "%u", number);
	return names->scratch;
}

const char *names_drop(struct names *names, uint32_t reason)
{
	return reason || names->drop[0] ? lookup(names, names->drop, reason) : "";
}

const char *names_reset(struct names *names, uint32_t reason)
{
	return reason ? lookup(names, names->reset, reason) : "";
}

const char *names_iface(const struct names *names, uint32_t ifindex, uint32_t net_ns)
{
	if (names->net_ns && names->net_ns != net_ns)
		return "";
	for (unsigned i = 0; i < names->n_ifaces; i++)
		if (names->iface[i].ifindex == ifindex)
			return names->iface[i].name;
	return "";
}
