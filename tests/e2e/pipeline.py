# SPDX-License-Identifier: Apache-2.0
"""All five processes as one instance beside whatever else runs here, an observer of the bus, and the API.

A Pipeline is a lib.Instance: network namespace, users and folders of its own, all taken away in close().
"""
import collections
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

import msgpack

import fake_stage
import lib

VM = bool(os.environ.get("PENSTOCK_VM"))
PATIENCE = 240.0 if VM else 90.0  # for what must happen, however slow the machine is
ORDER = ("loader", *lib.STAGES)
ALL_BUT_PROCESS = "sensors: {exec_failed: no, cred: no, tcp: no, accept: no, udp: no, drops: no, flows: no, syscalls: no, " + lib.NO_RARE + "}"


def helper(name):
    """A program of tests/helpers, wherever the binaries are."""
    for base in (os.path.dirname(lib.BINDIR), os.path.join(lib.ROOT, "build")):
        path = os.path.join(base, "tests", "helpers", name)
        if os.access(path, os.X_OK):
            return path
    raise AssertionError(f"the program {name} is not built: make tests-build")


def wait_for(check, what, seconds=None):
    return lib.wait_for(check, seconds or PATIENCE, what)


LOSSES = re.compile("lost|miss|suppress|full|unread|refused|reject|bad|error|gap|drop.*total")

# ---- instance ----

def without_policies(loader):
    """The loader's section, with programs of policies only where it names them: they take the verifier's time, in a guest minutes."""
    off = ", ".join(f"{name}: no" for name in lib.POLICIES)
    if "policy_" in loader:
        return loader
    return loader.replace("sensors: {", f"sensors: {{{off}, ") if "sensors: {" in loader else f"sensors: {{{off}}}\n{loader}"


class UnixHTTP(http.client.HTTPConnection):
    def __init__(self, path, timeout=60):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Pipeline(lib.Instance):
    """sections: the configuration, {"loader": "text of YAML, indented by two", ...}"""

    def __init__(self, rules="rules: []\n", **sections):
        self.stage = {}
        self.sections = {**sections, "loader": without_policies(sections.get("loader", ""))}
        super().__init__()
        self.rules_path = os.path.join(self.dir, "rules.yaml")
        self.http_path = os.path.join(self.dir, "http.sock")
        with open(self.rules_path, "w") as f:
            f.write(rules)
        self.write_config()

    def _accounts(self):
        super()._accounts()
        path = os.path.join(self.dir, "group")
        with open(path) as f:
            text = f.read()
        with open(path, "w") as f:
            f.write(text.replace(f"penstock:x:{lib.COMMON_GROUP}:\n",
                                 f"penstock:x:{lib.COMMON_GROUP}:{','.join(self.prefix + s for s in lib.STAGES)}\n", 1))

    def write_config(self):
        self.configure("".join(f"{name}:\n" + "".join(f"  {line}\n" for line in text.strip().splitlines())
                               for name, text in self.sections.items() if text.strip()))

    def up(self, *names):
        for name in names or ORDER:
            self.begin(name)
        return self

    def begin(self, name, *more, env=None, pass_fds=()):
        """Starts a stage and waits until it is ready."""
        args = {"loader": ["serve", "--unload-on-exit"], "policyd": ["--rules", self.rules_path],
                "exporter": ["--listen", "unix:" + self.http_path]}.get(name, [])
        p = self.start(f"penstock-{name}", *args, *more, env=env, ready=PATIENCE, pass_fds=pass_fds)
        self.stage[name] = p
        return p

    def kill(self, *names):
        for name in names:
            self.stage[name].send(signal.SIGKILL)
        for name in names:
            code = self.stage[name].wait(PATIENCE)
            assert code == -signal.SIGKILL, f"{name} ended by itself: {code}\n{self.stage[name].text()}"
            self.stage[name].close()

    def down(self):
        """As an operator does; every process must end well."""
        for name in reversed(ORDER):
            p = self.stage.get(name)
            if p and p.alive():
                code = p.stop(signal.SIGTERM, PATIENCE)
                assert code == 0, f"{name} ended with {code}:\n{p.text()}"

    def close(self):
        for name in reversed(ORDER):
            p = self.stage.get(name)
            if p and p.alive():
                p.send(signal.SIGCONT)
                p.send(signal.SIGTERM)
        for p in self.stage.values():
            try:
                p.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                p.close()
        super().close()

    def pid(self, name):
        return self.stage[name].p.pid

    def logs(self, lines=15):
        return "\n".join(f"--- {p.name}: {'runs' if p.alive() else p.p.returncode}\n" + "\n".join(p.log[-lines:])
                         for p in self.processes) + self.losses()

    def losses(self):
        """What the stages counted as lost or gone wrong, for a test that misses something."""
        try:
            found = [f"{k} {v}" for k, v in self.metrics().items() if v != "0" and LOSSES.search(k)]
        except (OSError, AssertionError, ValueError, http.client.HTTPException):
            return ""
        return "\n".join(["", "--- counters of loss that are not 0", *found])

    # ---- asking ----

    def ctl(self, stage, timeout=60, **request):
        return fake_stage.request(os.path.join(self.run_dir, stage + ".ctl"), request, timeout)

    def status(self, stage):
        return self.ctl(stage, op="status")

    def stats(self, stage, status=None):
        """{(name, label or None): value}"""
        return {(s[0], s[2]): s[4] for s in (status or self.status(stage))["stats"]}

    def get(self, path, headers=None, timeout=60):
        conn = UnixHTTP(self.http_path, timeout)
        try:
            conn.request("GET", path, headers=headers or {})
            reply = conn.getresponse()
            return reply.status, reply.read().decode("utf-8", "replace")
        finally:
            conn.close()

    def events(self, query="last=100000"):
        code, text = self.get("/api/v1/events?format=jsonl&" + query)
        assert code == 200, f"{query}: {code} {text}"
        return [json.loads(line) for line in text.splitlines()]

    def metrics(self):
        """{name with labels: value}"""
        code, text = self.get("/metrics")
        assert code == 200, f"{code} {text}"
        return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))


