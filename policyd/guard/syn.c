// SPDX-License-Identifier: Apache-2.0
#include "policyd/guard/syn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policyd/guard/guard.h"
#include "proto/base/log.h"

#define SYSCTL "/proc/sys/net/ipv4/tcp_syncookies"

static int parse_port(const char *text, char **ret_end, unsigned *ret_port)
{
	unsigned long port;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	port = strtoul(text, ret_end, 10);
	if (errno || !port || port > UINT16_MAX)
		return -EINVAL;
	*ret_port = (unsigned)port;
	return 0;
}

static int parse_ports(const char *text, __u64 ports[PST_GUARD_PORT_WORDS])
{
	unsigned first = 0, last = 0;
	char *end = NULL;
	int e = parse_port(text, &end, &first);

	last = first;
	if (!e && *end == '-')
		e = parse_port(end + 1, &end, &last);
	if (e || *end || last < first)
		return -EINVAL;
	for (unsigned port = first; port <= last; port++)
		ports[port / 64] |= 1ULL << port % 64;
	return 0;
}

int syn_ports_parse(const struct pst_strs *texts, __u64 ret_ports[PST_GUARD_PORT_WORDS], size_t *ret_bad)
{
	memset(ret_ports, 0, PST_GUARD_PORT_WORDS * sizeof(*ret_ports));
	for (size_t i = 0; i < texts->n; i++)
		if (parse_ports(texts->v[i], ret_ports)) {
			*ret_bad = i;
			return -EINVAL;
		}
	return 0;
}

/* Only one of both is there (config_check_ports()). */
static void take_ports(struct syn *syn, const struct pst_strs *texts, uint64_t flag)
{
	size_t bad;

	if (texts && texts->n && !syn_ports_parse(texts, syn->ports, &bad))
		syn->ports_flag = flag;
}

void syn_open(struct syn *syn, const struct guard_config *config)
{
	*syn = (struct syn){.sysctl = -1};
	if (!config->limits.syn_cost_ns || !config->syn_cookies)
		return;
	syn->sysctl = open(SYSCTL, O_RDONLY | O_CLOEXEC);
	take_ports(syn, config->syn_ports, PST_GUARD_SYN_PORTS);
	take_ports(syn, config->syn_except, PST_GUARD_SYN_EXCEPT);
}

void syn_close(struct syn *syn)
{
	if (syn->sysctl >= 0)
		close(syn->sysctl);
	syn->sysctl = -1;
}

/* Once, when it changes; else nobody would see that it degrades. */
static bool is_news(struct syn *syn, enum syn_told what)
{
	bool news = syn->told != what;

	syn->told = what;
	return news;
}

static bool kernel_has_cookies(struct syn *syn, const struct pst_guard *word)
{
	if (word->can & PST_GUARD_CAN_SYN_COOKIES)
		return true;
	if (is_news(syn, SYN_TOLD_KERNEL))
		pst_warn("SYNs above the rate are dropped: this kernel has no helpers for SYN cookies (Linux "
			 "6.0 "
			 "has, with CONFIG_SYN_COOKIES)");
	return false;
}

/* Only with 2 the stack has always sent cookies lately, and so takes one that comes back. */
static bool stack_takes_cookies(struct syn *syn)
{
	char text[16] = "";
	bool good = pread(syn->sysctl, text, sizeof(text) - 1, 0) > 0 && !strcmp(text, "2\n");

	if (!good && is_news(syn, SYN_TOLD_SYSCTL))
		pst_warn("SYNs above the rate are dropped: answering them with cookies needs "
			 "net.ipv4.tcp_syncookies=2 value=%.*s",
			(int)strcspn(text, "\n"), *text ? text : "unknown");
	if (good && is_news(syn, SYN_TOLD_GOOD))
		pst_info("SYNs above the rate are answered with cookies");
	return good;
}

uint64_t syn_flags(struct syn *syn, const struct guard_config *config, struct pst_guard *word)
{
	if (!config->limits.syn_cost_ns)
		return 0;
	if (!config->syn_cookies || !kernel_has_cookies(syn, word) || !stack_takes_cookies(syn))
		return PST_GUARD_SYN;
	for (size_t i = 0; syn->ports_flag && i < PST_GUARD_PORT_WORDS; i++)
		if (word->syn_ports[i] != syn->ports[i])
			__atomic_store_n(&word->syn_ports[i], syn->ports[i], __ATOMIC_RELAXED);
	return PST_GUARD_SYN | PST_GUARD_SYN_COOKIES | syn->ports_flag;
}
