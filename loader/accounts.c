// SPDX-License-Identifier: Apache-2.0
#include "loader/accounts.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/sandbox.h"

const char *const account_names[ACCOUNT_MAX] = {"collector", "enricher", "policyd", "exporter"};

int account_find(const char *stage)
{
	for (int i = 0; i < ACCOUNT_MAX; i++)
		if (!strcmp(account_names[i], stage))
			return i;
	return -1;
}

struct missing {
	char text[256];
};

static void note(struct missing *m, const char *name)
{
	size_t n = strlen(m->text);

	snprintf(m->text + n, sizeof(m->text) - n, "%s%s", n ? "," : "", name);
}

static void load_one(struct accounts *accounts, int i, const char *prefix, struct missing *missing)
{
	char name[64];
	struct passwd *p;
	struct group *g;

	snprintf(name, sizeof(name), "%s%s", prefix, account_names[i]);
	p = getpwnam(name);
	g = getgrnam(name);
	accounts->uid[i] = p ? p->pw_uid : (uid_t)-1;
	accounts->gid[i] = g ? g->gr_gid : 0;
	if (!p || !g)
		note(missing, name);
}

void accounts_load(struct accounts *accounts, const struct pst_common *common)
{
	struct group *g = getgrnam(PST_GROUP);
	struct missing missing = {""};

	accounts->common = g ? g->gr_gid : 0;
	if (!g)
		note(&missing, PST_GROUP);
	for (int i = 0; i < ACCOUNT_MAX; i++)
		load_one(accounts, i, common->user_prefix, &missing);
	if (missing.text[0])
		pst_warn("users or groups that do not exist; what would be theirs stays root's names=%s",
			missing.text);
}

int accounts_join(const struct accounts *accounts)
{
	gid_t list[ACCOUNT_MAX + 1];
	size_t n = 0;

	if (accounts->common)
		list[n++] = accounts->common;
	for (int i = 0; i < ACCOUNT_MAX; i++)
		if (accounts->gid[i])
			list[n++] = accounts->gid[i];
	return setgroups(n, list) < 0 ? -errno : 0;
}
