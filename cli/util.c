// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "proto/abi/maps.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/stage.h"

static const char *pick(const char *from_option, const char *env, const char *otherwise)
{
	const char *text = from_option ? from_option : getenv(env);

	return text && *text ? text : otherwise;
}

const char *cli_run_dir(const char *from_option)
{
	return pick(from_option, "PENSTOCK_RUN_DIR", PST_RUN_DIR);
}

const char *cli_bpffs(const char *from_option)
{
	return pick(from_option, "PENSTOCK_BPFFS", PST_PIN_DIR);
}

char *cli_bindir(const char *from_option)
{
	char self[PATH_MAX];
	ssize_t n;
	char *slash;

	if (from_option)
		return strdup(from_option);
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		return strdup(PST_PREFIX "/bin");
	self[n] = 0;
	slash = strrchr(self, '/');
	if (slash)
		*slash = 0;
	return strdup(self);
}

bool cli_colour(FILE *to)
{
	const char *no = getenv("NO_COLOR");

	return isatty(fileno(to)) && !(no && *no);
}

int cli_stdout_open(void)
{
	/* Opened anew: O_NONBLOCK on the one that we inherited would be the shell's, too. Not possible where
	 * the terminal is another user's (sudo -u). */
	int fd = isatty(STDOUT_FILENO) ? open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
				       : -1;

	return fd >= 0 ? fd : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
}

const char *cli_safe(const char *text)
{
	static char buffers[8][512];
	static unsigned next;

	return pst_log_escape(
		buffers[next++ % PST_ARRAY_SIZE(buffers)], sizeof(buffers[0]), text, (unsigned)strlen(text));
}

const char *cli_message(const char *text)
{
	static char buffer[1024];

	return pst_log_plain(buffer, sizeof(buffer), text, (unsigned)strlen(text));
}
