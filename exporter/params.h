/* SPDX-License-Identifier: Apache-2.0 */
/* Query parameters and the few request headers that are looked into. Everything here comes from the network.
 */
#ifndef EXPORTER_PARAMS_H
#define EXPORTER_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PARAMS_MAX 96

struct param {
	const char *key, *value; /* NUL-terminated, without NUL inside */
};

struct params {
	struct param v[PARAMS_MAX];
	unsigned n;
};

/*
 * Splits and decodes @query (text after '?', may be "") in place. 0; -EINVAL with a message for the client in
 * @error: a broken escape, a zero byte, too many parameters.
 */
int params_parse(char *query, struct params *ret_params, char *error, size_t size);
const char *params_get(const struct params *params, const char *key); /* the first, or NULL */
/* Of a parameter that must be a number in @min..@max: @fallback if absent. 0; -EINVAL with a message in
 * @error. */
int params_u64(const struct params *params, const char *key, uint64_t min, uint64_t max, uint64_t fallback,
	uint64_t *ret_value, char *error, size_t size);
/* "1", "true", "yes" or empty: true; "0", "false", "no" or absent: false. */
int params_bool(const struct params *params, const char *key, bool *ret_value, char *error, size_t size);

/*
 * Which of @types ("text/plain", ...) an Accept header likes best, by quality and then by order in @types. A
 * header that is NULL or empty: the first. None: -1. A `version` parameter in the header must be one of the
 * comma-separated list in
 * @versions[i] (NULL: any).
 */
int accept_choose(const char *header, const char *const *types, const char *const *versions, unsigned n);

/* May a request with this Host header be served by an address that has no other protection? (DNS rebinding: a
 * web page must not reach it under its own name.) Literal loopback addresses, "localhost" and @names, with
 * any port; NULL is fine. */
bool host_allowed(const char *host, const char *const *names, size_t n_names);

#endif
