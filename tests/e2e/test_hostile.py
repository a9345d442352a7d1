#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Hostile bytes on every socket of a running pipeline: nobody ends, nobody hangs, what was refused is counted and named in the log.

Of the HTTP socket see test_exporter_access.py; of files test_hostile_files.py; each decoder for itself is the work of tests/fuzz.
"""
import os
import random
import socket
import struct
import sys
import threading
import time
import unittest

import msgpack

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fake_stage  # noqa: E402
import lib  # noqa: E402
import pipeline  # noqa: E402
from fake_stage import PUB, REP, REQ, SUB, greeting  # noqa: E402
from pipeline import unique  # noqa: E402

LEAN = pipeline.ALL_BUT_PROCESS
RULES = """
rules:
  - name: marked
    kinds: process_exec
    match: {argv: {prefix: "hostile-"}}
    severity: notice
    message: "{argv}"
    rate: none
"""
PUBLISHERS = ("collector", "enricher", "policyd")
FEW = 20 if pipeline.VM else 1  # divides the numbers of random inputs


def frame(body):
    return b"\1" + struct.pack(">Q", len(body)) + body


def pack(value):
    return msgpack.packb(value, use_bin_type=True)


def value_bytes(value):
    """@value packed; bytes as they are."""
    return value if isinstance(value, bytes) else pack(value)


def flip(rng, data, most=6):
    """@data with some bytes changed, inserted or gone."""
    data = bytearray(data)
    for _ in range(rng.randrange(1, most)):
        at = rng.randrange(len(data) + 1)
        what = rng.randrange(4)
        if what == 0:
            data[at:at] = bytes([rng.randrange(256)])
        elif what == 1 and at < len(data):
            del data[at:at + rng.randrange(1, 8)]
        elif at < len(data):
            data[at] = rng.choice((0, 0x7f, 0x80, 0xc1, 0xd9, 0xdf, 0xff, data[at] ^ 1 << rng.randrange(8), rng.randrange(256)))
    return bytes(data)


class HostileTest(pipeline.PipelineTest):
    """One instance for all tests of a class, which is the same processes from its first to its last test."""

    @classmethod
    def setUpClass(cls):
        cls.p = pipeline.Pipeline(RULES, loader=LEAN, collector="retention: 4MiB", enricher="retention: 4MiB")
        cls.addClassCleanup(cls.p.close)
        cls.p.up()
        cls.marks = 0

    def setUp(self):
        self.instances = [self.p]
        self.pids = {name: self.p.pid(name) for name in pipeline.ORDER}
        self.held = []
        self.addCleanup(self.let_go)

    # ---- means ----

    def let_go(self):
        while self.held:
            self.held.pop().close()

    def path(self, stage, ending):
        return os.path.join(self.p.run_dir, stage + ending)

    def connect(self, path, data=b"", kind=socket.SOCK_STREAM):
        sock = socket.socket(socket.AF_UNIX, kind)
        sock.settimeout(pipeline.PATIENCE)

        def dialed():
            try:
                sock.connect(path)
            except BlockingIOError:  # its queue of connections is full
                return False
            return True
        try:
            pipeline.wait_for(dialed, "a place in the queue")
            if data:
                sock.sendall(data)
        except OSError:
            sock.close()
            raise
        return sock

    def hold(self, path, data=b""):
        """A connection that stays until the test's end."""
        self.held.append(self.connect(path, data))
        return self.held[-1]

    def until_closed(self, sock):
        """What comes until the other side closes; it must."""
        out = b""
        with sock:
            while True:
                try:
                    part = sock.recv(65536)
                except ConnectionError:
                    return out
                if not part:
                    return out
                out += part

    def said(self, stage, text, since):
        return any(text in line for line in self.p.stage[stage].log[since:])

    def noticed(self, stage, attack, stat, text, label=None, seen_by=None):
        """Repeats @attack until it is counted and a line of the log tells of it (which has one line a second for each place)."""
        before = self.p.stats(stage).get((stat, label), 0)
        since = len(self.p.stage[stage].log)

        def again():
            attack()
            try:
                return self.p.stats(stage).get((stat, label), 0) > before and self.said(stage, text, since)
            except OSError:  # our question too may be in the way of the attack's connections
                return False
        pipeline.wait_for(again, f"{stage}: {stat} and \"{text}\"")

    def unharmed(self, *away):
        """All are the same processes, answer, and an event goes all the way."""
        for name in pipeline.ORDER:
            if name in away:
                continue
            self.assertTrue(self.p.stage[name].alive(), name)
            self.assertEqual(self.p.pid(name), self.pids[name])
            if name != "loader":
                self.assertEqual(self.p.status(name)["stage"], name)
        fds, error = lib.request_fds(self.path("loader", ".fds"))
        for fd, _ in fds.values():
            os.close(fd)
        self.assertEqual(error, 0)
        self.assertIn("ring_process", fds)
        self.event_arrives()

    def event_arrives(self):
        type(self).marks += 1
        mark = unique(f"hostile-{type(self).__name__.lower()}-{self.marks}")
        spawner = pipeline.Spawner(mark, 1)
        self.addCleanup(spawner.close)
        spawner.result()
        pipeline.wait_for(lambda: any(e.get("argv", [])[:1] == [mark] for e in self.p.events("last=100000&rule=marked")),
                          f"the alert of {mark} in the exporter")


