# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: figures, an instance of Penstock of its own, processor time of processes, cleaning up.

A module has AREA, FIGURES ({name: Spec}) and run(ctx), which puts what it measured with ctx.put().
"""
import atexit
import collections
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BPFFS = "/sys/fs/bpf"
STAGES = ("loader", "collector", "enricher", "policyd", "exporter")

# value: of the samples; target: text for people, with check(value) -> bool or None where there is none.
Spec = collections.namedtuple("Spec", "unit target check", defaults=("", "", None))


class Unusable(Exception):
    """A peer or a part that does not work here; the reason is its text."""


def at_least(n):
    return f">= {n:,}", lambda v, floor: v >= n


def at_most(n):
    return f"<= {n:,}", lambda v, floor: v <= n


def over_floor(n):
    return f"<= floor + {n}", lambda v, floor: v <= floor + n


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


# ---- cleaning up: whatever happens, last made first ----

_undo = []


def on_exit(fn, *args):
    entry = (fn, args)
    _undo.append(entry)
    return entry


def forget(entry):
    if entry in _undo:
        _undo.remove(entry)


def clean_up():
    while _undo:
        fn, args = _undo.pop()
        try:
            fn(*args)
        except Exception as e:  # the rest is to be cleaned up too
            say(f"cleaning up: {e}")


atexit.register(clean_up)
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda n, frame: sys.exit(128 + n))


# ---- processes ----

def cpu_ns(pid):
    """Processor time of a process with all its threads, by the kernel's clock of it."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def rss_kib(pid):
    sums = {}
    with open(f"/proc/{pid}/smaps_rollup") as f:
        for line in f:
            word = line.split()
            if word[0] in ("Rss:", "Pss:"):
                sums[word[0][:-1].lower()] = int(word[1])
    return sums


def stop(process, number=signal.SIGTERM, seconds=20):
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
    return process.returncode


class Child:
    """A process that is taken down at the end of the `with` or of the program."""

    def __init__(self, args, number=signal.SIGTERM, **kw):
        kw.setdefault("stdin", subprocess.DEVNULL)
        self.number = number
        self.p = subprocess.Popen(args, **kw)
        self.undo = on_exit(stop, self.p, number)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    def stop(self):
        forget(self.undo)
        return stop(self.p, self.number)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(check, seconds, what):
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise RuntimeError(f"{what}: not within {seconds} s")
        time.sleep(0.02)


RULES = """  - name: r{n}a
    kinds: process_exec
    match: {{exe: {{prefix: [/tmp/, /dev/shm/]}}}}
  - name: r{n}b
    kinds: tcp_connect
    match: {{raddr: {{cidr: 169.254.0.0/16}}}}
  - name: r{n}c
    kinds: process_exit
    match: {{signal: SIGSEGV}}
  - name: r{n}d
    kinds: tcp_close
    match: {{bytes_sent: {{greater: 1000000}}}}
  - name: r{n}e
    kinds: process_fork
    match: {{comm: [nc, ncat]}}
"""


def write_rules(folder):
    """20 rules, of which every event is matched against four or more."""
    path = os.path.join(folder, "rules20.yaml")
    with open(path, "w") as f:
        f.write("rules:\n" + "".join(RULES.format(n=n) for n in range(4)))
    os.chmod(path, 0o644)
    return path


class Penstock:
    """`penstock up` with its own folders; .pids by stage once it is up."""

    count = 0

    def __init__(self, ctx, config="", netns=None, quiet=True, log_level="info"):
        Penstock.count += 1
        name = f"pst-bench-{os.getpid()}-{Penstock.count}"
        self.ctx = ctx
        self.dir = tempfile.mkdtemp(prefix=name + "-", dir="/tmp")
        os.chmod(self.dir, 0o755)
        self.undo = on_exit(self.stop)
        self.run_dir = os.path.join(self.dir, "run")
        self.bpffs = os.path.join(BPFFS, name)
        self.port = free_port()
        self.config = os.path.join(self.dir, "penstock.yaml")
        with open(self.config, "w") as f:
            f.write(config)
        self.err = open(os.path.join(self.dir, "err"), "w+")
        self.enter = ["nsenter", f"--net=/run/netns/{netns}"] if netns else []
        args = [*self.enter, ctx.bin("penstock"), "up", "--config", self.config, "--run-dir", self.run_dir, "--bpffs", self.bpffs,
                "--listen", f"127.0.0.1:{self.port}", "--rules", write_rules(self.dir), "--log-level", log_level,
                *(["--quiet"] if quiet else [])]
        self.started = time.monotonic()
        self.p = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.err)
        self.pids = {}

    def log(self):
        with open(self.err.name, errors="replace") as f:
            return f.read()

    def wait_up(self):
        line = self.p.stdout.readline()
        if b"all five processes are up" not in line:
            raise RuntimeError(f"penstock up did not come up:\n{self.log()}")
        self.up_after = time.monotonic() - self.started
        with open(f"/proc/{self.p.pid}/task/{self.p.pid}/children") as f:
            for pid in map(int, f.read().split()):
                with open(f"/proc/{pid}/cmdline", "rb") as c:
                    self.pids[os.path.basename(c.read().split(b"\0")[0].decode()).removeprefix("penstock-")] = pid
        if set(self.pids) != set(STAGES):
            raise RuntimeError(f"expected five processes, found {sorted(self.pids)}")
        return self

    def __enter__(self):
        return self.wait_up()

    def __exit__(self, *exc):
        self.stop()

    def stop(self):
        forget(self.undo)
        stop(self.p, signal.SIGINT, 30)
        self.err.close()
        if os.path.exists(self.bpffs):
            subprocess.run([self.ctx.bin("penstock-loader"), "unload", "--bpffs", self.bpffs, "--run-dir", self.run_dir],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.dir, ignore_errors=True)

    def status(self):
        out = subprocess.run([self.ctx.bin("penstock"), "status", "--json", "--run-dir", self.run_dir], check=True,
                             stdout=subprocess.PIPE).stdout
        return Status(json.loads(out))

    def cpu_ns(self):
        return {stage: cpu_ns(pid) for stage, pid in self.pids.items()}

    def memory_mib(self):
        """Sum over the five of (resident, proportional) memory."""
        each = [rss_kib(pid) for pid in self.pids.values()]
        return sum(m["rss"] for m in each) / 1024, sum(m["pss"] for m in each) / 1024


