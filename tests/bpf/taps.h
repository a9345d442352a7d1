/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests that put frames into the kernel and see which come out: tap devices in a network namespace
 * without a name, which vanishes with the test, however it ends.
 *
 * A frame that is written to a tap has gone through the device's ingress hook when write() returns, and what
 * the hook sends to another tap waits there to be read.
 */
#ifndef TESTS_BPF_TAPS_H
#define TESTS_BPF_TAPS_H

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define TAP_QUEUE 500 /* frames that wait in a tap; more are lost (TUN_READQ_SIZE) */

/* A tap of this name and index in the namespace that we are in, up; @flags: IFF_VNET_HDR, IFF_TUN for a
 * device without link header, or 0. -errno. */
static inline int tap_new_flags(const char *name, uint32_t ifindex, short flags)
{
	struct ifreq r = {.ifr_flags = (short)((flags & IFF_TUN ? 0 : IFF_TAP) | IFF_NO_PI | flags)};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), sock;
	int err = 0;

	if (fd < 0)
		return -errno;
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFINDEX, &ifindex) || ioctl(fd, TUNSETIFF, &r))
		err = -errno;
	r.ifr_flags = IFF_UP;
	if (!err && (sock < 0 || ioctl(sock, SIOCSIFFLAGS, &r)))
		err = -errno;
	close(sock);
	if (err)
		close(fd);
	return err ? err : fd;
}

static inline int tap_new(const char *name, uint32_t ifindex)
{
	return tap_new_flags(name, ifindex, 0);
}

#endif
