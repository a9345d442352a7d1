/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which system calls the programs on sys_enter and sys_exit care for, and in
 * which numbering a call was made. x86-64 has three: native, that of 32-bit tasks
 * (and of int 0x80 from anywhere), and x32, which is the native one with bit 30 and a few
 * numbers of its own.
 */
#ifndef PST_SYSNR_BPF_H
#define PST_SYSNR_BPF_H

#include "bpf/lib/common.bpf.h"
#include "bpf/lib/core_fixes.bpf.h"

#define SYSNR_X32_BIT 0x40000000
#define SYSNR_MAX     512
#define TS_COMPAT     2 /* thread_info.status: inside a 32-bit system call */

enum sysnr_kind {
	SYSNR_NONE = 0,
	SYSNR_EXECVE,
	SYSNR_EXECVEAT,
	SYSNR_CRED,
	SYSNR_NS,     /* changes credentials too: all capabilities in a new user namespace */
	SYSNR_SOCKET, /* accept, accept4, socket, bind, and socketcall */
	SYSNR_BPF,
	SYSNR_PTRACE,
	SYSNR_VM_WRITE,
	SYSNR_MEMFD,
	SYSNR_PERF,
	SYSNR_MMAP,
	SYSNR_MPROTECT,
	SYSNR_OPEN,
	SYSNR_OPENAT,
	SYSNR_OPENANY, /* whose flags are not in a register: creat, openat2 */
	SYSNR_FILE,    /* the first that changes files; bpf/lib/filecalls.bpf.h has their arguments */
	SYSNR_UNLINK = SYSNR_FILE,
	SYSNR_UNLINKAT,
	SYSNR_RMDIR,
	SYSNR_RENAME,
	SYSNR_RENAMEAT,
	SYSNR_RENAMEAT2,
	SYSNR_LINK,
	SYSNR_LINKAT,
	SYSNR_SYMLINK,
	SYSNR_SYMLINKAT,
	SYSNR_MKDIR,
	SYSNR_MKDIRAT,
	SYSNR_MKNOD,
	SYSNR_MKNODAT,
	SYSNR_CHMOD,
	SYSNR_FCHMOD,
	SYSNR_FCHMODAT,
	SYSNR_CHOWN, /* lchown too */
	SYSNR_FCHOWN,
	SYSNR_FCHOWNAT,
	SYSNR_CHOWN16, /* ids of 16 bits */
	SYSNR_FCHOWN16,
	SYSNR_TRUNCATE,
	SYSNR_FTRUNCATE,
	SYSNR_TRUNCATE64, /* the length in two registers */
	SYSNR_FTRUNCATE64,
	SYSNR_SETXATTR, /* lsetxattr too */
	SYSNR_FSETXATTR,
	SYSNR_SETXATTRAT,
	SYSNR_REMOVEXATTR,
	SYSNR_FREMOVEXATTR,
	SYSNR_REMOVEXATTRAT,
	SYSNR_MOUNT,
	SYSNR_MOVE_MOUNT,
	SYSNR_UMOUNT,
	SYSNR_UMOUNT1, /* without flags */
	SYSNR_PIVOT_ROOT,
	SYSNR_KINDS,
	SYSNR_FILES = SYSNR_KINDS - SYSNR_FILE,
};
_Static_assert(SYSNR_KINDS <= 256, "eight bits each");

#define NATIVE(kind)       (kind)
#define COMPAT(kind)       ((kind) << 8)
#define SYSNR_NATIVE(word) ((word)&255)
#define SYSNR_COMPAT(word) ((word) >> 8)

/*
 * One load says of most calls that nobody asks for them: low half native, high half 32-bit. What is frequent
 * has no other half, unless somebody wants changes of files: so its arguments can be looked at before the
 * numbering is, and open and creat of 32-bit callers (5 and 8) are not here, as each fstat and lseek of the
 * others would have to be asked which it is.
 */
