// SPDX-License-Identifier: Apache-2.0
#include "exporter/expo.h"

#include <stdio.h>

#include "proto/base/cleanup.h"

#define METRIC(ID, name, type, unit, labels, help) {name, METRIC_##type, unit, labels, help},
const struct metric metrics_table[METRICS_N] = {
#include "exporter/metrics.def"
};
#undef METRIC

#define PREFIX "penstock_"

static void put(struct pst_buf *out, const void *bytes, size_t len)
{
	if (!pst_buf_reserve(out, len))
		return;
	memcpy(out->p + out->len, bytes, len);
	out->len += len;
}

static void put_text(struct pst_buf *out, const char *text)
{
	put(out, text, strlen(text));
}

static const char digit_pairs[] = "00010203040506070809"
				  "10111213141516171819"
				  "20212223242526272829"
				  "30313233343536373839"
				  "40414243444546474849"
				  "50515253545556575859"
				  "60616263646566676869"
				  "70717273747576777879"
				  "80818283848586878889"
				  "90919293949596979899";

/* Digits of @v end at @end; returns where they begin. */
static char *digits(char *end, uint64_t v)
{
	while (v >= 100) {
		end -= 2;
		memcpy(end, &digit_pairs[v % 100 * 2], 2);
		v /= 100;
	}
	if (v >= 10) {
		end -= 2;
		memcpy(end, &digit_pairs[v * 2], 2);
	} else {
		*--end = (char)('0' + v);
	}
	return end;
}

void expo_uint(struct pst_buf *out, uint64_t v)
{
	char text[20];
	char *start = digits(text + sizeof(text), v);

	put(out, start, (size_t)(text + sizeof(text) - start));
}

static void put_seconds(struct pst_buf *out, uint64_t ns)
{
	uint32_t rest = (uint32_t)(ns % 1000000000);
	char text[10];
	unsigned len = 10;

	expo_uint(out, ns / 1000000000);
	if (!rest)
		return;
	text[0] = '.';
	for (unsigned i = 9; i; i--, rest /= 10)
		text[i] = (char)('0' + rest % 10);
	while (text[len - 1] == '0')
		len--;
	put(out, text, len);
}

static const char *const type_names[] = {[METRIC_COUNTER] = "counter",
	[METRIC_GAUGE] = "gauge",
	[METRIC_INFO] = "info",
	[METRIC_HISTOGRAM] = "histogram"};

/* A family's name has no suffix in OpenMetrics; the older format names families as their samples and knows no
 * info. */
static void put_family_name(struct expo *expo)
{
	put_text(expo->out, PREFIX);
	put_text(expo->out, expo->metric->name);
	if (!expo->openmetrics && expo->metric->type == METRIC_COUNTER)
		put_text(expo->out, "_total");
	if (!expo->openmetrics && expo->metric->type == METRIC_INFO)
		put_text(expo->out, "_info");
}

static void put_help(struct pst_buf *out, const char *help, bool openmetrics)
{
	for (const char *p = help; *p; p++) {
		if (*p == '\\')
			put_text(out, "\\\\");
		else if (*p == '\n')
			put_text(out, "\\n");
		else if (*p == '"' && openmetrics)
			put_text(out, "\\\"");
		else
			put(out, p, 1);
	}
}

static void put_header(struct expo *expo)
{
	const struct metric *metric = expo->metric;
	const char *type = type_names[metric->type];

	if (expo->headed)
		return;
	expo->headed = true;
	put_text(expo->out, "# HELP ");
	put_family_name(expo);
	put_text(expo->out, " ");
	put_help(expo->out, metric->help, expo->openmetrics);
	put_text(expo->out, "\n# TYPE ");
	put_family_name(expo);
	put_text(expo->out, " ");
	put_text(expo->out, !expo->openmetrics && metric->type == METRIC_INFO ? "gauge" : type);
	put_text(expo->out, "\n");
	if (!expo->openmetrics || !metric->unit[0])
		return;
	put_text(expo->out, "# UNIT ");
	put_family_name(expo);
	put_text(expo->out, " ");
	put_text(expo->out, metric->unit);
	put_text(expo->out, "\n");
}

void expo_family(struct expo *expo, const struct metric *metric)
{
	expo->metric = metric;
	expo->headed = false;
}

static void begin_sample(struct expo *expo, const char *suffix, const char *labels)
{
	put_header(expo);
	put_text(expo->out, PREFIX);
	put_text(expo->out, expo->metric->name);
	put_text(expo->out, suffix);
	if (labels && *labels) {
		put(expo->out, "{", 1);
		put_text(expo->out, labels);
		put(expo->out, "}", 1);
	}
	put(expo->out, " ", 1);
}

static const char *suffix_of(const struct metric *metric)
{
	return metric->type == METRIC_COUNTER ? "_total" : metric->type == METRIC_INFO ? "_info" : "";
}

