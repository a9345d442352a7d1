# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Shared by the scripts of tests/vm. Source it; it runs nothing.

# shellcheck disable=SC2034  # used by those who source this
readonly EXIT_USAGE=100 EXIT_SYSTEM=111 EXIT_SKIP=77 EXIT_TIMEOUT=124 EXIT_LOST=125

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
build=${BUILD:-$root/build}
[[ "$build" == /* ]] || build=$root/$build
vmdir=${PENSTOCK_VMDIR:-$root/build/vm} # kernels are shared by all build folders

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# die CODE MESSAGE...
die() {
	local code=$1
	shift
	say "$*"
	exit "$code"
}

# need COMMAND...: a missing tool is a reason to skip, not a failure of what is tested
need() {
	local c
	for c in "$@"; do
		command -v "$c" >/dev/null || die "$EXIT_SKIP" "skip: $c is not installed (tests/deps.sh installs it)"
	done
}

# The kernel is named by its series (6.1) or by any leading part of its release (6.12.95).
check_version() {
	[[ "$1" =~ ^[0-9]+\.[0-9]+(\.[0-9]+)?$ ]] || die "$EXIT_USAGE" "not a kernel version: '$1' (expected something like 6.1)"
}

# kernel_release VERSION: the full release of a kernel that fetch.sh unpacked
kernel_release() { cat -- "$vmdir/$1/release"; }
