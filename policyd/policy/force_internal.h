/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that put policies in force share with each other and the tests. */
#ifndef PST_POLICYD_POLICY_FORCE_INTERNAL_H
#define PST_POLICYD_POLICY_FORCE_INTERNAL_H

#include "policyd/guard/halves.h"
#include "policyd/guard/saving.h"
#include "policyd/policy/cgroups.h"
#include "policyd/policy/force.h"
#include "policyd/policy/tables.h"
#include "proto/base/loop.h"

/* ---- tables of the loader's; force_tables.c ---- */

struct force_tables {
	struct pst_shm page, lines, paths, names;
	struct guard_table half; /* of lines */
};

/* 0; -ENOENT: there are none; -EBADF, -EINVAL (after a log line): they are of no use. */
int force_tables_map(const struct pst_fds *fds, uint64_t now_ns, struct force_tables *ret_tables);
/* The part behind the maps. 0 or -EINVAL. */
int force_tables_check(struct force_tables *tables, uint64_t now_ns);
void force_tables_unmap(struct force_tables *tables); /* zeroed: nothing is mapped */
bool force_tables_same(const struct force_tables *a, const struct force_tables *b);
bool force_tables_moved(const struct force_tables *tables);
struct policy_room force_tables_room(const struct force_tables *tables, uint64_t generation);
/* The names of its rules, for the collector. */
void force_tables_label(
	const struct force_tables *tables, const struct policy_tables *of, uint64_t generation);

static inline bool force_tables_mapped(const struct force_tables *tables)
{
	return tables->page.base;
}

static inline const struct pst_policy *force_page(const struct force_tables *tables)
{
	return tables->page.base;
}

/* What programs can do, by operation, as it was looked at. */
struct force_levels {
	uint8_t of[PST_OPS_MAX]; /* enum pst_pol_level */
};
struct force_levels force_tables_levels(const struct force_tables *tables);

/* ---- sets of policies as they were written; force_list.c ---- */

/* Several sets may have it. */
struct force_policy {
	unsigned refs;
	struct policy *policy; /* owned */
	char *text;            /* as it was written, owned */
	size_t len;
	uint32_t line; /* of its file, where the text begins: from 1 */
};

struct force_item {
	struct force_policy *p;
	enum policy_mode mode;
	bool applied; /* by command, and not of a file */
	bool moded;   /* the mode was set by command */
	bool lenient; /* it was there before: what the kernel cannot do any more is no reason to refuse others
		       */
};

struct force_list {
	struct force_item *v;
	size_t n, size;
};

void force_policy_unref(struct force_policy *policy);
void force_list_done(struct force_list *list);
/* Takes another reference. 0 or -ENOMEM. */
int force_list_add(struct force_list *list, const struct force_item *item);
int force_list_copy(const struct force_list *from, struct force_list *ret_list);
struct force_item *force_list_find(const struct force_list *list, const char *name);
/* @files, without those that @by has by command, in the modes that @by has by command; and then those. */
int force_list_merge(const struct force_list *files, const struct force_list *by,
	struct pst_conf_errors *errors, struct force_list *ret_list);
/* @a and then @b, in which no name is there twice: else -EBADMSG. */
int force_list_unique(const struct force_list *a, const struct force_list *b, struct force_list *ret_list);
/* @list with @more, which are by command, in the place of those that have the same names. */
int force_list_put(const struct force_list *list, const struct force_list *more, struct force_list *ret_list);

/* Those that are in @old as they are: lenient. 0 or -ENOMEM. */
int force_list_mark(struct force_list *list, const struct force_list *old);

/* Texts that are read one after the other; zeroed: none. */
struct force_reader {
	struct policy_set set;
	struct force_list list; /* whose policies are the set's until it is taken */
};

int force_read(struct force_reader *reader, const char *file, const char *text, size_t len,
	struct pst_conf_errors *errors, struct pst_conf_errors *warnings);
int force_read_file(struct force_reader *reader, const char *path, struct pst_conf_errors *errors,
	struct pst_conf_errors *warnings);
/* What was read; as by command, or not. The reader is empty then. */
struct force_list force_reader_take(struct force_reader *reader, bool applied);
void force_reader_done(struct force_reader *reader);

