#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs the Debian packages that the tests need, and only those that are missing.
#
#   tests/deps.sh          install what is missing (needs root when something is)
#   tests/deps.sh --list   print every package name, one a line
#   tests/deps.sh --check  print the missing ones; exit 1 when there are any
#   tests/deps.sh --bench  install what make bench needs: few of these, and the peers that it measures beside us
set -euo pipefail

# One package a line, sorted, with the reason.
packages=(
	bash               # the scripts under tests/
	bpftool            # an independent view of programs and maps
	busybox-static     # tests/vm: the guest's small tools
	coreutils          # tests/vm: copied into the guest
	cpio               # tests/vm: the initramfs
	clang-format-14    # make check
	clang-tidy-14      # make check
	fish               # completion
	git                # make check
	iproute2           # namespaces, veth and tc, here and in the guest
	iptables           # e2e: rules to import
	iputils-ping       # e2e: what the firewall makes of it
	kmod               # tests/vm: module dependencies (depmod, modprobe)
	libclang-rt-14-dev # fuzz targets
	libcmocka-dev      # unit tests
	libnng-dev         # unit tests: a peer on the bus that others wrote
	lighttpd           # e2e: a web server behind the guard
	mandoc             # make check: the man pages
	nftables           # e2e: rules to import; the guard's rules beside it
	openssl            # a certificate for the exporter's TLS test
	prometheus         # promtool, and a real scrape
	python3            # end-to-end suite and the independent decoder
	python3-jsonschema # the schema of policies, by somebody else's hand
	python3-msgpack    # the independent decoder
	python3-prometheus-client # a strict OpenMetrics parser
	python3-yaml       # policies as others read them
	qemu-system-x86    # tests/vm
	shellcheck         # the scripts' own check
	util-linux         # nsenter, unshare, setpriv, flock
	xz-utils           # tests/vm: compressed modules (.ko.xz)
	zsh                # completion
	zstd               # tests/vm: compressed modules (.ko.zst)
)

# make bench: what it cannot do without, and the programs of others; a peer that cannot be had is left out.
bench=(bpftool iproute2 libc6-dev python3 util-linux)
peers=(
	auditd        # exec
	bpftrace      # exec, connect
	ipset         # block list
	iptables      # block list
	libbpf-tools  # execsnoop, tcplife
	nftables      # block list, rules
	softflowd     # flows
	xdp-tools     # block list: xdp-filter
)

missing() {
	local p
	for p in "${packages[@]}"; do
		[[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" == installed ]] || echo "$p"
	done
}

case "${1-}" in
--list)
	printf '%s\n' "${packages[@]}"
	exit 0
	;;
--check)
	list=$(missing)
	[[ -z "$list" ]] && exit 0
	printf '%s\n' "$list"
	exit 1
	;;
--bench) packages=("${bench[@]}") ;;
"") ;;
*)
	echo "usage: tests/deps.sh [--list|--check|--bench]" >&2
	exit 100
	;;
esac

# Some are daemons; this is how Debian is told not to start them.
no_daemons() {
	local policy=/usr/sbin/policy-rc.d
	[[ ! -e $policy ]] || return 0
	trap 'rm -f /usr/sbin/policy-rc.d' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
}

# The package lists may be absent or stale: refresh them only when the first attempt fails.
install() {
	echo "tests/deps.sh: installing $*" >&2
	no_daemons
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >&2 && return
	apt-get update -q >&2
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >&2
}

install_peers() {
	install "$@" || echo "tests/deps.sh: going on without: $*" >&2
}

mapfile -t want < <(missing)
if ((EUID != 0 && ${#want[@]})); then
	echo "tests/deps.sh: root is needed to install: ${want[*]}" >&2
	exit 1
fi
((${#want[@]} == 0)) || install "${want[@]}"

[[ "${1-}" == --bench ]] || exit 0
packages=("${peers[@]}")
mapfile -t want < <(missing)
((${#want[@]} == 0 || EUID != 0)) || install_peers "${want[@]}"
