#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the enricher adds, end to end: ancestors, container and unit from the cgroup, user and service names; also right after its own
restart, for processes that are older than it."""
import os
import pwd
import signal
import socket
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
import sensors  # noqa: E402
from pipeline import unique  # noqa: E402
from sensors import Proc, inode, status_of  # noqa: E402

ID = "0123456789abcdef" * 4
POD = "8a1d2c3e-4f50-6172-8394-a5b6c7d8e9f0"
SLICE = f"kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{POD.replace('-', '_')}.slice"
# cgroup path as the runtimes' drivers make it, runtime, pod, unit
CONTAINERS = (
    (f"docker/{ID}", "docker", None, None),
    (f"system.slice/docker-{ID}.scope", "docker", None, f"docker-{ID}.scope"),
    (f"{SLICE}/cri-containerd-{ID}.scope", "containerd", POD, f"cri-containerd-{ID}.scope"),
    (f"system.slice/nerdctl-{ID}.scope", "containerd", None, f"nerdctl-{ID}.scope"),
    (f"{SLICE}/crio-{ID}.scope", "cri-o", POD, f"crio-{ID}.scope"),
    (f"machine.slice/libpod-{ID}.scope/container", "podman", None, f"libpod-{ID}.scope"),
    (f"libpod_parent/libpod-{ID}", "podman", None, None),
    (f"kubepods/burstable/pod{POD}/{ID}", "kubernetes", POD, None),
)
marks = iter(range(1000000))


def mark():
    return unique(f"enrich-{next(marks)}")


class EnrichTest(sensors.SensorTest):
    def setUp(self):
        self.needs("process")

    def shell(self, *words, **kw):
        return self.popen(["/usr/bin/sh", "-c", "read x; exit 7", *words], **kw)

    def process(self, pid):
        """The process as /api/v1/processes has it, once it is there; None when it has ended."""
        found = self.api(f"processes?pid={pid}")["processes"]
        return found[0] if found and Proc.of(pid).born(found[0]["start_ns"]) else None

    def assert_process(self, pid):
        """Every column against /proc, once the process's exec has got there: until then it is listed as what forked it."""
        seen = {}

        def alike():
            row = self.process(pid)
            words = lib.read(f"/proc/{pid}/cmdline")[:-1].decode(errors="replace").split("\0")
            now = (Proc.of(pid).ppid, Proc.of(pid).comm, os.readlink(f"/proc/{pid}/exe"), words)
            seen.update(row=row, now=now)
            return row and (row["parent_pid"], row["comm"], row["exe"], row["argv"]) == now
        try:
            self.until(alike, f"process {pid} in the list as in /proc")
        except AssertionError as e:
            raise AssertionError(f"{e}: {seen}") from None
        row = seen["row"]
        uid = int(status_of(pid)["Uid"][0])
        self.assertEqual((row["uid"], row["user"]), (uid, pwd.getpwuid(uid).pw_name))
        self.assertEqual((row["cgroup"], row["cgroup_id"]),
                         (sensors.cgroup_of(pid), inode(sensors.cgroup_mount() + sensors.cgroup_of(pid))))
        return row


class Ancestors(EnrichTest):
    DEEP = 20

    def test_sixteen(self):
        """Of a chain of twenty the sixteen nearest, each with pid, start and program; a process of the middle has its own."""
        m = mark()

        def work(c, level=0):
            c.say(os.getpid())
            if level == self.DEEP:
                c.hear()
                os.dup2(c.link.fileno(), 0)  # where nothing more will come
                os.execv("/usr/bin/sh", ["sh", "-c", "read x", m])
            pid = os.fork()
            if not pid:
                return work(c, level + 1)
            os.waitpid(pid, 0)
        c = self.child(work)
        self.addCleanup(self.end_chain, pids := [])
        pids += [c.hear() for _ in range(self.DEEP + 1)]
        c.say()
        e = self.exec_of(m)
        self.assertEqual(e["pid"], pids[-1])
        self.assertEqual([a["pid"] for a in e["ancestors"]], pids[-2:-18:-1])
        self.assert_ancestors(e, pids[-2])
        self.assertEqual({a["exe"] for a in e["ancestors"]}, {os.path.realpath(sys.executable)})
        self.assertEqual(e["parent_exe"], os.path.realpath(sys.executable))

    @staticmethod
    def end_chain(pids):
        """From the deepest up: what waits for it ends too."""
        for pid in pids[:0:-1]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def test_list_of_processes(self):
        """The living, and no longer those that ended."""
        p = self.shell(mark(), "two words")
        self.assert_process(p.pid)
        p.communicate(b"\n")
        self.until(lambda: not self.api(f"processes?pid={p.pid}")["processes"], "the end of the process")
        self.assert_process(os.getpid())  # older than the pipeline


