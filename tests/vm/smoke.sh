#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks the VMs themselves: that each kernel boots, has what the end-to-end suite takes for granted, and really runs
# every kind of program that a hook ladder may choose.
#
#   tests/vm/smoke.sh [KERNEL...]      default: 5.10 6.1 6.12
#
# Prints TAP; a kernel that cannot be had is a skip with the reason. Exit: 0 when nothing failed.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "$0")/lib.sh"

(($# > 0)) || set -- 5.10 6.1 6.12
here=$(dirname -- "$0")
mkdir -p "$vmdir"
work=$(mktemp -d "$vmdir/.smoke.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/probe"

number=0 failed=0
# tell ok|"not ok" TEXT
tell() {
	number=$((number + 1))
	printf '%s %d - %s\n' "$1" "$number" "$2"
	[[ "$1" == ok ]] || failed=1
}

${CC:-gcc} -std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -o "$work/probe/probe" "$here/probe.c" -lbpf
cp -- "$here/smoke-guest.sh" "$work/probe/"

for version in "$@"; do
	rc=0
	SECONDS=0
	"$here/run.sh" --timeout 120 --add "$work/probe:vm-probe" "$version" -- \
		/bin/sh /vm-probe/smoke-guest.sh "$version" >"$work/out" 2>"$work/err" || rc=$?
	if ((rc == EXIT_SKIP)); then
		tell ok "$version: boots # SKIP $(grep -m1 -o 'skip: .*' "$work/err" || echo 'the VM cannot be had here')"
		continue
	fi
	while IFS= read -r line; do
		case "$line" in
		"ok "*" - "*) tell ok "$version: ${line#* - }" ;;
		"not ok "*" - "*) tell "not ok" "$version: ${line#* - }" ;;
		esac
	done <"$work/out"
	if ((rc == 0)); then
		tell ok "$version: boots and ends, ${SECONDS} s ($(grep -m1 -o 'init after.*' "$work/err"))"
	else
		tell "not ok" "$version: boots and ends: exit $rc"
		sed 's/^/# /' "$work/err"
	fi
done
printf '1..%d\n' "$number"
exit "$failed"