class PubSockets(HostileTest):
    """A publisher expects a greeting of eight bytes from a subscriber and nothing more, ever."""

    def test_not_the_protocol(self):
        wrong = [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 8, b"\xff" * 64, greeting(PUB), greeting(REQ), greeting(REP),
                 b"\0SP\1" + greeting(SUB)[4:], greeting(SUB)[:6] + b"\0\1", greeting(SUB)[:7] + b"\xff" * 100000]
        for stage in PUBLISHERS:
            for data in wrong:
                with self.subTest(stage=stage, data=data[:8]):
                    before = self.p.stats(stage)["malformed_messages", None]
                    try:
                        self.until_closed(self.connect(self.path(stage, ".pub"), data))
                    except ConnectionError:
                        pass  # closed while we were writing
                    pipeline.wait_for(lambda: self.p.stats(stage)["malformed_messages", None] > before, "the counter")
            self.noticed(stage, lambda: self.until_closed(self.connect(self.path(stage, ".pub"), greeting(REQ))),
                         "malformed_messages", "subscriber cut off: not the protocol uid=0")
        self.unharmed()

    def test_messages_to_a_publisher(self):
        """After a good greeting nothing may come; not even a little, nor the promise of very much."""
        say = [b"\1", frame(b""), frame(b"proc\0\0\0\0"), b"\1" + struct.pack(">Q", 1 << 40), b"\1" + b"\xff" * 8, b"\0" * 9,
               frame(pack({"op": "status"})), os.urandom(1000)]
        for stage in PUBLISHERS:
            for data in say:
                with self.subTest(stage=stage, data=data[:12]):
                    def attack():
                        try:
                            self.until_closed(self.connect(self.path(stage, ".pub"), greeting(SUB) + data))
                        except ConnectionError:
                            pass
                    before = self.p.stats(stage)["malformed_messages", None]
                    attack()
                    pipeline.wait_for(lambda: self.p.stats(stage)["malformed_messages", None] > before, "the counter")
        self.unharmed()

    def test_half_greetings(self):
        """Some go away in the middle of it, some stay and say no more; only these keep a place."""
        for stage in PUBLISHERS:
            for n in range(8):
                self.connect(self.path(stage, ".pub"), greeting(SUB)[:n]).close()
                self.hold(self.path(stage, ".pub"), greeting(SUB)[:n])
            self.assertEqual(self.p.stats(stage)["subscribers", None], 1 + (stage == "enricher"))
        self.unharmed()

    def test_hundreds_of_connections(self):
        """One user has 32 places at most, whoever else wants some."""
        for hello in (b"", greeting(SUB)):
            for stage in PUBLISHERS:
                with self.subTest(stage=stage, hello=hello):
                    def attack():
                        self.let_go()
                        for _ in range(300):
                            try:
                                self.hold(self.path(stage, ".pub"), hello)
                            except ConnectionError:
                                pass
                    self.noticed(stage, attack, "subscribers_refused", "more subscribers than there is room for uid=0")
                    fds = len(os.listdir(f"/proc/{self.p.pid(stage)}/fd"))
                    self.assertLess(fds, 100, "one connection a place")
            self.unharmed()
            self.let_go()
        self.unharmed()

    def test_a_subscriber_that_never_reads(self):
        """It holds up nobody: what it has no room for is counted and not sent."""
        for stage in PUBLISHERS:
            self.hold(self.path(stage, ".pub"), greeting(SUB))

        def load():
            mark = unique("hostile-load")
            spawner = pipeline.Spawner(mark, 100 if pipeline.VM else 2000)
            try:
                spawner.result()
            finally:
                spawner.close()
            return all(self.p.stats(s)["send_dropped_batches", None] for s in PUBLISHERS)
        pipeline.wait_for(load, "a full queue", 10 * pipeline.PATIENCE)
        self.unharmed()
        self.let_go()
        self.unharmed()


