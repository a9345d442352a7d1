// SPDX-License-Identifier: Apache-2.0
#include "exporter/stage_stats.h"

#include <ctype.h>

#include "proto/base/cleanup.h"
#include "proto/base/stat.h"

#define NAME_MAX_LEN 80
#define HELP_MAX_LEN 200
#define LABELS_MAX   8
#define ROWS_MAX     (PST_STATS_MAX + 1 + PST_STATS_EXTRA_MAX)

struct stat_value {
	uint32_t name, labels, help; /* offsets into the text, NUL-terminated */
	enum metric_type type;
	uint64_t value; /* nanoseconds if ns */
	const char *unit;
	bool ns;
};

struct stage_stats {
	struct pst_buf text;
	struct stat_value *v;
	uint32_t n, skipped;
};

void stage_stats_free(struct stage_stats *stats)
{
	if (!stats)
		return;
	pst_buf_done(&stats->text);
	free(stats->v);
	free(stats);
}

/* ---- names ---- */

/* How a name ends says its unit; Prometheus wants base units. */
static const struct {
	const char *ending, *to;
	uint32_t to_ns;
} units[] = {
	{"_ns", "_seconds", 1},
	{"_us", "_seconds", 1000},
	{"_ms", "_seconds", 1000000},
	{"_seconds", "_seconds", 1000000000},
	{"_bytes", "_bytes", 0},
};

static bool ends_with(const char *text, const char *ending)
{
	size_t len = strlen(text), n = strlen(ending);

	return len > n && !strcmp(text + len - n, ending);
}

/* Endings that mean something else in an exposition. */
static void cut_endings(char *name)
{
	static const char *const endings[] = {"_total", "_count", "_sum", "_bucket", "_info", "_created"};

	for (bool again = true; again;) {
		again = false;
		for (unsigned i = 0; i < PST_ARRAY_SIZE(endings); i++) {
			if (ends_with(name, endings[i])) {
				name[strlen(name) - strlen(endings[i])] = 0;
				again = true;
			}
		}
	}
}

/* A metric or label name from any bytes; false if nothing is left. */
static bool make_name(const char *text, uint32_t len, char name[NAME_MAX_LEN])
{
	uint32_t n = 0;

	if (len >= NAME_MAX_LEN - 16)
		return false;
	for (uint32_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		name[n++] = isalnum(c) && c < 0x80 ? (char)tolower(c) : '_';
	}
	name[n] = 0;
	return n && isalpha((unsigned char)name[0]);
}

/* One of ours? A family may appear only once. */
static bool taken(const char *name)
{
	for (unsigned i = 0; i < METRICS_N; i++) {
		size_t len = strlen(metrics_table[i].name);

		if (!strcmp(metrics_table[i].name, name))
			return true;
		if (metrics_table[i].type == METRIC_HISTOGRAM && !strncmp(metrics_table[i].name, name, len) &&
			name[len] == '_')
			return true;
	}
	return false;
}

/* What would be one of ours is told apart by its prefix. */
static bool make_free(char name[NAME_MAX_LEN])
{
	static const char prefix[] = "stage_";
	size_t len = strlen(name);

	if (!taken(name))
		return true;
	if (len + sizeof(prefix) > NAME_MAX_LEN)
		return false;
	memmove(name + sizeof(prefix) - 1, name, len + 1);
	memcpy(name, prefix, sizeof(prefix) - 1);
	return !taken(name);
}

static void convert_unit(char name[NAME_MAX_LEN], struct stat_value *v)
{
	size_t at;

	v->unit = "";
	for (unsigned i = 0; i < PST_ARRAY_SIZE(units); i++) {
		if (!ends_with(name, units[i].ending))
			continue;
		at = strlen(name) - strlen(units[i].ending);
		snprintf(name + at, NAME_MAX_LEN - at, "%s", units[i].to);
		v->unit = units[i].to + 1;
		v->ns = units[i].to_ns;
		if (v->ns && __builtin_mul_overflow(v->value, units[i].to_ns, &v->value))
			v->value = UINT64_MAX;
		return;
	}
}

/* ---- parsing ---- */

