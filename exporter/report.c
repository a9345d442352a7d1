// SPDX-License-Identifier: Apache-2.0
#include "exporter/report.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/base/log.h"
#include "proto/base/loop.h"
#include "proto/wire/json.h"

#define REPORT_MAX     (4 << 20) /* more than the loader writes of 4,096 interfaces */
#define GUARDED_MAX    256
#define SENSORS_MAX    256
#define OPERATIONS_MAX 64
#define WAITING_MAX    192             /* 3 lists of 64 */
#define STALE_NS       120000000000ull /* a loader that stays writes its report more often */

struct report {
	char *path;
	uint32_t max_label;
	struct stat seen; /* of the file that was read last */
	bool have;
	json_t *root; /* NULL: none that is good */
	char problem[256];
	uint64_t written_ns; /* CLOCK_BOOTTIME */
	bool serving;        /* the loader stays and writes it anew from time to time */
};

int report_new(const char *run_dir, uint32_t max_label_bytes, struct report **ret_report)
{
	PST_FREE struct report *report = calloc(1, sizeof(*report));

	if (!report)
		return -ENOMEM;
	if (asprintf(&report->path, "%s/loader.json", run_dir) < 0)
		return -ENOMEM;
	report->max_label = max_label_bytes;
	snprintf(report->problem, sizeof(report->problem), "not read yet");
	*ret_report = PST_TAKE_PTR(report);
	return 0;
}

void report_free(struct report *report)
{
	if (!report)
		return;
	json_decref(report->root);
	free(report->path);
	free(report);
}

static void set_problem(struct report *report, const char *what, const char *why)
{
	json_decref(report->root);
	report->root = NULL;
	snprintf(report->problem, sizeof(report->problem), "%s: %s", what, why);
}

static int read_all(int fd, size_t size, char **ret_text)
{
	PST_FREE char *text = malloc(size + 1);
	ssize_t n = text ? pst_read_all(fd, text, size) : -ENOMEM;

	if (n < 0)
		return (int)n;
	if ((size_t)n < size)
		return -EIO;
	text[size] = 0;
	*ret_text = PST_TAKE_PTR(text);
	return 0;
}

static void load(struct report *report, int fd, size_t size)
{
	PST_FREE char *text = NULL;
	json_error_t error;
	json_t *root;
	int r = read_all(fd, size, &text);

	if (r < 0)
		return set_problem(report, "cannot read the loader's report", strerror(-r));
	root = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK, &error);
	if (!json_is_object(root)) {
		json_decref(root);
		set_problem(report, "the loader's report is malformed", error.text);
		pst_warn_limited("loader's report is malformed path=%s line=%d column=%d", report->path,
			error.line, error.column);
		return;
	}
	json_decref(report->root);
	report->root = root;
	report->problem[0] = 0;
	report->serving = json_is_true(json_object_get(root, "serving"));
	report->written_ns =
		(uint64_t)PST_MAX(json_integer_value(json_object_get(root, "written_boot_ns")), 0);
}

static uint64_t age_ns(const struct report *report)
{
	uint64_t now = pst_now_boot_ns();

	return report->written_ns < now ? now - report->written_ns : 0;
}

