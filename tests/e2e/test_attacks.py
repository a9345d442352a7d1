#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The table of attacks (attacks.py): each works where nothing forbids it."""
import contextlib
import ctypes
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import attacks  # noqa: E402
import deeds  # noqa: E402
import lib  # noqa: E402
import pipeline  # noqa: E402

LEAST = 120  # attacks that any kernel of ours has to be able to make
KERNEL = tuple(int(n) for n in re.findall(r"\d+", platform.release())[:2])
CLONE_NEWNET = 0x40000000
SERVED = ("127.0.0.1", "127.0.0.2", "::1")


class Victim:
    """Somebody whom others attack, with a program of its own."""

    def __init__(self, program, path):
        self.path = path
        shutil.copy(program, path)
        self.p = subprocess.Popen([path, "sleep"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
        if self.p.stdout.read(1) != b"\n":
            raise AssertionError("the victim did not begin")

    def close(self):
        self.p.kill()
        self.p.wait()
        self.p.stdout.close()


class Runner:
    """One program for all attacks of an operation, in the control group that the operation's policy is for."""

    def __init__(self, field, op):
        self.group = os.path.join(field.group.path, op)
        os.mkdir(self.group)
        self.p = subprocess.Popen(field.instance.inside(field.attack), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                  text=True)
        with open(os.path.join(self.group, "cgroup.procs"), "w") as f:
            f.write(str(self.p.pid))

    def ask(self, *words):
        """(what came of it, what was got hold of)"""
        self.p.stdin.write("\t".join(words) + "\n")
        self.p.stdin.flush()
        line = self.p.stdout.readline()
        if not line:
            raise AssertionError(f"the runner is gone: {words}")
        came, seen = line.rstrip("\n").split("\t")
        return came, seen

    def close(self):
        self.p.stdin.close()
        self.p.wait(60)
        self.p.stdout.close()
        with contextlib.suppress(OSError):
            os.rmdir(self.group)


class Field:
    """Where attacks take place: namespaces, a control group for each operation, files, victims, servers."""

    def __init__(self, instance):
        self.instance = instance
        self.stack = contextlib.ExitStack()
        self.dir = tempfile.mkdtemp(prefix="pst-attacks-", dir="/tmp")
        self.stack.callback(shutil.rmtree, self.dir, ignore_errors=True)
        os.chmod(self.dir, 0o755)
        self.attack = self.path("attack")
        shutil.copy(pipeline.helper("attack"), self.attack)
        self.marker = lib.read(pipeline.helper("marker"))
        self.trusted = self.path("trusted")
        shutil.copy(pipeline.helper("marker"), self.trusted)
        self.group = deeds.Group()
        self.stack.callback(self.group.close)
        self.outside = os.path.join(self.group.path, "outside")
        os.mkdir(self.outside)
        self.stack.callback(os.rmdir, self.outside)
        self.victim, self.neighbour = (Victim(pipeline.helper("attack"), self.path(name)) for name in ("victim", "neighbour"))
        self.stack.callback(self.victim.close)
        self.stack.callback(self.neighbour.close)
        self.module = deeds.module_to_spare()
        self.runners = {}
        self.count = 0
        self.serve()

    def path(self, name):
        return os.path.join(self.dir, name)

    def serve(self):
        """Listeners in the instance's network namespace; the kernel answers for them."""
        made, trouble = [], []

        def make():
            try:
                fd = os.open(f"/proc/{self.instance.holder.pid}/ns/net", os.O_RDONLY)
                deeds.check(ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET), "setns")
                os.close(fd)
                for address in SERVED:
                    family = socket.AF_INET6 if ":" in address else socket.AF_INET
                    for port in (attacks.NET["bad"], attacks.NET["good"]):
                        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                            s = socket.socket(family, kind)
                            made.append(s)
                            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                            s.bind((address, port))
                            if kind == socket.SOCK_STREAM:
                                s.listen(128)
            except OSError as e:
                trouble.append(e)
        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        self.servers = made
        for s in made:
            self.stack.callback(s.close)
        if trouble:
            raise trouble[0]

    def runner(self, op):
        if op not in self.runners:
            self.runners[op] = Runner(self, op)
            self.stack.callback(self.runners[op].close)
        return self.runners[op]

    def words(self, row):
        names = {"TRUSTED": self.trusted, "OUTSIDE": os.path.join(self.outside, "cgroup.procs"), "VICTIM": str(self.victim.p.pid),
                 "NEIGHBOUR": str(self.neighbour.p.pid), "MODULE": self.module or ""}
        return lambda words: [names.get(w, w) for w in words]

    def scene(self, row, name=None):
        self.count += 1
        return attacks.Scene(self.path(f"{self.count}"), row, self.marker, name)

    def control(self, row):
        """What must stay allowed beside what is forbidden: its neighbour, or something else."""
        deed, *more = row.control or (row.deed, *row.more)
        alone = bool(row.control)
        scene = self.scene(row if not alone or row.kind != "text" else attacks.Row("", "", deed), "public")
        try:
            door, way, who = ("syscall", "path", "self") if alone and deed != row.deed else (row.door, "path", "self")
            if deed in ("read-beneath", "read-in-root"):
                way = "dirfd"
            return self.runner(row.op).ask(deed, door, way, who, scene.folder, "public", *self.words(row)(more))
        finally:
            scene.close()

    def do(self, row, scene):
        """(what came of it, what was seen, was it done)"""
        came, seen = self.runner(row.op).ask(row.deed, row.door, row.way, row.who, scene.folder, scene.name, *self.words(row)(row.more))
        return came, seen, scene.done(seen)

    def close(self):
        self.stack.close()


def worked(row, came, seen, done):
    """Did the attack get what it wanted?"""
    if row.race:
        return "!" in seen
    return came == "ok" and done is not False


class WithoutPolicy(unittest.TestCase):
    """An attack that does not work anyway shows nothing of a policy."""

    def test_names_are_unique(self):
        names = [(r.op, r.name) for r in attacks.TABLE]
        self.assertEqual(sorted(names), sorted(set(names)))
        self.assertGreaterEqual(len(names), 2 * LEAST)

    def test_each_works(self):
        instance = lib.Instance()
        self.addCleanup(instance.close)
        field = Field(instance)
        self.addCleanup(field.close)
        cannot, wrong, n = {}, [], 0
        for row in attacks.TABLE:
            if row.guest and not field.module:
                cannot.setdefault("no module to spare", []).append(row.name)
                continue
            control = field.control(row)
            scene = field.scene(row)
            came, seen, done = field.do(row, scene)
            scene.close()
            if came.startswith("cannot: "):
                cannot.setdefault(came[8:], []).append(row.name)
                continue
            n += 1
            if not worked(row, came, seen, done):
                wrong.append(f"{row.op}: {row.name}: {came} {seen} {done}")
            if control[0].split("=")[0] != "ok" or "!" in control[1] and row.op.startswith(("file.open", "process.exec")):
                wrong.append(f"{row.op}: {row.name}: its control: {control}")
        for why, names in cannot.items():
            print(f"# cannot here, {why}: {len(names)}: {'; '.join(names)}", flush=True)
        print(f"# {n} attacks work without a policy", flush=True)
        self.assertFalse(wrong, "\n".join(wrong))
        self.assertGreaterEqual(n, LEAST)


if __name__ == "__main__":
    unittest.main()
