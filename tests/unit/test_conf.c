// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base_test.h"
#include "proto/base/cleanup.h"
#include "proto/base/conf.h"

#include <time.h>

/* ---- documents ---- */

static struct pst_conf_errors errors;

static int teardown(void **state)
{
	(void)state;
	pst_conf_errors_done(&errors);
	return 0;
}

static struct pst_doc *parse(const char *text)
{
	struct pst_doc *doc = NULL;

	pst_conf_errors_done(&errors);
	int r = pst_doc_parse("f", text, strlen(text), &errors, &doc);
	assert_int_equal(r, errors.count ? -EBADMSG : 0);
	assert_int_equal(doc == NULL, r < 0);
	return doc;
}

static void tree_knows_its_places(void **state)
{
	(void)state;
	struct pst_doc *doc =
		parse("# comment\na: 1\nlist:\n  - x\n  - \"y z\"\nmap: {k: v, 'q': w}\n\xc3\xbc: {z: 1}\n");
	assert_non_null(doc);
	const struct pst_node *root = pst_doc_root(doc), *n;
	assert_string_equal(pst_doc_name(doc), "f");
	assert_int_equal(root->type, PST_NODE_MAPPING);
	assert_int_equal(root->n_children, 4);
	assert_int_equal(root->line, 2);
	n = pst_node_get(root, "a");
	assert_string_equal(n->text, "1");
	assert_false(n->quoted);
	assert_int_equal(n->line, 2);
	assert_int_equal(n->column, 4);
	assert_int_equal(n->key_column, 1);
	n = pst_node_get(root, "list");
	assert_int_equal(n->type, PST_NODE_SEQUENCE);
	assert_int_equal(n->n_children, 2);
	assert_null(n->child->key);
	assert_string_equal(n->child->next->text, "y z");
	assert_true(n->child->next->quoted);
	assert_int_equal(n->child->next->line, 5);
	assert_int_equal(n->child->next->column, 5);
	assert_ptr_equal(n->child->parent, n);
	assert_null(n->child->next->next);
	n = pst_node_get(pst_node_get(root, "map"), "q");
	assert_string_equal(n->text, "w");
	assert_int_equal(n->key_line, 6);
	assert_int_equal(n->key_column, 13);
	n = pst_node_get(pst_node_get(root, "\xc3\xbc"), "z");
	assert_int_equal(n->key_column, 5); /* characters, not bytes */
	assert_null(pst_node_get(root, "b"));
	assert_null(pst_node_get(pst_node_get(root, "a"), "x"));
	assert_null(pst_node_get(NULL, "x"));
	pst_doc_free(doc);
	pst_doc_free(NULL);
}

static void several_documents(void **state)
{
	static const struct pst_doc_bounds three = {.bytes = 1000, .nodes = 20, .documents = 3};
	static const char good[] = "---\n# empty\n---\na: 1\n---\n[b]\n...\n";
	static const char bad[] = "a: 1\n---\n---\nb: 2\n---\nc: 3\n";
	struct pst_doc *doc = NULL;
	const struct pst_node *n;

	(void)state;
	pst_conf_errors_done(&errors);
	assert_int_equal(pst_doc_parse_within("f", good, strlen(good), &three, &errors, &doc), 0);
	n = pst_doc_root(doc);
	assert_true(n->type == PST_NODE_MAPPING && n->line == 4 && !n->parent);
	n = n->next;
	assert_true(n->type == PST_NODE_SEQUENCE && n->line == 6 && !n->parent && !n->next);
	pst_doc_free(doc);
	assert_int_equal(pst_doc_parse_within("f", bad, strlen(bad), &three, &errors, &doc), -EBADMSG);
	assert_string_equal(errors.text, "f:5:1: more than 3 documents in a file\n");
	pst_conf_errors_done(&errors);
}

/* As strings of C are written by others. */
static void nul_at_the_end(void **state)
{
	static const struct pst_doc_bounds bounds = {.bytes = 100, .nodes = 10, .end_nul = true};
	static const char good[] = "a: \"x\\0\"\nb: \"\\0\"\n", bad[] = "a: \"x\\0y\\0\"\n";
	struct pst_doc *doc = NULL;

	(void)state;
	assert_int_equal(pst_doc_parse_within("f", good, strlen(good), &bounds, &errors, &doc), 0);
	assert_string_equal(pst_node_get(pst_doc_root(doc), "a")->text, "x");
	assert_string_equal(pst_node_get(pst_doc_root(doc), "b")->text, "");
	pst_doc_free(doc);
	assert_int_equal(pst_doc_parse_within("f", bad, strlen(bad), &bounds, &errors, &doc), -EBADMSG);
	assert_string_equal(errors.text, "f:1:4: a NUL byte in a string\n");
	pst_conf_errors_done(&errors);
}

