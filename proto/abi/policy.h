/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause OR Apache-2.0 */
/*
 * Tables of runtime policies: which set of path conditions a path is in (docs/design/paths.md), and what the
 * rules say of an act (docs/design/policy.md). A table is lines of 64 bytes in a half, as those of the guard
 * (proto/abi/guard.h); every position is a line number that is masked.
 */
#ifndef PST_ABI_POLICY_H
#define PST_ABI_POLICY_H

#include "proto/abi/guard.h"
#include "proto/abi/policy_ops.h"

/* maps/<name> */
#define PST_MAP_POLICY       "policy"       /* array of one struct pst_policy; mapped rw by policyd */
#define PST_MAP_POLICY_LINES "policy_lines" /* array of two halves of PST_POL_LINES; mapped rw by policyd */
#define PST_MAP_PATH_LINES   "path_lines"   /* array of two halves of PST_PATHS_LINES; mapped rw by policyd */
#define PST_MAP_POLICY_NAMES                                                                                 \
	"policy_names" /* array of two struct pst_pol_labels; mapped rw by policyd, read by the collector */

#define PST_PATHS_AUTOMATA 16
#define PST_PATHS_LINES    (1u << 16) /* of a half at most: a value of 4 MiB */

/*
 * Where a path is looked up: anywhere in the buffer, but for the first and the last PST_PATHS_MARGIN bytes,
 * which are read and not looked at. The buffer of bpf/lib/path.bpf.h is one, from its struct's first byte on.
 */
#define PST_PATHS_ROOM   8192
#define PST_PATHS_MARGIN 8

struct pst_paths_buf {
	__u8 bytes[PST_PATHS_ROOM + PST_PATHS_MARGIN];
};
static_assert(sizeof(struct pst_paths_buf) == 8200, "abi");

/*
 * Where an automaton is: a class, which nothing that follows changes (bit 31 clear), or a node, which tells
 * the class of a path that ends here and where to go with the next byte. Class 0: no condition matches.
 */
#define PST_PATHS_NODE  0x80000000u
#define PST_PATHS_KIND  0x60000000u
#define PST_PATHS_LINE  0x00ffffffu
#define PST_PATHS_CLASS 0x00ffffffu
/* struct pst_paths_run */
#define PST_PATHS_RUN 0x00000000u
/* struct pst_paths_few */
#define PST_PATHS_FEW 0x20000000u
/* a place for each byte (four lines), then the entries, of which the first is the class of a path that ends
 */
#define PST_PATHS_MANY 0x40000000u
/* no line: the class of a path that ends; with whatever follows it is 0 */
#define PST_PATHS_END 0x60000000u

#define PST_PATHS_RUN_BYTES  48
#define PST_PATHS_RUN_LEN    24 /* from this bit on */
#define PST_PATHS_FEW_KEYS   8
#define PST_PATHS_MANY_LINES 4

/* Bytes in a row: all of them lead to `next`; another byte leads elsewhere, and does so within all of them.
 */
struct pst_paths_run {
	__u32 ends; /* the class of a path that ends before the last byte, and how many bytes */
	__u32 next;
	__u32 other;
	__u32 slash; /* as other, of '/' */
	__u64 bytes[PST_PATHS_RUN_BYTES / 8];
};
static_assert(sizeof(struct pst_paths_run) == 64, "abi");

/* Up to 8 bytes that lead elsewhere than all others; the last one is there again where there are less. */
struct pst_paths_few {
	__u32 ends;
	__u32 pad;
	__u64 keys;
	__u32 to[PST_PATHS_FEW_KEYS + 1]; /* the last: all others */
	__u32 rest[3];
};
static_assert(sizeof(struct pst_paths_few) == 64, "abi");

/* The first two lines of a half. */
struct pst_paths_head {
	__u32 n;        /* automata */
	__u32 backward; /* bit n: automaton n reads the path from its end */
	__u32 pad[14];
	__u32 root[PST_PATHS_AUTOMATA];
};
static_assert(sizeof(struct pst_paths_head) == 128, "abi");

