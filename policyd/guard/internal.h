/* SPDX-License-Identifier: Apache-2.0 */
/* What guard.c, the files of requests and rows.c share with each other and the tests. */
#ifndef POLICYD_GUARD_INTERNAL_H
#define POLICYD_GUARD_INTERNAL_H

#include <sys/stat.h>

#include "policyd/fw/parse.h"
#include "policyd/guard/counts.h"
#include "policyd/guard/detect.h"
#include "policyd/guard/firewall.h"
#include "policyd/guard/guard.h"
#include "policyd/guard/ifcounts.h"
#include "policyd/guard/signatures.h"
#include "policyd/guard/syn.h"
#include "policyd/guard/tops.h"

/* A file as it was when it was last looked at. */
struct guard_stamp {
	ino_t ino;
	struct timespec changed;
};

struct guard {
	struct pst_loop *loop;
	struct pst_bus *bus;
	struct guard_config config;
	struct guard_tables tables;
	struct firewall firewall;
	struct lists lists;
	struct signatures signatures;
	struct detect detect;
	struct tops tops;
	uint32_t scrub_ifindex;     /* 0: there is none now */
	bool scrub_told;            /* that there is none */
	struct guard_totals totals; /* of the tables, for status */
	struct guard_gone gone;
	char *firewall_error, *lists_error, *signatures_error; /* of the last reload; NULL: good */
	char *fds_path, *report_path;                          /* the loader's */
	struct guard_stamp fds_stamp, report_stamp;
	struct pst_source *commit, *second;
	struct syn syn;
	struct pst_stat *floods, *floods_detected, *attached;
	bool idle;               /* tables are there that no program looks at */
	bool moved_told;         /* the loader makes others */
	unsigned idle_told;      /* enum acts_idle of the rules in force, as it was last said */
	uint64_t flags;          /* as they were last stored */
	uint64_t loose_until_ns; /* CLOCK_MONOTONIC; see flags.c */
	struct pst_stat *reloads, *reload_errors, *followed, *lists_reloads, *lists_errors,
		*signatures_reloads, *signatures_errors;
};

/* Takes these tables, which are others than before, and writes them. */
void guard_adopt(struct guard *guard, struct guard_tables *tables);
/* Puts in force what is ready, now or when the idle half may be written. */
void guard_commit(struct guard *guard);
int guard_ops(struct guard *guard);
uint32_t guard_rows(void *guard, struct pst_buf *out);
/* Each second: floods that begin and end, as events. floods.c. */
void guard_floods(struct guard *guard, uint64_t now_ns);
const char *ddos_action_name(enum ddos_action action);
/* What rules ask for and the guard cannot do where it is: said when that changes; acts.c. */
#define GUARD_ACTS_TEXT 256
void guard_acts_tick(struct guard *guard);
/* The same for people, into @text; "" when there is nothing of it. */
void guard_acts_text(const struct guard *guard, char *text, size_t size);
/* {op: ddos}; ddos_ops.c. */
int guard_on_ddos(
	void *guard, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size);

static inline void put_text(struct pst_buf *out, const char *key, const char *text)
{
	pst_mp_str(out, key);
	pst_mp_str(out, text);
}

static inline void put_uint(struct pst_buf *out, const char *key, uint64_t value)
{
	pst_mp_str(out, key);
	pst_mp_uint(out, value);
}

/* A packet as it is asked about. */
struct guard_question {
	struct pst_fw_packet packet;
	struct block_entry src;
	bool has_src;
};
/* @object: a map of fields of the rule language. 0; -EINVAL with a message in @errors. */
int guard_question_parse(const msgpack_object *object, const struct fw_context *context,
	struct pst_conf_errors *errors, struct guard_question *ret_question);

#endif
