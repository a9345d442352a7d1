/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies as the tables that kernel programs look up (proto/abi/policy.h). docs/design/policy.md.
 */
#ifndef PST_POLICYD_POLICY_TABLES_H
#define PST_POLICYD_POLICY_TABLES_H

#include "policyd/policy/policy.h"
#include "proto/abi/facts.h"

/* Where a half lies: powers of two. Rules and their classes, and the automata of paths. */
struct policy_room {
	union pst_line *lines, *paths;
	uint32_t n_lines, n_paths;
};

/* What was compiled, and what it takes to add cgroups. */
struct policy_tables;

/*
 * Writes the tables of @set, which outlives them. @seed: secret, the same as long as programs remember
 * names. 0; -E2BIG: it does not fit, or an act could meet more rules than PST_POL_VISITS_MAX, and @errors
 * says where and why; -ENOMEM. On an error the room holds rubbish, which harms nobody (it is not in force).
 */
int policy_compile(const struct policy_set *set, const struct policy_room *room, uint32_t generation,
	const uint64_t seed[2], struct pst_conf_errors *errors, struct policy_tables **ret_tables);
void policy_tables_free(struct policy_tables *tables); /* NULL is fine */
void policy_tables_freep(struct policy_tables **tables);

/* The tables go on at @room, of the same size, where they are copied to under another number, which is
 * written last. */
void policy_tables_move(struct policy_tables *tables, const struct policy_room *room, uint32_t generation);
/* The rule with this number in the tables; false: there is none. */
bool policy_tables_rule(const struct policy_tables *tables, uint32_t number, const struct policy **ret_policy,
	const struct policy_rule **ret_rule);

/* Does some rule ask for cgroups? */
bool policy_tables_ask_cgroups(const struct policy_tables *tables);

/* What was made, for people. */
struct policy_made {
	uint32_t rules;
	uint32_t lines, path_lines; /* used */
	uint32_t classes, chunks, automata, patterns;
};
struct policy_made policy_tables_made(const struct policy_tables *tables);

/*
 * Acts of this cgroup are those of one at @path, an absolute path from the root of the hierarchy; also in
 * tables that are in force. 0, also where no rule asks for cgroups; -EINVAL; -ENOSPC: no room left; -ENOMEM.
 */
int policy_cgroup_set(struct policy_tables *tables, uint64_t id, const char *path);
/* From now on not known: in no list and in no `not`. */
void policy_cgroup_forget(struct policy_tables *tables, uint64_t id);

/*
 * This file, or folder, is the one that rules name by @path: acts on it, and below it, are taken as such
 * whatever its name is; also in tables that are in force. A file may be several. 0, also where no rule names
 * the path; -EINVAL: no inode; -ENOSPC: no room left; -ENOMEM.
 */
int policy_inode_set(struct policy_tables *tables, const struct pst_file_id *id, const char *path);
/* From now on it is none that rules name: numbers of removed files are given to others. */
void policy_inode_forget(struct policy_tables *tables, const struct pst_file_id *id);

/* Paths that rules name exactly, or as directories, and what became of them. */
struct policy_inodes {
	uint32_t set;
	uint32_t missing; /* nothing is there */
	uint32_t links; /* they are symbolic links, or lead over one: the kernel never comes to such a path */
	uint32_t hidden;  /* may not be looked at, or another error */
	uint32_t without; /* inodes say nothing on this file system (btrfs) */
	uint32_t full;    /* no room was left */
};
/*
 * Looks up all of these paths, sets what is there, and forgets what was there the last time and is not any
 * more; also in tables that are in force: once after policy_verify(), and again when files may have been
 * replaced. No link is followed, as whoever may write to a folder would choose which file is meant. 0;
 * -ENOMEM.
 */
int policy_inodes_fill(struct policy_tables *tables, struct policy_inodes *ret_inodes);

/*
 * The inode at an absolute path. 0; -ELOOP: a symbolic link, or over one; -ENODATA: inodes say nothing there;
 * another -errno.
 */
int policy_file_id(const char *path, struct pst_file_id *ret_id);

/*
 * The act as a hook would gather it, but for inodes. Of ancestors the first PST_POL_ANCESTORS are known; a
 * path longer than PST_PATH_MAX is not known.
 */
void policy_facts(const struct policy_tables *tables, const struct policy_act *act, uint64_t cgroup,
	struct pst_act *ret_act);

/* What is told of an act's inodes; all 0: not known. */
struct policy_where {
	struct pst_file_id id;
	const struct pst_file_id *above; /* folders, the nearest first */
	size_t n_above;
};

struct policy_told {
	struct policy_where path, path_to;
	struct pst_file_id executable, target;
};

/* Adds what rules have of them. */
void policy_inode_facts(
	const struct policy_tables *tables, const struct policy_told *told, struct pst_act *act);

struct policy_found {
	uint32_t rule;   /* PST_POL_NO_RULE: none */
	uint32_t visits; /* rules that were looked at */
	bool cut;        /* there were more */
};

/* The look-up that kernel programs do, in any lines of at least PST_POL_FIRST_LINE. */
struct policy_found policy_lookup(const union pst_line *lines, uint32_t n_lines, const struct pst_act *act);
/* Whose rule it is. */
struct policy_verdict policy_tables_verdict(
	const struct policy_tables *tables, const struct policy_found *found);

/* An act, and memory for what it points to. */
struct policy_sample {
	struct policy_act act;
	char executable[PST_PATH_MAX + 1], parent[PST_PATH_MAX + 1], cgroup[PST_PATH_MAX + 1];
	char path[PST_PATH_MAX + 1], path_to[PST_PATH_MAX + 1], target[PST_PATH_MAX + 1];
	char module[PST_PATH_MAX + 1], ancestor[PST_PATH_MAX + 1], argument[PST_PATH_MAX + 1];
	const char *ancestors[2], *arguments[2];
	struct policy_alias aliases[POLICY_ALIASES_OF]; /* one of each at most */
};

/* An act made from the corners of some rules, or by chance; @state, not 0, goes on. */
void policy_sample(const struct policy_tables *tables, uint64_t *state, struct policy_sample *ret_sample);
/*
 * As a hook would gather it. Its cgroup is set, as number @i of some that are used in turn, or not known from
 * now on where there is no room; its inodes are set for as long as that takes. False: they cannot be.
 */
bool policy_sample_facts(
	struct policy_tables *tables, size_t i, struct policy_sample *sample, struct pst_act *ret_act);
/*
 * Compares the tables with policy_judge() on *n such acts, or on as many as can be compared in a fraction of
 * a second, which *n then is. True if they agree on all; else ret_sample is one on which they do not, or its
 * path is one that the automata class otherwise than it matches (operation 0). Before the tables are in
 * force: cgroups and inodes that were set are not known any more.
 */
bool policy_verify(struct policy_tables *tables, size_t *n, uint64_t seed, struct policy_sample *ret_sample);

#endif
