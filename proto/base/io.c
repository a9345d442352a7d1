// SPDX-License-Identifier: Apache-2.0
#include "proto/base/io.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "proto/base/cleanup.h"

static ssize_t read_on(int fd, char *buf, size_t len, bool positioned, off_t at)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = positioned ? pread(fd, buf + done, len - done, at + (off_t)done)
				       : read(fd, buf + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

ssize_t pst_read_all(int fd, void *buf, size_t len)
{
	return read_on(fd, buf, len, false, 0);
}

ssize_t pst_pread_all(int fd, void *buf, size_t len, off_t at)
{
	return read_on(fd, buf, len, true, at);
}

int pst_write_all(int fd, const void *buf, size_t len)
{
	const char *p = buf;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		p += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

int pst_read_file(int fd, size_t max, char **ret_bytes, size_t *ret_len)
{
	PST_FREE char *bytes = NULL;
	struct stat st, after;
	ssize_t len;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if ((uint64_t)st.st_size > max)
		return -EFBIG;
	bytes = malloc((size_t)st.st_size + 1);
	if (!bytes)
		return -ENOMEM;
	len = pst_read_all(fd, bytes, (size_t)st.st_size);
	if (len < 0)
		return (int)len;
	if (fstat(fd, &after) < 0)
		return -errno;
	if (len != st.st_size || after.st_size != st.st_size || after.st_mtim.tv_sec != st.st_mtim.tv_sec ||
		after.st_mtim.tv_nsec != st.st_mtim.tv_nsec)
		return -EAGAIN;
	bytes[len] = '\0';
	*ret_bytes = PST_TAKE_PTR(bytes);
	*ret_len = (size_t)len;
	return 0;
}
