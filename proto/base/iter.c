// SPDX-License-Identifier: Apache-2.0
#include "proto/base/iter.h"
#include "proto/base/cleanup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#define BUF_BYTES   65536
#define ELEMENT_MAX 12288 /* PST_REC_MAX */
/* After a million objects without output the kernel answers EAGAIN, so that a pass can be interrupted; that
 * many times it may. */
#define AGAIN_MAX 4096

struct pass {
	size_t fixed; /* element size, or 0: each begins with its own */
	size_t head;  /* the least that a sized element has */
	pst_iter_fn fn;
	void *arg;
	int n;
};

/* Bytes of the element that begins at @bytes; 0: not known before more has been read. */
static ssize_t element_len(const struct pass *p, const unsigned char *bytes, size_t have)
{
	uint32_t size;

	if (p->fixed)
		return (ssize_t)p->fixed;
	if (have < sizeof(size))
		return 0;
	memcpy(&size, bytes, sizeof(size));
	if (size < p->head || size > ELEMENT_MAX || size % 8)
		return -EBADMSG;
	return (ssize_t)size;
}

/* Hands over the whole elements among @len bytes. Returns how many bytes they took or -errno. */
static ssize_t hand_over(struct pass *p, const unsigned char *bytes, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t size = element_len(p, bytes + done, len - done);

		if (size < 0)
			return size;
		if (!size || (size_t)size > len - done)
			break;
		int r = p->n < INT_MAX ? p->fn(p->arg, bytes + done, (size_t)size) : -EOVERFLOW;
		if (r < 0)
			return r;
		p->n++;
		done += (size_t)size;
	}
	return (ssize_t)done;
}

static ssize_t read_some(int fd, void *buf, size_t size)
{
	ssize_t n;
	unsigned again = 0;

	do {
		n = read(fd, buf, size);
	} while (n < 0 && (errno == EINTR || (errno == EAGAIN && ++again < AGAIN_MAX)));
	return n < 0 ? -errno : n;
}

static int run(const char *path, struct pass *p)
{
	size_t have = 0;

	PST_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	PST_FREE unsigned char *buf = malloc(BUF_BYTES);
	if (!buf)
		return -ENOMEM;
	for (;;) {
		ssize_t n = read_some(fd, buf + have, BUF_BYTES - have);

		if (n < 0)
			return (int)n;
		if (!n)
			return have ? -EBADMSG : p->n; /* cut within an element */
		have += (size_t)n;
		ssize_t done = hand_over(p, buf, have);
		if (done < 0)
			return (int)done;
		have -= (size_t)done;
		/* To the front, which keeps the elements of whole words aligned. */
		memmove(buf, buf + done, have);
	}
}

int pst_iter_fixed(const char *path, size_t element_size, pst_iter_fn fn, void *arg)
{
	struct pass p = {.fixed = element_size, .fn = fn, .arg = arg};

	if (!element_size || element_size > ELEMENT_MAX)
		return -EINVAL;
	return run(path, &p);
}

int pst_iter_sized(const char *path, size_t head_size, pst_iter_fn fn, void *arg)
{
	struct pass p = {.head = PST_MAX(head_size, sizeof(uint32_t)), .fn = fn, .arg = arg};

	if (head_size > ELEMENT_MAX)
		return -EINVAL;
	return run(path, &p);
}
