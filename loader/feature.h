/* SPDX-License-Identifier: Apache-2.0 */
/* What this kernel can do, found out by trying: tiny programs, not version numbers. */
#ifndef PST_LOADER_FEATURE_H
#define PST_LOADER_FEATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WHY_MAX 160

struct btf;

enum feature_id {
	FEATURE_BTF,
	FEATURE_JIT,
	FEATURE_RINGBUF,
	FEATURE_MMAP,
	FEATURE_FREEZE,
	FEATURE_RAW_TP,
	FEATURE_TP_BTF,
	FEATURE_FENTRY,
	FEATURE_FEXIT,
	FEATURE_FMOD_RET,
	FEATURE_LSM,
	FEATURE_KPROBE,
	FEATURE_KPROBE_MULTI,
	FEATURE_OVERRIDE_RETURN,
	FEATURE_SEND_SIGNAL,
	FEATURE_ITER,
	FEATURE_CGROUP_SKB,
	FEATURE_CGROUP_CONNECT,
	FEATURE_POST_BIND,
	FEATURE_SOCKOPS,
	FEATURE_SK_LOOKUP,
	FEATURE_TC,
	FEATURE_TCX,
	FEATURE_XDP,
	FEATURE_SYN_COOKIES,
	FEATURE_NETFILTER,
	FEATURE_TASK_BTF,
	FEATURE_LOOP,
	FEATURE_TIMER,
	FEATURE_PERCPU_ELEM,
	FEATURE_STATS,
	FEATURE_MAX,
};

struct feature_result {
	bool known, ok;
	char why[WHY_MAX]; /* when not ok; when ok a remark or "" */
};

struct features {
	struct btf *btf; /* of the kernel, owned; NULL: none */
	bool btf_tried;
	uint64_t percpu_offsets; /* address of the kernel's table, 0: not known or not needed */
	int core_fd;             /* what CO-RE needs of it (corebtf.h), -1: not made */
	char core_path[32];
	struct feature_result results[FEATURE_MAX];
	char lockdown[16]; /* "none", "integrity", "confidentiality", "unknown" */
	char lsm[128];
	char release[72];
	char boot_id[40];
	uint64_t net_ns;               /* inode of ours: interface numbers are of one namespace; 0: unknown */
	int unprivileged_bpf_disabled; /* -1: unknown */
	int jit;                       /* net.core.bpf_jit_enable, -1: unknown (then it is always on) */
};

struct feature {
	const char *name;
	const char *help;
	unsigned can; /* enum can: what a sensor built on it could do */
};

extern const struct feature feature_table[FEATURE_MAX];

void features_init(struct features *features); /* cheap facts only */
void features_done(struct features *features);
/* Tries at the first call, remembers. */
const struct feature_result *feature_get(struct features *features, enum feature_id id);
/* Gives the kernel's BTF (some 10 MB) back; it is read again when it is needed. */
void features_trim(struct features *features);
/* BTF of the kernel or NULL. */
struct btf *features_btf(struct features *features);
/* File with the types that our objects ask for; NULL: none could be made, libbpf has to look by itself. */
const char *features_core_path(struct features *features);
/* Type id, or negative. @kind: BTF_KIND_*. */
int features_btf_find(struct features *features, const char *name, unsigned kind);
/* Address of a kernel symbol, 0 if it is not told (needs CAP_SYSLOG). Reads all of /proc/kallsyms. */
uint64_t feature_kallsyms(const char *symbol);
/* First number of a file; -ENOENT. */
int feature_read_int(const char *path, int *ret_value);
/* Is this error about resources at this moment, and not about what the kernel can do? Then no rung is given
 * up for it. */
bool feature_passing(int error);
/* A human reason for an error of bpf(2). */
void feature_why(const struct features *features, int error, char why[WHY_MAX]);

#endif