/*
 * ---- rules ----
 *
 * Each act is looked up along dimensions; what it is in one of them is a class, which says of each rule
 * whether it takes that: a bit vector in chunks of 512 rules. The vectors of all dimensions are and-ed. Rules
 * of one policy lie side by side, so behind the first that takes the act the rest of the policy is passed
 * over. Policies whose scopes ask for the same dimensions lie side by side, too: chunks that one of these
 * rules out are many.
 *
 * A class is one or two lines. The first word has a bit for each chunk with rules in it; behind it is a word
 * for each chunk from the lowest of these on: the line of its 512 bits, and from PST_POL_REF_WORDS on which
 * of that line's eight words are not 0.
 */
#define PST_POL_LINES       (1u << 16) /* of a half at most: a value of 4 MiB */
#define PST_POL_CHUNK_RULES 512
#define PST_POL_CHUNKS_MAX  20
#define PST_POL_RULES_MAX   (PST_POL_CHUNKS_MAX * PST_POL_CHUNK_RULES)
#define PST_POL_REF_LINE    0x00ffffffu
#define PST_POL_REF_WORDS   24
/* Rules that one act is held against at most: policyd refuses sets in which an act could meet more. */
#define PST_POL_VISITS_MAX 1024
#define PST_POL_ANCESTORS  16 /* of a subject that are known */
#define PST_POL_NAME       64 /* bytes of a policy's or rule's name, with a NUL */

/* Dimensions in which an act has one class. */
enum pst_pol_dim {
	PST_POL_OP = 0, /* by value */
	/* the subject */
	PST_POL_UID,       /* stride tree, 2 strides */
	PST_POL_SCOPE_UID, /* the same, as scopes ask for it */
	PST_POL_GID,
	PST_POL_NS,     /* by value: struct pst_act.ns */
	PST_POL_CGROUP, /* by id */
	PST_POL_PARENT, /* by name */
	/* the object */
	PST_POL_FILE,     /* by value: struct pst_act.file */
	PST_POL_ADDRESS,  /* stride tree; roots: IPv4 (2 strides), IPv6 (8) */
	PST_POL_PORT,     /* stride tree, 1 stride */
	PST_POL_PROTOCOL, /* by value */
	PST_POL_FAMILY,
	PST_POL_SIGNAL,
	PST_POL_CAP,    /* by value: a capability; PST_POL_CAP_NONE; PST_POL_CAP_MANY: the rule says */
	PST_POL_MODULE, /* by name */
	PST_POL_DIMS,
};
#define PST_POL_CAP_NONE 64
#define PST_POL_CAP_MANY 65

/*
 * Dimensions in which an act can be in several lists at once. A vector says which rules have a list that
 * something of the act is in; these are or-ed, and where a bit is set the rule says the opposite of what the
 * base says: that of rules that ask for nothing here, or want the act in no list.
 */
enum pst_pol_multi {
	PST_POL_EXECUTABLE = 0,   /* by the classes of automata */
	PST_POL_SCOPE_EXECUTABLE, /* the same, as scopes ask for it */
	PST_POL_ANCESTOR,         /* by names */
	PST_POL_SCOPE_ANCESTOR,
	PST_POL_PATH, /* by the classes of automata, of one path or two */
	PST_POL_TARGET,
	PST_POL_MULTIS,
};
#define PST_POL_ABOVE 8 /* folders that rules name, above one file */
/* Vectors of one dimension that are or-ed at most: of two paths those of all automata, and of their inodes.
 */
#define PST_POL_LISTS 64
static_assert(2 * (PST_PATHS_AUTOMATA + 2 + PST_POL_ABOVE) <= PST_POL_LISTS, "abi");

