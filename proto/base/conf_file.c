// SPDX-License-Identifier: Apache-2.0
#include "proto/base/cleanup.h"
#include "proto/base/conf_internal.h"
#include "proto/base/io.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static int load_error(struct pst_conf_errors *errors, const char *path, const char *what, int r)
{
	pst_conf_error(errors, path, 0, 0, "%s: %s", what, strerror(-r));
	return r;
}

int pst_doc_load(const char *path, struct pst_conf_errors *errors, struct pst_doc **ret_doc)
{
	struct stat st;

	/* Not blocking: a FIFO in the place of a file must not hold us. */
	PST_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0)
		return load_error(errors, path, "cannot open", -errno);
	if (!S_ISREG(st.st_mode)) {
		pst_conf_error(errors, path, 0, 0, "not a regular file");
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	}
	PST_FREE char *buf = malloc(CONF_FILE_MAX_BYTES + 1);
	if (!buf)
		return load_error(errors, path, "cannot read", -ENOMEM);
	ssize_t len = pst_read_all(fd, buf, CONF_FILE_MAX_BYTES + 1);
	if (len < 0)
		return load_error(errors, path, "cannot read", (int)len);
	return pst_doc_parse(path, buf, (size_t)len, errors, ret_doc);
}