void expo_u64(struct expo *expo, const char *labels, uint64_t value)
{
	begin_sample(expo, suffix_of(expo->metric), labels);
	expo_uint(expo->out, value);
	put(expo->out, "\n", 1);
}

void expo_ns(struct expo *expo, const char *labels, uint64_t ns)
{
	begin_sample(expo, suffix_of(expo->metric), labels);
	put_seconds(expo->out, ns);
	put(expo->out, "\n", 1);
}

/* OpenMetrics wants le="1.0", not le="1". */
static void bucket_label(struct pst_buf *label, uint64_t bound_ns, bool last)
{
	label->len = 0;
	put_text(label, "le=\"");
	if (last)
		put_text(label, "+Inf");
	else
		put_seconds(label, bound_ns);
	if (!last && bound_ns % 1000000000 == 0)
		put_text(label, ".0");
	put(label, "\"", 2);
	label->len--;
}

void expo_histogram(struct expo *expo, const uint64_t *bounds_ns, const uint64_t *counts, unsigned n_bounds,
	uint64_t sum_ns)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf label = {0};
	uint64_t total = 0;

	for (unsigned i = 0; i <= n_bounds; i++) {
		total += counts[i];
		bucket_label(&label, i < n_bounds ? bounds_ns[i] : 0, i == n_bounds);
		begin_sample(expo, "_bucket", label.failed ? "" : (const char *)label.p);
		expo_uint(expo->out, total);
		put(expo->out, "\n", 1);
	}
	begin_sample(expo, "_count", NULL);
	expo_uint(expo->out, total);
	put(expo->out, "\n", 1);
	begin_sample(expo, "_sum", NULL);
	put_seconds(expo->out, sum_ns);
	put(expo->out, "\n", 1);
}

void expo_end(struct expo *expo)
{
	if (expo->openmetrics)
		put_text(expo->out, "# EOF\n");
}

/* Length of the valid UTF-8 sequence at @p, 0 if it is none (overlong, surrogate, beyond U+10FFFF, cut off).
 */
static unsigned utf8_len(const uint8_t *p, size_t left)
{
	unsigned n = p[0] < 0x80   ? 1
		     : p[0] < 0xc2 ? 0
		     : p[0] < 0xe0 ? 2
		     : p[0] < 0xf0 ? 3
		     : p[0] < 0xf5 ? 4
				   : 0;

	if (!n || n > left)
		return 0;
	for (unsigned i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
		(p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

/* One character at @p: its length in the input, and whether it must be replaced. */
static unsigned next_char(const uint8_t *p, size_t left, bool *ret_bad)
{
	unsigned n = utf8_len(p, left);

	*ret_bad = !n || (n == 1 && (p[0] < 0x20 || p[0] == 0x7f) && p[0] != '\n');
	return n ? n : 1;
}

/* Bytes of the value after repair, before escaping. */
static size_t label_width(const uint8_t *p, size_t len)
{
	size_t width = 0;
	bool bad;

	for (size_t i = 0; i < len;) {
		unsigned n = next_char(p + i, len - i, &bad);

		width += bad ? 3 : n;
		i += n;
	}
	return width;
}

static void put_label_char(struct pst_buf *out, const uint8_t *p, unsigned n, bool bad)
{
	if (bad)
		put(out, "\xef\xbf\xbd", 3);
	else if (*p == '\n')
		put(out, "\\n", 2);
	else if (*p == '"' || *p == '\\')
		put(out, *p == '"' ? "\\\"" : "\\\\", 2);
	else
		put(out, p, n);
}

void expo_label(struct pst_buf *out, const char *name, const void *bytes, size_t len, size_t max)
{
	const uint8_t *p = bytes;
	bool cut = label_width(p, len) > max;
	size_t room = cut ? max - PST_MIN(max, 3u) : max;

	if (out->len)
		put(out, ",", 1);
	put_text(out, name);
	put(out, "=\"", 2);
	for (size_t i = 0; i < len;) {
		bool bad;
		unsigned n = next_char(p + i, len - i, &bad);

		if ((bad ? 3 : n) > room)
			break;
		room -= bad ? 3 : n;
		put_label_char(out, p + i, n, bad);
		i += n;
	}
	if (cut)
		put_text(out, "...");
	put(out, "\"", 2); /* with the NUL */
	if (!out->failed)
		out->len--;
}

void expo_label_text(struct pst_buf *out, const char *name, const char *text)
{
	expo_label(out, name, text, strlen(text), SIZE_MAX);
}

void expo_print_table(void)
{
	printf("| metric | type | labels | meaning |\n|---|---|---|---|\n");
	for (unsigned i = 0; i < METRICS_N; i++) {
		const struct metric *m = &metrics_table[i];

		printf("| `" PREFIX "%s%s` | %s | %s | %s |\n", m->name, suffix_of(m), type_names[m->type],
			m->labels, m->help);
	}
}
