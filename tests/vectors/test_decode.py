#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The test vectors by an independent decoder: every message gives what its .json says, every malformed event is refused. TAP."""
import glob
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import decode  # noqa: E402

VECTORS = os.path.join(decode.ROOT, "proto/wire/vectors")
WALL_OFFSET = 1700000000123456789
count = failed = 0


def check(name, problem):
    global count, failed
    count += 1
    failed += problem is not None
    print(f"{'not ok' if problem else 'ok'} {count} - {name}")
    if problem:
        print("# " + str(problem)[:2000].replace("\n", "\n# "))


def plain(value):
    """Bytes as hex digits, as in the .json."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def without_defaults(fields):
    return {k: plain(v) for k, v in fields.items() if v not in (0, b"", [])}


def compare(schema, got, want):
    if got["topic"] != want["topic"]:
        return f"topic {got['topic']}"
    header = {k: plain(v) for k, v in got["header"].items()}
    if header != want["header"]:
        return f"header {header}"
    if len(got["events"]) != len(want["events"]):
        return f"{len(got['events'])} events"
    for i, (g, w) in enumerate(zip(got["events"], want["events"])):
        event = {k: without_defaults(v) if isinstance(v, dict) else v for k, v in g.items()}
        public = decode.public(schema, g, WALL_OFFSET)
        if w.pop("json") != public:
            return f"event {i}: JSON of it differs: {public}"
        if event != w:
            return f"event {i}: {event}"
    return None


def no_twice(pairs):
    keys = [k for k, _ in pairs]
    if len(set(keys)) != len(keys):
        raise ValueError(f"a key twice: {keys}")
    return dict(pairs)


def vector(schema, path):
    with open(path) as f, open(path[:-4] + ".json") as g:
        want = json.load(g, object_pairs_hook=no_twice)
        try:
            return compare(schema, decode.message(schema, decode.read_hex(f)), want)
        except decode.Malformed as e:
            return f"malformed: {e}"


def refused(schema, digits):
    reader = decode.Reader(bytes.fromhex(digits))
    try:
        got = decode.event(schema, reader.next())
    except decode.Malformed:
        return None
    return f"accepted: {got}"


def main():
    schema = decode.load_schema()
    paths = sorted(glob.glob(VECTORS + "/*.hex"))
    names = {os.path.basename(p)[:-4] for p in paths}
    missing = [k["name"] for k in schema["kinds"] if k["name"] not in names]
    check("every kind has a vector", f"missing: {missing}" if missing else None)
    for path in paths:
        check(os.path.basename(path), vector(schema, path))
    with open(VECTORS + "/malformed.txt") as f:
        lines = [line for line in f if not line.startswith("#")]
    check("there are malformed events", None if len(lines) > 20 else "too few")
    for line in lines:
        digits, why = line.strip().split(" # ")
        check("refuses " + why, refused(schema, digits))
    print(f"1..{count}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