class Containers(EnrichTest):
    @classmethod
    def prepare(cls):
        cls.groups = sensors.Cgroups(unique("pst-enrich"))
        cls.addClassCleanup(cls.groups.close)

    def inside(self, folder, m):
        """A shell that was started in a cgroup, not moved into it."""
        def enter():
            with open(folder + "/cgroup.procs", "w") as f:
                f.write("0")
        return self.shell(m, preexec_fn=enter)

    def test_runtimes(self):
        """Container id, runtime, pod and unit from the paths that the runtimes make; the same in events, list and filter."""
        for path, runtime, pod, unit in CONTAINERS:
            with self.subTest(path=path):
                m = mark()
                p = self.inside(self.groups.make(path), m)
                e = self.exec_of(m)
                self.assert_who(e, p.pid)
                self.assertEqual(e["cgroup"], f"{self.groups.name}/{path}")
                self.assertEqual((e["container_id"], e["container_runtime"], e.get("pod_uid"), e.get("unit")), (ID, runtime, pod, unit))
                row = self.assert_process(p.pid)
                self.assertEqual((row["container_id"], row["container_runtime"]), (ID, runtime))
                self.assertEqual(len(self.events(f"kind=process_exec&pid={p.pid}&container={ID[:12]}")), 1)
                self.assertIn(p.pid, [q["pid"] for q in self.api(f"processes?container={ID[:12]}")["processes"]])
                self.assertEqual(self.events(f"kind=process_exec&pid={p.pid}&container=ffff"), [])
                p.communicate(b"\n")
                x = self.exit_of(e)
                self.assertEqual((x["container_id"], x["container_runtime"]), (ID, runtime))

    def test_services(self):
        """A unit of systemd is no container."""
        for path, unit in (("system.slice/cron.service", "cron.service"), ("user.slice/user-1000.slice/session-3.scope", "session-3.scope"),
                           ("system.slice", None)):
            with self.subTest(path=path):
                m = mark()
                p = self.inside(self.groups.make(path), m)
                e = self.exec_of(m)
                self.assert_who(e, p.pid)
                self.assertEqual((e.get("unit"), e.get("container_id"), e.get("container_runtime")), (unit, None, None))

    def test_moved(self):
        """A process that was moved is where it is now, not where its program was started."""
        folder = self.groups.make("system.slice/moved.service")

        def work(c):
            c.ask()
            with open(folder + "/cgroup.procs", "w") as f:
                f.write("0")
            os.waitpid(os.posix_spawn("/usr/bin/true", ["true"], {}), 0)
            c.ask()
        c = self.child(work)
        c.ask()
        c.hear()
        pid, proc = c.pid, Proc.of(c.pid)
        self.until(lambda: (self.process(pid) or {}).get("cgroup") == self.groups.name + "/system.slice/moved.service", "its new place")
        self.assert_process(pid)
        c.say()
        c.wait()
        e = self.one(f"kind=process_exit&pid={pid}", lambda e: proc.born(e["start_ns"]))
        self.assertEqual((e["cgroup"], e["unit"]), (self.groups.name + "/system.slice/moved.service", "moved.service"))

    def test_hybrid(self):
        """Where cgroup v1 is in use beside v2, the container may be named only there."""
        v1 = self.writable_v1()
        if not v1:
            self.skipTest("no cgroup v1 hierarchy is mounted")
        groups = sensors.Cgroups(unique("pst-enrich"), v1)
        self.addCleanup(groups.close)
        m = mark()
        p = self.inside(groups.make("docker/" + ID), m)
        e = self.exec_of(m)
        self.assertEqual((e["container_id"], e["container_runtime"]), (ID, "docker"))
        row = self.until(lambda: self.process(p.pid), "the process")
        self.assertEqual(row["container_id"], ID)
        self.reap(p)

    @staticmethod
    def writable_v1():
        with open("/proc/self/mounts") as f:
            for line in f:
                _, path, kind, options = line.split()[:4]
                if kind == "cgroup" and "cpuset" not in options and os.access(path + "/cgroup.procs", os.W_OK):
                    return path
        return None


