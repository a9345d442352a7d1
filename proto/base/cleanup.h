/* SPDX-License-Identifier: Apache-2.0 */
/* Ownership by attribute: a local that owns something releases it when it goes out of scope. */
#ifndef PST_BASE_CLEANUP_H
#define PST_BASE_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PST_CLEANUP(fn) __attribute__((cleanup(fn)))

/* Take a value out of an owning variable: returns it and leaves the variable empty. */
#define PST_TAKE_PTR(p)                                                                                      \
	({                                                                                                   \
		__typeof__(p) *pst_pp_ = &(p);                                                               \
		__typeof__(p) pst_v_ = *pst_pp_;                                                             \
		*pst_pp_ = NULL;                                                                             \
		pst_v_;                                                                                      \
	})
#define PST_TAKE_FD(fd)                                                                                      \
	({                                                                                                   \
		int *pst_fp_ = &(fd);                                                                        \
		int pst_f_ = *pst_fp_;                                                                       \
		*pst_fp_ = -1;                                                                               \
		pst_f_;                                                                                      \
	})

static inline void pst_freep(void *p)
{
	free(*(void **)p);
}
static inline void pst_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
static inline void pst_fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}
static inline void pst_closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

#define PST_FREE     PST_CLEANUP(pst_freep)
#define PST_CLOSE    PST_CLEANUP(pst_closep)
#define PST_FCLOSE   PST_CLEANUP(pst_fclosep)
#define PST_CLOSEDIR PST_CLEANUP(pst_closedirp)

#define PST_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define PST_MIN(a, b)     ((a) < (b) ? (a) : (b))
#define PST_MAX(a, b)     ((a) > (b) ? (a) : (b))

/* Exit codes: the supervisor reads them (compose/). */
#define PST_EXIT_OK     0   /* asked to stop */
#define PST_EXIT_USAGE  100 /* usage or configuration: do not restart me */
#define PST_EXIT_SYSTEM 111 /* system or dependency: try again */

#endif
