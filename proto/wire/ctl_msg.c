// SPDX-License-Identifier: Apache-2.0
/* Control messages: checked with the bounded cursor first, then unpacked by msgpack-c. */
#include "proto/wire/ctl_internal.h"

#include "proto/base/cleanup.h"

bool ctl_value_valid(const void *bytes, size_t len)
{
	struct pst_cur cur = pst_cur(bytes, len);

	/* Containers cannot claim more elements than there are bytes: msgpack-c would reserve memory for
	 * them. */
	pst_cur_skip(&cur);
	return len && !cur.bad && cur.p == cur.end;
}

int ctl_unpack(const void *bytes, size_t len, msgpack_unpacked *ret_value)
{
	msgpack_unpacked value;
	size_t off = 0;

	if (!ctl_value_valid(bytes, len))
		return -EBADMSG;
	msgpack_unpacked_init(&value);
	if (msgpack_unpack_next(&value, bytes, len, &off) == MSGPACK_UNPACK_SUCCESS && off == len) {
		*ret_value = value;
		return 0;
	}
	msgpack_unpacked_destroy(&value);
	return -EBADMSG;
}

/* The same, with the strings in the value's own zone: @bytes may go. */
int ctl_unpack_copy(const void *bytes, size_t len, msgpack_unpacked *ret_value)
{
	msgpack_unpacked value = {.zone = msgpack_zone_new(MSGPACK_ZONE_CHUNK_SIZE)};
	char *copy = value.zone ? msgpack_zone_malloc(value.zone, len ? len : 1) : NULL;
	size_t off = 0;
	int r = -ENOMEM;

	if (copy) {
		memcpy(copy, bytes, len);
		r = ctl_value_valid(copy, len) &&
				    msgpack_unpack(copy, len, &off, value.zone, &value.data) ==
					    MSGPACK_UNPACK_SUCCESS &&
				    off == len
			    ? 0
			    : -EBADMSG;
	}
	if (r < 0 && value.zone)
		msgpack_zone_free(value.zone);
	else if (r == 0)
		*ret_value = value;
	return r;
}

void ctl_key(struct pst_cur *cur, char *buf, size_t size)
{
	uint32_t len;
	const void *bytes = pst_cur_bytes(cur, &len);

	if (cur->bad || len >= size || memchr(bytes, 0, len))
		len = 0;
	if (len)
		memcpy(buf, bytes, len);
	buf[len] = '\0';
}

static bool text(const msgpack_object *o, const char **ret_bytes, size_t *ret_len)
{
	if (o->type == MSGPACK_OBJECT_STR) {
		*ret_bytes = o->via.str.ptr;
		*ret_len = o->via.str.size;
		return true;
	}
	if (o->type == MSGPACK_OBJECT_BIN) {
		*ret_bytes = o->via.bin.ptr;
		*ret_len = o->via.bin.size;
		return true;
	}
	return false;
}

const msgpack_object *pst_ctl_get(const msgpack_object *map, const char *key)
{
	const char *bytes;
	size_t len;

	if (!map || map->type != MSGPACK_OBJECT_MAP)
		return NULL;
	for (uint32_t i = 0; i < map->via.map.size; i++) {
		const msgpack_object_kv *kv = &map->via.map.ptr[i];

		if (text(&kv->key, &bytes, &len) && len == strlen(key) && !memcmp(bytes, key, len))
			return &kv->val;
	}
	return NULL;
}

bool pst_ctl_text(const msgpack_object *map, const char *key, char *buf, size_t size)
{
	const msgpack_object *o = pst_ctl_get(map, key);
	const char *bytes;
	size_t len;

	/* A NUL inside would make two different texts look the same. */
	if (!o || !text(o, &bytes, &len) || len >= size || (len && memchr(bytes, 0, len)))
		return false;
	if (len)
		memcpy(buf, bytes, len);
	buf[len] = '\0';
	return true;
}

bool pst_ctl_u64(const msgpack_object *map, const char *key, uint64_t *ret_value)
{
	const msgpack_object *o = pst_ctl_get(map, key);

	if (!o || o->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
		return false;
	*ret_value = o->via.u64;
	return true;
}
