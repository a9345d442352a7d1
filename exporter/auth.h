/* SPDX-License-Identifier: Apache-2.0 */
/* Who may read: a bearer token or basic authentication, compared in constant time. */
#ifndef EXPORTER_AUTH_H
#define EXPORTER_AUTH_H

#include <stdbool.h>
#include <stddef.h>

#define AUTH_SECRET_MAX 1024

struct auth {
	char bearer[AUTH_SECRET_MAX];    /* "": none */
	char basic[AUTH_SECRET_MAX * 2]; /* base64 of user:password; "": none */
};

/* Reads the files (first line; before the sandbox). Arguments may be NULL. 0 or -errno with a log line. */
int auth_load(const char *bearer_token_file, const char *basic_user, const char *basic_password_file,
	struct auth *ret_auth);
bool auth_needed(const struct auth *auth);
/* @header: value of Authorization, NULL if absent. */
bool auth_check(const struct auth *auth, const char *header);
/* Value for WWW-Authenticate. */
const char *auth_challenge(const struct auth *auth);
void auth_done(struct auth *auth); /* wipes */

#endif