static void nothing_in_it(void **state)
{
	static const char *const texts[] = {"", "\n\n", "# only a comment\n", "---\n", "---\n...\n"};

	(void)state;
	for (unsigned i = 0; i < PST_ARRAY_SIZE(texts); i++) {
		struct pst_doc *doc = parse(texts[i]);
		assert_non_null(doc);
		assert_null(pst_doc_root(doc));
		pst_doc_free(doc);
	}
}

static void bad_documents_are_refused_with_a_place(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"a: 1\nb: c: d\n", "f:2:5: unexpected \":\"; check the indentation, or quote the text"},
		{"a:\n\tb: 1\n", "f:2:1: a tab is here: indent with spaces"},
		{"a: 1\n b: 2\n", "f:2:"},
		{"a: [1, 2\nb: 3\n", "f:2:"},
		{"a: @b\n", "f:1:4: a value cannot begin with this character"},
		{"a: \"open\n", "f:2:1: the quoted text never ends (while scanning a quoted scalar, which "
				"began in line 1)"},
		{"a: 1\nword\n", "f:3:1: expected \"key: value\"; the colon is missing"},
		{"a: 1\nb: 2\na: 3\n", "f:3:1: key \"a\" is here a second time; the first is in line 1\n"},
		{"{a: , b: , c: , d: , e: , f: , g: , h: , i: , j: , k: , l: , m: , n: , o: ,\n p: , p: ,\n "
		 "a: ,\n q: ,\n "
		 "q: , c: }",
			"f:2:7: key \"p\" is here a second time; the first is in line 2\n"
			"f:3:2: key \"a\" is here a second time; the first is in line 1\n"
			"f:5:2: key \"q\" is here a second time; the first is in line 4\n"
			"f:5:7: key \"c\" is here a second time; the first is in line 1\n"},
		{"a: &x 1\n", "f:1:4: anchors (&name) are not supported"},
		{"a: *x\n", "f:1:4: aliases (*name) are not supported"},
		{"a: !!int 1\n", "f:1:4: tags (!type) are not supported"},
		{"a: !foo {}\n", "f:1:4: tags (!type) are not supported"},
		{"? [a, b]\n: 1\n", "f:1:3: a key must be a plain word"},
		{"? {a: b}\n: 1\n", "f:1:3: a key must be a plain word"},
		{"a: 1\n---\nb: 2\n", "f:2:1: a second document begins"},
		{"a: \"x\\0y\"\n", "f:1:4: a NUL byte in a string"},
		{"\"x\\0y\": 1\n", "f:1:1: a NUL byte in a string"},
		{"a: 1\nb: \x01\n", "f:2:4: control characters are not allowed"},
		{"a: \xff\n", "f:1:4: "},
	};

	(void)state;
	for (unsigned i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		assert_null(parse(cases[i].text));
		if (!errors.text || strncmp(errors.text, cases[i].error, strlen(cases[i].error)))
			fail_msg("%s gave %s", cases[i].text, errors.text);
	}
}

static void several_errors_in_one_run(void **state)
{
	(void)state;
	assert_null(parse("a: !x 1\nb: 1\nb: 2\nc: &q 3\nd: 'x\n"));
	assert_int_equal(errors.count, 4);
	assert_non_null(strstr(errors.text, "f:1:4: tags"));
	assert_non_null(strstr(errors.text, "\nf:3:1: key \"b\""));
	assert_non_null(strstr(errors.text, "\nf:4:4: anchors"));
	assert_non_null(strstr(errors.text, "\nf:6:1: the quoted"));
}

