// SPDX-License-Identifier: Apache-2.0
#include "exporter/params.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place; false at a broken escape or a zero byte. */
static bool decode(char *text)
{
	char *out = text;

	for (const char *p = text; *p; p++) {
		if (*p == '+') {
			*out++ = ' ';
		} else if (*p == '%') {
			int high = hex(p[1]), low = high < 0 ? -1 : hex(p[2]);

			if (low < 0 || !(high | low))
				return false;
			*out++ = (char)(high << 4 | low);
			p += 2;
		} else {
			*out++ = *p;
		}
	}
	*out = 0;
	return true;
}

int params_parse(char *query, struct params *ret_params, char *error, size_t size)
{
	struct params params = {.n = 0};
	unsigned number = 0;

	while (query && *query) {
		char *key = strsep(&query, "&"), *value;

		if (!*key)
			continue;
		number++;
		if (params.n == PARAMS_MAX) {
			snprintf(error, size, "more than %d parameters", PARAMS_MAX);
			return -EINVAL;
		}
		value = strchr(key, '=');
		if (value)
			*value++ = 0;
		if (!decode(key) || (value && !decode(value))) {
			snprintf(error, size, "parameter %u: broken %%-escape or a zero byte", number);
			return -EINVAL;
		}
		params.v[params.n++] = (struct param){.key = key, .value = value ? value : ""};
	}
	*ret_params = params;
	return 0;
}

const char *params_get(const struct params *params, const char *key)
{
	for (unsigned i = 0; i < params->n; i++)
		if (!strcmp(params->v[i].key, key))
			return params->v[i].value;
	return NULL;
}

int params_u64(const struct params *params, const char *key, uint64_t min, uint64_t max, uint64_t fallback,
	uint64_t *ret_value, char *error, size_t size)
{
	const char *text = params_get(params, key);
	unsigned long long value;
	char *end;

	if (!text) {
		*ret_value = fallback;
		return 0;
	}
	errno = 0;
	value = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || value < min || value > max) {
		snprintf(error, size, "%s: expected a number from %llu to %llu", key, (unsigned long long)min,
			(unsigned long long)max);
		return -EINVAL;
	}
	*ret_value = value;
	return 0;
}

int params_bool(const struct params *params, const char *key, bool *ret_value, char *error, size_t size)
{
	static const char *const yes[] = {"", "1", "true", "yes"}, *const no[] = {"0", "false", "no"};
	const char *text = params_get(params, key);

	if (!text) {
		*ret_value = false;
		return 0;
	}
	for (unsigned i = 0; i < 4; i++) {
		if (!strcmp(text, yes[i]) || (i < 3 && !strcmp(text, no[i]))) {
			*ret_value = !strcmp(text, yes[i]);
			return 0;
		}
	}
	snprintf(error, size, "%s: expected true or false", key);
	return -EINVAL;
}

/* ---- Accept (RFC 9110, 12.5.1) ---- */

struct span {
	const char *p;
	size_t len;
};

static struct span trim(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	return (struct span){p, (size_t)(end - p)};
}

/* The next piece up to @separator; false at the end. */
static bool next_piece(const char **p, char separator, const char *end, struct span *ret_piece)
{
	const char *stop;

	if (*p > end)
		return false;
	stop = memchr(*p, separator, (size_t)(end - *p));
	if (!stop)
		stop = end;
	*ret_piece = trim(*p, stop);
	*p = stop + 1;
	return true;
}

/* In thousandths; 1000 if absent or broken. */
static unsigned quality(struct span value)
{
	unsigned q = 0, scale = 1000;

	if (!value.len || (value.p[0] != '0' && value.p[0] != '1'))
		return 1000;
	q = value.p[0] == '1' ? 1000 : 0;
	if (value.len > 1 && value.p[1] != '.')
		return 1000;
	for (size_t i = 2; i < value.len && i < 5; i++) {
		if (value.p[i] < '0' || value.p[i] > '9')
			return 1000;
		scale /= 10;
		q += scale * (unsigned)(value.p[i] - '0');
	}
	return q > 1000 ? 1000 : q;
}

/* Is @value in the comma-separated @list? */
static bool listed(struct span value, const char *list)
{
	const char *end = list + strlen(list);
	struct span piece;

	while (next_piece(&list, ',', end, &piece))
		if (piece.len == value.len && !memcmp(piece.p, value.p, value.len))
			return true;
	return false;
}

/* How well a media range fits: 0 not, 1 for any, 2 for the main type, 3 exactly. */
static unsigned fit(struct span range, const char *type)
{
	size_t main_len = (size_t)(strchr(type, '/') - type);

	if (range.len == 3 && !memcmp(range.p, "*/*", 3))
		return 1;
	if (range.len == main_len + 2 && !strncasecmp(range.p, type, main_len + 1) &&
		range.p[main_len + 1] == '*')
		return 2;
	return range.len == strlen(type) && !strncasecmp(range.p, type, range.len) ? 3 : 0;
}

/* One element of the header: updates the quality of each type that it is about. */
static void weigh(struct span element, const char *const *types, const char *const *versions, unsigned n,
	unsigned *fits, unsigned *q)
{
	const char *p = element.p, *end = element.p + element.len;
	struct span range, param, version = {0};
	unsigned value = 1000;

	if (!next_piece(&p, ';', end, &range))
		return;
	while (next_piece(&p, ';', end, &param)) {
		if (param.len > 2 && !strncasecmp(param.p, "q=", 2))
			value = quality((struct span){param.p + 2, param.len - 2});
		else if (param.len > 8 && !strncasecmp(param.p, "version=", 8))
			version = (struct span){param.p + 8, param.len - 8};
	}
	for (unsigned i = 0; i < n; i++) {
		unsigned f = fit(range, types[i]);

		if (f < fits[i] || !f ||
			(version.p && versions && versions[i] && !listed(version, versions[i])))
			continue;
		q[i] = f > fits[i] || value > q[i] ? value : q[i];
		fits[i] = f;
	}
}

#define TYPES_MAX 8

int accept_choose(const char *header, const char *const *types, const char *const *versions, unsigned n)
{
	unsigned fits[TYPES_MAX] = {0}, q[TYPES_MAX] = {0};
	int best = -1;
	struct span element;
	const char *end;

	if (!header || !*header)
		return 0;
	if (n > TYPES_MAX)
		n = TYPES_MAX;
	end = header + strlen(header);
	while (next_piece(&header, ',', end, &element))
		weigh(element, types, versions, n, fits, q);
	for (unsigned i = 0; i < n; i++)
		if (q[i] && (best < 0 || q[i] > q[best]))
			best = (int)i;
	return best;
}

/* ---- Host ---- */

static bool is_loopback(const char *name)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (!strcasecmp(name, "localhost"))
		return true;
	if (inet_pton(AF_INET, name, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, name, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

bool host_allowed(const char *host, const char *const *names, size_t n_names)
{
	char name[256];
	size_t len;

	if (!host || !*host)
		return true; /* not a browser */
	if (host[0] == '[') {
		host++;
		len = strcspn(host, "]");
		if (host[len] != ']' || (host[len + 1] && host[len + 1] != ':'))
			return false;
	} else {
		len = strcspn(host, ":");
	}
	if (len >= sizeof(name))
		return false;
	memcpy(name, host, len);
	name[len] = 0;
	if (is_loopback(name))
		return true;
	for (size_t i = 0; i < n_names; i++)
		if (!strcasecmp(name, names[i]))
			return true;
	return false;
}
