// SPDX-License-Identifier: Apache-2.0
#include "enricher/names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/cache.h"
#include "proto/base/cleanup.h"

#define USERS_MAX    65536
#define NAME_MAX_LEN 32
#define LINES_MAX    100000

struct user {
	char name[NAME_MAX_LEN + 1];
	uint8_t len;
};

struct service {
	uint16_t port;
	uint8_t protocol, len;
	char name[NAME_MAX_LEN];
};

struct names {
	char *passwd_path, *services_path;
	struct timespec passwd_mtime, services_mtime;
	struct pst_cache *users;
	struct service *services; /* sorted by port, protocol */
	size_t n_services;
};

int names_new(const char *passwd_path, const char *services_path, struct names **ret_names)
{
	struct names *n = calloc(1, sizeof(*n));
	int e;

	if (!n)
		return -ENOMEM;
	n->passwd_path = strdup(passwd_path);
	n->services_path = strdup(services_path);
	e = n->passwd_path && n->services_path
		    ? pst_cache_new(sizeof(uint32_t), sizeof(struct user), USERS_MAX, NULL, NULL, &n->users)
		    : -ENOMEM;
	if (e) {
		names_free(n);
		return e;
	}
	names_refresh(n);
	*ret_names = n;
	return 0;
}

void names_free(struct names *n)
{
	if (!n)
		return;
	pst_cache_free(n->users);
	free(n->services);
	free(n->passwd_path);
	free(n->services_path);
	free(n);
}

/* Opens if the file changed since @mtime. */
static FILE *open_changed(const char *path, struct timespec *mtime)
{
	struct stat st;

	if (stat(path, &st) < 0 ||
		(st.st_mtim.tv_sec == mtime->tv_sec && st.st_mtim.tv_nsec == mtime->tv_nsec))
		return NULL;
	*mtime = st.st_mtim;
	return fopen(path, "re");
}

/* name:password:uid:... */
static void read_user(struct names *n, char *line)
{
	char *colon = strchr(line, ':'), *second = colon ? strchr(colon + 1, ':') : NULL, *end;
	unsigned long uid;
	struct user *u;
	uint32_t key;

	if (!second)
		return;
	uid = strtoul(second + 1, &end, 10);
	if (end == second + 1 || *end != ':' || uid > UINT32_MAX || colon == line ||
		colon - line > NAME_MAX_LEN)
		return;
	key = (uint32_t)uid;
	if (pst_cache_peek(n->users, &key))
		return; /* the first line wins, as in getpwuid(3) */
	u = pst_cache_put(n->users, &key, NULL);
	if (!u)
		return;
	u->len = (uint8_t)(colon - line);
	memcpy(u->name, line, u->len);
}

static uint8_t protocol_of(const char *text)
{
	return !strcmp(text, "tcp") ? 6 : !strcmp(text, "udp") ? 17 : !strcmp(text, "sctp") ? 132 : 0;
}

/* name port/protocol [aliases] # comment */
static void read_service(struct names *n, size_t *room, const char *line)
{
	char name[64], protocol[16];
	unsigned port;
	struct service *s;

	if (sscanf(line, "%63[^# \t\n] %u/%15[a-z]", name, &port, protocol) != 3 || port > UINT16_MAX ||
		!protocol_of(protocol) || strlen(name) > NAME_MAX_LEN)
		return;
	if (n->n_services == *room) {
		size_t more = *room ? 2 * *room : 256;
		void *p = realloc(n->services, more * sizeof(*s));

		if (!p)
			return;
		n->services = p;
		*room = more;
	}
	s = &n->services[n->n_services++];
	s->port = (uint16_t)port;
	s->protocol = protocol_of(protocol);
	s->len = (uint8_t)strlen(name);
	memcpy(s->name, name, s->len);
}

static int order(const void *a, const void *b)
{
	const struct service *x = a, *y = b;

	return x->port != y->port ? x->port - y->port : x->protocol - y->protocol;
}

static void read_passwd(struct names *n, FILE *f)
{
	PST_FREE char *line = NULL;
	size_t size = 0;
	uint32_t cursor = UINT32_MAX;
	const void *key;
	void *value;

	while (pst_cache_next(n->users, &cursor, &key, &value))
		pst_cache_remove(n->users, key);
	for (unsigned i = 0; i < LINES_MAX && getline(&line, &size, f) > 0; i++)
		read_user(n, line);
}

static void read_services(struct names *n, FILE *f)
{
	PST_FREE char *line = NULL;
	size_t size = 0, room = 0;

	free(n->services);
	n->services = NULL;
	n->n_services = 0;
	for (unsigned i = 0; i < LINES_MAX && getline(&line, &size, f) > 0; i++)
		read_service(n, &room, line);
	if (n->n_services)
		qsort(n->services, n->n_services, sizeof(*n->services), order);
}

void names_refresh(struct names *n)
{
	PST_FCLOSE FILE *passwd = open_changed(n->passwd_path, &n->passwd_mtime);
	PST_FCLOSE FILE *services = open_changed(n->services_path, &n->services_mtime);

	if (passwd)
		read_passwd(n, passwd);
	if (services)
		read_services(n, services);
}

struct pst_val names_user(struct names *n, uint32_t uid)
{
	const struct user *u = pst_cache_peek(n->users, &uid);

	return u ? pst_val_str(u->name, u->len) : (struct pst_val){0};
}

struct pst_val names_service(const struct names *n, uint8_t protocol, uint16_t port)
{
	struct service want = {.port = port, .protocol = protocol};
	const struct service *s =
		n->n_services ? bsearch(&want, n->services, n->n_services, sizeof(want), order) : NULL;

	return s ? pst_val_str(s->name, s->len) : (struct pst_val){0};
}
