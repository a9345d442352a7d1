/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runtime policies as they are written (docs/policies.md), and evaluated one by one (policy_judge). The
 * design is docs/design/policy.md.
 */
#ifndef PST_POLICYD_POLICY_H
#define PST_POLICYD_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policyd/fw/fw.h"
#include "policyd/fw/names.h"
#include "policyd/policy/pattern.h"
#include "policyd/policy/table.h"
#include "proto/base/conf.h"

#define POLICY_POLICIES_MAX 4000
#define POLICY_RULES_MAX    10000  /* of all policies */
#define POLICY_LIST_MAX     1000   /* elements of a condition */
#define POLICY_ELEMENTS_MAX 200000 /* of all conditions */
#define POLICY_NAME_MAX     63     /* bytes of a policy's or rule's name */
#define POLICY_FILES_MAX    4000
#define POLICY_FILE_BYTES   (4u << 20)
#define POLICY_ALL_BYTES    (64u << 20) /* of all files */

enum policy_mode { POLICY_OFF, POLICY_AUDIT, POLICY_ENFORCE };
/* What the kernel has to be able to do; AS_RULES: for each rule what its action says. */
enum policy_need { POLICY_AS_RULES, POLICY_OBSERVE, POLICY_KILL, POLICY_DENY };

struct policy_range {
	uint32_t lo, hi;
};

/* One condition: a list, of which one element is enough. */
struct policy_cond {
	uint8_t key;               /* enum policy_key */
	bool other;                /* {not: ...}: all but these */
	uint8_t ns_host, ns_other; /* NAMESPACES: bits of enum pst_pol_ns */
	uint32_t line, column;
	uint32_t n; /* of the list; 0 for what is bits */
	union {
		struct policy_pattern *patterns; /* PATTERNS, FILES, CGROUPS, GLOBS, NAMES */
		struct policy_range *ranges;     /* IDS, PORTS */
		struct fw_prefix *prefixes;      /* ADDRESSES */
		uint64_t bits[4];                /* WORDS */
	};
};

/* All of them must hold. */
struct policy_conds {
	struct policy_cond *v;
	size_t n;
};

struct policy_rule {
	char *name;   /* unique in its policy */
	uint64_t ops; /* PST_OP_BIT() */
	enum pst_pol_action action;
	enum pst_pol_action does; /* NONE: what it says; else what this kernel can do of it */
	int error;                /* of DENY and THROTTLE */
	uint64_t rate, within_ns; /* of THROTTLE */
	struct policy_conds conds;
	uint32_t line, column;
};

struct policy {
	char *name, *file;
	uint32_t line;
	enum policy_mode mode;
	enum policy_need requires;
	struct policy_conds scope;
	struct policy_rule *rules;
	size_t n;
};

/* Zeroed: empty. */
struct policy_set {
	struct policy **v;
	size_t n, size;
	size_t n_rules, n_elements, n_bytes;
	struct fw_names names;
};

void policy_free(struct policy *policy); /* NULL is fine */
void policy_freep(struct policy **policy);
void policy_set_done(struct policy_set *set);
/* The condition of this key, or NULL. */
const struct policy_cond *policy_cond_of(const struct policy_conds *conds, enum policy_key key);

/*
 * The file's policies into @set. @errors gets all that is wrong; the set is then good for nothing but to read
 * more files, so that all errors are told. @warnings (may be NULL) gets what is probably not meant. 0 or
 * -errno.
 */
int policy_read(struct policy_set *set, const char *path, struct pst_conf_errors *errors,
	struct pst_conf_errors *warnings);
/* The file's bytes alone, owned by the caller. */
int policy_read_bytes(const char *path, struct pst_conf_errors *errors, char **ret_bytes, size_t *ret_len);
int policy_parse(struct policy_set *set, const char *name, const void *bytes, size_t len,
	struct pst_conf_errors *errors, struct pst_conf_errors *warnings);
/* Files as they are named, of folders the *.yaml and *.yml in order of name; owned by the caller
 * (pst_strs_done). 0 or -errno, with what is wrong in @errors. */
int policy_files(const struct pst_strs *paths, struct pst_conf_errors *errors, struct pst_strs *ret_files);
/* The same, and what is not there (unless @named) and folders without any are no error. */
int policy_files_maybe(
	const struct pst_strs *paths, bool named, struct pst_conf_errors *errors, struct pst_strs *ret_files);
/* The first rule that can hold up or kill any process of the host, as the scope leaves none out; NULL: there
 * is none. */
const struct policy_rule *policy_holds_host(const struct policy *policy);

/* ---- evaluation ---- */

/* Of struct policy_act.unknown: what has no other way to be not known. With the namespaces it is not known
 * either whether the act is one of a container. */
enum policy_unknown {
	POLICY_UNKNOWN_GAINED = 1,
	POLICY_UNKNOWN_NS = 2,
	POLICY_UNKNOWN_CONTAINER = 4,
	POLICY_UNKNOWN_FILE = 8, /* flags and access */
};

/* A path that rules name, and which the act has under another name: by its inode. */
enum policy_alias_of {
	POLICY_ALIAS_PATH,
	POLICY_ALIAS_PATH_TO,
	POLICY_ALIAS_EXECUTABLE,
	POLICY_ALIAS_TARGET,
	POLICY_ALIASES_OF,
};
enum policy_alias_as { POLICY_ALIAS_FILE, POLICY_ALIAS_IN, POLICY_ALIAS_ABOVE };

struct policy_alias {
	const char *path;
	enum policy_alias_of of;
	enum policy_alias_as as; /* the file itself, the folder that it is in, or one further above */
};

/* What is not known is NULL, -1 or in unknown: neither a list nor its `not` takes it. */
struct policy_act {
	enum pst_pol_op op;
	/* the subject */
	const char *executable, *parent, *cgroup;
	const char *const *ancestors; /* also the parent; NULL: not known */
	size_t n_ancestors;
	uint32_t uid, gid;
	uint64_t holds, gained;
	bool container;
	uint8_t ns_host; /* bit n: its namespace of kind n is the host's */
	uint8_t unknown; /* enum policy_unknown */
	/* the object */
	const char *path, *path_to; /* of renames and links, the second */
	const struct policy_alias *aliases;
	size_t n_aliases;
	uint32_t flags, access; /* bits */
	bool has_address;
	uint8_t address[16]; /* IPv4 as ::ffff:0:0/96 */
	int port, protocol, family, signal;
	const char *target, *module;
	uint64_t capabilities;
	const char *const *arguments; /* NULL: not known */
	size_t n_arguments;
};

/* Where all that a number can be not known of is. */
#define POLICY_ACT_INIT                                                                                      \
	{                                                                                                    \
		.port = -1, .protocol = -1, .family = -1, .signal = -1                                       \
	}

struct policy_verdict {
	enum pst_pol_action action; /* what happens; NONE: no rule says anything, which allows */
	enum pst_pol_action would;  /* what the rule says: stronger where the policy only audits */
	const struct policy *policy;
	const struct policy_rule *rule;
};

/* The first rule of the policy that takes the act, NULL: none, the policy is off, or its scope is another. */
const struct policy_rule *policy_match(const struct policy *policy, const struct policy_act *act);
/* What the policy's rule does in the policy's mode. */
enum pst_pol_action policy_effect(const struct policy *policy, const struct policy_rule *rule);
/* Of all policies the strongest action; of equal ones the one that would do more, then the first. */
struct policy_verdict policy_judge(const struct policy_set *set, const struct policy_act *act);

#endif
