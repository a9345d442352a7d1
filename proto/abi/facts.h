/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause OR Apache-2.0 */
/*
 * Facts of an act that runtime policies ask for (docs/design/policy.md), as kernel programs gather them:
 * what is told of its object and of its subject. What is not known is said to be so, and its members are 0.
 */
#ifndef PST_ABI_FACTS_H
#define PST_ABI_FACTS_H

#include "proto/abi/policy_ops.h"
#include "proto/abi/records.h"

/* A file, whatever its names are. */
struct pst_file_id {
	__u64 ino;
	__u32 dev; /* of its super block, major << 20 | minor */
	__u32 pad;
};
static_assert(sizeof(struct pst_file_id) == 16, "abi");

#define PST_ABOVE_MAX PST_PATH_DEPTH

/* What is known of an object. */
enum pst_object_known {
	PST_OBJECT_PATH = 1 << 0,   /* whole, from the root of a mount namespace */
	PST_OBJECT_ID = 1 << 1,     /* device and inode are a file's own, on its file system */
	PST_OBJECT_ABOVE = 1 << 2,  /* all directories above */
	PST_OBJECT_FLAGS = 1 << 3,  /* enum pst_pol_flag */
	PST_OBJECT_ACCESS = 1 << 4, /* enum pst_pol_access */
};

/* What is out of the ordinary about where it is. */
enum pst_object_odd {
	PST_ODD_CUT = 1 << 0,       /* too long or too deep: the path's head is missing */
	PST_ODD_NOWHERE = 1 << 1,   /* in no folder of its mount: memfd, pipe, opened by handle, moved out of
				       what is bound */
	PST_ODD_DETACHED = 1 << 2,  /* its mount is in no namespace that a process can be in */
	PST_ODD_FOREIGN = 1 << 3,   /* its mount is in another namespace than the process */
	PST_ODD_REMOVED = 1 << 4,   /* the name that it was found by has been taken away, or never was */
	PST_ODD_MOUNTLESS = 1 << 5, /* the mount was not told: its path within its file system */
	PST_ODD_OWN = 1 << 6        /* its mounts are of a user namespace: who made that chose its path */
};

struct pst_object {
	struct pst_file_id id;
	/* what a verdict on it can be kept for: with the id, as long as nothing is renamed or mounted */
	__u64 mount;      /* its address */
	__u64 parent_ino; /* of the directory that it is in */
	__u64 name;       /* hash and length, as the kernel has them */
	__u64 path_hash;  /* proto/abi/lookup/pathhash.h; 0: the path is not known */
	__u32 path_off;   /* in the walker's buffer; what there is of it, also if it is not known */
	__u32 path_len;
	__u32 known;  /* enum pst_object_known */
	__u32 odd;    /* enum pst_object_odd */
	__u32 flags;  /* bits of enum pst_pol_flag */
	__u32 access; /* bits of enum pst_pol_access */
	__u32 n_above;
	__u32 pad;
	/* directories above, from the nearest on, also those beyond the root of a mount, which no path shows
	 */
	struct pst_file_id above[PST_ABOVE_MAX];
};
static_assert(sizeof(struct pst_object) == 80 + 16 * PST_ABOVE_MAX, "abi");

/* ---- the line of a thread group ---- */

#define PST_MAP_LINEAGES "lineages" /* hash: struct pst_lineage_key -> struct pst_lineage */
#define PST_LINEAGE_MAX  16

struct pst_lineage_key {
	__u64 start_ns;
	__u64 pid; /* thread group */
};
static_assert(sizeof(struct pst_lineage_key) == 16, "abi");

enum pst_lineage_flags {
	PST_LINEAGE_CAPS = 1 << 0, /* caps are known */
	PST_LINEAGE_CLIMBED =
		1 << 1,           /* from the ancestors that lived when it was made, and their files then */
	PST_LINEAGE_CUT = 1 << 2, /* the eldest are missing */
	PST_LINEAGE_UNNAMED = 1 << 3, /* of an ancestor no path is known */
	PST_LINEAGE_OWN = 1 << 4,     /* of the executable: PST_ODD_OWN */
};

/* Executables are hashes of their paths, when they were started; 0: none, or not known. */
struct pst_lineage {
	__u64 caps;             /* effective when its program began */
	struct pst_file_id exe; /* dev 0: not known */
	__u64 exe_hash;
	__u64 parent_hash; /* executable of who forked it */
	__u64 exec_id;     /* the program's number in its task, which each exec counts */
	__u64 flags;       /* enum pst_lineage_flags */
	/* different ones, the last first: of those it descends from, and its own before */
	__u64 ancestors[PST_LINEAGE_MAX];
};
static_assert(sizeof(struct pst_lineage) == 56 + 8 * PST_LINEAGE_MAX, "abi");

/* ---- the subject ---- */

enum pst_subject_known {
	PST_SUBJECT_EXE = 1 << 0,    /* path of the executable */
	PST_SUBJECT_EXE_ID = 1 << 1, /* device and inode of it */
	PST_SUBJECT_REMEMBERED =
		1 << 2, /* both from its exec: what the process says of itself later is no matter */
	PST_SUBJECT_PARENT = 1 << 3,
	PST_SUBJECT_ANCESTORS = 1 << 4, /* all of them */
	PST_SUBJECT_GAINED = 1 << 5,
	PST_SUBJECT_OWN = 1 << 6, /* of the executable: PST_ODD_OWN */
};

struct pst_subject {
	__u64 start_ns; /* CLOCK_BOOTTIME */
	__u64 cgroup_id;
	__u64 holds;  /* effective capabilities */
	__u64 gained; /* of them, those that it had not when its program began */
	struct pst_file_id exe;
	__u64 exe_hash;
	__u64 parent_hash;
	__u32 pid; /* thread group, as the host counts */
	__u32 uid; /* effective ones, as the host counts */
	__u32 gid;
	__u32 known; /* enum pst_subject_known */
};
static_assert(sizeof(struct pst_subject) == 80, "abi");

/* Which namespaces are the host's. */
struct pst_subject_ns {
	__u32 host; /* bits of enum pst_pol_ns */
	__u32 known;
};
static_assert(sizeof(struct pst_subject_ns) == 8, "abi");

#endif
