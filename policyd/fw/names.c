// SPDX-License-Identifier: Apache-2.0
#include "policyd/fw/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cache.h"

void fw_names_done(struct fw_names *names)
{
	free(names->v);
	*names = (struct fw_names){0};
}

/* Where the name is, or the free place where it belongs. */
static struct fw_name *place_of(const struct fw_names *names, const char *name)
{
	size_t i = pst_hash(name, strlen(name)) & (names->size - 1);

	while (names->v[i].name && strcmp(names->v[i].name, name))
		i = (i + 1) & (names->size - 1);
	return &names->v[i];
}

static int grow(struct fw_names *names)
{
	struct fw_names larger = {.n = names->n, .size = names->size ? names->size * 2 : 64};

	larger.v = calloc(larger.size, sizeof(*larger.v));
	if (!larger.v)
		return -ENOMEM;
	for (size_t i = 0; i < names->size; i++)
		if (names->v[i].name)
			*place_of(&larger, names->v[i].name) = names->v[i];
	free(names->v);
	*names = larger;
	return 0;
}

int fw_names_add(struct fw_names *names, const char *name, uint32_t value)
{
	struct fw_name *place;

	if (names->n * 2 >= names->size && grow(names) < 0)
		return -ENOMEM;
	place = place_of(names, name);
	if (place->name)
		return -EEXIST;
	*place = (struct fw_name){name, value};
	names->n++;
	return 0;
}

bool fw_names_find(const struct fw_names *names, const char *name, uint32_t *ret_value)
{
	const struct fw_name *place = names->n ? place_of(names, name) : NULL;

	if (!place || !place->name)
		return false;
	*ret_value = place->value;
	return true;
}
