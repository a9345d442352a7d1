# SPDX-License-Identifier: Apache-2.0
"""A stage for tests, in Python: publishes what it is told to, answers requests, can lie and can hang.

Speaks the scalability protocols over Unix sockets by itself, so that it is an independent check of the wire contract.
"""
import json
import os
import socket
import struct
import threading
import time

import msgpack

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PUB, SUB, REQ, REP = 0x20, 0x21, 0x30, 0x31


def greeting(protocol):
    return b"\0SP\0" + struct.pack(">HH", protocol, 0)


class Schema:
    def __init__(self, path=None):
        with open(path or os.path.join(ROOT, "proto", "wire", "schema.json"), encoding="utf-8") as f:
            schema = json.load(f)
        self.kinds = {k["name"]: k for k in schema["kinds"]}
        self.enricher, self.policyd = schema["enricher"], schema["policyd"]

    def event(self, kind, ts_ns=None, enricher=None, policyd=None, **sensor):
        """One event as bytes; trailing fields that are not given are left out."""
        desc = self.kinds[kind]
        arrays = [self.fields(desc["fields"], sensor)]
        if enricher is not None or policyd is not None:
            arrays.append(self.fields(self.enricher, enricher or {}))
        if policyd is not None:
            arrays.append(self.fields(self.policyd, policyd))
        return msgpack.packb([desc["id"], ts_ns or time.clock_gettime_ns(time.CLOCK_BOOTTIME), *arrays],
                             use_bin_type=True)

    def fields(self, described, values):
        names = [f["name"] for f in described]
        unknown = set(values) - set(names)
        assert not unknown, f"no such field: {unknown}"
        present = max((names.index(n) + 1 for n in values), default=0)
        default = {"uint": 0, "int": 0, "bytes": b"", "address": b"", "list": [], "processes": []}
        out = []
        for field in described[:present]:
            value = values.get(field["name"], default.get(field["type"], 0))
            out.append(value.encode() if isinstance(value, str) else value)
        return out