static void errors_are_bounded_and_forge_nothing(void **state)
{
	char text[4096] = "";

	(void)state;
	for (int i = 0; i < 100; i++)
		strcat(text, "a: 1\n");
	assert_null(parse(text));
	assert_int_equal(errors.count, 99);
	unsigned lines = 0;
	for (const char *s = errors.text; *s; s++)
		lines += *s == '\n';
	assert_int_equal(lines, PST_CONF_ERRORS_MAX);
	pst_conf_errors_done(&errors);
	char huge[2000];
	memset(huge, 'x', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	pst_conf_error(&errors, "na\nme", 3, 4, "a\nb %s", huge);
	assert_memory_equal(errors.text, "na?me:3:4: a?b xxx", 18);
	assert_ptr_equal(strchr(errors.text, '\n'), errors.text + errors.text_len - 1);
	assert_memory_equal(errors.text + errors.text_len - 4, "...\n", 4);
	pst_conf_error(&errors, "name", 0, 0, "no place");
	assert_non_null(strstr(errors.text, "\nname: no place\n"));
}

static char *repeat(const char *piece, unsigned n, const char *end)
{
	size_t len = strlen(piece);
	char *s = malloc(len * n + strlen(end) + 1);

	assert_non_null(s);
	for (unsigned i = 0; i < n; i++)
		memcpy(s + i * len, piece, len);
	strcpy(s + n * len, end);
	return s;
}

static void bounds(void **state)
{
	(void)state;
	PST_FREE char *deep = repeat("[", 16, "]]]]]]]]]]]]]]]]");
	struct pst_doc *doc = parse(deep);
	assert_non_null(doc);
	pst_doc_free(doc);
	PST_FREE char *too_deep = repeat("[", 17, "");
	assert_null(parse(too_deep));
	assert_string_equal(errors.text, "f:1:17: nested more than 16 deep\n");
	PST_FREE char *abyss = repeat("[", 1 << 20, "");
	assert_null(parse(abyss));
	PST_FREE char *dashes = repeat("- ", 400000, "");
	assert_null(parse(dashes));
	PST_FREE char *many = repeat("- a\n", 100001, "");
	assert_null(parse(many));
	assert_string_equal(errors.text, "f:100000:3: more than 100000 values\n");
	PST_FREE char *enough = repeat("- a\n", 99999, "");
	doc = parse(enough);
	assert_non_null(doc);
	assert_int_equal(pst_doc_root(doc)->n_children, 99999);
	pst_doc_free(doc);
	PST_FREE char *big = repeat("#", (1 << 20) + 1, "");
	assert_null(parse(big));
	assert_string_equal(errors.text, "f: larger than 1024 KiB\n");
}

static void many_keys_take_no_square_of_time(void **state)
{
	PST_FREE char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	for (int i = 0; i < 90000; i++)
		fprintf(f, "k%d: \n", i);
	fclose(f);
	struct timespec a, b;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	struct pst_doc *doc = parse(text);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	assert_non_null(doc);
	assert_int_equal(pst_doc_root(doc)->n_children, 90000);
	pst_doc_free(doc);
	assert_true(b.tv_sec - a.tv_sec < 5);
}

static void files(void **state)
{
	char dir[32], path[64];
	struct pst_doc *doc = NULL;

	(void)state;
	tmpdir_make(dir);
	unsigned fds = open_fds();
	snprintf(path, sizeof(path), "%s/c.yaml", dir);
	pst_conf_errors_done(&errors);
	assert_int_equal(pst_doc_load(path, &errors, &doc), -ENOENT);
	assert_non_null(strstr(errors.text, "/c.yaml: cannot open: No such file or directory\n"));
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(pst_doc_load(path, &errors, &doc), -EINVAL); /* and does not hang */
	unlink(path);
	assert_int_equal(pst_doc_load(dir, &errors, &doc), -EISDIR);
	assert_int_equal(errors.count, 3);
	assert_null(doc);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs("a: b\n", f);
	fclose(f);
	assert_int_equal(pst_doc_load(path, &errors, &doc), 0);
	assert_string_equal(pst_doc_name(doc), path);
	assert_string_equal(pst_node_get(pst_doc_root(doc), "a")->text, "b");
	pst_doc_free(doc);
	doc = NULL;
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(ftruncate(fileno(f), 50 << 20), 0);
	fclose(f);
	assert_int_equal(pst_doc_load(path, &errors, &doc), -EBADMSG);
	assert_null(doc);
	assert_int_equal(open_fds(), fds);
	tmpdir_remove(dir);
}

/* ---- values ---- */

static void sizes_and_times(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
		int r;
	} sizes[] = {{"0", 0, 0}, {"4096", 4096, 0}, {"512B", 512, 0}, {"64KiB", 65536, 0},
		{"8M", 8 << 20, 0}, {"8MiB", 8 << 20, 0}, {"1GiB", 1 << 30, 0}, {"2T", 2ull << 40, 0},
		{"", 0, -EINVAL}, {"MiB", 0, -EINVAL}, {"8mb", 0, -EINVAL}, {"8MB", 0, -EINVAL},
		{"-1", 0, -EINVAL}, {"+1", 0, -EINVAL}, {" 1", 0, -EINVAL}, {"1 M", 0, -EINVAL},
		{"1.5G", 0, -EINVAL}, {"18446744073709551615", UINT64_MAX, 0},
		{"18446744073709551616", 0, -ERANGE}, {"99999999T", 0, -ERANGE}},
	  times[] = {{"0", 0, 0}, {"7ns", 7, 0}, {"100us", 100000, 0}, {"500ms", 500000000, 0},
		  {"2s", 2000000000, 0}, {"5m", 300000000000, 0}, {"1h", 3600000000000, 0},
		  {"1d", 86400000000000, 0}, {"5", 0, -EINVAL}, {"00", 0, -EINVAL}, {"", 0, -EINVAL},
		  {"s", 0, -EINVAL}, {"5 s", 0, -EINVAL}, {"5S", 0, -EINVAL}, {"1h30m", 0, -EINVAL},
		  {"999999999d", 0, -ERANGE}};

	(void)state;
	for (unsigned i = 0; i < PST_ARRAY_SIZE(sizes); i++) {
		uint64_t v = 77;
		assert_int_equal(pst_conf_parse_size(sizes[i].text, &v), sizes[i].r);
		assert_true(v == (sizes[i].r ? 77 : sizes[i].value));
	}
	for (unsigned i = 0; i < PST_ARRAY_SIZE(times); i++) {
		uint64_t v = 77;
		assert_int_equal(pst_conf_parse_time(times[i].text, &v), times[i].r);
		assert_true(v == (times[i].r ? 77 : times[i].value));
	}
}

