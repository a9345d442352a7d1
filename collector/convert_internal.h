/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COLLECTOR_CONVERT_INTERNAL_H
#define COLLECTOR_CONVERT_INTERNAL_H

#include <string.h>

#include "collector/convert.h"

/* The prefix that every kind with a process shares (PST_WHO in schema.def). */
static inline void convert_who(struct pst_val *v, const struct pst_task *t)
{
	v[PST_FORK_F_pid].u = t->pid;
	v[PST_FORK_F_start_ns].u = t->start_ns;
	v[PST_FORK_F_tid].u = t->tid;
	v[PST_FORK_F_uid].u = t->uid;
	v[PST_FORK_F_gid].u = t->gid;
	v[PST_FORK_F_cgroup_id].u = t->cgroup_id;
	v[PST_FORK_F_comm] = pst_val_str(t->comm, strnlen(t->comm, sizeof(t->comm)));
}

static inline uint64_t convert_errno(int32_t error)
{
	return error < 0 ? 0 : (uint64_t)error;
}

struct number_text {
	char text[12];
};

/* The name, or else the number into @buf, which has to live as long as the value. */
struct pst_val convert_name(const char *const *names, size_t n, uint32_t number, struct number_text *buf);

static inline bool convert_is_file(unsigned kind)
{
	return kind >= PST_REC_FILE_UNLINK && kind <= PST_REC_FILE_PIVOT_ROOT;
}

/* Is its tail as long as it says? */
bool convert_file_fits(const struct pst_rec_file *r, size_t len);
int convert_file_record(const struct pst_rec_file *r, struct pst_buf *out);
/* Likewise. */
bool convert_policy_fits(const struct pst_rec_policy *r, size_t len);
int convert_policy_record(struct convert *c, const struct pst_rec_policy *r, struct pst_buf *out);
int convert_call_record(const struct pst_rec *rec, struct pst_buf *out);
/* Sockets that are made and bound. */
int convert_sockcall_record(const struct pst_rec *rec, struct pst_buf *out);
int convert_net_record(struct convert *c, const struct pst_rec *rec, struct pst_buf *out);

#endif
