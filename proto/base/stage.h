/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the five processes have in common on the command line and in the configuration file.
 *
 * One file, /etc/penstock/penstock.yaml, with a section per process and one `common`; a process binds
 * `common` and its own, and only checks that the other sections' names are known. No file is fine when none
 * was named: everything has a default.
 */
#ifndef PST_BASE_STAGE_H
#define PST_BASE_STAGE_H

#include <stdbool.h>

#include "proto/base/args.h"
#include "proto/base/conf.h"

#define PST_CONFIG_PATH "/etc/penstock/penstock.yaml"
#define PST_RUN_DIR     "/run/penstock"

struct pst_common {
	char *run_dir;     /* sockets and state; PENSTOCK_RUN_DIR and --run-dir override */
	char *bpffs;       /* folder of the pins; PENSTOCK_BPFFS and --bpffs override */
	char *node;        /* name of this host in events; default: hostname */
	char *user_prefix; /* "penstock-": users are <prefix><stage> */
	int log_format;    /* enum pst_log_format */
	int log_level;     /* enum pst_log_level */
};
extern const struct pst_conf_field pst_common_fields[];

struct pst_stage_desc {
	const char *stage; /* "collector": the section; the program is penstock-<stage> */
	const char *summary;
	const char *positional; /* or NULL */
	const char *examples;
	const struct pst_arg *options;       /* of this stage, ends with name NULL; may be NULL */
	const struct pst_conf_field *fields; /* of its section */
	/* Checks that go over single fields; errors by pst_conf_reject. May be NULL. */
	int (*validate)(struct pst_conf_ctx *ctx, const struct pst_node *section);
	/* With --check only: what the configuration names and the stage can do without. May be NULL. */
	int (*check)(struct pst_conf_ctx *ctx);
};

/*
 * Parses the command line (--config, --check, --print-config, --run-dir, --bpffs, --log-level, --log-format
 * beside the stage's own), reads the file, fills @common and @config (which hold nothing / the defaults
 * before), sets up the log and the scheduling (SCHED_BATCH). Returns 0: go on; PST_STAGE_DONE: asked for
 * help, check or print, exit 0; -EINVAL: said why, exit PST_EXIT_USAGE.
 * @ret_positional (may be NULL) gets the number of positional arguments, in argv[1..].
 */
enum { PST_STAGE_DONE = 1 };
int pst_stage_configure(const struct pst_stage_desc *desc, int argc, char **argv, struct pst_common *common,
	void *config, int *ret_positional);
/* Parse and bind once more (reload) from the same file; on error nothing is changed but @errors. */
int pst_stage_reload(const struct pst_stage_desc *desc, struct pst_common *common, void *config,
	struct pst_conf_errors *errors);
void pst_common_done(struct pst_common *common);
/* "<run_dir>/<name>", owned. NULL without memory. */
char *pst_run_path(const struct pst_common *common, const char *name);
/* "<bpffs>/iters/<name>", owned. */
char *pst_iter_path(const struct pst_common *common, const char *name);
/* Name of the stage's Unix user ("penstock-collector"), owned; "" when not root (then nothing is changed) .
 */
char *pst_stage_user(const struct pst_common *common, const char *stage);

#endif
