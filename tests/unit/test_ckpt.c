// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base_test.h"
#include "proto/base/ckpt.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/loop.h"

#include <grp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

static char dir[32], path[64], bad[72];
static unsigned fds_before;
static struct capture cap;

static int setup(void **state)
{
	(void)state;
	pst_log_init("test", PST_LOG_TEXT, PST_LOG_WARN);
	tmpdir_make(dir);
	snprintf(path, sizeof(path), "%s/enricher.ckpt", dir);
	snprintf(bad, sizeof(bad), "%s.bad", path);
	fds_before = open_fds();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(open_fds(), fds_before);
	tmpdir_remove(dir);
	return 0;
}

static struct pst_ckpt_words make_words(uint64_t n)
{
	struct pst_ckpt_words w = {.out_epoch = n, .out_next = n + 1, .in_epoch = n + 2};

	for (unsigned i = 0; i < PST_CKPT_TOPICS; i++)
		w.in_next[i] = n + 3 + i;
	for (unsigned i = 0; i < 3; i++)
		w.aux[i] = n * 2 + i;
	return w;
}

static void assert_words(const struct pst_ckpt_entry *entry, uint64_t n)
{
	struct pst_ckpt_words want = make_words(n), got;

	assert_non_null(entry);
	assert_true(pst_ckpt_load(entry, &got));
	assert_memory_equal(&got, &want, sizeof(got));
}

static void survives_a_restart(void **state)
{
	struct pst_ckpt *c;
	struct pst_ckpt_words w;

	(void)state;
	assert_int_equal(pst_ckpt_open(path, &c), 0);
	assert_null(pst_ckpt_entry(c, "out:proc", "collector", false));
	struct pst_ckpt_entry *e = pst_ckpt_entry(c, "out:proc", "collector", true);
	assert_non_null(e);
	assert_false(pst_ckpt_load(e, &w)); /* never stored */
	for (uint64_t n = 10; n < 15; n++) {
		w = make_words(n);
		pst_ckpt_store(c, e, &w);
		assert_words(e, n);
	}
	assert_ptr_equal(pst_ckpt_entry(c, "out:proc", "collector", true), e);
	assert_true(pst_ckpt_entry(c, "out:net", "collector", true) != e);
	uint64_t now = pst_now_boot_ns();
	assert_true(c->updated_ns <= now && now - c->updated_ns < 5000000000);
	pst_ckpt_close(c);
	assert_int_equal(pst_ckpt_open(path, &c), 0);
	assert_words(pst_ckpt_entry(c, "out:proc", NULL, false), 14);
	/* Another publisher: what was stored does not hold for it. */
	e = pst_ckpt_entry(c, "out:proc", "enricher", true);
	assert_false(pst_ckpt_load(e, &w));
	assert_string_equal(e->in_publisher, "enricher");
	pst_ckpt_close(c);
	pst_ckpt_close(NULL);
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(st.st_size, sizeof(struct pst_ckpt));
	const struct group *g = getgrnam("penstock");
	if (g && !geteuid())
		assert_int_equal(st.st_gid, g->gr_gid);
}

static void names_and_room(void **state)
{
	struct pst_ckpt *c;
	char name[32];

	(void)state;
	assert_int_equal(pst_ckpt_open(NULL, &c), 0);
	assert_null(pst_ckpt_entry(c, "", "x", true));
	assert_null(pst_ckpt_entry(c, "a-name-of-16-byt", "x", true));
	assert_null(pst_ckpt_entry(c, "a", "a-name-of-16-byt", true));
	assert_non_null(pst_ckpt_entry(c, "a-name-of-15-by", "a-name-of-15-by", true));
	for (unsigned i = 1; i < PST_CKPT_ENTRIES; i++) {
		snprintf(name, sizeof(name), "e%u", i);
		assert_non_null(pst_ckpt_entry(c, name, NULL, true));
	}
	assert_null(pst_ckpt_entry(c, "one-more", NULL, true));
	assert_non_null(pst_ckpt_entry(c, "e7", NULL, true));
	pst_ckpt_close(c);
}