static void check_age(struct report *report)
{
	if (!report->root)
		return;
	report->problem[0] = 0;
	if (report->written_ns > pst_now_boot_ns())
		snprintf(report->problem, sizeof(report->problem),
			"the loader's report is of an earlier boot");
	else if (report->serving && age_ns(report) > STALE_NS)
		snprintf(report->problem, sizeof(report->problem),
			"the loader has not written its report for %llu s",
			(unsigned long long)(age_ns(report) / 1000000000));
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int open_report(struct report *report, struct stat *ret_st)
{
	PST_CLOSE int fd = open(report->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);

	if (fd < 0 || fstat(fd, ret_st) < 0) {
		set_problem(report, "cannot open the loader's report", strerror(errno));
		return -errno;
	}
	if (!S_ISREG(ret_st->st_mode) || ret_st->st_size > REPORT_MAX) {
		set_problem(report, "the loader's report", "not a file of at most 4 MiB");
		return -EINVAL;
	}
	/* Others may make files in this folder while there is no loader. */
	if (ret_st->st_uid != 0 && ret_st->st_uid != geteuid()) {
		set_problem(report, "the loader's report", "the file is neither root's nor ours");
		return -EPERM;
	}
	return PST_TAKE_FD(fd);
}

static bool reload(struct report *report)
{
	PST_CLOSE int fd = -1;
	struct stat st;

	if (report->have && stat(report->path, &st) == 0 && same_file(&st, &report->seen))
		return false;
	fd = open_report(report, &st);
	report->have = fd >= 0;
	if (fd < 0)
		return false;
	report->seen = st;
	load(report, fd, (size_t)st.st_size);
	return report->root;
}

bool report_refresh(struct report *report)
{
	bool fresh = reload(report);

	check_age(report);
	return fresh;
}

bool report_interface(const struct report *report, unsigned i, uint32_t *ret_ifindex, const char **ret_name)
{
	const json_t *item = json_array_get(json_object_get(report->root, "interfaces"), i);
	const char *name = json_string_value(json_object_get(item, "name"));

	if (!item)
		return false;
	*ret_ifindex = (uint32_t)json_integer_value(json_object_get(item, "ifindex"));
	*ret_name = name ? name : "";
	return true;
}

const char *report_problem(const struct report *report)
{
	return report->problem;
}

void report_json(const struct report *report, struct pst_buf *out)
{
	PST_FREE char *text = report->root ? json_dumps(report->root, JSON_COMPACT) : NULL;

	pst_json_raw(out, text ? text : "null");
}

/* ---- exposition ---- */

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* "observe deny" */
static void join_can(const json_t *can, char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = 0;
	for (size_t i = 0; i < json_array_size(can) && len < size; i++) {
		const char *word = json_string_value(json_array_get(can, i));

		if (word)
			len += (size_t)snprintf(buf + len, size - len, "%s%s", len ? " " : "", word);
	}
}

/* "lsm: not in the list of LSMs; fexit: ..." */
static void join_reasons(const json_t *why, char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = 0;
	for (size_t i = 0; i < json_array_size(why) && len < size; i++) {
		const json_t *item = json_array_get(why, i);

		len += (size_t)snprintf(buf + len, size - len, "%s%s: %s", len ? "; " : "",
			text_of(item, "rung"), text_of(item, "reason"));
	}
}

static void sensor_labels(const struct report *report, const json_t *sensor, struct pst_buf *label)
{
	char can[64], reason[512];
	const char *values[] = {
		text_of(sensor, "name"), text_of(sensor, "state"), text_of(sensor, "rung"), can, reason};
	static const char *const names[] = {"sensor", "state", "rung", "can", "reason"};

	join_can(json_object_get(sensor, "can"), can, sizeof(can));
	join_reasons(json_object_get(sensor, "why_not"), reason, sizeof(reason));
	for (unsigned i = 0; i < PST_ARRAY_SIZE(names); i++)
		expo_label(label, names[i], values[i], strlen(values[i]), report->max_label);
}

/* A name may come once only. */
static bool first_of_name(const json_t *rows, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(text_of(json_array_get(rows, i), "name"), name))
			return false;
	return *name;
}

static void expose_sensors(const struct report *report, struct expo *expo, bool info)
{
	const json_t *sensors = json_object_get(report->root, "sensors");

	expo_family(expo, &metrics_table[info ? M_SENSOR : M_SENSOR_ACTIVE]);
	for (size_t i = 0; i < json_array_size(sensors) && i < SENSORS_MAX; i++) {
		PST_CLEANUP(pst_buf_done) struct pst_buf label = {0};
		const json_t *sensor = json_array_get(sensors, i);
		const char *name = text_of(sensor, "name"), *state = text_of(sensor, "state");

		if (!first_of_name(sensors, i, name))
			continue;
		if (info)
			sensor_labels(report, sensor, &label);
		else
			expo_label(&label, "sensor", name, strlen(name), report->max_label);
		if (!label.failed)
			expo_u64(expo, (const char *)label.p,
				info || !strcmp(state, "active") || !strcmp(state, "weaker"));
	}
}

static void guarded_labels(
	const struct report *report, const json_t *row, const char *const *keys, struct pst_buf *label)
{
	static const char *const names[] = {"interface", "mode", "reason"};

	for (unsigned i = 0; i < PST_ARRAY_SIZE(names); i++) {
		const char *value = text_of(row, keys[i]);

		expo_label(label, names[i], value, strlen(value), report->max_label);
	}
}

/* @keys: of the name, of the mode in this direction, and of why not. */
static void expose_guarded(
	const struct report *report, struct expo *expo, const struct metric *metric, const char *const *keys)
{
	const json_t *rows = json_object_get(report->root, "guard");

	expo_family(expo, metric);
	for (size_t i = 0; i < json_array_size(rows) && i < GUARDED_MAX; i++) {
		PST_CLEANUP(pst_buf_done) struct pst_buf label = {0};
		const json_t *row = json_array_get(rows, i);
		const char *mode = text_of(row, keys[1]);

		if (!first_of_name(rows, i, text_of(row, "name")))
			continue;
		guarded_labels(report, row, keys, &label);
		if (!label.failed)
			expo_u64(expo, (const char *)label.p, *mode && strcmp(mode, "none") != 0);
	}
}

