# SPDX-License-Identifier: Apache-2.0
"""What the tests of the sensors share: one pipeline a class with every sensor on, its API, and processes that do something.

What is asserted comes from the exporter's API; what it is compared with comes from /proc, stat(2), socket options, the kernel's
own counters, or from the process that did it.
"""
import collections
import ctypes
import json
import os
import signal
import socket
import subprocess
import time
import traceback
import unittest

import lib
import pipeline

TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
KERNEL = tuple(int(n) for n in os.uname().release.split("-")[0].split(".")[:2])
USER = lib.FIRST_ID + 42  # nobody's
GROUP = USER + 1
PR_SET_NAME, CLONE_NEWNET = 15, 0x40000000
libc = ctypes.CDLL(None, use_errno=True)

# Short times, and a store that other suites on this host do not push our events out of.
SECTIONS = {
    "collector": "udp_interval: 300ms\nflow_interval: 200ms\nflow_active: 1s\nflow_idle: 2s",
    "exporter": f"store: {{events: 1000000, bytes: {'64MiB' if pipeline.VM else '192MiB'}}}\n"
                "scrape: {iterators: 300ms, status: 300ms}\nbounds: {syscall_cgroups: 1000, max_series: 100000}",
}


class Proc(collections.namedtuple("Proc", "pid comm ppid start_ticks tty")):
    """/proc/PID/stat of a process that lives."""

    @classmethod
    def of(cls, pid):
        text = lib.read(f"/proc/{pid}/stat").decode(errors="replace")
        fields = text[text.rindex(")") + 2:].split()
        dev = int(fields[4])
        tty = f"{dev >> 8 & 0xfff}:{dev & 0xff | dev >> 12 & 0xfff00}" if dev else None
        return cls(pid, text[text.index("(") + 1:text.rindex(")")], int(fields[1]), int(fields[19]), tty)

    def born(self, start_ns):
        """Is it the process that the event names? (Numbers come back.)"""
        return start_ns // TICK == self.start_ticks


def status_of(pid):
    """/proc/PID/status: {name: words}"""
    return {k: v.split() for k, v in (line.split(":", 1) for line in lib.read(f"/proc/{pid}/status").decode().splitlines() if ":" in line)}


def boot_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def inode(path):
    return os.stat(path).st_ino


def net_ns(pid):
    return inode(f"/proc/{pid}/ns/net")


def cgroup_mount():
    """Where the whole cgroup2 tree is mounted."""
    with open("/proc/self/mountinfo") as f:
        for line in f:
            if " - cgroup2 " in line and line.split()[3] == "/":
                return line.split()[4]
    raise AssertionError("no cgroup2 is mounted")


def cgroup_of(pid):
    """Path below the cgroup2 mount."""
    with open(f"/proc/{pid}/cgroup") as f:
        return next(line[3:-1] for line in f if line.startswith("0::"))


class Cgroups:
    """A folder of our own in a cgroup tree; end the processes in it before close()."""

    def __init__(self, name, mount=None):
        self.name = "/" + name
        self.mount = mount or cgroup_mount()
        os.mkdir(self.mount + self.name)

    def make(self, path):
        full = f"{self.mount}{self.name}/{path}"
        os.makedirs(full, exist_ok=True)
        return full

    def close(self):
        for folder, _, _ in os.walk(self.mount + self.name, topdown=False):
            lib.wait_for(lambda f=folder: self.remove(f), 20, f"{folder} to become empty")

    @staticmethod
    def remove(folder):
        try:
            os.rmdir(folder)
            return True
        except OSError:
            return False


