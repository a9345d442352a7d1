// SPDX-License-Identifier: Apache-2.0
#include "exporter/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "proto/base/cleanup.h"
#include "proto/base/log.h"

/* The first line of a small file, without the line's end. An empty secret would let anybody in. */
static int read_secret(const char *path, char *buf, size_t size)
{
	PST_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	ssize_t n;

	if (fd < 0) {
		pst_error("cannot open secret file path=%s error=%s", path, strerror(errno));
		return -errno;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		pst_error("secret file is not a regular file path=%s", path);
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	}
	n = read(fd, buf, size);
	if (n < 0) {
		pst_error("cannot read secret file path=%s error=%s", path, strerror(errno));
		return -errno;
	}
	if (!memchr(buf, '\n', (size_t)n) && (size_t)n == size) {
		pst_error("secret is too long path=%s max=%zu", path, size - 1);
		return -EINVAL;
	}
	buf[(size_t)n == size ? (size_t)n - 1 : (size_t)n] = 0;
	buf[strcspn(buf, "\r\n")] = 0;
	if (strlen(buf) < 1) {
		pst_error("secret file is empty path=%s", path);
		return -EINVAL;
	}
	return 0;
}

static void base64(const char *text, size_t len, char *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *p = (const uint8_t *)text;

	for (size_t i = 0; i < len; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < len ? (uint32_t)p[i + 1] << 8 : 0) |
			     (i + 2 < len ? p[i + 2] : 0);

		*out++ = digits[v >> 18];
		*out++ = digits[v >> 12 & 63];
		*out++ = i + 1 < len ? digits[v >> 6 & 63] : '=';
		*out++ = i + 2 < len ? digits[v & 63] : '=';
	}
	*out = 0;
}

int auth_load(const char *bearer_token_file, const char *basic_user, const char *basic_password_file,
	struct auth *ret_auth)
{
	char password[AUTH_SECRET_MAX], pair[AUTH_SECRET_MAX + 160];
	struct auth auth = {0};
	int r = 0;

	if (bearer_token_file)
		r = read_secret(bearer_token_file, auth.bearer, sizeof(auth.bearer));
	if (!r && basic_user) {
		r = read_secret(basic_password_file, password, sizeof(password));
		if (!r) {
			int n = snprintf(pair, sizeof(pair), "%s:%s", basic_user, password);

			if (n < 0 || (size_t)n >= sizeof(pair))
				r = -EINVAL;
			else
				base64(pair, (size_t)n, auth.basic);
		}
	}
	if (!r)
		*ret_auth = auth;
	explicit_bzero(password, sizeof(password));
	explicit_bzero(pair, sizeof(pair));
	explicit_bzero(&auth, sizeof(auth));
	return r;
}

bool auth_needed(const struct auth *auth)
{
	return auth->bearer[0] || auth->basic[0];
}

/* Time depends on neither the secret nor where the difference is, only on the length of what the client sent.
 */
static bool equal(const char *secret, size_t secret_size, const char *given)
{
	size_t given_len = strlen(given), len = strlen(secret);
	volatile uint8_t diff = given_len != len;

	for (size_t i = 0; i < given_len; i++)
		diff = diff | (uint8_t)(given[i] ^ secret[i < secret_size ? i : 0]);
	return !diff;
}

static const char *after_scheme(const char *header, const char *scheme)
{
	size_t len = strlen(scheme);

	if (strncasecmp(header, scheme, len) != 0 || header[len] != ' ')
		return NULL;
	return header + len + strspn(header + len, " ");
}

bool auth_check(const struct auth *auth, const char *header)
{
	const char *given;

	if (!auth_needed(auth))
		return true;
	if (!header)
		return false;
	given = after_scheme(header, "Bearer");
	if (given)
		return auth->bearer[0] && equal(auth->bearer, sizeof(auth->bearer), given);
	given = after_scheme(header, "Basic");
	return given && auth->basic[0] && equal(auth->basic, sizeof(auth->basic), given);
}

const char *auth_challenge(const struct auth *auth)
{
	if (auth->bearer[0])
		return auth->basic[0]
			       ? "Bearer realm=\"penstock\", Basic realm=\"penstock\", charset=\"UTF-8\""
			       : "Bearer realm=\"penstock\"";
	return "Basic realm=\"penstock\", charset=\"UTF-8\"";
}

void auth_done(struct auth *auth)
{
	explicit_bzero(auth, sizeof(*auth));
}