/* Where a dimension is looked up; lines of classes. What is not known is in no list and in no `not`. */
struct pst_pol_dim_head {
	__u32 root[2]; /* stride entries; by value: the first line of an array with a class for each value */
	__u32 unknown; /* class of what is not known, */
	__u32 miss;    /* of a name that no rule has */
};
static_assert(sizeof(struct pst_pol_dim_head) == 16, "abi");

/* of[n]: the first line of an array with a class for each class of automaton n (0: none of its rules); 0: no
 * rule asks for any of them. */
struct pst_pol_multi_head {
	__u32 base;
	__u32 unknown;
	__u32 pad[14];
	__u32 of[PST_PATHS_AUTOMATA];
};
static_assert(sizeof(struct pst_pol_multi_head) == 128, "abi");

/* The first two lines of a half. */
struct pst_pol_head {
	__u64 ops;     /* PST_OP_BIT() of those that some rule names: no others are of interest */
	__u64 seed[2]; /* of names and cgroups, secret; the same as long as programs remember names */
	__u32 generation;
	__u32 n_rules;
	__u32 used;        /* bit n: some rule asks for dimension n, */
	__u32 multi;       /* of enum pst_pol_multi */
	__u32 rules;       /* line of the first rule: struct pst_pol_rule */
	__u32 ranks;       /* a word for every 64 rules: the strongest of those and of all behind them */
	__u32 names;       /* line of the first name; 0: there are none */
	__u32 name_mask;   /* lines of names - 1 */
	__u32 cgroups;     /* likewise */
	__u32 cgroup_mask; /* likewise */
	__u32 inodes;      /* likewise */
	__u32 inode_mask;  /* likewise */
	__u32 inode_as;    /* bit n: some rule asks for inodes as enum pst_pol_inode_as says */
	__u32 told;        /* grows with each cgroup or inode that is added or taken out, behind the change */
	__u32 pad[12];
};
static_assert(sizeof(struct pst_pol_head) == 128, "abi");

#define PST_POL_DIM_LINE    2 /* dimension n: line 2 + n / 4 */
#define PST_POL_DIMS_A_LINE 4
#define PST_POL_MULTI_LINE  6 /* two lines each */
#define PST_POL_FIRST_LINE  (PST_POL_MULTI_LINE + 2 * PST_POL_MULTIS)
static_assert(PST_POL_DIMS <= PST_POL_DIMS_A_LINE * (PST_POL_MULTI_LINE - PST_POL_DIM_LINE), "abi");

/* What no vector says: bits of pst_pol_rule.asks. With PST_POL_NOT(): none of these. */
#define PST_POL_HOLDS     1
#define PST_POL_GAINED    2
#define PST_POL_CAPS      4
#define PST_POL_ARGUMENTS 8
#define PST_POL_NOT(ask)  ((ask) << 4)

/* How strong a rule is, never 0: what is done, what the rule says, and of equal ones the first policy. */
#define PST_POL_STRENGTH(action, would, policy)                                                              \
	((__u32)(action) << 20 | (__u32)(would) << 16 | (0xffffu - (policy)))

struct pst_pol_rule {
	__u32 end;    /* number of the next policy's first rule */
	__u16 policy; /* number, in the order in which they were read */
	__u16 error;  /* errno of deny and throttle */
	__u8 action;  /* enum pst_pol_action: what is done, */
	__u8 would;   /* and what the rule says */
	__u8 asks;
	__u8 arguments; /* list, with PST_POL_ARGUMENTS: bit of pst_act.arguments */
	__u32 pad;
	__u64 holds, gained, capabilities;
	__u64 rate, within_ns; /* of throttle */
	__u64 pad2;
};
static_assert(sizeof(struct pst_pol_rule) == 64, "abi");

/* Names: exact paths and kernel modules, by pst_pathhash() of proto/abi/lookup/pathhash.h, whose key is the
 * seed. Key 0: nothing is there. */
