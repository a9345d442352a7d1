// SPDX-License-Identifier: Apache-2.0
/* YAML to a bounded tree. All memory of a document comes from an arena that goes with it. */
#include "proto/base/cache.h"
#include "proto/base/cleanup.h"
#include "proto/base/conf.h"
#include "proto/base/conf_internal.h"
#include "proto/base/log.h"

#include <string.h>

#define DEPTH_MAX     16
#define CHUNK_BYTES   16384
#define SMALL_MAPPING 16 /* keys */

struct chunk {
	struct chunk *next;
	size_t used, size;
	max_align_t bytes[];
};

struct pst_doc {
	char *name;
	struct pst_node *root;
	struct chunk *chunks;
};

/* A mapping or sequence that is still open. */
struct level {
	struct pst_node *node;
	struct pst_node **tail; /* where the next child goes */
	const char *key;        /* read, its value is still to come */
	uint32_t key_line, key_column;
};

struct builder {
	struct pst_doc *doc;
	struct pst_conf_errors *errors;
	struct level level[DEPTH_MAX];
	uint32_t nodes, nodes_max;
	uint32_t documents, documents_max;
	bool end_nul;
	struct pst_node **root_tail; /* where the next document's root goes */
	unsigned depth;
	uint32_t errors_before;
	struct pst_node **keys; /* open-addressed set of (mapping, key), for duplicates */
	uint32_t keys_size, n_keys;
};

/* ---- memory ---- */

static void *arena_alloc(struct pst_doc *doc, size_t size)
{
	struct chunk *c = doc->chunks;

	size = (size + 15) & ~(size_t)15;
	if (!c || c->size - c->used < size) {
		size_t room = PST_MAX(size, CHUNK_BYTES);

		c = malloc(sizeof(*c) + room);
		if (!c)
			return NULL;
		*c = (struct chunk){.next = doc->chunks, .size = room};
		doc->chunks = c;
	}
	void *p = (char *)c->bytes + c->used;
	c->used += size;
	return p;
}

static char *arena_text(struct pst_doc *doc, const void *bytes, size_t len)
{
	char *s = arena_alloc(doc, len + 1);

	if (!s)
		return NULL;
	memcpy(s, bytes, len);
	s[len] = '\0';
	return s;
}

void pst_doc_free(struct pst_doc *doc)
{
	if (!doc)
		return;
	for (struct chunk *c = doc->chunks, *next; c; c = next) {
		next = c->next;
		free(c);
	}
	free(doc->name);
	free(doc);
}

void pst_doc_freep(struct pst_doc **doc)
{
	pst_doc_free(*doc);
}

const struct pst_node *pst_doc_root(const struct pst_doc *doc)
{
	return doc->root;
}

const char *pst_doc_name(const struct pst_doc *doc)
{
	return doc->name;
}

const struct pst_node *pst_node_get(const struct pst_node *mapping, const char *key)
{
	if (!mapping || mapping->type != PST_NODE_MAPPING)
		return NULL;
	for (const struct pst_node *n = mapping->child; n; n = n->next)
		if (!strcmp(n->key, key))
			return n;
	return NULL;
}

#define ERROR_AT(b, mark, ...) CONF_ERROR_AT((b)->errors, (b)->doc->name, mark, __VA_ARGS__)

/* ---- keys ---- */

static uint32_t key_slot(const struct builder *b, const struct pst_node *mapping, const char *key)
{
	struct {
		uint64_t mapping, text;
	} h = {(uint64_t)(uintptr_t)mapping, pst_hash(key, strlen(key))};
	uint32_t i = (uint32_t)pst_hash(&h, sizeof(h)) & (b->keys_size - 1);

	for (; b->keys[i]; i = (i + 1) & (b->keys_size - 1))
		if (b->keys[i]->parent == mapping && !strcmp(b->keys[i]->key, key))
			break;
	return i;
}

static int keys_grow(struct builder *b)
{
	struct pst_node **old = b->keys;
	uint32_t old_size = b->keys_size;

	b->keys = calloc(old_size ? (size_t)old_size * 2 : 256, sizeof(*b->keys));
	if (!b->keys) {
		b->keys = old;
		return -ENOMEM;
	}
	b->keys_size = old_size ? old_size * 2 : 256;
	for (uint32_t i = 0; i < old_size; i++)
		if (old[i])
			b->keys[key_slot(b, old[i]->parent, old[i]->key)] = old[i];
	free(old);
	return 0;
}

