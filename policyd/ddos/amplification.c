// SPDX-License-Identifier: Apache-2.0
/*
 * Answers of services that are abused to amplify: who asks forges the victim's address. Services, ports and
 * factors: US-CERT alert TA14-017A, "UDP-Based Amplification Attacks". Each condition is on what an answer
 * looks like, and, where small answers are common and of no use to an attacker, on its size.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "policyd/ddos/sigs.h"

static const struct service {
	const char *name;
	uint16_t port;
	uint16_t least; /* bytes of payload */
	uint16_t offset;
	uint8_t need;
	const char *mask, *value;
} services[] = {
	{"amp-dns", 53, 513, 2, 1, "\x80", "\x80"},                    /* QR: an answer (RFC 1035) */
	{"amp-ntp-monlist", 123, 48, 0, 1, "\x87", "\x87"},            /* mode 7, an answer */
	{"amp-ntp-control", 123, 12, 0, 2, "\x07\x80", "\x06\x80"},    /* mode 6, an answer (RFC 9327) */
	{"amp-ssdp", 1900, 16, 0, 5, "\xff\xff\xff\xff\xff", "HTTP/"}, /* UPnP Device Architecture, 1.3.3 */
	{"amp-memcached", 11211, 9, 0, 0, "", ""},                     /* 8 bytes are the frame's header */
	{"amp-cldap", 389, 200, 0, 1, "\xff", "\x30"},                 /* a BER sequence (RFC 4511) */
	{"amp-chargen", 19, 1, 0, 0, "", ""},                          /* RFC 864 */
	{"amp-qotd", 17, 1, 0, 0, "", ""},                             /* RFC 865 */
	{"amp-snmp", 161, 485, 0, 1, "\xff", "\x30"}, /* 484 bytes are all that each has to take (RFC 3417) */
	{"amp-portmap", 111, 69, 4, 4, "\xff\xff\xff\xff", "\0\0\0\1"}, /* REPLY (RFC 5531) */
	{"amp-netbios", 137, 100, 2, 1, "\x80", "\x80"},                /* an answer (RFC 1002) */
	{"amp-rip", 520, 24, 0, 2, "\xff\xff", "\2\1"},                 /* response, version 1 (RFC 1058) */
	{"amp-ws-discovery", 3702, 500, 0, 1, "\xff", "<"},             /* SOAP over UDP */
	{"amp-arms", 3283, 500, 0, 0, "", ""},                          /* Apple Remote Management */
};

#define SERVICES (sizeof(services) / sizeof(services[0]))

static struct sig of(const struct service *s, bool drop)
{
	struct sig sig = {.drop = drop,
		.unasked = true,
		.protocol = IPPROTO_UDP,
		.sport = {.v = {{s->port, s->port}}, .n = 1},
		.len = {s->least, UINT16_MAX},
		.offset = s->offset,
		.need = s->need};

	snprintf(sig.name, sizeof(sig.name), "%s", s->name);
	memcpy(sig.mask, s->mask, s->need);
	memcpy(sig.value, s->value, s->need);
	return sig;
}

int sigs_add_amplification(bool drop, struct sig_set *set)
{
	if (set->n + SERVICES > PST_SIGS)
		return -ENOSPC;
	for (size_t i = 0; i < SERVICES; i++)
		set->v[set->n++] = of(&services[i], drop);
	return 0;
}

bool sigs_is_built_in(const char *name)
{
	for (size_t i = 0; i < SERVICES; i++)
		if (!strcmp(services[i].name, name))
			return true;
	return false;
}
