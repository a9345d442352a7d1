#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every rung of every ladder, asked for by name: what this kernel has sees what its sensor is for, what it has not says why.

The lines `# rung SENSOR/RUNG ...` are what tests/vm/rungs.py puts together from all kernels.
"""
import json
import os
import platform
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import deeds  # noqa: E402
import guard  # noqa: E402
import lib  # noqa: E402
import net  # noqa: E402
import pipeline  # noqa: E402
import polmaps  # noqa: E402
from pipeline import unique  # noqa: E402

UDP = socket.IPPROTO_UDP
NR_PIVOT_ROOT = 155
IN, OUT = 1, 2
GETPRIORITY = {"x86_64": 140, "aarch64": 141}
SENDER = ("import socket,sys\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n"
          "for _ in range(10): s.sendto(b'x'*40,(sys.argv[1],int(sys.argv[2])))")


class Rungs(pipeline.PipelineTest):
    ladders = {}

    @classmethod
    def setUpClass(cls):
        i = lib.Instance()
        cls.addClassCleanup(i.close)
        probe = json.loads(i.run(*i.args("penstock-loader", "probe", "--json")[3:]).stdout)
        # Programs of policies take minutes in a guest: they are seen on one of them.
        left_out = () if (os.environ.get("PENSTOCK_VM") or "6.1") == "6.1" else lib.POLICIES
        cls.ladders = {s["name"]: s["rungs"] for s in probe["sensors"] if s["name"] not in left_out}

    def start(self, sensors, more=""):
        """Loader and collector with these rungs, {sensor: rung}, and no other sensor."""
        p = self.pipeline(loader="sensors: {" + ", ".join(f"{s}: {'yes' if s in sensors else 'no'}" for s in self.ladders) + "}\n"
                          "rungs: {" + ", ".join(f"{s}: {r}" for s, r in sensors.items()) + "}\n"
                          "interfaces: [pstn0]\nguard: {interfaces: ["
                          + ("pstn0" if "guard" in sensors else "") + "], firewall_memory: 16KiB, list_memory: 16KiB}\n"
                          "flows: {slots: 1024}\nrings: {process: 4MiB, net: 4MiB, flow: 1MiB}\ncapability_interval: 1s" + more,
                          collector="flow_interval: 100ms\nflow_active: 1s\nflow_idle: 1s")
        peer = net.Peer(p, v6=False)
        self.addCleanup(peer.close)
        return p, peer

    def observe(self, p):
        p.up("loader", "collector")
        seen = pipeline.Observer(p, "collector")
        self.addCleanup(seen.close)
        return seen

    def said(self, name, ran, why=""):
        print(f"# rung {name} {'ran' if ran else 'not'} on {os.uname().release}" + (f": {why}" if why else ""), flush=True)

    def level(self, number, least=1):
        """The rung of that number of each ladder, or the last one of a shorter ladder; ladders of fewer than @least rungs are left out."""
        wanted = {s: rungs[min(number, len(rungs) - 1)] for s, rungs in self.ladders.items() if len(rungs) >= least}
        if not wanted:
            self.skipTest("no ladder that is looked at here is so long")
        p, peer = self.start({s: r["rung"] for s, r in wanted.items()})
        seen = self.observe(p)
        report = {s["name"]: s for s in p.report()["sensors"]}
        for sensor, rung in wanted.items():
            name, got = f"{sensor}/{rung['rung']}", report[sensor]
            if not rung["available"]:
                self.assertEqual((got["state"], got["can"]), ("unavailable", []), name)
                why = {w["rung"]: w["reason"] for w in got["why_not"]}[rung["rung"]]
                self.assertTrue(why and rung["why"], name)
                self.said(name, False, why)
                continue
            self.assertEqual((got["state"], got["rung"]), ("weaker" if rung is not self.ladders[sensor][0] else "active",
                                                           rung["rung"]), name)
            getattr(self, "see_" + sensor)(p, seen, peer)
            self.said(name, True)
        self.assertEqual((seen.faults, dict(seen.lost)), ([], {}))
        p.down()

    def test_strongest(self):
        self.level(0)

    def test_weaker(self):
        self.level(1)

    def test_weakest(self):
        self.assertLessEqual(max(map(len, self.ladders.values())), 3, "a ladder has grown: so must this test")
        self.level(2, 3)

    # ---- what each sensor is for ----

    def see_process(self, _p, seen, _peer):
        mark = unique("rung").encode()
        child = subprocess.Popen(["/bin/true", mark])
        child.wait()
        seen.wait(lambda: seen.select("process_exec", lambda e: e.get("argv", [])[1:] == [mark] and e.get("pid") == child.pid),
                  "exec")
        seen.wait(lambda: seen.select("process_exit", lambda e: e.get("pid") == child.pid and e.get("exit_code") == 0), "exit")
        seen.wait(lambda: seen.select("process_fork", lambda e: e.get("child_pid") == child.pid), "fork")

    def see_exec_failed(self, _p, seen, _peer):
        path = "/nowhere/" + unique("rung")
        with self.assertRaises(FileNotFoundError):
            subprocess.run([path], check=True)
        seen.wait(lambda: seen.select("process_exec_failed", lambda e: e.get("filename", b"") == path.encode()
                                      and abs(e.get("error")) == 2), "failed exec")

    def see_cred(self, _p, seen, _peer):
        child = subprocess.Popen(["/bin/true"], user=lib.STRANGER, group=lib.STRANGER, extra_groups=[])
        child.wait()
        seen.wait(lambda: seen.select("process_cred", lambda e: e.get("pid") == child.pid and e.get("old_uid") == 0
                                      and e.get("new_uid") == lib.STRANGER), "other credentials")

    def connect(self):
        """(port of the server, port of the client) of a connection that is over"""
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as c:
            s, address = server.accept()
            with s:
                c.sendall(b"ping")
                self.assertEqual(s.recv(4), b"ping")
            return server.getsockname()[1], address[1]

    def see_tcp(self, _p, seen, _peer):
        server, client = self.connect()
        for kind, where in (("tcp_listen", lambda e: e.get("lport") == server and e.get("pid") == os.getpid()),
                            ("tcp_connect", lambda e: (e.get("lport"), e.get("rport"), e.get("error")) == (client, server, 0)),
                            ("tcp_close", lambda e: (e.get("lport"), e.get("rport")) == (client, server)
                             and e.get("bytes_sent") == 4)):
            seen.wait(lambda k=kind, w=where: seen.select(k, w), kind)

    def see_accept(self, _p, seen, _peer):
        server, client = self.connect()
        seen.wait(lambda: seen.select("tcp_accept", lambda e: (e.get("lport"), e.get("rport"), e.get("pid"))
                                      == (server, client, os.getpid())), "accept")

    def see_udp(self, _p, seen, _peer):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as a, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as b:
            b.bind(("127.0.0.1", 0))
            a.connect(b.getsockname())
            for _ in range(3):
                a.send(b"ping")
                b.recv(4)
            sender, receiver = a.getsockname()[1], b.getsockname()[1]

            def total(local, remote, field):
                return sum(e.get(field) for e in seen.select("udp_traffic", lambda e: (e.get("lport"), e.get("rport"))
                                                             == (local, remote)))
            seen.wait(lambda: total(sender, receiver, "packets_sent") == 3, "what was sent")
            seen.wait(lambda: total(receiver, sender, "packets_received") == 3, "what was received")

    def see_drops(self, _p, seen, _peer):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("127.0.0.1", 0))
            nobody = s.getsockname()[1]

        def dropped():
            """Again and again: other drops of this host may have used up what a second has room for."""
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.sendto(b"x", ("127.0.0.1", nobody))
            return seen.select("packet_drop", lambda e: (e.get("protocol"), e.get("dport")) == (UDP, nobody))
        seen.wait(dropped, "drop")

    def see_flows(self, p, seen, peer, name="pstn0", port=4001):
        p.run("/usr/bin/python3", "-c", SENDER, net.V4[1], str(port))
        peer.run("/usr/bin/python3", "-c", SENDER, net.V4[0], str(port + 1))

        index = json.loads(p.run("ip", "-j", "link", "show", name).stdout)[0]["ifindex"]

        def total(direction, dport):
            return sum(e.get("delta_packets") for e in seen.select("flow", lambda e: (
                e.get("protocol"), e.get("dir"), e.get("dport"), e.get("ifindex")) == (UDP, direction, dport, index)))
        seen.wait(lambda: total(OUT, port) == 10, f"what went out at {name}")
        seen.wait(lambda: total(IN, port + 1) == 10, f"what came in at {name}")

    def see_syscalls(self, p, _seen, _peer):
        number = GETPRIORITY[platform.machine()]

        def count():
            raw = lib.read(p.pin("iters", "syscalls"))
            return sum(n for _, nr, _, n in struct.iter_unpack("QIIQ", raw) if nr == number)
        before = count()
        for _ in range(500):
            os.getpriority(os.PRIO_PROCESS, 0)
        self.assertGreaterEqual(count(), before + 500)

    # ---- what processes rarely do ----

    def sleeper(self, group=None):
        s = deeds.Sleeper(group)
        self.addCleanup(s.close)
        return s

    def see_module(self, _p, seen, _peer):
        path = deeds.module_to_spare()
        self.assertTrue(path, "only the VM's kernels have modules")
        pid = deeds.load_module(path)
        seen.wait(lambda: seen.select("kernel_module", lambda e: (e.get("pid"), e.get("module")) == (pid, b"udp_diag")), "module")

    def see_bpf(self, _p, seen, _peer):
        pid = deeds.bpf_load(b"pst_rung")
        seen.wait(lambda: seen.select("bpf_load", lambda e: (e.get("pid"), e.get("prog_name"), e.get("prog_type"), e.get("error"))
                                      == (pid, b"pst_rung", b"socket_filter", 0)), "loaded program")

    def see_ptrace(self, _p, seen, _peer):
        s = self.sleeper()
        pid = deeds.seize(s.pid)
        seen.wait(lambda: seen.select("process_ptrace", lambda e: (e.get("pid"), e.get("target_pid"), e.get("operation"))
                                      == (pid, s.pid, b"seize")), "trace")

    def see_signal(self, _p, seen, _peer):
        group = deeds.Group()
        self.addCleanup(group.close)
        s = self.sleeper(group.path)
        pid = deeds.kill(s.pid, signal.SIGURG)
        seen.wait(lambda: seen.select("process_signal", lambda e: (e.get("pid"), e.get("target_pid"), e.get("signal"))
                                      == (pid, s.pid, signal.SIGURG)), "signal")

    def see_namespace(self, _p, seen, _peer):
        pid = deeds.new_uts()
        seen.wait(lambda: seen.select("process_namespace", lambda e: (e.get("pid"), e.get("operation"), e.get("clone_flags"))
                                      == (pid, b"unshare", deeds.CLONE_NEWUTS)), "namespace")

    def see_memfd(self, _p, seen, _peer):
        pid = deeds.memfd("pst-rung")
        seen.wait(lambda: seen.select("memfd_create", lambda e: (e.get("pid"), e.get("name")) == (pid, b"pst-rung")), "memfd")

    def see_exec_memory(self, _p, seen, _peer):
        pid = deeds.executable_memory()
        for operation, size in ((b"mmap", deeds.PAGE), (b"mprotect", 2 * deeds.PAGE)):
            seen.wait(lambda o=operation, n=size: seen.select("memory_exec", lambda e: (
                e.get("pid"), e.get("operation"), e.get("bytes")) == (pid, o, n)), operation)

    def see_perf(self, _p, seen, _peer):
        pid = deeds.perf(2)
        seen.wait(lambda: seen.select("perf_event_open", lambda e: (e.get("pid"), e.get("perf_type"), e.get("config"))
                                      == (pid, b"software", 2)), "counter")

    def see_proc_mem(self, _p, seen, _peer):
        s = self.sleeper()
        pid = deeds.open_memory(s.pid)
        seen.wait(lambda: seen.select("memory_open", lambda e: (e.get("pid"), e.get("target_pid")) == (pid, s.pid)), "memory")

    def see_capability(self, _p, seen, _peer):
        """Again and again: equal checks of others count as one with these."""
        pids = set()

        def told():
            pids.add(deeds.child(deeds.chroot))
            return seen.select("capability_use", lambda e: e.get("pid") in pids and (e.get("capability"), e.get("result"))
                               == (b"CAP_SYS_CHROOT", b"granted"))
        seen.wait(told, "capability")

    def see_socket(self, _p, seen, _peer):
        pid = deeds.child(deeds.raw_socket)
        seen.wait(lambda: seen.select("socket_create", lambda e: (e.get("pid"), e.get("family"), e.get("socket_type"),
                                                                  e.get("error")) == (pid, socket.AF_INET, b"raw", 0)), "socket")

    def see_bind(self, _p, seen, _peer):
        name = unique("rung")
        pid = deeds.child(lambda: deeds.bind_unix(name))
        seen.wait(lambda: seen.select("socket_bind", lambda e: (e.get("pid"), e.get("family"), e.get("path"))
                                      == (pid, socket.AF_UNIX, b"@" + name.encode())), "address")

    # ---- files ----

    def file_event(self, seen, kind, do, name, field="path", error=0):
        """A child does it in a folder of the test; sys_exit has the path as it was given, which is whole."""
        folder = tempfile.mkdtemp(prefix="pst-rung-")
        self.addCleanup(shutil.rmtree, folder)
        path = os.path.join(os.path.realpath(folder), name)
        pid = deeds.child(lambda: do(path))
        seen.wait(lambda: seen.select(kind, lambda e: (e.get("pid"), e.get(field)) == (pid, path.encode()) and error in (None, e.get("error"))),
                  kind)

    def see_file_unlink(self, _p, seen, _peer):
        self.file_event(seen, "file_unlink", lambda path: (os.mkdir(path), os.rmdir(path)), "gone")

    def see_file_rename(self, _p, seen, _peer):
        self.file_event(seen, "file_rename", lambda path: (os.mkdir(path + "0"), os.rename(path + "0", path)), "new", "to_path")

    def see_file_link(self, _p, seen, _peer):
        self.file_event(seen, "file_link", lambda path: (os.mknod(path + "0"), os.link(path + "0", path)), "link", "to_path")

    def see_file_symlink(self, _p, seen, _peer):
        self.file_event(seen, "file_symlink", lambda path: os.symlink("nowhere", path), "symbol")

    def see_file_mkdir(self, _p, seen, _peer):
        self.file_event(seen, "file_mkdir", os.mkdir, "folder")

    def see_file_mknod(self, _p, seen, _peer):
        self.file_event(seen, "file_mknod", os.mkfifo, "fifo")

    def see_file_chmod(self, _p, seen, _peer):
        self.file_event(seen, "file_chmod", lambda path: (os.mknod(path), os.chmod(path, 0o600)), "mode")

    def see_file_chown(self, _p, seen, _peer):
        self.file_event(seen, "file_chown", lambda path: (os.mknod(path), os.chown(path, lib.STRANGER, -1)), "owner")

    def see_file_truncate(self, _p, seen, _peer):
        self.file_event(seen, "file_truncate", lambda path: (os.mknod(path), os.truncate(path, 1)), "length")

    def see_file_xattr(self, _p, seen, _peer):
        self.file_event(seen, "file_xattr", lambda path: (os.mknod(path), os.setxattr(path, b"trusted.pst", b"x")), "attribute")

    def mounts(self, path, umount=False, pivot=False):
        """In a mount namespace of the child's."""
        os.mkdir(path)
        deeds.check(deeds.libc.unshare(0x20000), "unshare")
        deeds.check(deeds.libc.mount(None, b"/", None, 0x4000 | 1 << 18, None), "private")
        deeds.check(deeds.libc.mount(b"pst", path.encode(), b"tmpfs", 0, None), "mount")
        if umount:
            deeds.check(deeds.libc.umount2(path.encode(), 0), "umount")
        if pivot:
            os.mkdir(path + "/old")
            deeds.libc.syscall(NR_PIVOT_ROOT, path.encode(), (path + "/old").encode())  # a ramfs as root refuses; it is told all the same

    def see_file_mount(self, _p, seen, _peer):
        self.file_event(seen, "file_mount", self.mounts, "at")

    def see_file_umount(self, _p, seen, _peer):
        self.file_event(seen, "file_umount", lambda path: self.mounts(path, umount=True), "at")

    def see_file_pivot_root(self, _p, seen, _peer):
        self.file_event(seen, "file_pivot_root", lambda path: self.mounts(path, pivot=True), "at", error=None)

    def see_policy(self, p, ops, act):
        """Judged by tables that allow it."""
        generation = polmaps.allow(p, ops)
        before = polmaps.judged(p)
        for _ in range(5):
            act()
        self.assertGreaterEqual(polmaps.judged(p), before + 5)
        with polmaps.Page(p) as page:
            self.assertEqual(page.words()[0], generation)
            page.off()

    def see_policy_exec(self, p, _seen, _peer):
        self.see_policy(p, "policy_exec", lambda: subprocess.run(["/bin/true"], check=True))

    def see_policy_open(self, p, _seen, _peer):
        self.see_policy(p, "policy_open", lambda: lib.read("/etc/passwd"))

    def changed(self, act):
        """What makes and does away with a file, without a record wanted of it."""
        path = os.path.join("/tmp", unique("rung"))
        os.mknod(path)
        act(path)
        os.unlink(path)

    def see_policy_file(self, p, _seen, _peer):
        self.see_policy(p, "policy_file", lambda: self.changed(lambda path: os.chmod(path, 0o600)))

    def see_policy_chown(self, p, _seen, _peer):
        self.see_policy(p, "policy_chown", lambda: self.changed(lambda path: os.chown(path, lib.STRANGER, -1)))

    def see_policy_net(self, p, _seen, _peer):
        self.see_policy(p, "policy_net", lambda: socket.socket(socket.AF_UNIX).close())

    def see_policy_proc(self, p, _seen, _peer):
        self.see_policy(p, "policy_proc", lambda: deeds.perf(2))

    def see_policy_made(self, p, _seen, _peer):
        self.see_policy(p, "policy_made", lambda: deeds.memfd("pst-rung"))

    def see_policy_module(self, p, _seen, _peer):
        path = deeds.module_to_spare()
        self.assertTrue(path, "only the VM's kernels have modules")
        self.see_policy(p, "policy_module", lambda: deeds.load_module(path))

    def see_guard(self, p, _seen, peer):
        """A policy that drops does."""
        mode = p.report()["guard"][0]["mode"]
        self.assertIn(mode, ("xdp",) if p.report()["sensors"][-1]["rung"] == "xdp" else ("tcx", "clsact"))
        self.said("guard/" + mode, True)
        tables = guard.Tables(p)
        tables.force(guard.DROP)
        peer.run("/usr/bin/python3", "-c", SENDER, net.V4[0], "4102")
        pipeline.wait_for(lambda: tables.packets("fw_no_match") >= 10, "dropped packets")
        tables.off()
        tables.close()

    # ---- packets before tc ----

    def test_xdp(self):
        """In the driver where it can, else before the network stack: a bridge has no XDP of its own."""
        if not any(r["available"] for r in self.ladders["flows"]):
            self.skipTest("no flows here")
        p, peer = self.start({"flows": "auto"}, "\nxdp: [pstn0, pstb0]")
        p.sections["loader"] = p.sections["loader"].replace("interfaces: [pstn0]", "interfaces: [pstn0, pstb0]")
        p.write_config()
        seen = self.observe(p)
        mode = {x["name"]: x["mode"] for x in p.report()["interfaces"] if x["dir"] == "in"}
        self.assertEqual(mode["pstn0"], "xdp")
        self.see_flows(p, seen, peer)
        self.said("flows/xdp", True)

        # The bridge takes the peer's side over, with the address that the other side knows.
        made = p.run("ip", "link", "add", "pstb0", "address", net.Peer.mac(p.run, "pstn0"), "type", "bridge", check=False)
        if made.returncode:
            self.said("flows/xdp-generic", False, "no bridge in this kernel")
            return
        for command in (f"addr del {net.V4[0]}/24 dev pstn0", "link set pstn0 master pstb0", f"addr add {net.V4[0]}/24 dev pstb0",
                        "link set pstb0 up"):
            p.run("ip", *command.split())
        p.run("ip", "neigh", "replace", net.V4[1], "lladdr", net.Peer.mac(peer.run, "pstf0"), "dev", "pstb0", "nud", "permanent")
        pipeline.wait_for(lambda: any((x["name"], x["dir"], x["mode"]) == ("pstb0", "in", "xdp-generic")
                                      for x in p.report()["interfaces"]), "the bridge to be attached")
        self.see_flows(p, seen, peer, "pstb0", 4101)
        self.said("flows/xdp-generic", True)
        self.assertEqual((seen.faults, dict(seen.lost)), ([], {}))
        p.down()


if __name__ == "__main__":
    unittest.main()
