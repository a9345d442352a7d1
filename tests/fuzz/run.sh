#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs every fuzz target for a time, two at once: tests/fuzz/run.sh BUILD SECONDS [NAME]...
# A finding fails and its input stays in BUILD/fuzz/. Each line ends with the edges that the seeds and then all inputs reached.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${1:-build}
seconds=${2:-60}
shift $(($# < 2 ? $# : 2))
export build seconds

one() {
	local name=$1 base
	base=$(basename "$name")
	mkdir -p "$build/fuzz/$base"
	local dict=() log=$build/fuzz/$base.log
	[ -f "${name#"$build"/}.dict" ] && dict=(-dict="${name#"$build"/}.dict")
	if "$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -use_value_profile=1 -print_final_stats=1 \
		-artifact_prefix="$build/fuzz/$base-" "${dict[@]}" "$build/fuzz/$base" "$build/fuzz/seeds/$base" >"$log" 2>&1; then
		echo "ok $base $(grep -oE '^Done [0-9]+ runs in [0-9]+ second' "$log")s" \
			"seeds $(grep -oE 'INITED cov: [0-9]+' "$log" | grep -oE '[0-9]+$')" \
			"cov $(grep -oE 'cov: [0-9]+' "$log" | tail -1 | grep -oE '[0-9]+')"
	else
		echo "not ok $base"
		tail -25 "$log" | sed 's/^/#   /'
		return 1
	fi
}
export -f one

mkdir -p "$build/fuzz"
/usr/bin/python3 tests/fuzz/seeds.py "$build/fuzz/seeds" || exit 1
targets=$(find "$build/tests/fuzz" -type f -name 'fuzz_*' -perm -u+x | sort)
for target in $targets; do
	if [ ! -d "$build/fuzz/seeds/$(basename "$target")" ]; then
		echo "not ok $(basename "$target") has no seeds in tests/fuzz/seeds.py"
		exit 1
	fi
done
for target in $targets; do
	[ $# = 0 ] || [[ " $* " == *" $(basename "$target") "* ]] || continue
	echo "$target"
done | xargs -P2 -I{} bash -c 'one "$1"' fuzz {}
