#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Takes the enricher's place: adds the user's name to each event, and nothing else. Run it as the enricher's user.

    enricher.py [RUN_DIR [SCHEMA]]
"""
import collections
import json
import os
import pwd
import secrets
import socket
import struct
import sys
import threading
import time

import msgpack

from stage import batches, messages

NAME, KEPT = "enricher", 1000  # batches held of each topic for those who missed some
PUB, SUB, REQ, REP = (b"\0SP\0" + struct.pack(">HH", n, 0) for n in (0x20, 0x21, 0x30, 0x31))


def frame(message):
    return b"\1" + struct.pack(">Q", len(message)) + message


class Publisher:
    """<name>.pub and <name>.ctl: what a stage is to the others."""

    def __init__(self, run, name, topics):
        self.name, self.epoch, self.began = name, secrets.randbits(63) | 1, time.monotonic_ns()
        self.next = dict.fromkeys(topics, 0)
        self.held = {t: collections.deque(maxlen=KEPT) for t in topics}
        self.subscribers, self.lock = [], threading.Lock()
        self.listen(f"{run}/{name}.pub", self.subscriber)
        self.listen(f"{run}/{name}.ctl", self.requests)

    def listen(self, path, serve):
        if os.path.exists(path):
            os.unlink(path)
        server = socket.socket(socket.AF_UNIX)
        os.umask(0o117)  # 0660
        server.bind(path)
        server.listen(16)
        threading.Thread(target=self.accept, args=(server, serve), daemon=True).start()

    def accept(self, server, serve):
        while True:
            client, _ = server.accept()
            threading.Thread(target=self.guard, args=(client, serve), daemon=True).start()

    def guard(self, client, serve):
        try:
            with client:
                serve(client)
        except OSError:
            pass

    def subscriber(self, client):
        client.sendall(PUB)
        if client.recv(8, socket.MSG_WAITALL) == SUB:
            client.settimeout(5)  # who does not read is cut off, comes back and asks for what it missed
            with self.lock:
                self.subscribers.append(client)
            threading.Event().wait()

    def publish(self, topic, events):
        with self.lock:
            first, now = self.next[topic], time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            header = [1, self.name.encode(), os.uname().nodename.encode(), self.epoch, first, len(events), now, now, 0]
            message = topic.encode().ljust(8, b"\0") + b"".join(map(msgpack.packb, [header, *events]))
            self.next[topic] = first + len(events)
            self.held[topic].append((first, first + len(events), message))
            for client in list(self.subscribers):
                try:
                    client.sendall(frame(message))
                except OSError:
                    self.subscribers.remove(client)
                    client.close()

    def requests(self, client):
        client.sendall(REP)
        if client.recv(8, socket.MSG_WAITALL) == REQ:
            for message in messages(client):
                answer = self.answer(**msgpack.unpackb(message[4:]))
                client.sendall(frame(message[:4] + msgpack.packb(answer)))

    def answer(self, op, topic=None, epoch=None, **range_):
        with self.lock:
            positions = {t: {"oldest_seq": held[0][0] if held else self.next[t], "next_seq": self.next[t]} for t, held in self.held.items()}
            if op == "cursor":
                return {"epoch": self.epoch, "prev_epoch": 0, "topics": positions}
            if op == "replay" and topic in self.held:
                if epoch != self.epoch:
                    return {"error": "epoch"}
                wanted = [m for begin, end, m in self.held[topic] if begin < range_["to"] and end > range_["from"]]
                return {"batches": wanted[:100], **positions[topic]}
            if op == "status":
                return {"stage": self.name, "version": "example", "pid": os.getpid(), "uptime_ns": time.monotonic_ns() - self.began,
                        "sandbox": "none", "user": pwd.getpwuid(os.getuid()).pw_name, "node": os.uname().nodename, "epoch": self.epoch,
                        "topics": positions, "inputs": {}, "cpu_ns": time.process_time_ns(), "rss_bytes": 0, "extra": {},
                        "stats": [["published_events", "topic", t, "counter", n, "Events published."] for t, n in self.next.items()]}
            return {"error": "no such op"}


class Users:
    """Our inner array: the enricher's fields up to the last one that we fill."""

    def __init__(self, schema):
        self.uid_at = {k["id"]: [f["name"] for f in k["fields"]].index("uid")
                       for k in schema["kinds"] if any(f["name"] == "uid" for f in k["fields"])}
        self.empty = [[] if f["type"] in ("list", "processes") else b"" for f in schema["enricher"]]
        self.user_at = [f["name"] for f in schema["enricher"]].index("user")

    def of(self, kind, sensor):
        at = self.uid_at.get(kind, len(sensor))
        try:
            name = pwd.getpwuid(sensor[at]).pw_name if at < len(sensor) else ""
        except (KeyError, OverflowError):
            name = ""
        return [*self.empty[:self.user_at], name.encode()] if name else []


if __name__ == "__main__":
    run, path = sys.argv[1:] + ["/run/penstock", "/usr/local/share/penstock/schema.json"][len(sys.argv) - 1:]
    with open(path) as f:
        users = Users(json.load(f))
    publisher = Publisher(run, NAME, ("proc", "file", "net", "flow", "l7", "count", "meta"))
    for topic, lost, events in batches(f"{run}/collector"):
        if lost:
            print(f"lost {lost} of {topic}", file=sys.stderr)
        for at in range(0, len(events), 200):
            publisher.publish(topic, [[kind, ts, sensor, users.of(kind, sensor)] for kind, ts, sensor, *_ in events[at:at + 200]])
