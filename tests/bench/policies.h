/* SPDX-License-Identifier: Apache-2.0 */
/* Policies of ten rules each, as many as are wanted, and an end for whoever cannot go on. */
#ifndef TESTS_BENCH_POLICIES_H
#define TESTS_BENCH_POLICIES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/policy/tables.h"
#include "proto/base/cleanup.h"

#define POLICIES_UID 2000000u /* nobody's */

static void die(const char *what)
{
	perror(what);
	exit(PST_EXIT_SYSTEM);
}

/* A service's policy: what is its own is allowed, the rest is not. Scopes are cgroups, executables or ids. */
static void put_policy(FILE *f, unsigned i)
{
	static const char *const scopes[] = {"cgroups: /system.slice/s%u.service",
		"executables: /usr/sbin/service-%u", "uids: %u", "cgroups: /kubepods.slice/pod%u/*"};

	fprintf(f, "---\napiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: p%u}\nspec:\n  scope: {",
		i);
	fprintf(f, scopes[i % 4], i % 4 == 2 ? POLICIES_UID + i : i);
	fprintf(f,
		"}\n  rules:\n"
		"    - {name: a, operations: file.open, paths: {directory: /etc/service-%1$u, recursive: "
		"true}, access: {not: write}, action: allow}\n"
		"    - {name: b, operations: file.open, paths: [{glob: \"/var/lib/service-%1$u/*/data*\"}, "
		"{prefix: /tmp/service-%1$u-}], action: allow}\n"
		"    - {name: c, operations: [file.open, file.unlink, file.rename], paths: [/etc/shadow, "
		"{directory: /etc/ssh, recursive: true}, {suffix: .key}], action: deny}\n"
		"    - {name: d, operations: file.open, paths: /var/log/service-%1$u.log, flags: setid, "
		"action: alert}\n"
		"    - {name: e, operations: process.exec, paths: [/usr/sbin/service-%1$u, {directory: "
		"/usr/lib/service-%1$u}], flags: {not: [memfd, upper]}, action: allow}\n"
		"    - {name: f, operations: process.exec, action: kill}\n"
		"    - {name: g, operations: net.connect, addresses: 10.%2$u.%3$u.0/24, ports: 5432, "
		"protocols: tcp, action: allow}\n"
		"    - {name: h, operations: net.connect, families: unix, action: allow}\n"
		"    - {name: i, operations: net.connect, action: deny, errno: ECONNREFUSED}\n"
		"    - {name: j, operations: [process.setid, process.capset], gained: [CAP_SYS_ADMIN, "
		"CAP_SETUID], action: kill}\n",
		i, i / 256, i % 256);
}

static void make_set(struct policy_set *set, unsigned n)
{
	struct pst_conf_errors errors = {0};
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	for (unsigned i = 0; i < n; i++)
		put_policy(f, i);
	fclose(f);
	if (policy_parse(set, "bench.yaml", text, len, &errors, NULL))
		die(errors.text);
	free(text);
}

#endif
