#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# docs/events.md, proto/wire/schema.json and the test vectors are what the schema and the encoder give now, docs/policies.md and
# docs/policy.schema.json what the tables of policies give.
set -eu
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

make -s BUILD="$build" "$build/docs/events.md" "$build/docs/schema.json" "$build/docs/policies.md" "$build/docs/policy.schema.json" \
	"$build/tests/helpers/gen_vectors" >"$tmp/log" 2>&1 || {
	cat "$tmp/log"
	exit 1
}
bad=0
diff -u docs/events.md "$build/docs/events.md" || bad=1
diff -u proto/wire/schema.json "$build/docs/schema.json" || bad=1
diff -u docs/policies.md "$build/docs/policies.md" || bad=1
diff -u docs/policy.schema.json "$build/docs/policy.schema.json" || bad=1
[ $bad = 0 ] || echo "make docs-update makes them current"

mkdir "$tmp/vectors"
"$build/tests/helpers/gen_vectors" "$tmp/vectors"
cp proto/wire/vectors/malformed.txt "$tmp/vectors" # written by hand
diff -r proto/wire/vectors "$tmp/vectors" | cut -c 1-200 || true
diff -rq proto/wire/vectors "$tmp/vectors" >/dev/null || {
	echo "the encoder's bytes or the JSON have changed: that breaks readers, unless fields or kinds were appended (then: make vectors-update)"
	bad=1
}
exit $bad