/* The node of the mapping that has the same key, and if there is none, it is remembered. */
static int key_remember(struct builder *b, struct pst_node *node, const struct pst_node **ret_same)
{
	if (b->n_keys * 2 >= b->keys_size && keys_grow(b) < 0)
		return -ENOMEM;
	struct pst_node **slot = &b->keys[key_slot(b, node->parent, node->key)];
	*ret_same = *slot;
	if (*slot)
		return 0;
	*slot = node;
	b->n_keys++;
	return 0;
}

/* The same for any mapping: in a small one, looking is faster than remembering. */
static int key_find(struct builder *b, struct pst_node *node, const struct pst_node **ret_same)
{
	const struct pst_node *in = node->parent;
	int r = 0;

	*ret_same = NULL;
	if (in->n_children > SMALL_MAPPING)
		return key_remember(b, node, ret_same);
	for (struct pst_node *n = in->child; n && !*ret_same; n = n->next)
		if (!strcmp(n->key, node->key))
			*ret_same = n;
	if (in->n_children < SMALL_MAPPING || *ret_same)
		return 0;
	/* it is no small one any more */
	for (struct pst_node *n = in->child; n && !r; n = n->next)
		r = key_remember(b, n, ret_same);
	return r ? r : key_remember(b, node, ret_same);
}

/* False (after an error) when the value's mapping has its key already. */
static int key_add(struct builder *b, struct pst_node *node, bool *ret_fresh)
{
	const struct pst_node *same;

	if (key_find(b, node, &same) < 0)
		return -ENOMEM;
	*ret_fresh = !same;
	if (same) {
		char key[64];

		pst_conf_error(b->errors, b->doc->name, node->key_line, node->key_column,
			"key \"%s\" is here a second time; the first is in line %u",
			pst_log_escape(key, sizeof(key), node->key, (unsigned)strlen(node->key)),
			same->key_line);
	}
	return 0;
}

/* ---- nodes ---- */

/* A new node in its place in the tree. NULL: no memory or a bound was exceeded (said). */
static struct pst_node *node_add(struct builder *b, enum pst_node_type type, yaml_mark_t at)
{
	struct level *up = b->depth ? &b->level[b->depth - 1] : NULL;

	if (b->nodes++ >= b->nodes_max) {
		ERROR_AT(b, at, "more than %u values", b->nodes_max);
		return NULL;
	}
	struct pst_node *node = arena_alloc(b->doc, sizeof(*node));
	if (!node)
		return NULL;
	*node = (struct pst_node){.type = type, .line = conf_place(at.line), .column = conf_place(at.column)};
	if (!up) {
		*b->root_tail = node;
		b->root_tail = &node->next;
		return node;
	}
	node->parent = up->node;
	if (up->node->type == PST_NODE_MAPPING) {
		bool fresh;

		node->key = PST_TAKE_PTR(up->key);
		node->key_line = up->key_line;
		node->key_column = up->key_column;
		if (key_add(b, node, &fresh) < 0)
			return NULL;
		if (!fresh)
			return node; /* read on for more errors; it hangs nowhere */
	}
	*up->tail = node;
	up->tail = &node->next;
	up->node->n_children++;
	return node;
}

static int open_level(struct builder *b, enum pst_node_type type, yaml_mark_t at)
{
	if (b->depth == DEPTH_MAX) {
		ERROR_AT(b, at, "nested more than %d deep", DEPTH_MAX);
		return -EBADMSG;
	}
	struct pst_node *node = node_add(b, type, at);
	if (!node)
		return -ENOMEM;
	b->level[b->depth++] = (struct level){.node = node, .tail = &node->child};
	return 0;
}

static bool wants_key(const struct builder *b)
{
	const struct level *in = b->depth ? &b->level[b->depth - 1] : NULL;

	return in && in->node && in->node->type == PST_NODE_MAPPING && !in->key;
}

static int add_scalar(struct builder *b, const yaml_event_t *ev)
{
	const unsigned char *bytes = ev->data.scalar.value;
	size_t len = ev->data.scalar.length;

	if (b->end_nul && len && !bytes[len - 1])
		len--;
	if (memchr(bytes, 0, len)) {
		ERROR_AT(b, ev->start_mark, "a NUL byte in a string");
		len = strlen((const char *)bytes);
	}
	char *text = arena_text(b->doc, bytes, len);
	if (!text)
		return -ENOMEM;
	if (wants_key(b)) {
		struct level *l = &b->level[b->depth - 1];

		l->key = text;
		l->key_line = conf_place(ev->start_mark.line);
		l->key_column = conf_place(ev->start_mark.column);
		return 0;
	}
	struct pst_node *node = node_add(b, PST_NODE_SCALAR, ev->start_mark);
	if (!node)
		return -ENOMEM;
	node->text = text;
	node->quoted = ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	return 0;
}