struct pst_pol_name {
	__u64 key;
	__u32 parent, module;           /* classes */
	__u32 ancestor, scope_ancestor; /* likewise; 0: no rule */
	__u64 pad;
};
static_assert(sizeof(struct pst_pol_name) == 32, "abi");
#define PST_POL_NAMES_A_LINE 2

/* Id 0: nothing is there, PST_POL_CGROUP_GONE: nothing is there any more. */
struct pst_pol_cgroup {
	__u64 id;
	__u32 class;
	__u32 pad;
};
static_assert(sizeof(struct pst_pol_cgroup) == 16, "abi");
#define PST_POL_CGROUPS_A_LINE 4
#define PST_POL_CGROUP_GONE    0xffffffffffffffffull
#define PST_POL_PROBES         8 /* lines that a search for a name, cgroup or inode reads at most */

/*
 * Files that rules name, by their inodes: under whatever other name (a hard link, a bind mount) they are the
 * same. Inode 0: nothing is there, PST_POL_INODE_GONE: nothing is there any more.
 */
struct pst_pol_inode {
	__u64 ino;
	__u32 dev;   /* as in struct pst_file_id */
	__u32 lists; /* line: struct pst_pol_inode_lists */
};
static_assert(sizeof(struct pst_pol_inode) == 16, "abi");
#define PST_POL_INODES_A_LINE 4
#define PST_POL_INODE_GONE    0xffffffffffffffffull

/* What the inode is of. */
enum pst_pol_inode_as {
	PST_POL_AS_FILE,  /* the file itself */
	PST_POL_AS_IN,    /* the folder that it is in, */
	PST_POL_AS_ABOVE, /* that, or one above it */
	PST_POL_AS_EXECUTABLE,
	PST_POL_AS_SCOPE_EXECUTABLE,
	PST_POL_AS_TARGET,
	PST_POL_INODE_AS,
};

/*
 * Classes of rules with a list that it is in, to be or-ed with those of the path; 0: none. The second ones
 * for what has no path that is known: rules that want it in no list are not among them.
 */
struct pst_pol_inode_lists {
	__u32 of[PST_POL_INODE_AS][2];
	__u32 pad[4];
};
static_assert(sizeof(struct pst_pol_inode_lists) == 64, "abi");

/* Of pst_act.known. */
#define PST_KNOWN_EXECUTABLE 0x1u
#define PST_KNOWN_PARENT     0x2u
#define PST_KNOWN_ANCESTORS  0x4u
#define PST_KNOWN_PATH       0x8u
#define PST_KNOWN_PATH_TO    0x10u
#define PST_KNOWN_TARGET     0x20u
#define PST_KNOWN_ADDRESS    0x40u
#define PST_KNOWN_PORT       0x80u
#define PST_KNOWN_PROTOCOL   0x100u
#define PST_KNOWN_FAMILY     0x200u
#define PST_KNOWN_SIGNAL     0x400u
#define PST_KNOWN_MODULE     0x800u
#define PST_KNOWN_ARGUMENTS  0x1000u
#define PST_KNOWN_GAINED     0x2000u
#define PST_KNOWN_NS         0x4000u /* namespaces */
#define PST_KNOWN_FILE       0x8000u /* flags and access */

/* Of pst_act.ns. */
#define PST_ACT_CONTAINER 0x100
#define PST_ACT_SOMEWHERE 0x200 /* in a container or not: not known */
#define PST_ACT_NS_VALUES 1024

/* What rules have of a file's inodes: lines of struct pst_pol_inode_lists; 0: nothing. */
struct pst_act_inodes {
	__u32 file;
	__u32 in;      /* the folder that it is in; */
	__u32 n_above; /* folders above with a list, that one too: of more than PST_POL_ABOVE the nearest */
	__u32 pad;
	__u32 above[PST_POL_ABOVE];
};
static_assert(sizeof(struct pst_act_inodes) == 48, "abi");

