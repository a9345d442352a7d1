#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Decodes messages of the bus, independently of the C code: only msgpack and the names of proto/wire/schema.json.

    decode.py [FILE.hex...]      prints what is in each as JSON; without arguments reads hex digits from standard input

message() gives the batch with raw values, public() an event as the API's JSON has it.
"""
import base64
import datetime
import ipaddress
import json
import os
import sys

import msgpack

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STRING_MAX = 4096
DEPTH_MAX = 8
EVENTS_MAX = 512


class Malformed(Exception):
    pass


class Map(list):
    """A msgpack map as its pairs: keys may be of any type."""


def load_schema(path=os.path.join(ROOT, "proto/wire/schema.json")):
    with open(path) as f:
        schema = json.load(f)
    schema["by_id"] = {kind["id"]: kind for kind in schema["kinds"]}
    return schema


class Reader:
    """Values one after the other. str and bin are both bytes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def next(self):
        unpacker = msgpack.Unpacker(raw=True, strict_map_key=False, object_pairs_hook=Map, max_buffer_size=len(self.data) + 1)
        unpacker.feed(self.data[self.at:])
        try:
            value = unpacker.unpack()
        except (msgpack.exceptions.UnpackException, ValueError) as e:
            raise Malformed(repr(e)) from e
        self.at += unpacker.tell()
        return value


def check_limits(value, level=0):
    """Nesting, and the length of strings, of known fields or not."""
    if isinstance(value, (list, tuple)) and not isinstance(value, msgpack.ExtType):
        if level == DEPTH_MAX:
            raise Malformed("nesting")
        for element in value:
            if isinstance(value, Map):
                for half in element:
                    check_limits(half, level + 1)
            else:
                check_limits(element, level + 1)
    elif isinstance(value, (bytes, msgpack.ExtType)):
        if len(value.data if isinstance(value, msgpack.ExtType) else value) > STRING_MAX:
            raise Malformed("string")


def is_number(value, low, high):
    return type(value) is int and low <= value <= high


def is_process(value):
    return (isinstance(value, list) and not isinstance(value, Map) and len(value) >= 3 and is_number(value[0], 0, 2**32 - 1)
            and is_number(value[1], 0, 2**64 - 1) and isinstance(value[2], bytes))


def is_array(value):
    return isinstance(value, list) and not isinstance(value, Map)


VALID = {
    "uint": lambda v: is_number(v, 0, 2**64 - 1),
    "int": lambda v: is_number(v, -2**63, 2**63 - 1),
    "bytes": lambda v: isinstance(v, bytes),
    "address": lambda v: isinstance(v, bytes) and len(v) in (0, 4, 16),
    "list": lambda v: is_array(v) and all(isinstance(e, bytes) for e in v),
    "processes": lambda v: is_array(v) and all(is_process(e) for e in v),
}
DEFAULT = {"uint": 0, "int": 0, "bytes": b"", "address": b"", "list": [], "processes": []}


def fields(description, values):
    """All known fields by name, with defaults; those of a later version are passed over."""
    if not is_array(values):
        raise Malformed("inner array")
    result = {}
    for i, field in enumerate(description):
        value = values[i] if i < len(values) else DEFAULT[field["type"]]
        if not VALID[field["type"]](value):
            raise Malformed(field["name"])
        result[field["name"]] = [p[:3] for p in value] if field["type"] == "processes" else value
    return result


def event(schema, value):
    check_limits(value)
    if not is_array(value) or len(value) < 3:
        raise Malformed("event")
    kind, ts_ns, *arrays = value
    if not is_number(kind, 0, 2**32 - 1) or not is_number(ts_ns, 0, 2**64 - 1):
        raise Malformed("kind or time")
    known = schema["by_id"].get(kind)
    arrays = arrays[:3]
    result = {"kind": kind, "ts_ns": ts_ns, "stages": len(arrays)}
    if not all(is_array(a) for a in arrays):
        raise Malformed("inner array")
    if known:
        result["sensor"] = fields(known["fields"], arrays[0])
    for name, values in zip(("enricher", "policyd"), arrays[1:]):
        result[name] = fields(schema[name], values)
    return result