static const __u16 sysnr_kinds[SYSNR_MAX] = {
	[2] = NATIVE(SYSNR_OPEN),                             /* open */
	[9] = NATIVE(SYSNR_MMAP) | COMPAT(SYSNR_LINK),        /* mmap */
	[10] = NATIVE(SYSNR_MPROTECT) | COMPAT(SYSNR_UNLINK), /* mprotect */
	[11] = COMPAT(SYSNR_EXECVE),
	[14] = COMPAT(SYSNR_MKNOD),
	[15] = COMPAT(SYSNR_CHMOD),
	[16] = COMPAT(SYSNR_CHOWN16),
	[21] = COMPAT(SYSNR_MOUNT),
	[22] = COMPAT(SYSNR_UMOUNT1),
	[23] = COMPAT(SYSNR_CRED),   /* setuid, 16 bits */
	[26] = COMPAT(SYSNR_PTRACE), /* ptrace */
	[38] = COMPAT(SYSNR_RENAME),
	[39] = COMPAT(SYSNR_MKDIR),
	[40] = COMPAT(SYSNR_RMDIR),
	[41] = NATIVE(SYSNR_SOCKET), /* socket */
	[43] = NATIVE(SYSNR_SOCKET), /* accept */
	[46] = COMPAT(SYSNR_CRED),   /* setgid, 16 bits */
	[49] = NATIVE(SYSNR_SOCKET), /* bind */
	[52] = COMPAT(SYSNR_UMOUNT),
	[59] = NATIVE(SYSNR_EXECVE),
	[70] = COMPAT(SYSNR_CRED), /* setreuid, 16 bits */
	[71] = COMPAT(SYSNR_CRED), /* setregid, 16 bits */
	[76] = NATIVE(SYSNR_TRUNCATE),
	[77] = NATIVE(SYSNR_FTRUNCATE),
	[82] = NATIVE(SYSNR_RENAME),
	[83] = NATIVE(SYSNR_MKDIR) | COMPAT(SYSNR_SYMLINK),
	[84] = NATIVE(SYSNR_RMDIR),
	[85] = NATIVE(SYSNR_OPENANY), /* creat */
	[86] = NATIVE(SYSNR_LINK),
	[87] = NATIVE(SYSNR_UNLINK),
	[88] = NATIVE(SYSNR_SYMLINK),
	[90] = NATIVE(SYSNR_CHMOD),
	[91] = NATIVE(SYSNR_FCHMOD),
	[92] = NATIVE(SYSNR_CHOWN) | COMPAT(SYSNR_TRUNCATE),
	[93] = NATIVE(SYSNR_FCHOWN) | COMPAT(SYSNR_FTRUNCATE),
	[94] = NATIVE(SYSNR_CHOWN) | COMPAT(SYSNR_FCHMOD),
	[95] = COMPAT(SYSNR_FCHOWN16),
	[101] = NATIVE(SYSNR_PTRACE),   /* ptrace */
	[102] = COMPAT(SYSNR_SOCKET),   /* socketcall */
	[105] = NATIVE(SYSNR_CRED),     /* setuid */
	[106] = NATIVE(SYSNR_CRED),     /* setgid */
	[113] = NATIVE(SYSNR_CRED),     /* setreuid */
	[114] = NATIVE(SYSNR_CRED),     /* setregid */
	[117] = NATIVE(SYSNR_CRED),     /* setresuid */
	[119] = NATIVE(SYSNR_CRED),     /* setresgid */
	[122] = NATIVE(SYSNR_CRED),     /* setfsuid */
	[123] = NATIVE(SYSNR_CRED),     /* setfsgid */
	[125] = COMPAT(SYSNR_MPROTECT), /* mprotect */
	[126] = NATIVE(SYSNR_CRED),     /* capset */
	[133] = NATIVE(SYSNR_MKNOD),
	[138] = COMPAT(SYSNR_CRED), /* setfsuid, 16 bits */
	[139] = COMPAT(SYSNR_CRED), /* setfsgid, 16 bits */
	[155] = NATIVE(SYSNR_PIVOT_ROOT),
	[164] = COMPAT(SYSNR_CRED), /* setresuid, 16 bits */
	[165] = NATIVE(SYSNR_MOUNT),
	[166] = NATIVE(SYSNR_UMOUNT),
	[170] = COMPAT(SYSNR_CRED), /* setresgid, 16 bits */
	[182] = COMPAT(SYSNR_CHOWN16),
	[185] = COMPAT(SYSNR_CRED), /* capset */
	[188] = NATIVE(SYSNR_SETXATTR),
	[189] = NATIVE(SYSNR_SETXATTR),
	[190] = NATIVE(SYSNR_FSETXATTR),
	[192] = COMPAT(SYSNR_MMAP), /* mmap2 */
	[193] = COMPAT(SYSNR_TRUNCATE64),
	[194] = COMPAT(SYSNR_FTRUNCATE64),
	[197] = NATIVE(SYSNR_REMOVEXATTR),
	[198] = NATIVE(SYSNR_REMOVEXATTR) | COMPAT(SYSNR_CHOWN),
	[199] = NATIVE(SYSNR_FREMOVEXATTR),
	[203] = COMPAT(SYSNR_CRED), /* setreuid */
	[204] = COMPAT(SYSNR_CRED), /* setregid */
	[207] = COMPAT(SYSNR_FCHOWN),
	[208] = COMPAT(SYSNR_CRED), /* setresuid */
	[210] = COMPAT(SYSNR_CRED), /* setresgid */
	[212] = COMPAT(SYSNR_CHOWN),
	[213] = COMPAT(SYSNR_CRED), /* setuid */
	[214] = COMPAT(SYSNR_CRED), /* setgid */
	[215] = COMPAT(SYSNR_CRED), /* setfsuid */
	[216] = COMPAT(SYSNR_CRED), /* setfsgid */
	[217] = COMPAT(SYSNR_PIVOT_ROOT),
	[226] = COMPAT(SYSNR_SETXATTR),
	[227] = COMPAT(SYSNR_SETXATTR),
	[228] = COMPAT(SYSNR_FSETXATTR),
	[235] = COMPAT(SYSNR_REMOVEXATTR),
	[236] = COMPAT(SYSNR_REMOVEXATTR),
	[237] = COMPAT(SYSNR_FREMOVEXATTR),
	[257] = NATIVE(SYSNR_OPENAT), /* openat */
	[258] = NATIVE(SYSNR_MKDIRAT),
	[259] = NATIVE(SYSNR_MKNODAT),
	[260] = NATIVE(SYSNR_FCHOWNAT),
	[263] = NATIVE(SYSNR_UNLINKAT),
	[264] = NATIVE(SYSNR_RENAMEAT),
	[265] = NATIVE(SYSNR_LINKAT),
	[266] = NATIVE(SYSNR_SYMLINKAT),
	[268] = NATIVE(SYSNR_FCHMODAT),
	[272] = NATIVE(SYSNR_NS),     /* unshare */
	[288] = NATIVE(SYSNR_SOCKET), /* accept4 */
	[295] = COMPAT(SYSNR_OPENAT), /* openat */
	[296] = COMPAT(SYSNR_MKDIRAT),
	[297] = COMPAT(SYSNR_MKNODAT),
	[298] = NATIVE(SYSNR_PERF) | COMPAT(SYSNR_FCHOWNAT), /* perf_event_open */
	[301] = COMPAT(SYSNR_UNLINKAT),
	[302] = COMPAT(SYSNR_RENAMEAT),
	[303] = COMPAT(SYSNR_LINKAT),
	[304] = COMPAT(SYSNR_SYMLINKAT),
	[306] = COMPAT(SYSNR_FCHMODAT),
	[308] = NATIVE(SYSNR_NS),       /* setns */
	[310] = COMPAT(SYSNR_NS),       /* unshare */
	[311] = NATIVE(SYSNR_VM_WRITE), /* process_vm_writev */
	[316] = NATIVE(SYSNR_RENAMEAT2),
	[319] = NATIVE(SYSNR_MEMFD), /* memfd_create */
	[321] = NATIVE(SYSNR_BPF),   /* bpf */
	[322] = NATIVE(SYSNR_EXECVEAT),
	[329] = NATIVE(SYSNR_MPROTECT), /* pkey_mprotect */
	[336] = COMPAT(SYSNR_PERF),     /* perf_event_open */
	[346] = COMPAT(SYSNR_NS),       /* setns */
	[348] = COMPAT(SYSNR_VM_WRITE), /* process_vm_writev */
	[353] = COMPAT(SYSNR_RENAMEAT2),
	[356] = COMPAT(SYSNR_MEMFD), /* memfd_create */
	[357] = COMPAT(SYSNR_BPF),   /* bpf */
	[358] = COMPAT(SYSNR_EXECVEAT),
	[359] = COMPAT(SYSNR_SOCKET),   /* socket */
	[361] = COMPAT(SYSNR_SOCKET),   /* bind */
	[364] = COMPAT(SYSNR_SOCKET),   /* accept4 */
	[380] = COMPAT(SYSNR_MPROTECT), /* pkey_mprotect */
	[429] = NATIVE(SYSNR_MOVE_MOUNT) | COMPAT(SYSNR_MOVE_MOUNT),
	[437] = NATIVE(SYSNR_OPENANY) | COMPAT(SYSNR_OPENANY), /* openat2 */
	[452] = NATIVE(SYSNR_FCHMODAT) | COMPAT(SYSNR_FCHMODAT),
	[463] = NATIVE(SYSNR_SETXATTRAT) | COMPAT(SYSNR_SETXATTRAT),
	[466] = NATIVE(SYSNR_REMOVEXATTRAT) | COMPAT(SYSNR_REMOVEXATTRAT),
};

