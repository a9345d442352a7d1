// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "enricher/cgroup.h"
#include "proto/base/cleanup.h"

#define ID   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define UID  "3f2c1a9e-8b7d-4c6e-9f10-1a2b3c4d5e6f"
#define UID_ "3f2c1a9e_8b7d_4c6e_9f10_1a2b3c4d5e6f"

static const struct {
	const char *path, *id, *runtime, *pod, *unit;
} cases[] = {
	{"/", "", "", "", ""},
	{"", "", "", "", ""},
	{"/init.scope", "", "", "", "init.scope"},
	{"/system.slice/ssh.service", "", "", "", "ssh.service"},
	{"/user.slice/user-1000.slice/session-3.scope", "", "", "", "session-3.scope"},
	{"/docker/" ID, ID, "docker", "", ""},
	{"/docker/" ID "/init", ID, "docker", "", ""},
	{"/system.slice/docker-" ID ".scope", ID, "docker", "", "docker-" ID ".scope"},
	{"/libpod_parent/libpod-" ID, ID, "podman", "", ""},
	{"/libpod_parent/libpod-" ID "/container", ID, "podman", "", ""},
	{"/machine.slice/libpod-" ID ".scope/container", ID, "podman", "", "libpod-" ID ".scope"},
	{"/machine.slice/libpod-conmon-" ID ".scope", "", "", "", "libpod-conmon-" ID ".scope"},
	{"/kubepods/burstable/pod" UID "/" ID, ID, "kubernetes", UID, ""},
	{"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" UID_ ".slice/cri-containerd-" ID
	 ".scope",
		ID, "containerd", UID, "cri-containerd-" ID ".scope"},
	{"/kubepods.slice/kubepods-pod" UID_ ".slice/crio-" ID ".scope", ID, "cri-o", UID,
		"crio-" ID ".scope"},
	{"/kubepods.slice/kubepods-pod" UID_ ".slice/crio-conmon-" ID ".scope", "", "", UID,
		"crio-conmon-" ID ".scope"},
	{"/system.slice/containerd.service/kubepods-burstable-pod" UID_ ".slice:cri-containerd:" ID, ID,
		"containerd", "", "containerd.service"},
	{"/lxc/web-1", "web-1", "lxc", "", ""},
	{"/lxc.payload.web-1/system.slice/nginx.service", "web-1", "lxc", "", "nginx.service"},
	{"/actions_job/" ID, ID, "unknown", "", ""},
	/* a container in a container: the outer one */
	{"/docker/" ID "/docker/fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210", ID,
		"docker", "", ""},
	/* near misses */
	{"/docker/0123", "", "", "", ""},
	{"/docker-" ID "x.scope", "", "", "", "docker-" ID "x.scope"},
	{"/kubepods/pod-not-a-uid/" ID, ID, "unknown", "", ""},
};

static void assert_slice(const char *p, uint32_t len, const char *want, const char *path)
{
	if (len != strlen(want) || memcmp(p ? p : "", want, len))
		fail_msg("%s: got \"%.*s\", expected \"%s\"", path, (int)len, p ? p : "", want);
}

static void test_paths(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		struct cgroup_parts r;

		cgroup_parse(cases[i].path, strlen(cases[i].path), &r);
		assert_slice(r.container_id, r.container_id_len, cases[i].id, cases[i].path);
		assert_string_equal(r.runtime, cases[i].runtime);
		assert_slice(r.pod_uid, r.pod_uid_len, cases[i].pod, cases[i].path);
		assert_slice(r.unit, r.unit_len, cases[i].unit, cases[i].path);
	}
}

/* Slices never leave the path, whatever bytes it has. */
static void test_any_bytes(void **state)
{
	static const char pieces[] = "/docker-podkubepods.slice:scope_\0\xff" ID;
	uint32_t seed = 1;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		char path[200];
		size_t len = 0;
		struct cgroup_parts r;

		while (len < sizeof(path)) {
			size_t at, n;

			seed = seed * 1103515245 + 12345;
			at = seed / 65536 % (sizeof(pieces) - 1);
			n = seed / 1024 % 64;
			n = PST_MIN(n, sizeof(pieces) - 1 - at);
			n = PST_MIN(n, sizeof(path) - len);
			if (!n)
				break;
			memcpy(path + len, pieces + at, n);
			len += n;
		}
		cgroup_parse(path, len, &r);
		assert_true(!r.container_id_len ||
			    (r.container_id >= path && r.container_id + r.container_id_len <= path + len));
		assert_true(!r.unit_len || (r.unit >= path && r.unit + r.unit_len <= path + len));
		assert_true(r.container_id_len <= 64 && r.pod_uid_len <= 36);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_any_bytes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