/* ---- what a kernel can do of them; force_levels.c ---- */

/* The policies that are compiled: each rule with what is done, by operation. */
struct force_set {
	struct policy_set set;
	struct policy *policies;
	struct policy_rule *rules;
	unsigned weaker; /* rules that do less than they must */
};

void force_set_done(struct force_set *set);
/* What is not enough goes to @errors; with @strict only that of items that are not lenient, and is -EPERM.
 * Else it does what it can. 0, -EPERM, -E2BIG, -ENOMEM. */
int force_set_make(const struct force_list *list, const struct force_levels *levels, bool strict,
	struct pst_conf_errors *errors, struct force_set *ret_set);
/* What is done of the rule for an operation; NONE: no program asks for it. @ret_why: NULL: it is enough, else
 * why it is not. */
enum pst_pol_action force_effect(const struct policy *policy, const struct policy_rule *rule,
	enum policy_mode mode, enum pst_pol_level level, const char **ret_why);
/* "deny", "kill", "observe", "none". */
const char *force_level_name(enum pst_pol_level level);
/* The least of all operations that its rules name. */
enum pst_pol_level force_level_of(const struct policy *policy, const struct force_levels *levels);
/* What no program can ask for yet. */
void force_warn(const struct force_list *list, struct pst_conf_errors *warnings);

/* ---- the saved state; force_state.c ---- */

/* Of lists only what is by command counts, and modes by command of policies that files have. */
struct force_state {
	struct force_list now, before;
	uint64_t until_ns; /* CLOCK_BOOTTIME: then it is as before again; 0: it stays */
	uint64_t for_s;
};

void force_state_done(struct force_state *state);
/* Owned; NULL without memory. */
char *force_state_text(const struct force_state *state, size_t *ret_len);
/* From such a text. 0; -EBADMSG: it is none; -ENOMEM. */
int force_state_parse(const char *text, size_t len, struct force_state *ret_state);
/* A file that is not there holds nothing. 0 or -errno. */
int force_state_load(const char *path, struct force_state *ret_state);
int force_state_save(const char *path, const struct force_state *state);

/* ---- texts that come in parts; force_upload.c ---- */

#define FORCE_UPLOADS_MAX 4
#define FORCE_UPLOAD_S    60 /* without another part it is dropped */
#define FORCE_ID_MAX      64
#define FORCE_FILE_MAX    255 /* bytes of a name */

struct force_file {
	char *name;
	struct pst_buf text;
};

struct force_upload {
	char id[FORCE_ID_MAX + 1]; /* "": free */
	struct force_file *files;
	size_t n, size, bytes;
	bool more; /* the last file is not complete */
	uint64_t last_ns;
};

struct force_uploads {
	struct force_upload v[FORCE_UPLOADS_MAX];
};

void force_uploads_done(struct force_uploads *uploads);
struct force_upload *force_upload_find(struct force_uploads *uploads, const char *id);
void force_upload_drop(struct force_upload *upload);
void force_uploads_expire(struct force_uploads *uploads, uint64_t now_ns);
/* A part of a file. 0; -EINVAL; -ENOSPC, -EFBIG: too many, too much, and @error says what; -ENOMEM. */
int force_upload_put(struct force_uploads *uploads, const char *id, const char *file, const void *text,
	size_t len, bool more, uint64_t now_ns, char *error, size_t size);
int force_upload_read(const struct force_upload *upload, struct pst_conf_errors *errors,
	struct pst_conf_errors *warnings, struct force_list *ret_list);

/* ---- the whole ---- */

/* A set, and what was made of it. */
struct force_version {
	struct force_list list;
	struct force_set set;
	struct policy_tables *tables; /* NULL: no rule asks for anything, or there is nowhere to write it */
	struct force_levels levels;   /* that it was made for */
	bool ready;                   /* tables are there, or none are needed */
	uint64_t generation;          /* 0: nothing is in force */
	uint64_t serial;
};

/* Tables in memory of our own, until the idle half may be written. */
struct force_staged {
	struct pst_shm lines, paths;
};

struct force;

