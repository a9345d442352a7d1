#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs the Debian packages that building and running need, and only those that are missing.
#
#   compose/local/deps.sh          install what is missing (needs root when something is)
#   compose/local/deps.sh --list   print every package name, one a line
set -euo pipefail

packages=(
	bpftool            # skeletons
	clang-14           # kernel programs
	gcc                # user space
	libbpf-dev         # loader
	libc6-dev
	libelf-dev         # loader
	libjansson-dev     # the loader's report, the API
	libmicrohttpd-dev  # exporter
	libmsgpack-dev     # control messages
	libseccomp-dev     # sandbox
	libyaml-dev        # configuration
	linux-libc-dev
	llvm-14            # llvm-strip
	make
	passwd             # useradd
	pkg-config
	zlib1g-dev         # loader
)

missing() {
	local p
	for p in "${packages[@]}"; do
		[[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" == installed ]] || echo "$p"
	done
}

if [[ "${1-}" == --list ]]; then
	printf '%s\n' "${packages[@]}"
	exit 0
fi
mapfile -t want < <(missing)
((${#want[@]} == 0)) && exit 0
if ((EUID != 0)); then
	echo "these packages are missing, and root is needed to install them: ${want[*]}" >&2
	exit 1
fi
echo "installing ${want[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
# The package lists may be absent or stale: refresh them only when the first attempt fails.
apt-get install -y -q --no-install-recommends "${want[@]}" >&2 || {
	apt-get update -q >&2
	apt-get install -y -q --no-install-recommends "${want[@]}" >&2
}
