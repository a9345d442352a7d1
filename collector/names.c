// SPDX-License-Identifier: Apache-2.0
#include "collector/names.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define REPORT_MAX (4 << 20)

static void clear(char **table)
{
	for (unsigned i = 0; i < NAMES_MAX; i++) {
		free(table[i]);
		table[i] = NULL;
	}
}

/* An array of names by number; null where a number has none. */
static void read_table(char **table, const json_t *array)
{
	if (!json_is_array(array))
		return;
	clear(table);
	for (size_t i = 0; i < json_array_size(array) && i < NAMES_MAX; i++) {
		const char *text = json_string_value(json_array_get(array, i));

		table[i] = text && strlen(text) < 64 ? strdup(text) : NULL;
	}
}

static void read_ifaces(struct names *names, const json_t *array)
{
	names->n_ifaces = 0;
	for (size_t i = 0; i < json_array_size(array) && names->n_ifaces < NAMES_IFACES; i++) {
		const json_t *item = json_array_get(array, i);
		const char *name = json_string_value(json_object_get(item, "name"));
		json_int_t ifindex = json_integer_value(json_object_get(item, "ifindex"));

		if (!name || ifindex <= 0)
			continue;
		names->iface[names->n_ifaces].ifindex = (uint32_t)ifindex;
		snprintf(names->iface[names->n_ifaces].name, sizeof(names->iface[0].name), "%s", name);
		names->n_ifaces++;
	}
}

static int load(const char *path, json_t **ret_root)
{
	/* Others may make files in this folder: a FIFO of this name must not hold us. */
	PST_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	json_error_t error;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > REPORT_MAX)
		return -EINVAL;
	*ret_root = json_loadfd(fd, 0, &error);
	if (*ret_root)
		return 0;
	pst_warn_limited(
		"loader's report is malformed path=%s line=%d column=%d", path, error.line, error.column);
	return -EBADMSG;
}

int names_update(struct names *names, const char *path)
{
	struct stat st;
	json_t *root = NULL;
	uint64_t mtime;

	if (stat(path, &st) < 0)
		return -errno;
	mtime = (uint64_t)st.st_mtim.tv_sec * 1000000000ull + (uint64_t)st.st_mtim.tv_nsec;
	if (mtime == names->mtime_ns)
		return 0;
	int e = load(path, &root);
	if (e)
		return e;
	read_table(names->drop, json_object_get(root, "drop_reasons"));
	read_table(names->reset, json_object_get(root, "reset_reasons"));
	read_ifaces(names, json_object_get(root, "interfaces"));
	names->net_ns = (uint32_t)json_integer_value(json_object_get(root, "net_ns"));
	names->mtime_ns = mtime;
	json_decref(root);
	return 0;
}

void names_done(struct names *names)
{
	clear(names->drop);
	clear(names->reset);
}

static const char *lookup(struct names *names, char *const *table, uint32_t number)
{
	/* The kernel keeps the subsystem of a drop reason in its upper half; those have no name here. */
	if (number < NAMES_MAX && table[number])
		return table[number];
	snprintf(names->scratch, sizeof(names->scratch), number > 0xffff ? "0x%x" : "%u", number);
	return names->scratch;
}

const char *names_drop(struct names *names, uint32_t reason)
{
	return reason || names->drop[0] ? lookup(names, names->drop, reason) : "";
}

const char *names_reset(struct names *names, uint32_t reason)
{
	return reason ? lookup(names, names->reset, reason) : "";
}

const char *names_iface(const struct names *names, uint32_t ifindex, uint32_t net_ns)
{
	if (names->net_ns && names->net_ns != net_ns)
		return "";
	for (unsigned i = 0; i < names->n_ifaces; i++)
		if (names->iface[i].ifindex == ifindex)
			return names->iface[i].name;
	return "";
}
