// SPDX-License-Identifier: Apache-2.0
/* Which files there are to read. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "policyd/policy/policy.h"
#include "proto/base/cleanup.h"

struct list {
	struct pst_strs files;
	struct pst_conf_errors *errors;
	bool maybe;  /* a folder may have none, */
	bool absent; /* and what is not there has none */
};

static void list_done(struct list *l)
{
	pst_strs_done(&l->files);
}

/* Takes @path over. */
static int add_file(struct list *l, char *path)
{
	char **v;

	if (!path)
		return -ENOMEM;
	if (l->files.n == POLICY_FILES_MAX) {
		pst_conf_error(l->errors, path, 0, 0, "more than %d files", POLICY_FILES_MAX);
		free(path);
		return -E2BIG;
	}
	v = reallocarray(l->files.v, l->files.n + 1, sizeof(*v));
	if (!v) {
		free(path);
		return -ENOMEM;
	}
	l->files.v = v;
	v[l->files.n++] = path;
	return 0;
}

static int is_yaml(const struct dirent *e)
{
	const char *dot = strrchr(e->d_name, '.');

	return e->d_name[0] != '.' && dot && (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml"));
}

static int add_folder(struct list *l, const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, is_yaml, alphasort), e = n < 0 ? -errno : 0;

	if (e)
		pst_conf_error(l->errors, path, 0, 0, "%s", strerror(-e));
	for (int i = 0; i < n; i++) {
		char *file;

		if (!e)
			e = add_file(l, asprintf(&file, "%s/%s", path, entries[i]->d_name) < 0 ? NULL : file);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	if (!e && !n && !l->maybe) {
		pst_conf_error(l->errors, path, 0, 0, "there is no *.yaml or *.yml in this folder");
		e = -ENOENT;
	}
	return e;
}

static int add_path(struct list *l, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		int e = -errno;

		if (e == -ENOENT && l->absent)
			return 0;
		pst_conf_error(l->errors, path, 0, 0, "%s", strerror(-e));
		return e;
	}
	return S_ISDIR(st.st_mode) ? add_folder(l, path) : add_file(l, strdup(path));
}

static int list_files(struct list *l, const struct pst_strs *paths, struct pst_strs *ret_files)
{
	int e = 0;

	for (size_t i = 0; i < paths->n; i++) {
		int k = add_path(l, paths->v[i]);

		e = e ? e : k;
	}
	if (e)
		return e;
	*ret_files = l->files;
	l->files = (struct pst_strs){0};
	return 0;
}

int policy_files(const struct pst_strs *paths, struct pst_conf_errors *errors, struct pst_strs *ret_files)
{
	PST_CLEANUP(list_done) struct list l = {.errors = errors};

	return list_files(&l, paths, ret_files);
}

int policy_files_maybe(
	const struct pst_strs *paths, bool named, struct pst_conf_errors *errors, struct pst_strs *ret_files)
{
	PST_CLEANUP(list_done) struct list l = {.errors = errors, .maybe = true, .absent = !named};

	return list_files(&l, paths, ret_files);
}