/* What root may do. */
typedef int force_change_fn(
	struct force *force, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size);
#define FORCE_CHANGES 5

struct force_change {
	struct force *force;
	force_change_fn *fn;
};

struct force {
	struct force_change changes[FORCE_CHANGES];
	struct pst_loop *loop;
	struct pst_bus *bus;
	struct force_config config;
	struct force_tables tables;
	struct force_list files; /* as they were last read */
	struct force_version current, previous, next;
	struct force_staged staged; /* of next */
	bool pending;               /* next is to come into force */
	bool undo;                  /* previous is what was in force before current, and is whole */
	const char *held;           /* what an earlier process put in force stays, and why; NULL */
	struct force_list before;   /* while the set is on trial */
	uint64_t until_ns, for_s, before_serial;
	uint64_t serial;
	struct force_uploads uploads;
	struct cgroups *cgroups; /* NULL: no rule asked for them yet */
	char *state_path, *error, *weaker_text;
	struct saving saved;
	struct pst_source *commit, *second;
	bool moved_told;
	bool ask_again; /* the loader: its answer could not be looked at */
	struct pst_stat *policies, *rules, *generation, *applies, *apply_errors, *reloads, *reload_errors,
		*rollbacks, *weaker, *mismatches, *n_cgroups, *cgroups_missed, *inodes, *inodes_missed;
	uint64_t inodes_next_ns; /* when they are looked at again */
	uint32_t inodes_told;    /* files that are known by path alone, as was last said */
};

/* What is to be in force, or is. */
static inline const struct force_list *force_latest(const struct force *f)
{
	return f->pending ? &f->next.list : &f->current.list;
}

/* ---- force_switch.c ---- */

void force_version_done(struct force_version *version);
/* What waits does not come. */
void force_drop_next(struct force *force);
/* Makes tables of @list, which is taken; they come into force with force_commit(). With @strict what the
 * kernel cannot do is an error, else it is told. 0 or -errno, with @errors. */
int force_build(struct force *force, struct force_list *list, bool strict, struct pst_conf_errors *errors);
/* Puts in force what is ready, now or when the idle half may be written. */
void force_commit(struct force *force);
/* One store: what was in force before. 0; -ENOENT, -EBUSY with why in @error. */
int force_undo(struct force *force, char *error, size_t size);
/* Some rule asks for cgroups, and nobody can tell which there are. */
#define FORCE_BLIND                                                                                          \
	"policies ask for cgroups, and which there are cannot be seen: no scope with them takes anything"
bool force_is_blind(const struct force *force);
/* Each second: then they are looked for again. */
void force_look(struct force *force);
/* Other tables, or none (zeroed): taken. What was in force is to come into force there. */
void force_adopt(struct force *force, struct force_tables *tables);

/* ---- force_inodes.c ---- */

/* Sets the inodes of what rules name, in tables that are or are to be in force. */
void force_see_inodes(struct force *force, struct policy_tables *tables);
/* Each second: files may have been replaced. */
void force_look_at_inodes(struct force *force);

/* ---- force.c ---- */

/* Keeps what went wrong, for status; @e 0: nothing did. */
void force_note(struct force *force, int e, const struct pst_conf_errors *errors);
/* Writes down what is to be in force. */
void force_save(struct force *force);
/* The set before the one on trial. */
void force_end_trial(struct force *force);
int force_revert(struct force *force, char *error, size_t size);
void force_tick(struct force *force, uint64_t now_boot_ns);
/* "in force", "pending", "not enforced", "off" */
const char *force_state_name(const struct force *force);

/* force_ops.c */
int force_ops(struct force *force);
/* force_show.c */
/* How long the set is still on trial; 0: it is not. */
uint64_t force_seconds_left(const struct force *force);
int force_on_list(
	void *force, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size);
int force_on_show(
	void *force, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size);

static inline void force_put_text(struct pst_buf *out, const char *key, const char *text)
{
	pst_mp_str(out, key);
	pst_mp_str(out, text);
}

static inline void force_put_uint(struct pst_buf *out, const char *key, uint64_t value)
{
	pst_mp_str(out, key);
	pst_mp_uint(out, value);
}

#endif