static bool text_at(const msgpack_object *array, uint32_t i, const char **ret_text, uint32_t *ret_len)
{
	const msgpack_object *v = &array->via.array.ptr[i];

	*ret_text = "";
	*ret_len = 0;
	if (v->type == MSGPACK_OBJECT_NIL)
		return true;
	if (v->type == MSGPACK_OBJECT_STR) {
		*ret_text = v->via.str.ptr;
		*ret_len = v->via.str.size;
	} else if (v->type == MSGPACK_OBJECT_BIN) {
		*ret_text = v->via.bin.ptr;
		*ret_len = v->via.bin.size;
	} else {
		return false;
	}
	return true;
}

/* "counter" and "gauge", or the number of enum pst_stat_type. */
static bool type_at(const msgpack_object *array, uint32_t i, enum metric_type *ret_type)
{
	const msgpack_object *v = &array->via.array.ptr[i];
	const char *text;
	uint32_t len;

	if (v->type == MSGPACK_OBJECT_POSITIVE_INTEGER) {
		*ret_type = v->via.u64 == PST_STAT_GAUGE ? METRIC_GAUGE : METRIC_COUNTER;
		return v->via.u64 <= PST_STAT_GAUGE;
	}
	if (!text_at(array, i, &text, &len))
		return false;
	*ret_type = len == 5 ? METRIC_GAUGE : METRIC_COUNTER;
	return (len == 5 && !memcmp(text, "gauge", 5)) || (len == 7 && !memcmp(text, "counter", 7));
}

static uint32_t keep(struct pst_buf *text, const char *bytes, size_t len)
{
	size_t at = text->len;

	pst_mp_raw(text, bytes, len);
	pst_mp_raw(text, "", 1);
	return (uint32_t)at;
}

/* What is before the next comma, or all; takes it off. */
static void cut_at_comma(const char **text, uint32_t *len, const char **ret_part, uint32_t *ret_len)
{
	const char *comma = memchr(*text, ',', *len);
	uint32_t n = comma ? (uint32_t)(comma - *text) : *len;

	*ret_part = *text;
	*ret_len = n;
	*text += n + (comma != NULL);
	*len -= n + (comma != NULL);
}

/* The n-th of a row, into @made: not one that the metric has already. */
static bool make_label_name(const char *text, uint32_t len, char (*made)[NAME_MAX_LEN], uint32_t n)
{
	char *name = made[n];

	if (!make_name(text, len, name))
		return false;
	if (!strcmp(name, "stage") || !strcmp(name, "le"))
		memcpy(name + strlen(name), "_label", sizeof("_label"));
	for (uint32_t i = 0; i < n; i++)
		if (!strcmp(made[i], name))
			return false;
	return true;
}

/* Names apart by commas, and as many values; the last one may have commas in it. */
static bool put_labels(struct pst_buf *labels, const char *names, uint32_t names_len, const char *values,
	uint32_t values_len, size_t max_label)
{
	char made[LABELS_MAX][NAME_MAX_LEN];

	for (uint32_t n = 0; names_len; n++) {
		const char *part, *value = values;
		uint32_t len, value_len = values_len;

		cut_at_comma(&names, &names_len, &part, &len);
		if (n == LABELS_MAX || !make_label_name(part, len, made, n))
			return false;
		if (names_len)
			cut_at_comma(&values, &values_len, &value, &value_len);
		expo_label(labels, made[n], value, value_len, max_label);
	}
	return true;
}

static bool keep_labels(struct stage_stats *stats, const char *stage, const msgpack_object *row,
	size_t max_label, struct stat_value *v)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf labels = {0};
	const char *names, *values;
	uint32_t names_len, values_len;

	expo_label_text(&labels, "stage", stage);
	if (!text_at(row, 1, &names, &names_len) || !text_at(row, 2, &values, &values_len) ||
		!put_labels(&labels, names, names_len, values, values_len, max_label))
		return false;
	if (labels.failed)
		return false;
	v->labels = keep(&stats->text, (const char *)labels.p, labels.len);
	return true;
}

static bool parse_row(
	struct stage_stats *stats, const char *stage, const msgpack_object *row, size_t max_label)
{
	struct stat_value v = {0};
	char name[NAME_MAX_LEN];
	const char *text;
	uint32_t len;

