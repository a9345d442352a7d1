/* SPDX-License-Identifier: Apache-2.0 */
/* A stage's own program for a question that it answers best. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

/*
 * penstock-<@stage> with @args (NULL-terminated) in the foreground. What it writes to @capture
 * (STDOUT_FILENO, STDERR_FILENO; -1: neither) comes back as text, owned, bounded. Its exit code, or -errno.
 */
int run_stage(const char *bindir, const char *stage, const char *const *args, int capture, char **ret_text);

#endif