static void what_is_no_checkpoint_is_set_aside(void **state)
{
	struct pst_ckpt *c;
	struct pst_ckpt wrong = {.magic = PST_CKPT_MAGIC, .version = 2};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		FILE *f = fopen(path, "w");
		assert_non_null(f);
		if (i == 0)
			fputs("hello", f);
		else if (i == 1)
			fwrite(&wrong, sizeof(wrong), 1, f);
		else
			for (unsigned k = 0; k < sizeof(wrong); k++)
				fputc(0xff, f);
		fclose(f);
		capture_begin(&cap, 2);
		assert_int_equal(pst_ckpt_open(path, &c), 0);
		capture_end(&cap);
		assert_non_null(strstr(cap.text, "not a checkpoint of this version"));
		assert_int_equal(access(bad, F_OK), 0);
		assert_null(pst_ckpt_entry(c, "out:proc", NULL, false));
		pst_ckpt_close(c);
		unlink(path);
		unlink(bad);
	}
	/* One that was never finished: same length, no magic number. */
	FILE *f = fopen(path, "w");
	assert_int_equal(ftruncate(fileno(f), sizeof(wrong)), 0);
	fclose(f);
	assert_int_equal(pst_ckpt_open(path, &c), 0);
	assert_int_equal(c->magic, PST_CKPT_MAGIC);
	pst_ckpt_close(c);
	assert_int_equal(access(bad, F_OK), -1);
}

static void strange_paths(void **state)
{
	struct pst_ckpt *c = NULL;
	const struct pst_ckpt *v = NULL;
	char link[80];

	(void)state;
	assert_int_equal(pst_ckpt_open("/nonexistent/x", &c), -ENOENT);
	assert_int_equal(pst_ckpt_view(path, &v), -ENOENT);
	snprintf(link, sizeof(link), "%s/link", dir);
	assert_int_equal(symlink("/etc/hostname", link), 0);
	assert_int_equal(pst_ckpt_open(link, &c), -ELOOP);
	assert_int_equal(pst_ckpt_view(link, &v), -ELOOP);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(pst_ckpt_view(path, &v), -EBADMSG);
	assert_int_equal(pst_ckpt_view(dir, &v), -EBADMSG);
	assert_null(c);
	assert_null(v);
}

static void view_follows_the_owner(void **state)
{
	struct pst_ckpt *c;
	const struct pst_ckpt *v;
	struct pst_ckpt_words w = make_words(1);

	(void)state;
	assert_int_equal(pst_ckpt_open(path, &c), 0);
	struct pst_ckpt_entry *e = pst_ckpt_entry(c, "in:collector", "collector", true);
	assert_int_equal(pst_ckpt_view(path, &v), 0);
	const struct pst_ckpt_entry *ve = pst_ckpt_entry((struct pst_ckpt *)v, "in:collector", NULL, false);
	assert_false(pst_ckpt_load(ve, &w));
	w = make_words(1);
	pst_ckpt_store(c, e, &w);
	assert_words(ve, 1);
	w = make_words(2);
	pst_ckpt_store(c, e, &w);
	assert_words(ve, 2);
	assert_int_equal(v->updated_ns, c->updated_ns);
	/* One that is made later is seen; through a view none can be made. */
	struct pst_ckpt_entry *later = pst_ckpt_entry(c, "later", NULL, true);
	pst_ckpt_store(c, later, &w);
	assert_words(pst_ckpt_entry((struct pst_ckpt *)v, "later", NULL, false), 2);
	assert_null(pst_ckpt_entry((struct pst_ckpt *)v, "never", NULL, true));
	pst_ckpt_close(v);
	pst_ckpt_close(c);
}