/* A call somebody may care for. */
struct sysnr {
	__u32 kind;
	bool compat; /* 32-bit numbering and registers */
	bool ptr32;  /* 32-bit pointers in memory: compat, or x32 */
};

static __always_inline bool sysnr_is_compat(void)
{
	if (pst_has_task_btf())
		return pst_current_btf()->thread_info.status & TS_COMPAT;
	return BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), thread_info.status) & TS_COMPAT;
}

/* The numbers that x32 has of its own. */
static __always_inline __u32 sysnr_x32(__u64 nr)
{
	switch (nr) {
	case 520:
		return SYSNR_EXECVE;
	case 521:
		return SYSNR_PTRACE;
	case 540:
		return SYSNR_VM_WRITE;
	case 545:
		return SYSNR_EXECVEAT;
	default:
		return SYSNR_NONE;
	}
}

static __always_inline bool sysnr_upto(__u32 kind, __u32 last)
{
	return kind && kind <= last;
}

/* Fills ret_nr and returns true when the call is of some kind up to @last. Nearly always false after one
 * compare and one load. */
static __always_inline bool sysnr_classify(__u64 nr, __u32 last, struct sysnr *ret_nr)
{
	__u16 kinds;

	if (nr >= SYSNR_MAX) {
		if (!(nr & SYSNR_X32_BIT))
			return false;
		nr &= ~(__u64)SYSNR_X32_BIT;
		ret_nr->compat = false;
		ret_nr->ptr32 = true;
		ret_nr->kind = sysnr_x32(nr);
		if (nr < SYSNR_MAX)
			ret_nr->kind = SYSNR_NATIVE(sysnr_kinds[nr & (SYSNR_MAX - 1)]);
		return sysnr_upto(ret_nr->kind, last);
	}
	kinds = sysnr_kinds[nr & (SYSNR_MAX - 1)];
	if (!sysnr_upto(SYSNR_NATIVE(kinds), last) && !sysnr_upto(SYSNR_COMPAT(kinds), last))
		return false;
	ret_nr->compat = ret_nr->ptr32 = sysnr_is_compat();
	ret_nr->kind = ret_nr->compat ? SYSNR_COMPAT(kinds) : SYSNR_NATIVE(kinds);
	return sysnr_upto(ret_nr->kind, last);
}

#endif