/* What a hook gathers of an act. Of what is not known nothing is looked at. */
struct pst_act {
	__u32 op; /* enum pst_pol_op */
	__u32 known;
	/* the subject */
	__u64 cgroup; /* id; 0: not known */
	__u32 uid, gid;
	__u64 holds, gained; /* capabilities */
	__u64 parent;        /* name of its executable */
	__u32 n_ancestors;
	__u32 ns; /* bit n: its namespace of kind n is the host's; PST_ACT_CONTAINER, PST_ACT_SOMEWHERE */
	__u64 ancestor[PST_POL_ANCESTORS];
	__u32 executable[PST_PATHS_AUTOMATA]; /* classes; all 0 of what is no absolute path */
	/* the object */
	__u32 path[PST_PATHS_AUTOMATA];
	__u32 path_to[PST_PATHS_AUTOMATA]; /* the second one of file.rename and file.link */
	__u32 target[PST_PATHS_AUTOMATA];
	__u8 addr[16]; /* IPv4 as ::ffff:a.b.c.d */
	__u8 is_ip6;
	__u8 file; /* enum pst_pol_flag from bit 4 on, enum pst_pol_access */
	__u8 protocol, family, signal;
	__u8 pad;
	__u16 port;
	__u64 module; /* name */
	__u64 capabilities;
	__u64 arguments[4]; /* lists that one of them is in: bit n of word n / 64 */
	struct pst_act_inodes path_inodes, path_to_inodes;
	__u32 executable_inode, target_inode; /* as those */
};
static_assert(sizeof(struct pst_act) == 616, "abi");

/* What came of it. */
enum pst_pol_told {
	PST_TOLD_NOT,  /* no rule names the operation */
	PST_TOLD_ALL,  /* all rules that could take the act were looked at, */
	PST_TOLD_SOME, /* or PST_POL_VISITS_MAX of them, or not all folders above: the strongest of these */
	PST_TOLD_LOST, /* whatever was gathered may be another act's, or of tables that are gone */
};

/* What the policies say of an act. */
struct pst_verdict {
	__u32 generation;
	__u32 rule;   /* number in the tables; PST_POL_NO_RULE: none, and what follows is 0 */
	__u16 policy; /* number, in the order in which they were read */
	__u16 error;  /* errno of deny and throttle */
	__u8 action;  /* enum pst_pol_action: what is to be done, */
	__u8 would;   /* and what the rule says */
	__u8 told;    /* enum pst_pol_told */
	__u8 pad;
};
static_assert(sizeof(struct pst_verdict) == 16, "abi");

/* ---- what is in force ---- */

/* What a hook can do about an act on this kernel, the stronger the larger. */
enum pst_pol_level { PST_LEVEL_NONE, PST_LEVEL_OBSERVE, PST_LEVEL_KILL, PST_LEVEL_DENY };

#define PST_POLICY_MOVED 1 /* no program reads these tables any more, or soon: ask the loader */

struct pst_policy {
	__u64 generation;        /* its low bit: the half of the tables in force; 0: none. Policyd's */
	__u64 last;              /* policyd's own: the last number that it gave, stored before it is in force;
				    none comes twice. From the first on ancestors are remembered */
	__u64 key[2];            /* the loader's: of pst_pathhash(), and so the seed of all tables */
	__u64 flags;             /* the loader's: PST_POLICY_MOVED */
	__u8 level[PST_OPS_MAX]; /* the loader's: enum pst_pol_level by operation, of what is attached */
	__u64 pad[20];
};
static_assert(sizeof(struct pst_policy) == 264, "abi");

/* Names of the rules of a half, by their numbers: texts for people, by which nothing is decided. */
struct pst_pol_label {
	char policy[PST_POL_NAME], rule[PST_POL_NAME]; /* zeros behind them, at least one */
};
static_assert(sizeof(struct pst_pol_label) == 128, "abi");

struct pst_pol_labels {
	__u64 generation; /* 0: being written */
	__u64 pad[15];
	struct pst_pol_label rule[PST_POL_RULES_MAX];
};

#endif
