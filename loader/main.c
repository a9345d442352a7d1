// SPDX-License-Identifier: Apache-2.0
/* penstock-loader: the only privileged process. It parses no event, no packet and nothing from the network.
 */
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "loader/loader.h"
#include "loader/probe.h"
#include "loader/report.h"
#include "loader/restore.h"
#include "loader/serve.h"
#include "loader/unload.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/notify.h"

#define LARGE_BYTES (256 << 10)

static struct {
	bool json, force, unload_on_exit, list, previous;
} opt;

static const struct pst_arg options[] = {
	{"json", 0, PST_ARG_FLAG, &opt.json, NULL, "probe: print JSON"},
	{"force", 'f', PST_ARG_FLAG, &opt.force, NULL, "load, serve: load anew even when nothing changed"},
	{"unload-on-exit", 0, PST_ARG_FLAG, &opt.unload_on_exit, NULL,
		"serve: take everything down at the end"},
	{"list", 0, PST_ARG_FLAG, &opt.list, NULL, "restore: only show which copies are kept"},
	{"previous", 0, PST_ARG_FLAG, &opt.previous, NULL,
		"restore: what was in force before the latest copy was"},
	{0},
};

static const struct pst_stage_desc desc = {
	.stage = "loader",
	.summary = "Loads, attaches and pins the kernel programs.",
	.positional = "load | serve | unload | probe | restore",
	.examples = "  penstock-loader load              load and leave everything attached\n"
		    "  penstock-loader serve             the same, then follow interfaces and hand out "
		    "descriptors\n"
		    "  penstock-loader unload            detach and unpin everything\n"
		    "  penstock-loader restore           the guard's tables as they came into force\n"
		    "  penstock-loader probe             what this kernel can do\n"
		    "  penstock-loader probe --json | jq '.sensors[] | {name, rung}'\n",
	.options = options,
	.fields = loader_fields,
	.validate = loader_config_validate,
};

/* Not root, or a folder that can never be right: nothing gets better by trying again. */
static int exit_code(int r)
{
	return !r ? PST_EXIT_OK : r == -EPERM || r == -EMEDIUMTYPE ? PST_EXIT_USAGE : PST_EXIT_SYSTEM;
}

static int run_load(struct loader *l)
{
	struct report_names names = {0};
	int r = loader_prepare(l);

	r = r ? r : loader_apply(l);
	if (r)
		return exit_code(r);
	report_names_load(&names, &l->features);
	r = report_write(l, &names);
	report_names_done(&names);
	pst_notify_ready();
	return exit_code(r);
}

static int run_serve(struct loader *l)
{
	int r;

	/* The kernel's types, 5 MB for each object: they go back when the objects are loaded. Left to itself
	 * malloc keeps them at the end of a thread's arena, where malloc_trim does not look. */
	mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
	l->serving = true;
	r = loader_prepare(l);

	return r ? exit_code(r) : serve(l, opt.unload_on_exit);
}

static int run_unload(struct loader *l)
{
	return exit_code(unload(l));
}

static int run_probe(struct loader *l)
{
	return exit_code(probe(l, opt.json));
}

static int run_restore(struct loader *l)
{
	return restore_main(l, opt.list, opt.previous);
}

static const struct {
	const char *name;
	int (*run)(struct loader *l);
} commands[] = {
	{"load", run_load},
	{"serve", run_serve},
	{"unload", run_unload},
	{"probe", run_probe},
	{"restore", run_restore},
};

static int run(struct loader *l, const char *name)
{
	const char *names[PST_ARRAY_SIZE(commands)];
	const char *near;

	for (size_t i = 0; i < PST_ARRAY_SIZE(commands); i++) {
		names[i] = commands[i].name;
		if (!strcmp(commands[i].name, name))
			return commands[i].run(l);
	}
	near = pst_conf_did_you_mean(name, names, PST_ARRAY_SIZE(names));
	fprintf(stderr, "penstock-loader: unknown command \"%s\"%s%s%s\nTry 'penstock-loader --help'.\n",
		name, near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	return PST_EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct loader l = {.desc = &desc,
		.net = NET_CLOSED,
		.pins_lock = -1,
		.run_lock = -1,
		.cgroup_fd = -1,
		.stats_fd = -1};
	int n = 0, r = loader_config_init(&l.config);

	if (r)
		return PST_EXIT_SYSTEM;
	r = pst_stage_configure(&desc, argc, argv, &l.common, &l.config, &n);
	if (r == PST_STAGE_DONE) {
		r = PST_EXIT_OK;
	} else if (r || n != 1) {
		if (!r)
			fprintf(stderr,
				"penstock-loader: expected one of load, serve, unload, probe, restore\n"
				"Try 'penstock-loader --help'.\n");
		r = PST_EXIT_USAGE;
	} else {
		l.force = opt.force;
		/* Whoever waits to be told would wait for ever. */
		r = pst_notify_open() < 0 ? PST_EXIT_SYSTEM : run(&l, argv[1]);
	}
	loader_done(&l);
	return r;
}