static void did_you_mean(void **state)
{
	static const char *const names[] = {"listen", "retention", "tls", "log", "user"};
	static const struct {
		const char *word, *found;
	} cases[] = {{"lisen", "listen"}, {"litsen", "listen"}, {"Listen", "listen"},
		{"retantoin", "retention"}, {"lgo", "log"}, {"usr", "user"}, {"tl", NULL}, {"xyz", NULL},
		{"", NULL}, {"listener", "listen"}, {"retirement", NULL}};
	char huge[100];

	(void)state;
	for (unsigned i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		const char *found = pst_conf_did_you_mean(cases[i].word, names, PST_ARRAY_SIZE(names));
		if (!cases[i].found ? found != NULL : !found || strcmp(found, cases[i].found))
			fail_msg("%s -> %s", cases[i].word, found);
	}
	memset(huge, 'l', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	assert_null(pst_conf_did_you_mean(huge, names, PST_ARRAY_SIZE(names)));
	assert_null(pst_conf_did_you_mean("x", names, 0));
}

/* ---- binding ---- */

struct config {
	bool enabled;
	uint64_t count, size, time, free;
	char *name, *path;
	int level;
	struct pst_strs hosts;
	bool tls;
	char *cert;
	unsigned custom;
};

static int parse_custom(struct pst_conf_ctx *ctx, const struct pst_node *node)
{
	if (node->type != PST_NODE_SEQUENCE)
		return pst_conf_reject(ctx, node, "custom: expected a list");
	((struct config *)ctx->base)->custom = node->n_children;
	return node->n_children == 13 ? -ENOTSUP : 0;
}

static const char *const levels[] = {"low", "middle", "high", NULL};
#define AT(m) offsetof(struct config, m)
static const struct pst_conf_field tls_fields[] = {
	{.key = "enabled", .type = PST_CONF_BOOL, .offset = AT(tls), .help = "Speak TLS."},
	{.key = "certificate", .type = PST_CONF_STR, .offset = AT(cert), .help = "PEM file."},
	{0},
};
static const struct pst_conf_field fields[] = {
	{.key = "enabled",
		.type = PST_CONF_BOOL,
		.offset = AT(enabled),
		.help = "Whether it runs; default false."},
	{.key = "count",
		.type = PST_CONF_U64,
		.offset = AT(count),
		.min = 1,
		.max = 100,
		.help = "How many."},
	{.key = "free", .type = PST_CONF_U64, .offset = AT(free), .help = "Any number."},
	{.key = "size",
		.type = PST_CONF_SIZE,
		.offset = AT(size),
		.min = 4096,
		.max = 1 << 30,
		.help = "Ring."},
	{.key = "time",
		.type = PST_CONF_TIME,
		.offset = AT(time),
		.min = 1000000,
		.max = 3600000000000,
		.help = "Tick."},
	{.key = "name", .type = PST_CONF_STR, .offset = AT(name), .min = 1, .max = 8, .help = "Name."},
	{.key = "path",
		.type = PST_CONF_STR,
		.offset = AT(path),
		.help = "A long explanation that does not fit into one line of a hundred columns and so is "
			"wrapped where a "
			"word ends, as one would do by hand."},
	{.key = "level", .type = PST_CONF_ENUM, .offset = AT(level), .names = levels, .help = "Level."},
	{.key = "hosts", .type = PST_CONF_STRS, .offset = AT(hosts), .max = 3, .help = "Hosts."},
	{.key = "tls", .type = PST_CONF_SECTION, .section = tls_fields, .help = "TLS."},
	{.key = "custom", .type = PST_CONF_CUSTOM, .parse = parse_custom, .help = "List of things."},
	{0},
};

static struct config config;

static int bind(const char *text)
{
	PST_CLEANUP(pst_doc_freep) struct pst_doc *doc = parse(text);

	if (!doc)
		fail_msg("%s", errors.text);
	pst_conf_release(&config, fields);
	config = (struct config){.count = 5, .name = strdup("default"), .level = 1};
	struct pst_conf_ctx ctx = {.file = "f", .errors = &errors, .base = &config};
	int r = pst_conf_bind(&ctx, pst_doc_root(doc), fields);
	assert_int_equal(r, errors.count ? -EINVAL : 0);
	return r;
}

static int bind_teardown(void **state)
{
	pst_conf_release(&config, fields);
	return teardown(state);
}

static void every_type_binds(void **state)
{
	(void)state;
	assert_int_equal(
		bind("enabled: yes\ncount: 0x10\nfree: 18446744073709551615\nsize: 8MiB\ntime: 250ms\n"
		     "name: \"a b\"\npath: /x\nlevel: high\nhosts: [a, 'b', \"\"]\n"
		     "tls: {enabled: ON, certificate: c.pem}\ncustom: [1, 2]\n"),
		0);
	assert_true(config.enabled && config.tls);
	assert_int_equal(config.count, 16);
	assert_true(config.free == UINT64_MAX);
	assert_int_equal(config.size, 8 << 20);
	assert_int_equal(config.time, 250000000);
	assert_string_equal(config.name, "a b");
	assert_string_equal(config.path, "/x");
	assert_int_equal(config.level, 2);
	assert_int_equal(config.hosts.n, 3);
	assert_string_equal(config.hosts.v[1], "b");
	assert_string_equal(config.hosts.v[2], "");
	assert_string_equal(config.cert, "c.pem");
	assert_int_equal(config.custom, 2);
	static const char *const words[] = {"true", "yes", "on", "True", "false", "no", "off", "OFF"};
	for (unsigned i = 0; i < 8; i++) {
		char text[32];
		snprintf(text, sizeof(text), "enabled: %s", words[i]);
		assert_int_equal(bind(text), 0);
		assert_int_equal(config.enabled, i < 4);
	}
}

static void defaults_stay(void **state)
{
	static const char *const texts[] = {"", "tls:\n", "tls: {}\n", "{}", "tls: ~\n"};

	(void)state;
	for (unsigned i = 0; i < PST_ARRAY_SIZE(texts); i++) {
		assert_int_equal(bind(texts[i]), 0);
		assert_int_equal(config.count, 5);
		assert_string_equal(config.name, "default");
	}
	assert_int_equal(bind("hosts: one\n"), 0);
	assert_int_equal(config.hosts.n, 1);
	assert_int_equal(bind("hosts: []\n"), 0);
	assert_int_equal(config.hosts.n, 0);
}

static void bad_values_are_named(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"conut: 3", "f:1:1: unknown key \"conut\"; did you mean \"count\"?\n"},
		{"tls:\n  zzz: 3", "f:2:3: unknown key \"zzz\"; expected one of: enabled, certificate\n"},
		{"enabled: maybe", "f:1:10: enabled: expected true or false, found \"maybe\"\n"},
		{"enabled: \"yes\"", "f:1:10: enabled: expected true or false, found a text in quotes\n"},
		{"enabled:", "f:1:9: enabled: expected true or false, found nothing\n"},
		{"enabled: [yes]", "f:1:10: enabled: expected true or false, found a list\n"},
		{"count: 101", "f:1:8: count: 101 is not between 1 and 100\n"},
		{"count: 0", "f:1:8: count: 0 is not between 1 and 100\n"},
		{"count: 99999999999999999999",
			"f:1:8: count: 99999999999999999999 is not between 1 and 100\n"},
		{"free: 99999999999999999999", "f:1:7: free: 99999999999999999999 is too large\n"},
		{"count: 010", "f:1:8: count: expected a number, found \"010\"\n"},
		{"count: -1", "f:1:8: count: expected a number, found \"-1\"\n"},
		{"count: 0x", "f:1:8: count: expected a number, found \"0x\"\n"},
		{"count: 3.5", "f:1:8: count: expected a number, found \"3.5\"\n"},
		{"count: '3'", "f:1:8: count: expected a number, found a text in quotes\n"},
		{"size: 1KiB", "f:1:7: size: 1KiB is not between 4KiB and 1GiB\n"},
		{"size: 5MB", "f:1:7: size: expected a size such as 64KiB or 8MiB, found \"5MB\"\n"},
		{"time: 5",
			"f:1:7: time: expected a time with its unit such as 500ms, 5s or 1h, found \"5\"\n"},
		{"time: 2h", "f:1:7: time: 2h is not between 1ms and 1h\n"},
		{"name: ''", "f:1:7: name: the text has 0 bytes, not between 1 and 8\n"},
		{"name: 123456789", "f:1:7: name: the text has 9 bytes, not between 1 and 8\n"},
		{"name: {a: b}", "f:1:7: name: expected a text, found a mapping\n"},
		{"level: hihg", "f:1:8: level: unknown value \"hihg\"; did you mean \"high\"?\n"},
		{"level: 7", "f:1:8: level: unknown value \"7\"; expected one of: low, middle, high\n"},
		{"hosts: [a, b, c, d]", "f:1:8: hosts: the list has 4 entries, not between 0 and 3\n"},
		{"hosts: [a, [b]]", "f:1:12: hosts: expected a text, found a list\n"},
		{"hosts: {a: b}", "f:1:8: hosts: expected a list of texts, found a mapping\n"},
		{"tls: 7", "f:1:6: tls: expected a mapping (key: value), found a single value\n"},
		{"- a", "f:1:1: expected a mapping (key: value), found a list\n"},
		{"custom: 1", "f:1:9: custom: expected a list\n"},
		{"custom: [1,2,3,4,5,6,7,8,9,10,11,12,13]", "f:1:9: custom: Operation not supported\n"},
		{"name: \"\\e[2J\\u202e123456789\"", "f:1:7: name: the text has 16 bytes"},
		{"enabled: \xe2\x80\xaex",
			"f:1:10: enabled: expected true or false, found \"\\xe2\\x80\\xaex\"\n"},
	};

	(void)state;
	for (unsigned i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		assert_int_equal(bind(cases[i].text), -EINVAL);
		if (strncmp(errors.text, cases[i].error, strlen(cases[i].error)) || errors.count != 1)
			fail_msg("%s gave %s", cases[i].text, errors.text);
	}
}

