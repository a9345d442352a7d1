// SPDX-License-Identifier: Apache-2.0
#include "policyd/guard/saving.h"

#include <stdio.h>
#include <string.h>

#include "proto/base/log.h"

#define AGAIN_S 15

void saving_open(struct saving *s, const char *path, const char *what)
{
	*s = (struct saving){.path = path};
	s->errors = pst_stat(PST_STAT_COUNTER, "guard_save_errors", "file", what,
		"times that a file of the run folder could not be written");
}

void saving_note(struct saving *s, int e)
{
	s->errors->value += e != 0;
	if (e && !s->error)
		pst_warn("what changed does not outlive this process path=%s error=\"%s\"", s->path,
			strerror(-e));
	if (!e && s->error)
		pst_info("saved now path=%s", s->path);
	s->error = e;
	s->waited = 0;
}

bool saving_due(struct saving *s)
{
	return s->error && ++s->waited >= AGAIN_S;
}

void saving_warning(const struct saving *s, char *buf, size_t size)
{
	*buf = '\0';
	if (s->error)
		snprintf(buf, size,
			"this change is lost when penstock-policyd ends, as it cannot be saved: %s: %s",
			s->path, strerror(-s->error));
}
