#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Format, lint, layering, licence headers, struct layout, generated pages. One TAP line each with --tap.
# Usage: tests/check/check.sh BUILD [--tap]
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${1:-build}
export BUILD=$build
n=0
failed=0

run() { # NAME COMMAND...
	local name=$1 out
	shift
	n=$((n + 1))
	if out=$("$@" 2>&1); then
		echo "ok $n - $name"
	else
		failed=1
		echo "not ok $n - $name"
		printf '%s\n' "$out" | head -60 | sed 's/^/#   /'
	fi
}

sources() {
	git ls-files --cached --others --exclude-standard -- '*.c' '*.h'
}

check_format() {
	sources | grep -v '^bpf/vmlinux' | xargs clang-format-14 --dry-run --Werror
}

check_headers() {
	local bad=0 f first
	while read -r f; do
		[ -f "$f" ] || continue
		first=$(head -3 "$f")
		case "$f" in
		bpf/*) grep -q 'SPDX-License-Identifier: .*GPL-2.0-only OR BSD-2-Clause' <<<"$first" ;;
		proto/abi/*) grep -q 'SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause OR Apache-2.0' <<<"$first" ;;
		*) grep -q 'SPDX-License-Identifier: Apache-2.0' <<<"$first" ;;
		esac || { echo "$f: no SPDX line of its folder's licence in the first three lines"; bad=1; }
	done < <(git ls-files -- '*.c' '*.h' '*.py' '*.sh' '*.mk' Makefile '*.yaml' '*.service' '*.def')
	return $bad
}

# proto/abi < proto/base < proto/wire; a stage includes its own folder and proto/; nng is for the tests alone.
check_layers() {
	local bad=0 f inc folder
	while IFS=: read -r f inc; do
		folder=${f%%/*}
		case "$f" in
		proto/abi/*) [[ $inc == proto/abi/* ]] ;;
		proto/base/*) [[ $inc == proto/abi/* || $inc == proto/base/* ]] ;;
		proto/wire/*) [[ $inc == proto/* ]] ;;
		bpf/*) [[ $inc == proto/abi/* || $inc == bpf/* ]] ;;
		loader/*) [[ $inc == proto/abi/* || $inc == proto/base/* || $inc == loader/* || $inc == bpf/*.skel.h ]] ;;
		*) [[ $inc == proto/* || $inc == "$folder"/* ]] ;;
		esac || { echo "$f may not include $inc"; bad=1; }
	done < <(git grep -oE '^#include "[^"]+"' -- proto bpf loader collector enricher policyd exporter cli | sed -E 's/#include "([^"]+)"/\1/')
	while IFS=: read -r f inc; do
		echo "$f may not include $inc: proto/wire/sp.c speaks the protocol"
		bad=1
	done < <(git grep -oE '^#include <nng/[^>]+>' -- proto loader collector enricher policyd exporter cli | sed -E 's/#include <([^>]+)>/\1/')
	return $bad
}

check_names() {
	# bpffs names cannot contain a dot, and bpftool shows 15 characters of a map's name
	local bad=0 name
	while read -r name; do
		if [ ${#name} -gt 15 ] || [[ $name == *.* ]]; then
			echo "map name $name is longer than 15 characters or has a dot"
			bad=1
		fi
	done < <(grep -hoE '#define PST_(MAP|ITER)_[A-Z_]+ "[^"]+"' proto/abi/maps.h | sed -E 's/.*"([^"]+)"/\1/')
	return $bad
}

run "format" check_format
run "licence headers" check_headers
run "layering" check_layers
run "map names" check_names
run "shell scripts" bash -c 'git ls-files -- "*.sh" | xargs shellcheck -S warning'
for script in tests/check/*.sh; do
	# clang-tidy takes minutes: `make check` runs it, the test run (--tap) does not
	[ "$script" = tests/check/tidy.sh ] && [ "${2-}" = --tap ] && continue
	[ "$script" = tests/check/check.sh ] || run "$(basename "$script" .sh)" bash "$script"
done
echo "1..$n"
exit $failed