class FakeStage:
    """Listens on <run>/<name>.pub and .ctl until closed."""

    def __init__(self, run, name, topics=()):
        self.run, self.name = run, name
        self.epoch = int.from_bytes(os.urandom(7), "big") | 1
        self.next = dict.fromkeys(topics, 1)
        self.kept = {t: [] for t in topics}  # (first, count, message)
        self.clients, self.subscribers = [], []
        self.handlers = {"status": self.status, "cursor": self.cursor, "replay": self.replay}
        self.requests = []
        self.stats = []
        self.inputs = {}
        self.hang = False
        self.greeting = greeting(PUB)  # what subscribers are greeted with
        self.lock, self.sending = threading.Lock(), threading.Lock()
        self.sockets = []
        self.closed = threading.Event()
        if topics:
            self.listen(".pub", self.serve_pub)
            threading.Thread(target=self.heartbeats, daemon=True).start()
        self.listen(".ctl", self.serve_ctl)

    def listen(self, ending, serve):
        path = os.path.join(self.run, self.name + ending)
        if os.path.exists(path):
            os.unlink(path)
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(path)
        os.chmod(path, 0o666)
        sock.listen(16)
        self.sockets.append((sock, path))
        threading.Thread(target=self.accept, args=(sock, serve), daemon=True).start()

    def accept(self, sock, serve):
        while True:
            try:
                client, _ = sock.accept()
            except OSError:
                return
            with self.lock:
                self.clients.append(client)
            threading.Thread(target=self.guard, args=(serve, client), daemon=True).start()

    def guard(self, serve, client):
        try:
            serve(client)
        except (OSError, AssertionError):
            pass
        finally:
            with self.lock:
                if client in self.clients:
                    self.clients.remove(client)
                if client in self.subscribers:
                    self.subscribers.remove(client)
            client.close()

    def serve_pub(self, client):
        client.sendall(self.greeting)
        assert client.recv(8, socket.MSG_WAITALL) == greeting(SUB)
        with self.lock:
            self.subscribers.append(client)
        while client.recv(4096):
            pass

    def wait_subscriber(self, timeout=30):
        deadline = time.monotonic() + timeout
        while not self.subscribers and time.monotonic() < deadline:
            time.sleep(0.005)
        assert self.subscribers, f"nobody dialed {self.name}.pub"

    # ---- publishing ----

    def message(self, topic, first, events, stage=None, epoch=None, count=None):
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        header = [1, (stage or self.name).encode(), b"test", self.epoch if epoch is None else epoch, first,
                  len(events) if count is None else count, now, now, 0]
        return topic.encode().ljust(8, b"\0") + msgpack.packb(header, use_bin_type=True) + b"".join(events)

    def publish(self, topic, *events):
        for i in range(0, len(events), 200):
            part = events[i:i + 200]
            with self.lock:
                first = self.next[topic]
                message = self.message(topic, first, part)
                self.next[topic] += len(part)
                self.kept[topic].append((first, len(part), message))
            self.send(message)

    def heartbeats(self):
        """An empty batch tells the next number, so that a lost last batch is noticed."""
        while not self.closed.wait(0.5):
            for topic, kept in self.kept.items():
                if kept:
                    with self.lock:
                        message = self.message(topic, self.next[topic], [])
                    self.send(message)

    def send(self, message):
        self.send_bytes(b"\1" + struct.pack(">Q", len(message)) + message)

    def send_bytes(self, data):
        """As they are, not as a message."""
        with self.sending:
            for client in list(self.subscribers):
                try:
                    client.sendall(data)
                except OSError:
                    pass

    # ---- requests ----

    def serve_ctl(self, client):
        client.sendall(greeting(REP))
        assert client.recv(8, socket.MSG_WAITALL) == greeting(REQ)
        while len(head := client.recv(9, socket.MSG_WAITALL)) == 9:
            body = client.recv(struct.unpack(">xQ", head)[0], socket.MSG_WAITALL)
            hops = 4
            while not body[hops - 4] & 0x80:
                hops += 4
            request = msgpack.unpackb(body[hops:], raw=False)
            self.requests.append(request)
            while self.hang:
                time.sleep(0.05)
            handler = self.handlers.get(request.get("op"))
            reply = handler(request) if handler else {"error": "no such op"}
            if reply is None:
                return
            packed = reply if isinstance(reply, bytes) else msgpack.packb(reply, use_bin_type=True)
            message = body[:hops] + packed
            client.sendall(b"\1" + struct.pack(">Q", len(message)) + message)

    def positions(self):
        return {t: {"oldest_seq": self.kept[t][0][0] if self.kept[t] else self.next[t], "next_seq": self.next[t],
                    "prev_next": 1} for t in self.next}

    def cursor(self, _request):
        with self.lock:
            return {"epoch": self.epoch, "prev_epoch": 0, "topics": self.positions()}

    def replay(self, request):
        topic = request["topic"]
        topic = topic.decode() if isinstance(topic, bytes) else topic
        with self.lock:
            if request["epoch"] != self.epoch:
                return {"error": "epoch"}
            batches = [m for first, count, m in self.kept[topic]
                       if first < request["to"] and first + count > request["from"]]
            return {"batches": batches, **self.positions()[topic]}

    def status(self, _request):
        return {"stage": self.name, "version": "0.0.1-test", "pid": os.getpid(), "uptime_ns": 5_000_000_000,
                "sandbox": "uid=1 caps=none nnp seccomp landlock=3", "user": "penstock-" + self.name, "node": "test",
                "epoch": self.epoch, "topics": {}, "inputs": self.inputs, "cpu_ns": 1_500_000_000,
                "rss_bytes": 4096000, "stats": self.stats, "extra": {}}

    def drop_clients(self):
        with self.lock:
            clients = list(self.clients)
        for client in clients:
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.hang = False
        self.closed.set()
        sockets, self.sockets = self.sockets, []  # a second time they may be those of who came after us
        for sock, path in sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()
            if os.path.exists(path):
                os.unlink(path)
        self.drop_clients()


def receive(sock, n):
    """Exactly @n bytes (MSG_WAITALL does not wait on a socket with a time-out)."""
    data = bytearray()
    while len(data) < n:
        part = sock.recv(n - len(data))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


def request(path, body, timeout=10):
    """One request on a .ctl socket; the reply unpacked."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(timeout)
        sock.connect(path)
        sock.sendall(greeting(REQ))
        assert receive(sock, 8) == greeting(REP)
        message = b"\x80\0\0\1" + (body if isinstance(body, bytes) else msgpack.packb(body, use_bin_type=True))
        sock.sendall(b"\1" + struct.pack(">Q", len(message)) + message)
        reply = receive(sock, struct.unpack(">xQ", receive(sock, 9))[0])
        assert reply[:4] == b"\x80\0\0\1"
        return msgpack.unpackb(reply[4:], raw=False, strict_map_key=False)
