#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# clang-tidy over user space (.clang-tidy has the checks and the reasons of those that are off).
set -u
cd "$(dirname "$0")/../.." || exit 1
export build=${BUILD:-build}
tidy() {
	clang-tidy-14 --quiet "$@" -- -std=gnu11 -I. -I"$build" -D_GNU_SOURCE '-DPST_VERSION="0"' '-DPST_PREFIX="/usr/local"' 2>/dev/null
}
export -f tidy
git ls-files 'proto/*.c' 'loader/*.c' 'collector/*.c' 'enricher/*.c' 'policyd/*.c' 'exporter/*.c' 'cli/*.c' |
	xargs -P2 -n6 bash -c 'tidy "$@"' tidy | grep -E "(error|warning):" | sort -u >"$build/tidy.txt"
cat "$build/tidy.txt"
[ ! -s "$build/tidy.txt" ]