class Names(EnrichTest):
    def test_users(self):
        """Of every user that passwd has; one that it does not have has none."""
        for uid in (0, self.p.uid("enricher"), pwd.getpwnam("nobody").pw_uid, sensors.USER):
            with self.subTest(uid=uid):
                m = mark()
                self.shell(m, user=uid, group=sensors.GROUP, extra_groups=[])
                name = {self.p.uid("enricher"): self.p.prefix + "enricher", sensors.USER: None, 0: "root"}.get(uid, "nobody")
                e = self.exec_of(m)
                self.assertEqual((e["uid"], e.get("user")), (uid, name))
                if name:
                    self.assertEqual(len(self.events(f"kind=process_exec&pid={e['pid']}&user={name}")), 1)

    def test_services(self):
        """The well-known port's name, at both ends of a connection; none for ports without one."""
        self.needs("tcp")
        for port in (5432, 6379, 1):
            try:
                name = socket.getservbyport(port, "tcp")
            except OSError:
                name = None
            with self.subTest(port=port, name=name):
                def work(c, port=port):
                    s = socket.create_server(("127.0.0.1", port), backlog=3)
                    with socket.create_connection(("127.0.0.1", port)) as client:
                        s.accept()[0].close()
                        c.say(client.getsockname()[1])
                    c.hear()
                c = self.child(work, net=self.p.holder.pid)
                cport, ns = c.hear(), sensors.net_ns(self.p.holder.pid)
                found = self.want(f"kind=tcp_*&port={port}", lambda e: e["net_ns"] == ns and
                                  (e["kind"] in ("tcp_listen", "tcp_connect") or cport in (e["lport"], e["rport"])), 4)
                self.assertIn("tcp_close", {e["kind"] for e in found})
                self.assertEqual({e.get("service") for e in found}, {name})


class Restart(EnrichTest):
    def assert_older_known(self, send):
        """A process with a parent and a child, all older than the enricher: still known, with arguments and ancestors."""
        m, inner = mark(), mark()
        p = self.popen(["/usr/bin/sh", "-c", f"read x; /usr/bin/sh -c 'read x; exit 3' {inner}; exit 7", m])
        e = self.exec_of(m)
        enricher = self.p.stage["enricher"]
        enricher.send(send)
        enricher.wait(60)
        enricher.close()
        self.p.begin("enricher")
        row = self.assert_process(p.pid)
        self.assertIn(m, row["argv"])
        self.assert_process(os.getpid())
        p.stdin.write(b"\n")
        p.stdin.flush()
        x = self.exec_of(inner)
        self.assert_who(x, x["pid"])
        self.assertEqual((x["ancestors"][0]["pid"], x["ancestors"][0]["start_ns"], x["parent_exe"]), (p.pid, e["start_ns"], e["exe"]))
        self.assertEqual(x["ancestors"][1:], e["ancestors"][:15])
        p.communicate(b"\n")
        ended = self.exit_of(e)
        self.assertEqual((ended["exit_code"], ended["exe"], ended["ancestors"]), (7, e["exe"], e["ancestors"]))
        self.assertEqual({k: v for k, v in self.p.stats("exporter").items() if "lost" in k[0] and v}, {})

    def test_stopped(self):
        self.assert_older_known(signal.SIGTERM)

    def test_killed(self):
        self.assert_older_known(signal.SIGKILL)


if __name__ == "__main__":
    unittest.main()