static void all_errors_of_a_file_come_at_once(void **state)
{
	(void)state;
	assert_int_equal(
		bind("conut: 3\nsize: 1\ntls:\n  enabled: x\n  certificat: y\nlevel: lo\ncount: 7\n"),
		-EINVAL);
	assert_int_equal(errors.count, 5);
	assert_string_equal(errors.text,
		"f:1:1: unknown key \"conut\"; did you mean \"count\"?\n"
		"f:2:7: size: 1 is not between 4KiB and 1GiB\n"
		"f:4:12: enabled: expected true or false, found \"x\"\n"
		"f:5:3: unknown key \"certificat\"; did you mean \"certificate\"?\n"
		"f:6:8: level: unknown value \"lo\"; expected one of: low, middle, high\n");
	assert_int_equal(config.count, 7);
}

static void no_upper_bound(void **state)
{
	static const struct pst_conf_field at_least[] = {
		{.key = "n", .type = PST_CONF_TIME, .min = 1000, .help = ""}, {0}};
	uint64_t n = 0;
	struct pst_conf_ctx ctx = {.file = "f", .errors = &errors, .base = &n};

	(void)state;
	struct pst_doc *doc = parse("n: 10d");
	assert_int_equal(pst_conf_bind(&ctx, pst_doc_root(doc), at_least), 0);
	assert_int_equal(n, 864000000000000);
	pst_doc_free(doc);
	doc = parse("n: 0");
	assert_int_equal(pst_conf_bind(&ctx, pst_doc_root(doc), at_least), -EINVAL);
	assert_string_equal(errors.text, "f:1:4: n: 0 is less than 1us\n");
	pst_doc_free(doc);
}

