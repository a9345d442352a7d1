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

/* The number of a name that nothing bears. Numbers are not given again before long, so that which it had
 * matches nothing; unless that is another name's now. */
static uint32_t of_missing(struct ifnames *names, const char *name, uint32_t was)
{
	const char *other = was && was < IFNAME_NOBODYS ? ifnames_name(was, names) : NULL;

	if (!other)
		return was;
	pst_warn("an interface that rules name was renamed: they match nothing until there is one of that "
		 "name "
		 "interface=%s index=%u is=%s",
		name, was, other);
	return IFNAME_NOBODYS | names->nobodys++;
}

uint32_t ifnames_note(const char *name, void *arg)
{
	struct ifnames *names = arg;
	uint32_t index = ifnames_index(name, names);

	if (!index)
		index = of_missing(names, name, known(names->known, name));
	if (index)
		note(&names->noted, name, index);
	return index;
}

bool ifnames_changed(struct ifnames *names)
{
	bool changed = false;

	for (size_t i = 0; i < names->noted.n; i++) {
		struct ifname *n = &names->noted.v[i];
		uint32_t index = ifnames_index(n->name, names), was = n->index;

		n->index = index ? index : of_missing(names, n->name, was);
		if (n->index == was)
			continue;
		if (index)
			pst_info("an interface that rules name is another one now interface=%s was=%u is=%u",
				n->name, was < IFNAME_NOBODYS ? was : 0, index);
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

const char *ifnames_noted(uint32_t index, void *arg)
{
	struct ifnames *names = arg;

	for (size_t i = 0; i < names->noted.n; i++)
		if (names->noted.v[i].index == index)
			return names->noted.v[i].name;
	return ifnames_name(index, names);
}