OPS = {  # valid requests of each stage
    "collector": [{"op": "record", "action": "start", "name": "record-a.rec"}, {"op": "record", "action": "stop", "name": "record-a.rec"},
                  {"op": "record", "action": "remove", "name": "record-a.rec"}],
    "enricher": [{"op": "processes", "after": 1, "limit": 3}],
    "policyd": [{"op": "rules"}, {"op": "reload"}],
    "exporter": [{"op": "events", "last": 3, "filter": {"kind": ["process_*"], "comm": "a*"}},
                 {"op": "events", "epoch": 1, "after": 1}, {"op": "reload"}],
}
COMMON = [{"op": "status"}, {"op": "cursor"}, {"op": "replay", "topic": "proc", "epoch": 1, "from": 0, "to": 10}]
WRONG = [None, True, -1, 0, 2**64 - 1, -2**63, 1.5, float("nan"), float("inf"), "", "\0", "a\0b", "x" * 4096, "x" * 5000, b"",
         b"\xff\xfe", "../../etc/passwd", "%s%n", [], {}, [[[]]], {"a": {"b": {}}}, [0] * 1000, {str(i): i for i in range(500)},
         msgpack.ExtType(5, b"x"), msgpack.Timestamp(1)]


class CtlSockets(HostileTest):
    """A control socket answers whatever it can understand, and cuts off who does not speak its protocol."""

    def ask(self, stage, body):
        """The reply to the bytes @body in a good frame."""
        return fake_stage.request(self.path(stage, ".ctl"), body, pipeline.PATIENCE)

    def refused(self, stage, body):
        before = self.p.stats(stage)["ctl_errors", None]
        self.assertIn("error", self.ask(stage, value_bytes(body)), f"{stage}: {body!r:.100}")
        self.assertGreater(self.p.stats(stage)["ctl_errors", None], before)

    def test_not_the_protocol(self):
        request = b"\x80\0\0\1" + pack({"op": "status"})
        wrong = [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 8, b"\xff" * 64, greeting(SUB), greeting(REP), greeting(PUB),
                 greeting(REQ) + b"\0" * 9, greeting(REQ) + b"\2" + frame(request)[1:], greeting(REQ) + b"\1" + struct.pack(">Q", 1 << 40),
                 greeting(REQ) + b"\1" + b"\xff" * 8, greeting(REQ) + b"\1" + struct.pack(">Q", 1 << 17) + b"x" * (1 << 17),
                 greeting(REQ) + frame(b""), greeting(REQ) + frame(b"\x80"), greeting(REQ) + frame(b"\0" * 200)]
        for stage in lib.STAGES:
            for data in wrong:
                with self.subTest(stage=stage, data=data[:20]):
                    before = self.p.stats(stage)["ctl_errors", None]
                    try:
                        self.until_closed(self.connect(self.path(stage, ".ctl"), data))
                    except ConnectionError:
                        pass
                    pipeline.wait_for(lambda: self.p.stats(stage)["ctl_errors", None] > before, "the counter")
            self.noticed(stage, lambda: self.until_closed(self.connect(self.path(stage, ".ctl"), b"\0" * 8)), "ctl_errors",
                         "control connection cut off: not the protocol uid=0")
            self.noticed(stage, lambda: self.until_closed(self.connect(self.path(stage, ".ctl"), greeting(REQ) + b"\1" + b"\x7f" * 8)),
                         "ctl_errors", "control connection cut off: request too large uid=0")
        self.unharmed()

    def test_malformed_requests(self):
        deep = [b"\x91" * n + b"\xc0" for n in (9, 1000, 60000)] + [b"\x81\xa2op" * 3000 + b"\xc0"]
        claims = [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff\xa2op", b"\xdb\xff\xff\xff\xffabc", b"\xc6\xff\xff\xff\xff",
                  b"\xc9\xff\xff\xff\xff\1",
                  b"\xdc\xff\xff" + b"\xc0" * 100, b"\xdd\0\1\0\0" + b"\x90" * 65000]
        rest = [b"", b"\xc1", b"\x81", b"\x81\xa2op", b"\xa6status", pack({"op": "status"}) + b"\0", pack({"op": "status"})[:-1],
                pack([1, 2]), pack("status"), b"\x82" + pack("op")[0:] + pack("none") + pack("op") + pack("none"), pack({}),
                pack({"OP": "status"})]
        for stage in lib.STAGES:
            for body in (*deep, *claims, *rest):
                with self.subTest(stage=stage, body=body[:12]):
                    self.refused(stage, body)
            self.noticed(stage, lambda: self.refused(stage, b"\xc1"), "ctl_errors", "control request refused uid=0")
        self.unharmed()

    def test_unknown_ops_and_wrong_types(self):
        """In every field of every request, each of many values that it was not made for. There is always an answer."""
        for stage in lib.STAGES:
            for op in ("", "Status", "status\0", "statuses", "x" * 64, "../status", "quit"):
                self.refused(stage, {"op": op})
        forged = {"op": "events", "last": 1, "filter": {'x" uid=7 y="': [{}]}}
        self.noticed("exporter", lambda: self.refused("exporter", forged), "ctl_errors", 'x\\" uid=7')
        for stage in lib.STAGES:
            for request in (*COMMON, *OPS[stage]):
                for field in request:
                    for value in WRONG:
                        changed = {**request, field: value}
                        with self.subTest(stage=stage, request=repr(changed)[:160]):
                            self.assertIsInstance(self.ask(stage, value_bytes(changed)), dict)
                    less = {k: v for k, v in request.items() if k != field}
                    self.assertIsInstance(self.ask(stage, value_bytes(less)), dict)
        self.unharmed()

    def test_random_mutations(self):
        """A fixed seed. The answer is a map or the end of the connection, and never silence."""
        rng = random.Random(20)
        for stage in lib.STAGES:
            valid = [pack(r) for r in (*COMMON, *OPS[stage])]
            for i in range(600 // FEW):
                body = flip(rng, rng.choice(valid))
                try:
                    self.assertIsInstance(self.ask(stage, body), dict, f"{stage} {i}: {body!r}")
                except EOFError:
                    pass
            for i in range(300 // FEW):
                talk = flip(rng, greeting(REQ) + frame(b"\x80\0\0\1" + rng.choice(valid)))
                sock = self.connect(self.path(stage, ".ctl"))
                try:
                    sock.sendall(talk)
                    sock.shutdown(socket.SHUT_WR)
                except ConnectionError:
                    pass
                self.until_closed(sock)
        self.ask("collector", pack(OPS["collector"][1]))
        self.unharmed()

    def test_halves_and_slow_ones(self):
        """Requests that never come to their end, a byte now and then: others are answered, and get the places of the most silent."""
        whole = greeting(REQ) + frame(b"\x80\0\0\1" + pack({"op": "status"}))
        for stage in lib.STAGES:
            for n in range(0, len(whole), 5):
                self.connect(self.path(stage, ".ctl"), whole[:n]).close()

            def attack():
                self.let_go()
                for i in range(80):
                    try:
                        self.hold(self.path(stage, ".ctl"), whole[:i % len(whole)])
                    except ConnectionError:
                        pass
                for sock in self.held:
                    try:
                        sock.send(b"\0")
                    except OSError:
                        pass
            self.noticed(stage, attack, "ctl_evictions", "control connection closed to make room for another uid=0")
            self.assertLess(len(os.listdir(f"/proc/{self.p.pid(stage)}/fd")), 130)
        self.unharmed()
        self.let_go()
        self.unharmed()

    def test_answers_nobody_reads(self):
        """Large answers asked for again and again and never taken: one is kept for each connection, not all of them."""
        ask = frame(b"\x80\0\0\1" + pack({"op": "status"}))
        for stage in lib.STAGES:
            before = self.p.status(stage)["rss_bytes"]
            for _ in range(30):
                sock = self.hold(self.path(stage, ".ctl"), greeting(REQ))
                sock.setblocking(False)
                try:
                    while True:
                        sock.send(ask * 100)
                except BlockingIOError:
                    pass
            self.assertLess(self.p.status(stage)["rss_bytes"] - before, 16 << 20)
        self.unharmed()
        self.let_go()
        self.unharmed()

    def test_recording_over_what_others_put_there(self):
        """Others may make files in the run folder: a recording is not written through their links, nor waits for their FIFO."""
        checkpoint = self.path("collector", ".ckpt")
        size = os.stat(checkpoint).st_size
        for name, make in (("record-link.rec", lambda at: os.symlink(checkpoint, at)), ("record-pipe.rec", os.mkfifo),
                           ("record-hard.rec", lambda at: os.link(checkpoint, at))):
            path = os.path.join(self.p.run_dir, name)
            make(path)
            self.addCleanup(lambda path=path: os.path.lexists(path) and os.unlink(path))
            os.chown(path, lib.STRANGER, lib.COMMON_GROUP, follow_symlinks=False) if name != "record-hard.rec" else None
            reply = self.ask("collector", pack({"op": "record", "action": "start", "name": name}))
            if name == "record-hard.rec":  # a second name of its own file: it may take that name away, and does
                self.assertNotIn("error", reply)
                self.ask("collector", pack({"op": "record", "action": "stop", "name": name}))
            else:
                self.assertIn("File exists", reply.get("error", ""))
            self.assertEqual(os.stat(checkpoint).st_size, size)
        self.unharmed()


class LoaderFds(HostileTest):
    """The one socket of the privileged process. What it gives to whom is in test_loader_serve.py."""

    def test_garbage(self):
        path = self.path("loader", ".fds")
        for data in (b"0", b"11", b"\0", b"1\n", b"x" * 60000, pack({"op": "status"}), greeting(REQ)):
            with self.subTest(data=data[:10]):
                self.assertEqual(self.until_closed(self.connect(path, data, socket.SOCK_SEQPACKET)), b"")
        since = len(self.p.stage["loader"].log)

        def again():
            self.until_closed(self.connect(path, b"0", socket.SOCK_SEQPACKET))
            return self.said("loader", f"a client spoke another protocol path={path} uid=0", since)
        pipeline.wait_for(again, "a line in the log")
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with self.assertRaises(OSError):
                self.connect(path, b"1", kind)
        self.unharmed()

    def test_a_flood_of_silent_clients_starves_nobody(self):
        """While one opens connections as fast as it can, a stage that starts gets its descriptors."""
        path, ending = self.path("loader", ".fds"), threading.Event()

        def flood():
            held = []
            while not ending.is_set():
                sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                sock.setblocking(False)
                try:
                    sock.connect(path)
                except OSError:
                    time.sleep(0.001)
                held.append(sock)
                if len(held) > 100:
                    held.pop(0).close()
            for sock in held:
                sock.close()
        since = len(self.p.stage["loader"].log)
        thread = threading.Thread(target=flood)
        thread.start()
        try:
            pipeline.wait_for(lambda: self.said("loader", f"more than 8 clients at once, the most silent one is turned away path={path}",
                                                since), "a line in the log")
            self.p.kill("collector")
            self.p.begin("collector")
            self.pids["collector"] = self.p.pid("collector")
        finally:
            ending.set()
            thread.join()
        self.unharmed()


class Publisher(HostileTest):
    """Someone else in a publisher's place, as if that stage had been taken over."""

    def take_place(self, name, topics):
        """A hostile publisher; the rightful one comes back at the test's end, and everything goes on."""
        self.p.stage[name].stop(seconds=pipeline.PATIENCE)
        self.addCleanup(self.bring_back, name)
        fake = fake_stage.FakeStage(self.p.run_dir, name, topics)
        self.addCleanup(fake.close)
        return fake

    def bring_back(self, name):
        if not self.p.stage[name].alive():
            self.p.begin(name)
            self.pids[name] = self.p.pid(name)

    def give_back(self, fake):
        fake.close()
        self.bring_back(fake.name)
        self.unharmed()

    def at(self, consumer, fake, topic):
        return self.p.status(consumer)["inputs"][fake.name].get(topic, 0)

    def caught_up(self, consumer, fake, topic):
        def done():
            s = self.p.status(consumer)["inputs"][fake.name]
            return s["epoch"] == fake.epoch and s[topic] >= fake.next[topic]
        pipeline.wait_for(done, f"{consumer} to have all of {fake.name}")

    def good(self, consumer, fake, topic, event):
        """Something good in between is handled."""
        fake.wait_subscriber()
        fake.publish(topic, event)
        self.caught_up(consumer, fake, topic)

    def stats_of(self, consumer, *names):
        stats = self.p.stats(consumer)
        return [stats[name if isinstance(name, tuple) else (name, None)] for name in names]

    def connections(self, fake, consumers, topic, event):
        """What ends the connection: each consumer says so and dials again."""
        for bad in (b"HTTP/1.1", greeting(SUB), greeting(REP), b"\0" * 8, b"\xff" * 64):
            fake.greeting = bad
            fake.drop_clients()
            for consumer in consumers:
                with self.subTest(consumer=consumer, greeting=bad[:8]):
                    self.noticed(consumer, lambda: None, "malformed_messages", f"publisher cut off: not the protocol publisher={fake.name}")
        fake.greeting = greeting(PUB)
        for consumer in consumers:
            self.good(consumer, fake, topic, event)
        message = fake.message(topic, fake.next[topic], [event])
        cut = [(b"\1" + struct.pack(">Q", 1 << 40), "message too large"), (b"\1" + b"\xff" * 8 + b"x" * 1000, "message too large"),
               (b"\1" + struct.pack(">Q", (1 << 20) + 1), "message too large"), (b"\2" + frame(message)[1:], "not the protocol"),
               (b"\0" * 1000, "not the protocol")]
        for data, text in cut:
            for consumer in consumers:
                with self.subTest(consumer=consumer, data=data[:10]):
                    self.noticed(consumer, lambda: fake.send_bytes(data), "malformed_messages",
                                 f"publisher cut off: {text} publisher={fake.name}")
        for n in (1, 8, 9, 20, len(message)):  # halves, then gone
            fake.wait_subscriber()
            fake.send_bytes(frame(message)[:n])
            fake.drop_clients()
        for consumer in consumers:
            self.good(consumer, fake, topic, event)

    def messages(self, fake, topic, event):
        """Messages that are none."""
        first = fake.next[topic]
        whole = fake.message(topic, first, [event])

        def header(*fields):
            return topic.encode().ljust(8, b"\0") + pack(list(fields))
        yield b""
        yield whole[:8]
        yield b"nothing\0" + whole[8:]
        yield whole[:7]
        yield from (whole[:n] for n in range(9, len(whole) - len(event), 3))
        yield fake.message(topic, first, [event], stage="somebody")
        yield fake.message(topic, first, [event], stage="x" * 5000)
        yield fake.message(topic, first, [event], epoch=0)
        yield fake.message(topic, 2**64 - 1, [event])
        yield fake.message(topic, 2**63, [event])
        yield fake.message(topic, first, [event], count=513)
        yield fake.message(topic, first, [event], count=2**32 + 1)
        yield fake.message(topic, first, [], count=1)
        yield fake.message(topic, first, [event], count=0)
        yield header()
        yield header(1)
        yield header(0, fake.name, b"n", fake.epoch, first, 1, 0, 0) + event
        yield header(2**40, fake.name, b"n", fake.epoch, first, 1, 0, 0) + event
        yield header(1, 5, b"n", fake.epoch, first, 1, 0, 0) + event
        yield header(1, fake.name, b"n" * 256, fake.epoch, first, 1, 0, 0) + event
        yield header(1, fake.name, b"n", -1, first, 1, 0, 0) + event
        yield header(1, fake.name, b"n", fake.epoch, "1", 1, 0, 0) + event
        yield header(1, fake.name, b"n", fake.epoch, first, [1], 0, 0) + event
        yield topic.encode().ljust(8, b"\0") + b"\xdd\xff\xff\xff\xff" + event
        yield topic.encode().ljust(8, b"\0") + b"\x91" * 100000
        yield topic.encode().ljust(8, b"\0") + pack([1, fake.name, b"n", fake.epoch, first, 1, 0, 0,
                                                     0])[:-1] + b"\x91" * 5000 + b"\0" + event

    def batches(self, fake, consumers, topic, event):
        for i, message in enumerate(self.messages(fake, topic, event)):
            for consumer in consumers:
                fake.wait_subscriber()
                before = self.stats_of(consumer, "malformed_messages")[0]
                fake.send(message)
                with self.subTest(consumer=consumer, number=i, message=message[:40]):
                    pipeline.wait_for(lambda: self.stats_of(consumer, "malformed_messages")[0] > before, "the counter")
        for consumer in consumers:
            self.noticed(consumer, lambda: fake.send(b"x" * 100), "malformed_messages",
                         f"malformed batch refused publisher={fake.name} bytes=100")
            self.good(consumer, fake, topic, event)

    def events(self, fake, consumers, topic, event):
        """A good batch of bad events: what cannot be read is lost to the last one, and counted."""
        bad = [b"\xc1", b"\x90", b"\x93\1\2", pack([1, 2]), pack([2, 3, [], [], [], [], b"x" * 5000]), b"\x91" * 100, pack("text"),
               pack([2, -1, []]), pack([-2, 1, []]), pack([2, 1, {}]), event[:-1], b"\xdd\xff\xff\xff\xff", b"\xdc\xff\xff" + b"\xc0" * 100]
        if fake.name == "collector":  # the others look at the fields only of events that they are interested in
            bad += [pack([2, 1, [b"x"] * 30]), pack([2, 1, ["x", -1, []]])]
        lost = ("lost_events", "malformed")
        for junk in bad:
            for consumer in consumers:
                before = self.stats_of(consumer, lost, "malformed_messages")
                fake.publish(topic, event, junk, event, event)
                self.caught_up(consumer, fake, topic)
                after = self.stats_of(consumer, lost, "malformed_messages")
                with self.subTest(consumer=consumer, junk=junk[:12]):
                    self.assertLessEqual(1, after[0] - before[0])
                    self.assertLessEqual(after[0] - before[0], 3)
                    self.assertGreater(after[1], before[1])
        for consumer in consumers:
            def attack():
                fake.publish(topic, b"\xc1")
                self.caught_up(consumer, fake, topic)
            self.noticed(consumer, attack, "lost_events", f"events lost publisher={fake.name} topic={topic} cause=malformed",
                         label="malformed")
            self.good(consumer, fake, topic, event)

    def numbers(self, fake, consumers, topic, event):
        """Numbers that go back, jump or are of another epoch: what is new is handled once, what is not is counted."""
        for consumer in consumers:
            self.good(consumer, fake, topic, event)
            received = ("received_events", topic)
            before = self.stats_of(consumer, received, "duplicate_events")
            fake.send(fake.message(topic, max(1, fake.next[topic] - 1), [event]))
            fake.send(fake.message(topic, 1, [event]))
            pipeline.wait_for(lambda: self.stats_of(consumer, "duplicate_events")[0] >= before[1] + 2, "two duplicates")
            self.assertEqual(self.stats_of(consumer, received)[0], before[0])
            # far beyond what the publisher itself says is there
            self.noticed(consumer, lambda: fake.send(fake.message(topic, fake.next[topic] + 10**9, [event])), "malformed_messages",
                         f"publisher's numbers contradict each other publisher={fake.name} topic={topic}")
            lost = self.p.stats(consumer)["lost_events", "retention"]
            before = self.stats_of(consumer, "stale_batches")[0]
            fake.send(fake.message(topic, fake.next[topic], [event], epoch=fake.epoch ^ 2))
            pipeline.wait_for(lambda: self.stats_of(consumer, "stale_batches")[0] > before, "a stale batch")
            self.assertEqual(self.p.stats(consumer)["lost_events", "retention"], lost)
            self.good(consumer, fake, topic, event)

    def answers(self, fake, consumers, topic, event):
        """The control socket of a publisher that lies: the subscriber asks again, gives up what it cannot have, and counts it."""
        cursor, replay = fake.handlers["cursor"], fake.handlers["replay"]
        lies = [b"", b"\xc1", b"\x91" * 60000 + b"\xc0", pack([]), pack({}), pack({"epoch": 0}), pack({"epoch": "x", "topics": []}),
                pack({"epoch": fake.epoch, "topics": {topic: {"oldest_seq": 9, "next_seq": 5}}}),
                pack({"epoch": fake.epoch, "topics": {topic: {"oldest_seq": 0, "next_seq": 2**64 - 1}}}), b"\xdf\xff\xff\xff\xff",
                pack({"epoch": fake.epoch, "topics": {str(i): {"oldest_seq": i} for i in range(3000)}, "x": [1] * 10000})[:-1]]
        for lie in lies:
            fake.handlers["cursor"] = lambda _request, lie=lie: lie
            for consumer in consumers:
                with self.subTest(consumer=consumer, cursor=lie[:20]):
                    self.answered(fake, consumer, lambda r: r["op"] == "cursor", fake.drop_clients)
        fake.handlers["cursor"] = cursor
        for consumer in consumers:
            self.good(consumer, fake, topic, event)
        other = fake.message(topic, 1, [event], epoch=fake.epoch ^ 2)
        lies = [b"\xc1", pack({}), pack({"batches": 5, "next_seq": 1}), pack({"batches": [b"x" * 100], "next_seq": 10**6}),
                pack({"batches": [other], "next_seq": 10**6}), pack({"batches": [[]] * 100, "next_seq": 10**6}), pack({"error": 5}),
                pack({"error": "x" * 10000}), pack({"batches": [], "next_seq": 2**64 - 1}), b"\xdd\xff\xff\xff\xff"]
        for lie in lies:
            fake.handlers["replay"] = lambda _request, lie=lie: lie
            for consumer in consumers:
                def gap():
                    with fake.lock:
                        fake.next[topic] += 3  # never sent
                    fake.publish(topic, event)
                with self.subTest(consumer=consumer, replay=lie[:20]):
                    self.answered(fake, consumer, lambda r: r["op"] == "replay", gap)
        fake.handlers["replay"] = replay
        for consumer in consumers:
            self.good(consumer, fake, topic, event)
        self.assertTrue(all(self.p.stage[c].alive() for c in consumers))

    def answered(self, fake, consumer, which, provoke):
        """Until @consumer's question was answered with the lie, and it answers questions itself."""
        n = len(fake.requests)
        provoke()
        pipeline.wait_for(lambda: any(which(r) for r in fake.requests[n:]), "its question")
        self.assertEqual(self.p.status(consumer)["stage"], consumer)

    def mutations(self, fake, consumers, topic, events):
        """Good messages with some bytes changed, under numbers that go on; a fixed seed."""
        rng = random.Random(fake.name)
        for i in range(1500 // FEW):
            batch = [rng.choice(events) for _ in range(rng.randrange(1, 5))]
            message = fake.message(topic, fake.next[topic], batch)
            fake.wait_subscriber()
            fake.send(flip(rng, message, 12))
            if i % 10 == 0:
                fake.publish(topic, *batch)
        for consumer in consumers:
            self.good(consumer, fake, topic, events[0])

    def everything(self, name, consumers, topic, events):
        fake = self.take_place(name, (topic,))
        for part, what in ((self.connections, events[0]), (self.batches, events[0]), (self.events, events[0]), (self.numbers, events[0]),
                           (self.answers, events[0]), (self.mutations, events)):
            with self.subTest(part=part.__name__):
                part(fake, consumers, topic, what)
            for consumer in consumers:
                self.assertEqual(self.p.status(consumer)["pid"], self.pids[consumer])
        self.give_back(fake)

    def hostile_events(self):
        """Good events with values at their ends."""
        schema = fake_stage.Schema()
        long = b"\xff" * 4096
        yield schema.event("process_exit", pid=7, start_ns=5)
        yield schema.event("process_exec", pid=2**64 - 1, start_ns=2**64 - 1, comm=long, exe=long, filename=long, cwd=b"/\0" * 2000,
                           argv=[b"\x1b[2J", b"\0" * 100, b"'; drop", b"<script>"] * 10, uid=2**32 - 1)
        yield schema.event("process_fork", pid=9, start_ns=1, child_pid=9, child_start_ns=1)  # its own parent
        yield schema.event("process_fork", pid=10, start_ns=1, child_pid=11, child_start_ns=1)
        yield schema.event("process_fork", pid=11, start_ns=1, child_pid=10, child_start_ns=1)  # and a ring of two
        yield schema.event("process_exec", pid=10, start_ns=1, exe=b"/x", ts_ns=2**64 - 1)
        yield schema.event("process_exit", pid=10, start_ns=1)
        yield pack([60000, 1, [], [b"x"], {"a": 1}])  # a kind of a later version

    def test_collector(self):
        """The enricher's side."""
        self.everything("collector", ("enricher",), "proc", list(self.hostile_events()))

    def test_enricher(self):
        """policyd's and the exporter's side."""
        self.everything("enricher", ("policyd", "exporter"), "proc", list(self.hostile_events()))

    def test_policyd(self):
        self.everything("policyd", ("exporter",), "alert",
                        [fake_stage.Schema().event("process_exec", pid=1, policyd={"rule": "\x1b[2J<b>", "message": "\0" * 4000})]
                        + list(self.hostile_events()))

    def test_status_of_a_liar(self):
        """The exporter asks all stages for their counters; what one answers becomes metrics and JSON."""
        fake = self.take_place("policyd", ("alert",))
        good = fake.handlers["status"]
        names = [["x" * 5000, None, None, 0, 1, "h"], ["a b\n# HELP", "l", "\"}\n", 0, 2**64 - 1, "h\n"], [5, 5, 5, 5, 5, 5], [], None,
                 "text",
                 ["received_events", "topic", b"\xff\xfe\0", -1, -5, None], ["received_events", "topic", "proc", 0, 1, "h"],
                 ["received_events", "topic", "proc", 0, 2, "twice"]]
        answers = [b"", b"\xc1", pack([]), pack({"stats": 5}), pack({"stats": names, "inputs": 5, "pid": "x"}),
                   pack({"stats": names * 200}),
                   pack({"stats": [[f"n{i}", None, None, 0, 1, ""] for i in range(3000)], "inputs": {str(i): {} for i in range(100)}}),
                   b"\x91" * 60000 + b"\xc0", pack({"stage": "policyd\n\"", "version": "\x1b[2J" * 500, "user": b"\xff" * 4000,
                                                    "extra": {"a": {"b": {}}}})]
        for answer in answers:
            fake.handlers["status"] = lambda _request, answer=answer: answer
            with self.subTest(answer=answer[:30]):
                self.answered(fake, "exporter", lambda r: r["op"] == "status", lambda: None)
                for line, value in self.p.metrics().items():
                    self.assertTrue(line.startswith("penstock_"), line)
                    float(value)
                self.assertEqual(self.p.get("/api/v1/status")[0], 200)
        fake.handlers["status"] = good
        self.give_back(fake)


if __name__ == "__main__":
    unittest.main()