/* Anchors and tags: refused, but the value is read so that later errors come out, too. */
static void refuse_extras(struct builder *b, const void *anchor, const void *tag, yaml_mark_t at)
{
	if (anchor)
		ERROR_AT(b, at, "anchors (&name) are not supported: write the value out");
	if (tag)
		ERROR_AT(b, at, "tags (!type) are not supported: the type follows from the key");
}

static int begin_document(struct builder *b, const yaml_event_t *ev)
{
	if (b->documents++ < b->documents_max)
		return 0;
	if (b->documents_max == 1)
		ERROR_AT(b, ev->start_mark, "a second document begins: one a file is enough");
	else
		ERROR_AT(b, ev->start_mark, "more than %u documents in a file", b->documents_max);
	return -EBADMSG;
}

static int handle(struct builder *b, const yaml_event_t *ev)
{
	bool as_key = wants_key(b);

	switch (ev->type) {
	case YAML_DOCUMENT_START_EVENT:
		return begin_document(b, ev);
	case YAML_ALIAS_EVENT:
		ERROR_AT(b, ev->start_mark, "aliases (*name) are not supported: write the value out");
		return -EBADMSG;
	case YAML_SCALAR_EVENT:
		refuse_extras(b, ev->data.scalar.anchor, ev->data.scalar.tag, ev->start_mark);
		return add_scalar(b, ev);
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		if (as_key) {
			ERROR_AT(b, ev->start_mark, "a key must be a plain word, not a list or a mapping");
			return -EBADMSG;
		}
		if (ev->type == YAML_SEQUENCE_START_EVENT) {
			refuse_extras(b, ev->data.sequence_start.anchor, ev->data.sequence_start.tag,
				ev->start_mark);
			return open_level(b, PST_NODE_SEQUENCE, ev->start_mark);
		}
		refuse_extras(b, ev->data.mapping_start.anchor, ev->data.mapping_start.tag, ev->start_mark);
		return open_level(b, PST_NODE_MAPPING, ev->start_mark);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		b->depth--;
		return 0;
	default:
		return 0;
	}
}

static int build(struct builder *b, const unsigned char *bytes, size_t len)
{
	yaml_parser_t parser;
	bool end = false;
	int r = 0;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, bytes, len);
	while (!r && !end) {
		yaml_event_t ev;

		if (!yaml_parser_parse(&parser, &ev)) {
			conf_syntax_error(b->errors, b->doc->name, &parser, bytes, len);
			r = -EBADMSG;
			break;
		}
		end = ev.type == YAML_STREAM_END_EVENT;
		r = handle(b, &ev);
		yaml_event_delete(&ev);
	}
	yaml_parser_delete(&parser);
	if (r == -ENOMEM && b->errors->count == b->errors_before)
		pst_conf_error(b->errors, b->doc->name, 0, 0, "out of memory");
	return r;
}

/* Documents of comments, or "---" alone, have no content. */
static void drop_empty(struct pst_doc *doc)
{
	for (struct pst_node **at = &doc->root, *n; (n = *at);) {
		if (n->type == PST_NODE_SCALAR && !n->quoted && !*n->text)
			*at = n->next;
		else
			at = &n->next;
	}
}

int pst_doc_parse(const char *name, const void *bytes, size_t len, struct pst_conf_errors *errors,
	struct pst_doc **ret_doc)
{
	static const struct pst_doc_bounds usual = {.bytes = CONF_FILE_MAX_BYTES, .nodes = 100000};

	return pst_doc_parse_within(name, bytes, len, &usual, errors, ret_doc);
}

int pst_doc_parse_within(const char *name, const void *bytes, size_t len, const struct pst_doc_bounds *bounds,
	struct pst_conf_errors *errors, struct pst_doc **ret_doc)
{
	PST_CLEANUP(pst_doc_freep) struct pst_doc *doc = calloc(1, sizeof(*doc));

	if (!doc || !(doc->name = strdup(name))) {
		pst_conf_error(errors, name, 0, 0, "out of memory");
		return -ENOMEM;
	}
	if (len > bounds->bytes) {
		pst_conf_error(errors, name, 0, 0, "larger than %zu KiB", bounds->bytes >> 10);
		return -EBADMSG;
	}
	struct builder b = {.doc = doc,
		.errors = errors,
		.errors_before = errors->count,
		.nodes_max = bounds->nodes,
		.documents_max = PST_MAX(bounds->documents, 1),
		.end_nul = bounds->end_nul,
		.root_tail = &doc->root};
	build(&b, bytes, len);
	free(b.keys);
	if (errors->count != b.errors_before)
		return -EBADMSG;
	drop_empty(doc);
	*ret_doc = PST_TAKE_PTR(doc);
	return 0;
}