class PipelineTest(unittest.TestCase):
    """Shows the processes' logs when a test fails; self.instances are closed by it."""

    def pipeline(self, *args, **kw):
        p = Pipeline(*args, **kw)
        self.addCleanup(p.close)
        self.instances = [*getattr(self, "instances", []), p]
        return p

    def run(self, result=None):
        before = len(result.failures) + len(result.errors) + getattr(result, "bad", 0)
        super().run(result)
        if len(result.failures) + len(result.errors) + getattr(result, "bad", 0) > before:
            for p in getattr(self, "instances", []):
                print("\n".join("#   " + line for line in p.logs().splitlines()), flush=True)


# ---- bus ----

class Schema:
    def __init__(self):
        with open(os.path.join(lib.ROOT, "proto", "wire", "schema.json"), encoding="utf-8") as f:
            schema = json.load(f)
        self.kinds = {k["id"]: (k["name"], [f["name"] for f in k["fields"]]) for k in schema["kinds"]}
        self.ids = {k["name"]: k["id"] for k in schema["kinds"]}
        self.more = [[f["name"] for f in schema[s]] for s in ("enricher", "policyd")]
        self.at = {k["name"]: {f["name"]: i for i, f in enumerate(k["fields"])} for k in schema["kinds"]}


class Event(collections.namedtuple("Event", "topic epoch seq kind ts arrays")):
    """Fields of the sensor by name; what is missing is 0 or empty."""
    schema = None

    @property
    def name(self):
        return self.schema.kinds[self.kind][0]

    def get(self, field, default=0):
        for names, values in zip((self.schema.kinds[self.kind][1], *self.schema.more), self.arrays):
            if field in names:
                at = names.index(field)
                return values[at] if at < len(values) else default
        return default


