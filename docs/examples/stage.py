#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A Penstock stage in some 60 lines of code: joins the bus, prints each event once as JSON, and says what it missed.

    stage.py [RUN_DIR [PUBLISHER [SCHEMA]]]     (needs python3-msgpack; the user must be in group penstock)
"""
import json
import socket
import struct
import sys
import time

import msgpack

NEXT = {}  # (topic, epoch): number of the event that comes next


def connect(path, own, other):
    """Dial, and say what we are and what the other one has to be."""
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    sock.sendall(b"\0SP\0" + struct.pack(">HH", own, 0))
    if sock.recv(8, socket.MSG_WAITALL) != b"\0SP\0" + struct.pack(">HH", other, 0):
        raise ConnectionError(f"{path} does not answer as it should")
    return sock


def messages(sock):
    """Each message is one byte 1, its length in 8 bytes, and its bytes."""
    while len(head := sock.recv(9, socket.MSG_WAITALL)) == 9:
        yield sock.recv(struct.unpack(">xQ", head)[0], socket.MSG_WAITALL)


def ask(path, **request):
    """A request (REQ is 0x30, REP 0x31); the four bytes in front of it are the protocol's own."""
    with connect(path + ".ctl", 0x30, 0x31) as sock:
        body = b"\x80\0\0\1" + msgpack.packb(request)
        sock.sendall(b"\1" + struct.pack(">Q", len(body)) + body)
        for reply in messages(sock):
            return msgpack.unpackb(reply[4:])
    raise ConnectionError(f"{path} has gone")


def decode(message):
    """(topic, epoch, number of the first event, events)"""
    unpacker = msgpack.Unpacker(raw=True, strict_map_key=False)
    unpacker.feed(message[8:])
    version, stage, node, epoch, first, count = next(unpacker)[:6]
    return message[:8].rstrip(b"\0").decode(), epoch, first, [next(unpacker) for _ in range(count)]


def take(path, topic, epoch, first, events, repair=True):
    """What is new in a batch, after what was missed before it, as far as the publisher still holds that."""
    begin = NEXT.setdefault((topic, epoch), first)
    while repair and begin < first:
        reply = ask(path, op="replay", topic=topic, epoch=epoch, **{"from": begin, "to": first})
        for batch in map(decode, reply.get("batches", [])):
            yield from take(path, *batch, repair=False)
        repair, begin = NEXT[topic, epoch] > begin, NEXT[topic, epoch]
    NEXT[topic, epoch] = max(begin, first + len(events))
    yield topic, max(0, first - begin), events[max(0, begin - first):]


def batches(path):
    """(topic, how many are lost before them, events) for ever: what the publisher holds, then live, also after its restart."""
    while True:
        try:
            with connect(path + ".pub", 0x21, 0x20) as sock:  # SUB, PUB
                cursor = ask(path, op="cursor")
                for topic, at in cursor["topics"].items():
                    NEXT.setdefault((topic, cursor["epoch"]), at["oldest_seq"])
                    yield from take(path, topic, cursor["epoch"], at["next_seq"], [])
                for batch in map(decode, messages(sock)):
                    yield from take(path, *batch)
        except OSError:
            time.sleep(0.1)


def named(schema, kind, ts, *arrays):
    """Positions to names; what is not there has the default, what we do not know is passed over."""
    known = next((k for k in schema["kinds"] if k["id"] == kind), {"name": kind, "fields": []})
    out = {"kind": known["name"], "ts_ns": ts}
    for fields, values in zip((known["fields"], schema["enricher"], schema["policyd"]), arrays):
        out.update((f["name"], v) for f, v in zip(fields, values) if v not in (None, 0, b"", []) and f["name"] not in out)
    return out


def main():
    run, publisher, path = sys.argv[1:] + ["/run/penstock", "enricher", "/usr/local/share/penstock/schema.json"][len(sys.argv) - 1:]
    with open(path) as f:
        schema = json.load(f)
    for topic, lost, events in batches(f"{run}/{publisher}"):
        for event in ([{"kind": "lost", "topic": topic, "count": lost}] if lost else []) + [named(schema, *e) for e in events]:
            print(json.dumps(event, default=lambda b: b.decode("utf-8", "replace")), flush=True)


if __name__ == "__main__":
    main()
