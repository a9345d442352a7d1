#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2317  # check() calls the functions
#
# Runs inside the VM: is there what the end-to-end suite takes for granted? Prints TAP.
#   smoke-guest.sh RELEASE-PREFIX
number=0
failed=0

# check NAME COMMAND...
check() {
	name=$1
	shift
	number=$((number + 1))
	if why=$("$@" 2>&1); then
		echo "ok $number - $name"
	else
		echo "not ok $number - $name: $(echo "$why" | tr '\n' ' ')"
		failed=1
	fi
}

release() { uname -r && uname -r | grep -q "^$1[.+-]"; }
mounted() { grep " $2 $1 " /proc/mounts; }
lsm_lists_bpf() { cat /sys/kernel/security/lsm && tr ',' '\n' </sys/kernel/security/lsm | grep -qx bpf; }
python() { /usr/bin/python3 -c "$1"; }
users() {
	for u in collector enricher policyd exporter; do
		id "penstock-$u" | grep -q 'groups=.*(penstock)' || return 1
	done
	setpriv --reuid penstock-collector --regid penstock-collector --init-groups --no-new-privs id -un | grep -qx penstock-collector
}
tc_egress() {
	ip link add smoke0 type veth peer name smoke1 && tc qdisc add dev smoke0 clsact && tc qdisc show dev smoke0 | grep clsact
	rc=$?
	ip link del smoke0
	return "$rc"
}
netns() {
	ip netns add smoke && nsenter --net=/run/netns/smoke ip link show lo && [ -n "$(ls -A /sys/fs/cgroup)" ]
	rc=$?
	ip netns del smoke
	return "$rc"
}
overlay() {
	mkdir -p /tmp/o/l /tmp/o/u /tmp/o/w /tmp/o/m && mount -t overlay -o lowerdir=/tmp/o/l,upperdir=/tmp/o/u,workdir=/tmp/o/w overlay /tmp/o/m && umount /tmp/o/m
}
tun() { ip tuntap add dev smoket mode tun && ip link del smoket; }
cgroup() { mkdir /sys/fs/cgroup/smoke && grep . /sys/fs/cgroup/cgroup.controllers && rmdir /sys/fs/cgroup/smoke; }

check "kernel is a $1" release "$1"
check "BTF of the kernel" test -s /sys/kernel/btf/vmlinux
check "bpffs is mounted" mounted bpf /sys/fs/bpf
check "tracefs is mounted" mounted tracefs /sys/kernel/tracing
check "securityfs is mounted" mounted securityfs /sys/kernel/security
check "cgroup2 is mounted and makes groups" cgroup
check "bpf is among the security modules" lsm_lists_bpf
check "Python runs with msgpack" python 'import msgpack; assert msgpack.unpackb(msgpack.packb([1, b"x"])) == [1, b"x"]'
check "Python has what a suite imports" python 'import argparse, asyncio, ctypes, hashlib, http.client, json, os, pathlib, re, signal, socket, ssl, struct, subprocess, tempfile, threading, unittest, urllib.request'
check "users and groups of the stages" users
check "lo is up" ping -c 1 -W 2 127.0.0.1
check "veth and clsact" tc_egress
check "network namespaces" netns
check "overlay" overlay
check "tun" tun

landlock=none
# Landlock came with 5.13.
if tr ',' '\n' </sys/kernel/security/lsm | grep -qx landlock && [ "$1" != 5.10 ]; then
	landlock=landlock
fi
/vm-probe/probe $((number + 1)) "$landlock" || failed=1
exit "$failed"