static void hostile_owner_cannot_kill_a_reader(void **state)
{
	struct pst_ckpt *c;
	const struct pst_ckpt *v;
	struct pst_ckpt_words w = make_words(1);

	(void)state;
	assert_int_equal(pst_ckpt_open(path, &c), 0);
	struct pst_ckpt_entry *e = pst_ckpt_entry(c, "x", NULL, true);
	pst_ckpt_store(c, e, &w);
	assert_int_equal(pst_ckpt_view(path, &v), 0);
	const struct pst_ckpt_entry *ve = pst_ckpt_entry((struct pst_ckpt *)v, "x", NULL, false);
	assert_words(ve, 1);
	e->active = 7;
	assert_false(pst_ckpt_load(ve, &w));
	memset(c->entry, 0xff, sizeof(c->entry)); /* names without end */
	assert_null(pst_ckpt_entry((struct pst_ckpt *)v, "x", NULL, false));
	assert_int_equal(truncate(path, 100), 0);
	assert_false(pst_ckpt_load(ve, &w));
	assert_int_equal(truncate(path, 0), 0);
	assert_false(pst_ckpt_load(ve, &w));
	const struct pst_ckpt *none = NULL;
	assert_int_equal(pst_ckpt_view(path, &none), -EBADMSG);
	pst_ckpt_close(v);
	pst_ckpt_close(c);
}

/* A writer in another process, killed at any instant: what is found is whole, and at least what it had told
 * of. */
static void kill_leaves_old_or_new_whole(void **state)
{
	volatile uint64_t *told = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_true(told != MAP_FAILED);
	for (unsigned round = 0; round < 40; round++) {
		struct pst_ckpt *c;
		struct pst_ckpt_words w;

		*told = 0;
		pid_t pid = fork();
		if (!pid) {
			if (pst_ckpt_open(path, &c))
				_exit(1);
			struct pst_ckpt_entry *e = pst_ckpt_entry(c, "x", NULL, true);
			for (uint64_t n = 1;; n++) {
				w = make_words(n);
				pst_ckpt_store(c, e, &w);
				*told = n;
			}
		}
		while (!*told)
			usleep(100);
		usleep(round * 37 % 500);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		assert_int_equal(pst_ckpt_open(path, &c), 0);
		struct pst_ckpt_entry *e = pst_ckpt_entry(c, "x", NULL, false);
		assert_non_null(e);
		assert_true(pst_ckpt_load(e, &w));
		assert_in_range(w.out_epoch, *told, *told + 1);
		assert_words(e, w.out_epoch);
		pst_ckpt_close(c);
		unlink(path);
	}
	munmap((void *)told, 4096);
}

static void view_is_never_torn(void **state)
{
	struct pst_ckpt *c;
	const struct pst_ckpt *v;
	struct pst_ckpt_words w = make_words(1);
	uint64_t seen = 0, last = 0;

	(void)state;
	assert_int_equal(pst_ckpt_open(path, &c), 0);
	struct pst_ckpt_entry *e = pst_ckpt_entry(c, "x", NULL, true);
	pst_ckpt_store(c, e, &w);
	pid_t pid = fork();
	if (!pid) {
		for (uint64_t n = 2;; n++) { /* 10 stores, then a pause: as fast as no stage is */
			w = make_words(n);
			pst_ckpt_store(c, e, &w);
			if (n % 10 == 0)
				usleep(1);
		}
	}
	assert_int_equal(pst_ckpt_view(path, &v), 0);
	const struct pst_ckpt_entry *ve = pst_ckpt_entry((struct pst_ckpt *)v, "x", NULL, false);
	for (unsigned i = 0; i < 20000; i++) {
		if (!pst_ckpt_load(ve, &w))
			continue;
		struct pst_ckpt_words want = make_words(w.out_epoch);
		assert_memory_equal(&w, &want, sizeof(w));
		assert_true(w.out_epoch >= last);
		seen += w.out_epoch != last;
		last = w.out_epoch;
	}
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(seen > 10);
	pst_ckpt_close(v);
	pst_ckpt_close(c);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(survives_a_restart),
		TEST(names_and_room),
		TEST(what_is_no_checkpoint_is_set_aside),
		TEST(strange_paths),
		TEST(view_follows_the_owner),
		TEST(hostile_owner_cannot_kill_a_reader),
		TEST(kill_leaves_old_or_new_whole),
		TEST(view_is_never_torn),
	};
	alarm(120); /* a writer that never speaks fails the test, it does not hang it */
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("ckpt", tests, NULL, NULL);
}