static bool first_entry(const json_t *rows, size_t i, const char *list, const char *entry)
{
	for (size_t k = 0; k < i; k++)
		if (!strcmp(text_of(json_array_get(rows, k), "list"), list) &&
			!strcmp(text_of(json_array_get(rows, k), "entry"), entry))
			return false;
	return *entry;
}

static void expose_waiting(const struct report *report, struct expo *expo)
{
	const json_t *rows = json_object_get(report->root, "waiting");

	expo_family(expo, &metrics_table[M_WAITING]);
	for (size_t i = 0; i < json_array_size(rows) && i < WAITING_MAX; i++) {
		PST_CLEANUP(pst_buf_done) struct pst_buf label = {0};
		const json_t *row = json_array_get(rows, i);
		const char *list = text_of(row, "list"), *entry = text_of(row, "entry");

		if (!first_entry(rows, i, list, entry))
			continue;
		expo_label(&label, "list", list, strlen(list), report->max_label);
		expo_label(&label, "entry", entry, strlen(entry), report->max_label);
		if (!label.failed)
			expo_u64(expo, (const char *)label.p, 1);
	}
}

/* ---- policies ---- */

static void operation_labels(const struct report *report, const json_t *row, struct pst_buf *label)
{
	static const char *const keys[][2] = {
		{"operation", "name"}, {"level", "level"}, {"sensor", "sensor"}, {"reason", "why_not"}};

	for (unsigned i = 0; i < PST_ARRAY_SIZE(keys); i++) {
		const char *value = text_of(row, keys[i][1]);

		expo_label(label, keys[i][0], value, strlen(value), report->max_label);
	}
}

static void expose_operations(const struct report *report, struct expo *expo, const json_t *policies)
{
	const json_t *rows = json_object_get(policies, "operations");

	expo_family(expo, &metrics_table[M_POLICY_OP]);
	for (size_t i = 0; i < json_array_size(rows) && i < OPERATIONS_MAX; i++) {
		PST_CLEANUP(pst_buf_done) struct pst_buf label = {0};
		const json_t *row = json_array_get(rows, i);

		if (!first_of_name(rows, i, text_of(row, "name")))
			continue;
		operation_labels(report, row, &label);
		if (!label.failed)
			expo_u64(expo, (const char *)label.p, 1);
	}
}

/* Members of an object as values of one label. */
static void expose_counts(struct expo *expo, const struct metric *metric, const json_t *counts,
	const char *label, const char *const *names)
{
	expo_family(expo, metric);
	for (; json_is_object(counts) && *names; names++) {
		PST_CLEANUP(pst_buf_done) struct pst_buf text = {0};
		json_int_t n = json_integer_value(json_object_get(counts, *names));

		expo_label_text(&text, label, *names);
		if (!text.failed)
			expo_u64(expo, (const char *)text.p, (uint64_t)PST_MAX(n, 0));
	}
}

static void expose_policies(const struct report *report, struct expo *expo)
{
	static const char *const judged[] = {"all", "some", "lost", NULL}, *const lines[] = {
										   "full", "climbed", NULL};
	const json_t *policies = json_object_get(report->root, "policies");

	expose_operations(report, expo, policies);
	expose_counts(
		expo, &metrics_table[M_POLICY_JUDGED], json_object_get(policies, "acts"), "judged", judged);
	expose_counts(
		expo, &metrics_table[M_POLICY_LINES], json_object_get(policies, "ancestors"), "event", lines);
}

void report_expose(const struct report *report, struct expo *expo)
{
	static const char *const in[] = {"name", "mode", "why"}, *const out[] = {"name", "out", "out_why"};

	expo_family(expo, &metrics_table[M_LOADER_UP]);
	expo_u64(expo, NULL, !report->problem[0]);
	if (!report->root)
		return;
	expo_family(expo, &metrics_table[M_LOADER_AGE]);
	expo_ns(expo, NULL, age_ns(report));
	expo_family(expo, &metrics_table[M_LOAD_FAILED]);
	expo_u64(expo, NULL, *text_of(report->root, "load_error") != '\0');
	expo_family(expo, &metrics_table[M_TABLES_CHANGED]);
	expo_u64(expo, NULL, *text_of(report->root, "tables_changed") != '\0');
	expose_sensors(report, expo, true);
	expose_sensors(report, expo, false);
	expose_guarded(report, expo, &metrics_table[M_GUARDED], in);
	expose_guarded(report, expo, &metrics_table[M_GUARDED_OUT], out);
	expose_waiting(report, expo);
	expose_policies(report, expo);
	expo_family(expo, &metrics_table[M_REATTACHED]);
	expo_u64(expo, NULL, (uint64_t)json_integer_value(json_object_get(report->root, "reattached")));
}