def message(schema, data):
    topic, reader = data[:8].rstrip(b"\0").decode("ascii"), Reader(data[8:])
    if topic not in schema["topics"]:
        raise Malformed("topic")
    head = reader.next()
    names = ("version", "stage", "node", "epoch", "first_seq", "count", "t_first_ns", "t_last_ns", "flags")
    if not is_array(head) or len(head) < 8 or not is_number(head[5], 0, EVENTS_MAX):
        raise Malformed("header")
    result = {"topic": topic, "header": {**{"flags": 0}, **dict(zip(names, head))}}
    result["events"] = [event(schema, reader.next()) for _ in range(result["header"]["count"])]
    if reader.at != len(data) - 8:
        raise Malformed("bytes after the last event")
    return result


# ---- as the API has it ----

def address(value):
    if len(value) == 16 and value[:12] == bytes(10) + b"\xff\xff":
        return "::ffff:" + str(ipaddress.IPv4Address(value[12:]))
    return str(ipaddress.ip_address(value))


def number(schema, fmt, value):
    names, bits = schema["formats"][fmt].get("names"), schema["formats"][fmt].get("bits")
    if bits:
        return [bits[i] if i < len(bits) else f"bit{i}" for i in range(64) if value >> i & 1]
    if fmt == "bool":
        return bool(value)
    if names:
        return names.get(str(value), str(value))
    if fmt == "hex":
        return hex(value)
    if fmt == "device":
        return f"{value >> 20}:{value & 0xfffff}"
    return value


def is_empty(field, value):
    if field["type"] in ("uint", "int"):
        if field["format"] in ("code", "severity"):
            return False
        return value == (4294967295 if field["format"] == "id" else 0)
    return len(value) == 0


def is_utf8(value):
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def text(result, name, value):
    result[name] = value.decode(errors="replace")
    if not is_utf8(value):
        result[name + "_b64"] = base64.b64encode(value).decode()


def put(schema, result, field, value):
    name = field["name"]
    if field["type"] == "bytes":
        text(result, name, value)
    elif field["type"] == "address":
        result[name] = address(value)
    elif field["type"] == "list":
        result[name] = [e.decode(errors="replace") for e in value]
        if not all(is_utf8(e) for e in value):
            result[name + "_b64"] = [base64.b64encode(e).decode() for e in value]
    elif field["type"] == "processes":
        result[name] = []
        for pid, start_ns, exe in value:
            process = {"pid": pid, "start_ns": start_ns}
            if exe:
                text(process, "exe", exe)
            result[name].append(process)
    else:
        result[name] = number(schema, field["format"], value)


def public(schema, ev, wall_offset_ns):
    known = schema["by_id"].get(ev["kind"])
    unix_ns = max(0, min(2**64 - 1, ev["ts_ns"] + wall_offset_ns))
    seconds = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=unix_ns // 10**9)
    result = {"kind": known["name"] if known else "unknown",
              "time": seconds.strftime("%Y-%m-%dT%H:%M:%S") + f".{unix_ns % 10**9:09d}Z", "ts_ns": ev["ts_ns"]}
    if not known:
        result["kind_id"] = ev["kind"]
    owners = [("sensor", known["fields"] if known else []), ("enricher", schema["enricher"]), ("policyd", schema["policyd"])]
    nobody = known and known["fields"][0]["name"] == "pid" and not ev["sensor"]["pid"]
    for owner, description in owners:
        for field in description if owner in ev else []:
            value = ev[owner][field["name"]]
            if is_empty(field, value) or field["name"] in result:
                continue
            if owner == "sensor" and nobody and field["format"] == "id":
                continue
            put(schema, result, field, value)
    return result


def printable(value):
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(value)


def read_hex(f):
    return bytes.fromhex("".join(f.read().split()))


def main():
    schema = load_schema()
    for path in sys.argv[1:] or [None]:
        with open(path) if path else sys.stdin as f:
            data = read_hex(f)
        try:
            print(json.dumps(message(schema, data), default=printable, indent=1))
        except Malformed as e:
            sys.exit(f"{path or 'standard input'}: malformed: {e}")


if __name__ == "__main__":
    main()
