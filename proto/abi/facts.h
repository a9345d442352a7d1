/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause OR Apache-2.0 */
/*
 * Facts of an act that runtime policies ask for (docs/design/policy.md), as kernel programs gather them:
 * what is told of its object. What is not known is said to be so, and its members are 0.
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
	PST_ODD_CUT = 1 << 0,      /* too long or too deep: the path's head is missing */
	PST_ODD_NOWHERE = 1 << 1,  /* in no folder: memfd, pipe, or a file opened by its handle */
	PST_ODD_DETACHED = 1 << 2, /* its mount is in no namespace that a process can be in */
	PST_ODD_FOREIGN = 1 << 3,  /* its mount is in another namespace than the process */
	PST_ODD_REMOVED = 1 << 4,  /* the name that it was found by has been taken away, or never was */
	PST_ODD_MOUNTLESS = 1 << 5 /* the mount was not told: its path within its file system */
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

#endif