LOSS = re.compile(r"(^|_)(lost|dropped|malformed|suppressed|duplicate|table_full)(_|$)")


class Status:
    """Counters of all stages."""

    def __init__(self, tree):
        self.stages = {name: (s.get("status", s) if isinstance(s, dict) else None) for name, s in tree["stages"].items()}

    def rows(self, stage):
        status = self.stages.get(stage)
        if not status:
            raise RuntimeError(f"stage {stage} does not answer")
        return status["stats"]

    def counter(self, stage, name, label=None):
        return sum(row[4] for row in self.rows(stage) if row[0] == name and (label is None or row[2] == label))

    def losses(self):
        """Every counter that stands for something missing, {stage.name: value}; bytes are the same losses again."""
        found = {}
        for stage in self.stages:
            for row in self.rows(stage):
                if row[3] == 0 and LOSS.search(row[0]) and not row[0].endswith("_bytes"):
                    key = f"{stage}.{row[0]}" + (f"{{{row[2]}}}" if row[2] else "")
                    found[key] = found.get(key, 0) + row[4]
        return found


def scrape(port):
    """/metrics as {line without value: value}."""
    with socket.create_connection(("127.0.0.1", port), 10) as s:
        s.sendall(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
        data = b""
        while True:
            part = s.recv(1 << 16)
            if not part:
                break
            data += part
    series = {}
    for line in data.split(b"\r\n\r\n", 1)[1].decode().splitlines():
        if line and line[0] != "#":
            name, value = line.rsplit(" ", 1)
            series[name] = float(value)
    return series


def scrape_within(enter, port):
    """The same from within a network namespace."""
    out = subprocess.run([*enter, sys.executable, os.path.abspath(__file__), str(port)], check=True, stdout=subprocess.PIPE).stdout
    return json.loads(out)


def events_total(series):
    return sum(v for k, v in series.items() if k.startswith("penstock_events_total"))


# ---- results ----

class Context:
    def __init__(self, build, runs, quick):
        self.build = os.path.abspath(build)
        self.runs = runs
        self.quick = quick
        self.results = {}
        self.specs = {}
        self.notes = []
        self.dir = tempfile.mkdtemp(prefix="pst-bench-")
        os.chmod(self.dir, 0o755)
        on_exit(shutil.rmtree, self.dir, True)

    def bin(self, name):
        return os.path.join(self.build, "bin", name)

    def tool(self, name):
        return os.path.join(self.build, "tests", "bench", name)

    def helper(self, name):
        return os.path.join(self.build, "tests", "helpers", name)

    def seconds(self, full):
        return max(1, full / 4) if self.quick else full

    def put(self, name, samples, floor=None, peers=None, value=None):
        samples = [float(s) for s in samples]
        self.results[name] = {
            "value": statistics.median(samples) if value is None else value,
            "unit": self.specs[name].unit,
            "min": min(samples), "max": max(samples), "runs": len(samples),
            "floor": floor, "peers": peers or {},
        }

    def note(self, text):
        say(text)
        self.notes.append(text)


def text_of(args, **kw):
    """Standard output of a helper."""
    return subprocess.run(args, check=True, stdout=subprocess.PIPE, **kw).stdout.decode()


def lines_of(args, **kw):
    """The same, a list of numbers a line."""
    return [[float(w) for w in line.split()] for line in text_of(args, **kw).splitlines()]


def work(ctx, *args, enter=()):
    """(elapsed, processor time) in nanoseconds an operation of one run of the workload: medians over its batches."""
    rows = lines_of([*enter, ctx.tool("bench_work"), *map(str, args)])
    return statistics.median(row[0] for row in rows), statistics.median(row[1] for row in rows)


if __name__ == "__main__":
    json.dump(scrape(int(sys.argv[1])), sys.stdout)