static struct capture cap;

static void printed_defaults_can_be_read_back(void **state)
{
	(void)state;
	assert_int_equal(
		bind("enabled: on\ncount: 7\nfree: 0\nsize: 12KiB\ntime: 1500us\nname: 'yes'\nlevel: low\n"
		     "hosts: ['a: b', \"q\\\"\\\\\\n#\", '-5']\ntls: {enabled: yes, certificate: "
		     "/etc/x.pem}\n"),
		0);
	capture_begin(&cap, 1);
	pst_conf_print(&config, fields);
	char text[8192];
	strcpy(text, capture_end(&cap));
	assert_string_equal(text, "# Whether it runs; default false.\n"
				  "enabled: true\n"
				  "# How many.\n"
				  "count: 7\n"
				  "# Any number.\n"
				  "free: 0\n"
				  "# Ring.\n"
				  "size: 12KiB\n"
				  "# Tick.\n"
				  "time: 1500us\n"
				  "# Name.\n"
				  "name: \"yes\"\n"
				  "# A long explanation that does not fit into one line of a hundred columns "
				  "and so is wrapped where a\n"
				  "# word ends, as one would do by hand.\n"
				  "# path:\n"
				  "# Level.\n"
				  "level: low\n"
				  "# Hosts.\n"
				  "hosts: [\"a: b\", \"q\\\"\\\\\\u000a#\", \"-5\"]\n"
				  "# TLS.\n"
				  "tls:\n"
				  "  # Speak TLS.\n"
				  "  enabled: true\n"
				  "  # PEM file.\n"
				  "  certificate: /etc/x.pem\n"
				  "# List of things.\n"
				  "# custom:\n");
	assert_int_equal(bind(text), 0);
	assert_string_equal(config.name, "yes");
	assert_string_equal(config.hosts.v[1], "q\"\\\n#");
	assert_string_equal(config.hosts.v[2], "-5");
	assert_int_equal(config.time, 1500000);
	capture_begin(&cap, 1);
	pst_conf_print_section("stage", &config, fields);
	strcpy(text, capture_end(&cap));
	struct pst_doc *doc = parse(text);
	assert_non_null(doc);
	assert_string_equal(
		pst_node_get(pst_node_get(pst_node_get(pst_doc_root(doc), "stage"), "tls"), "enabled")->text,
		"true");
	pst_doc_free(doc);
	/* Line ends and marks of other alphabets survive, too. */
	assert_int_equal(bind("path: \"\\u2028\\u0085\\uFEFF\\u00e9\\U0001F41D\""), 0);
	capture_begin(&cap, 1);
	pst_conf_print(&config, fields);
	strcpy(text, capture_end(&cap));
	assert_int_equal(bind(strstr(text, "path: \"")), 0);
	assert_string_equal(config.path, "\xe2\x80\xa8\xc2\x85\xef\xbb\xbf\xc3\xa9\xf0\x9f\x90\x9d");
}

#define TEST(f) cmocka_unit_test_teardown(f, bind_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tree_knows_its_places),
		TEST(nothing_in_it),
		TEST(several_documents),
		TEST(nul_at_the_end),
		TEST(bad_documents_are_refused_with_a_place),
		TEST(several_errors_in_one_run),
		TEST(errors_are_bounded_and_forge_nothing),
		TEST(bounds),
		TEST(many_keys_take_no_square_of_time),
		TEST(files),
		TEST(sizes_and_times),
		TEST(did_you_mean),
		TEST(every_type_binds),
		TEST(defaults_stay),
		TEST(bad_values_are_named),
		TEST(all_errors_of_a_file_come_at_once),
		TEST(no_upper_bound),
		TEST(printed_defaults_can_be_read_back),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("conf", tests, NULL, NULL);
}