	if (row->type != MSGPACK_OBJECT_ARRAY || row->via.array.size < 6)
		return false;
	if (!text_at(row, 0, &text, &len) || !make_name(text, len, name) || !type_at(row, 3, &v.type))
		return false;
	if (row->via.array.ptr[4].type != MSGPACK_OBJECT_POSITIVE_INTEGER)
		return false;
	v.value = row->via.array.ptr[4].via.u64;
	cut_endings(name);
	convert_unit(name, &v);
	if (!make_free(name) || !keep_labels(stats, stage, row, max_label, &v) ||
		!text_at(row, 5, &text, &len))
		return false;
	v.name = keep(&stats->text, name, strlen(name));
	v.help = keep(&stats->text, text, strnlen(text, PST_MIN(len, (uint32_t)HELP_MAX_LEN)));
	if (stats->text.failed)
		return false;
	stats->v[stats->n++] = v;
	return true;
}

struct stage_stats *stage_stats_parse(const char *stage, const msgpack_object *rows, size_t max_label)
{
	struct stage_stats *stats = calloc(1, sizeof(*stats));
	uint32_t n = rows && rows->type == MSGPACK_OBJECT_ARRAY ? rows->via.array.size : 0;

	if (!stats)
		return NULL;
	stats->v = calloc(PST_MIN(n, (uint32_t)ROWS_MAX) + 1, sizeof(*stats->v));
	if (!stats->v) {
		stage_stats_free(stats);
		return NULL;
	}
	for (uint32_t i = 0; i < n; i++)
		if (i >= ROWS_MAX || !parse_row(stats, stage, &rows->via.array.ptr[i], max_label))
			stats->skipped++;
	return stats;
}

/* ---- exposition ---- */

struct item {
	const char *name, *labels, *help;
	const struct stat_value *v;
};

static int by_name(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int r = strcmp(x->name, y->name);

	return r ? r : strcmp(x->labels, y->labels);
}

static uint32_t gather(
	const struct stage_stats *const *stats, unsigned n, struct item *items, uint32_t *ret_skipped)
{
	uint32_t count = 0;

	*ret_skipped = 0;
	for (unsigned i = 0; i < n; i++) {
		const char *text = (const char *)stats[i]->text.p;

		*ret_skipped += stats[i]->skipped;
		for (uint32_t k = 0; k < stats[i]->n; k++) {
			const struct stat_value *v = &stats[i]->v[k];

			items[count++] = (struct item){text + v->name, text + v->labels, text + v->help, v};
		}
	}
	return count;
}

/* Help is one line of plain text. */
static void clean_help(const char *help, char buf[HELP_MAX_LEN + 1])
{
	size_t n = 0;

	for (; help[n] && n < HELP_MAX_LEN; n++)
		buf[n] = help[n] >= 0x20 && help[n] < 0x7f ? help[n] : ' ';
	buf[n] = 0;
}

static void expose_family(const struct item *items, uint32_t n, struct expo *expo, uint32_t *skipped)
{
	char help[HELP_MAX_LEN + 1];
	struct metric metric = {.name = items[0].name, .type = items[0].v->type, .unit = items[0].v->unit};

	clean_help(items[0].help, help);
	metric.help = *help ? help : "A value of the stage's status.";
	expo_family(expo, &metric);
	for (uint32_t i = 0; i < n; i++) {
		/* a name has one type, a label set appears once */
		if (items[i].v->type != metric.type || (i && !strcmp(items[i].labels, items[i - 1].labels))) {
			(*skipped)++;
			continue;
		}
		if (items[i].v->ns)
			expo_ns(expo, items[i].labels, items[i].v->value);
		else
			expo_u64(expo, items[i].labels, items[i].v->value);
	}
}

void stage_stats_expose(const struct stage_stats *const *stats, unsigned n, struct expo *expo)
{
	uint32_t total = 0, count, skipped;

	for (unsigned i = 0; i < n; i++)
		total += stats[i]->n;
	PST_FREE struct item *items = calloc(total + 1, sizeof(*items));
	if (!items)
		return;
	count = gather(stats, n, items, &skipped);
	qsort(items, count, sizeof(*items), by_name);
	for (uint32_t i = 0, end; i < count; i = end) {
		for (end = i + 1; end < count && !strcmp(items[i].name, items[end].name); end++)
			;
		expose_family(items + i, end - i, expo, &skipped);
	}
	expo_family(expo, &metrics_table[M_STATS_SKIPPED]);
	expo_u64(expo, NULL, skipped);
}
