// SPDX-License-Identifier: Apache-2.0
#include "policyd/guard/ifname.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define NOTED_MAX 1024u

struct ifname {
	char name[IF_NAMESIZE];
	uint32_t index;
};

int ifnames_open(struct ifnames *names)
{
	*names = (struct ifnames){0};
	names->sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return names->sock < 0 ? -errno : 0;
}

void ifnames_close(struct ifnames *names)
{
	pst_closep(&names->sock);
	names->sock = -1;
	ifname_list_done(&names->noted);
}

void ifname_list_done(struct ifname_list *list)
{
	free(list->v);
	*list = (struct ifname_list){0};
}

static void note(struct ifname_list *list, const char *name, uint32_t index)
{
	struct ifname *v;

	for (size_t i = 0; i < list->n; i++)
		if (!strcmp(list->v[i].name, name))
			return;
	v = list->n < NOTED_MAX ? reallocarray(list->v, list->n + 1, sizeof(*v)) : NULL;
	if (!v) {
		if (!list->full)
			pst_warn("rules name more than %u interfaces: when others of them are made anew, "
				 "reload",
				NOTED_MAX);
		list->full = true;
		return;
	}
	list->v = v;
	v = &v[list->n++];
	*v = (struct ifname){.index = index};
	snprintf(v->name, sizeof(v->name), "%s", name);
}

static uint32_t known(const struct ifname_list *list, const char *name)
{
	for (size_t i = 0; list && i < list->n; i++)
		if (!strcmp(list->v[i].name, name))
			return list->v[i].index;
	return 0;
}

/* Numbers are not given again before long, so the number of one that is gone matches nothing. */
uint32_t ifnames_note(const char *name, void *arg)
{
	struct ifnames *names = arg;
	uint32_t index = ifnames_index(name, names);

	if (!index)
		index = known(names->known, name);
	if (index)
		note(&names->noted, name, index);
	return index;
}

bool ifnames_changed(struct ifnames *names)
{
	bool changed = false;

	for (size_t i = 0; i < names->noted.n; i++) {
		struct ifname *n = &names->noted.v[i];
		uint32_t index = ifnames_index(n->name, names);

		if (!index || index == n->index) /* while it is gone its rules match nothing anyway */
			continue;
		pst_info("an interface that rules name was made anew interface=%s was=%u is=%u", n->name,
			n->index, index);
		n->index = index;
		changed = true;
	}
	return changed;
}

uint32_t ifnames_index(const char *name, void *arg)
{
	const struct ifnames *names = arg;
	struct ifreq r = {0};

	if (strlen(name) >= sizeof(r.ifr_name))
		return 0;
	memcpy(r.ifr_name, name, strlen(name) + 1);
	return ioctl(names->sock, SIOCGIFINDEX, &r) < 0 ? 0 : (uint32_t)r.ifr_ifindex;
}

bool ifnames_is_gone(uint32_t index, void *arg)
{
	const struct ifnames *names = arg;
	struct ifreq r = {.ifr_ifindex = (int)index};

	return ioctl(names->sock, SIOCGIFNAME, &r) < 0 && errno == ENODEV;
}

const char *ifnames_name(uint32_t index, void *arg)
{
	struct ifnames *names = arg;
	struct ifreq r = {.ifr_ifindex = (int)index};

	if (ioctl(names->sock, SIOCGIFNAME, &r) < 0)
		return NULL;
	memcpy(names->name, r.ifr_name, sizeof(names->name));
	names->name[sizeof(names->name) - 1] = '\0';
	return names->name;
}