class Child:
    """A fork of this process that runs work(child); the two talk in lines of JSON. It ends with 0, or with the traceback told."""

    def __init__(self, work, net=None, name=None):
        self.link, theirs = socket.socketpair()
        self.pid = os.fork()
        if not self.pid:
            self.link.close()
            self.link = theirs
            self._run(work, net, name)
        theirs.close()
        self._lines = self.link.makefile("rb")
        self.usage = None

    def _run(self, work, net, name):
        code = 99
        try:
            signal.alarm(int(4 * pipeline.PATIENCE))
            self._lines = self.link.makefile("rb")
            if net:
                with open(f"/proc/{net}/ns/net") as f:
                    assert libc.setns(f.fileno(), CLONE_NEWNET) == 0
            if name:
                libc.prctl(PR_SET_NAME, name.encode(), 0, 0, 0)
            work(self)
            code = 0
        except BaseException:
            self.say({"traceback": traceback.format_exc()})
        finally:
            os._exit(code)

    def say(self, value=None):
        self.link.sendall(json.dumps(value).encode() + b"\n")

    def hear(self):
        line = self._lines.readline()
        if not line:
            raise EOFError("the other one has gone")
        value = json.loads(line)
        if isinstance(value, dict) and "traceback" in value:
            raise AssertionError(f"in the child {self.pid}:\n{value['traceback']}")
        return value

    def ask(self, value=None):
        self.say(value)
        return self.hear()

    def wait(self):
        """The status of wait(2), and its resource usage in self.usage."""
        _, status, self.usage = os.wait4(self.pid, 0)
        self.pid = 0
        return status

    def close(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()
        self.link.close()
        self._lines.close()


class SensorTest(pipeline.PipelineTest):
    """One pipeline for the classes of a module that want the same: to start one takes longer than most tests."""
    sections = SECTIONS

    @classmethod
    def setUpClass(cls):
        owner = next(c for c in cls.__mro__ if {"sections", "prepare"} & vars(c).keys())
        if not vars(owner).get("p"):
            owner.begin()

    @classmethod
    def begin(cls):
        unittest.addModuleCleanup(cls.end)
        cls.p = pipeline.Pipeline(**cls.sections)
        cls.addClassCleanup(cls.p.close)
        cls.instances = [cls.p]
        cls.prepare()
        try:
            cls.p.up()
        except BaseException:
            print("\n".join("#   " + line for line in cls.p.logs(40).splitlines()), flush=True)
            cls.close()
            raise

    @classmethod
    def prepare(cls):
        """What must be there before the pipeline."""

    @classmethod
    def tearDownClass(cls):
        if vars(cls).get("p"):  # nobody else's
            cls.end()

    @classmethod
    def end(cls):
        try:
            if cls.p:
                cls.p.down()
        finally:
            cls.close()

    @classmethod
    def close(cls):
        cls.p = None
        cls.doClassCleanups()
        for _, error, _ in cls.tearDown_exceptions:
            raise error

    # ---- doing ----

    def child(self, work, **kw):
        c = Child(work, **kw)
        self.addCleanup(c.close)
        return c

    def popen(self, args, **kw):
        """A program that lives until its standard input is closed, or killed."""
        p = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, **kw)
        self.addCleanup(self.reap, p)
        return p

    @staticmethod
    def reap(p):
        if p.poll() is None:
            p.kill()
        p.wait()
        p.stdin.close()

    # ---- asking ----

    def api(self, path):
        code, text = self.p.get("/api/v1/" + path)
        self.assertEqual(code, 200, text)
        return json.loads(text)

    def needs(self, name):
        """The rung of a sensor that works here; else the API must say why not, and the test is skipped."""
        sensor = next(s for s in self.api("status")["loader"]["sensors"] if s["name"] == name)
        metric = f'penstock_sensor_active{{sensor="{name}"}}'
        reasons = [f"{w['rung']}: {w['reason']}" for w in sensor["why_not"]]
        self.assertTrue(all(w["reason"] for w in sensor["why_not"]), sensor)
        if sensor["state"] == "unavailable":
            self.assertTrue(reasons, sensor)
            self.assertEqual(self.p.metrics()[metric], "0")
            self.skipTest(f"no sensor {name} on this kernel: {', '.join(reasons)}")
        self.assertIn(sensor["state"], ("active", "weaker"), sensor)
        self.assertIn("observe", sensor["can"])
        self.assertEqual(bool(reasons), sensor["state"] == "weaker", sensor)  # the stronger rungs, and why not they
        self.assertEqual(self.p.metrics()[metric], "1")
        return sensor["rung"]

    def until(self, check, what):
        """The first true value of check(), which asks the API."""
        def look():
            value = check()
            if not value:
                time.sleep(0.1)
            return value
        return pipeline.wait_for(look, what)

    def events(self, query, check=None):
        return [e for e in self.p.events(f"last=1000000&{query}") if not check or check(e)]

    def want(self, query, check=None, count=1):
        """So many events, or more."""
        def look():
            found = self.events(query, check)
            return found if len(found) >= count else None
        return self.until(look, f"{count} events {query}")

    def one(self, query, check=None):
        found = self.want(query, check)
        self.assertEqual(len(found), 1, found)
        return found[0]

    def exec_of(self, mark, check=None):
        """The exec whose arguments have this mark."""
        return self.one("kind=process_exec", lambda e: mark in e.get("argv", []) and (not check or check(e)))

    def exit_of(self, e):
        """The exit of the process of an event."""
        return self.one(f"kind=process_exit&pid={e['pid']}", lambda x: x["start_ns"] == e["start_ns"])

    def assert_who(self, e, pid):
        """The process that the event names, as /proc has it now."""
        proc, st = Proc.of(pid), status_of(pid)
        self.assertEqual((e["pid"], e["tid"], e["comm"]), (pid, pid, proc.comm))
        self.assertTrue(proc.born(e["start_ns"]), (e, proc))
        self.assertEqual((e["uid"], e["gid"]), (int(st["Uid"][0]), int(st["Gid"][0])))
        self.assertEqual(e["cgroup_id"], inode(cgroup_mount() + cgroup_of(pid)))
        self.assertEqual(e["cgroup"], cgroup_of(pid))
        self.assertEqual(e["exe"], os.readlink(f"/proc/{pid}/exe"))
        self.assert_ancestors(e, proc.ppid)

    def assert_ancestors(self, e, parent):
        """The chain of parents, as far as it goes and at most 16."""
        chain = []
        while parent and len(chain) < 16:
            chain.append(Proc.of(parent))
            parent = chain[-1].ppid
        self.assertEqual([a["pid"] for a in e["ancestors"]], [c.pid for c in chain])
        for a, c in zip(e["ancestors"], chain):
            self.assertTrue(c.born(a["start_ns"]), (a, c))
        exe = self.exe(chain[0].pid)
        if exe:
            self.assertEqual((e["parent_exe"], e["ancestors"][0]["exe"]), (exe, exe))

    @staticmethod
    def exe(pid):
        try:
            return os.readlink(f"/proc/{pid}/exe")
        except OSError:  # init of some containers
            return None