class Observer(threading.Thread):
    """Subscriber that repairs its gaps from the publisher's retention, like a stage.

    It has each event once, in order of its numbers. lost counts what the retention held no longer; faults tells what must
    never happen.
    """

    def __init__(self, pipeline, publisher, from_oldest=True, keep=None):
        super().__init__(daemon=True)
        if Event.schema is None:
            Event.schema = Schema()
        self.pipeline, self.publisher, self.from_oldest, self.keep = pipeline, publisher, from_oldest, keep
        self.kinds, self.faults = collections.defaultdict(list), []  # events by kind
        self.epoch, self.next = None, {}
        self.lost = collections.Counter()
        self.connects = self.repaired = 0
        self.lock = threading.Lock()
        self.sock = None
        self.ending = False
        self.start()

    def run(self):
        while not self.ending:
            try:
                self.session()
            except (OSError, EOFError):
                time.sleep(0.02)
            except Exception as e:  # a thread's exception would be seen by nobody
                self.faults.append(f"{type(e).__name__}: {e}")
                return

    def read(self, n):
        data = bytearray()
        while len(data) < n:
            part = self.sock.recv(n - len(data))
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    def session(self):
        with socket.socket(socket.AF_UNIX) as self.sock:
            self.sock.connect(os.path.join(self.pipeline.run_dir, self.publisher + ".pub"))
            self.sock.sendall(fake_stage.greeting(fake_stage.SUB))
            if self.read(8) != fake_stage.greeting(fake_stage.PUB):
                raise ValueError("not a publisher")
            self.catch_up()
            self.connects += 1
            while not self.ending:
                head = self.read(9)
                if head[0] != 1:
                    raise ValueError("not a message")
                with self.lock:
                    self.take(self.read(int.from_bytes(head[1:], "big")), live=True)

    def ask(self, **request):
        return self.pipeline.ctl(self.publisher, **request)

    def catch_up(self):
        """What was published while there was no connection."""
        cursor = self.ask(op="cursor")
        with self.lock:
            if self.epoch not in (None, cursor["epoch"]):
                self.faults.append(f"{self.publisher} began a new epoch")
                self.next = {}
            self.epoch = cursor["epoch"]
            for topic, p in cursor["topics"].items():
                self.next.setdefault(topic, p["oldest_seq"] if self.from_oldest else p["next_seq"])
                self.repair(topic, p["next_seq"])

    def repair(self, topic, to):
        while self.next[topic] < to:
            before = self.next[topic]
            reply = self.ask(op="replay", topic=topic, epoch=self.epoch, **{"from": before, "to": to})
            if "error" in reply:
                raise ValueError(f"replay: {reply['error']}")
            for message in reply["batches"]:
                self.take(message, live=False)
            self.repaired += self.next[topic] - before
            if self.next[topic] == before:
                oldest = min(to, max(reply["oldest_seq"], before + 1))
                self.lost[topic] += oldest - before
                self.next[topic] = oldest

    def take(self, message, live):
        topic = message[:8].rstrip(b"\0").decode()
        unpacker = msgpack.Unpacker(raw=True, strict_map_key=False, max_buffer_size=1 << 21)
        unpacker.feed(message[8:])
        _, stage, _, epoch, first, count = next(unpacker)[:6]
        if stage.decode() != self.publisher or epoch != self.epoch:
            self.faults.append(f"batch of {stage} epoch {epoch}")
            return
        if live and first > self.next[topic]:
            self.repair(topic, first)
        if first > self.next[topic]:
            self.lost[topic] += first - self.next[topic]
            self.next[topic] = first
        for seq in range(first, first + count):
            kind, ts, *arrays = next(unpacker)
            if seq < self.next[topic]:
                continue
            event = Event(topic, epoch, seq, kind, ts, arrays)
            if not self.keep or self.keep(event):
                self.kinds[kind].append(event)
        self.next[topic] = max(self.next[topic], first + count)

    def select(self, name, where=None):
        kind = Event.schema.ids[name]
        with self.lock:
            events = list(self.kinds[kind])
        return [e for e in events if where(e)] if where else events

    def wait(self, check, what):
        def look():
            if self.faults:
                raise AssertionError(f"observer of {self.publisher}: {self.faults}")
            return check()
        return wait_for(look, f"{self.publisher}: {what}")

    def wait_marks(self, mark, count):
        """Until each of a spawner's processes has its exec and exit."""
        return self.wait(lambda: len(exits_of(self, mark)) >= count, f"{count} exits of {mark}")

    def close(self):
        self.ending = True
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except (OSError, AttributeError):
            pass
        self.join(10)


# ---- load ----

class Spawned(collections.namedtuple("Spawned", "index pid parent code signal")):
    pass


def unique(mark):
    """Sensors see the whole host: other runs of the same test too."""
    return f"{mark}-{os.getpid()}"


class Spawner:
    """tests/helpers/spawner.c in the background."""

    def __init__(self, mark, count, rate=0, workers=2):
        self.p = subprocess.Popen([helper("spawner"), mark, str(count), str(rate), str(workers)], stdout=subprocess.PIPE)

    def result(self):
        out, _ = self.p.communicate(timeout=10 * PATIENCE)
        if self.p.returncode:
            raise AssertionError(f"spawner ended with {self.p.returncode}")
        return [Spawned(*map(int, line.split())) for line in out.splitlines()]

    def close(self):
        if self.p.poll() is None:
            self.p.kill()
        self.p.wait()
        self.p.stdout.close()


def execs_of(observer, mark):
    """{number: [exec events]} of a spawner's children."""
    mark, out = mark.encode(), collections.defaultdict(list)
    for e in observer.select("process_exec"):
        argv = e.get("argv", [])
        if argv and argv[0] == mark and len(argv) == 4:
            out[int(argv[1])].append(e)
    return out


def exits_of(observer, mark):
    """{number: [exit events]}, found by the process that did the exec."""
    who = {(e.get("pid"), e.get("start_ns")): i for i, events in execs_of(observer, mark).items() for e in events}
    out = collections.defaultdict(list)
    for e in observer.select("process_exit"):
        i = who.get((e.get("pid"), e.get("start_ns")))
        if i is not None:
            out[i].append(e)
    return out
