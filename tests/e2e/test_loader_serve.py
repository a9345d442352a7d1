#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The loader that stays: descriptors by user, reports, reloads, interfaces that come and go."""
import fcntl
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from loader import LEAN, FLOWS, link_ids, map_id, programs_alive, LoaderTest  # noqa: E402


class Serve(LoaderTest):
    def serve(self, *args, **kw):
        p = self.i.start("penstock-loader", "serve", *args, **kw)
        self.addCleanup(p.close)
        return p

    def socket(self):
        return os.path.join(self.i.run_dir, "loader.fds")

    def test_two_on_one_folder(self):
        p = self.serve()
        code, log = self.i.loader("load")
        self.assertEqual(code, lib.EXIT_SYSTEM)
        self.assertIn(f"pid={p.p.pid}", log)
        code, log = self.i.loader("unload")
        self.assertEqual(code, lib.EXIT_SYSTEM)
        self.assertIn(f"pid={p.p.pid}", log)
        # the same pins under another run folder
        other = os.path.join(self.i.dir, "other")
        args = self.i.args("penstock-loader", "load")
        args[args.index("--run-dir") + 1] = other
        r = subprocess.run(args, stderr=subprocess.PIPE, text=True)
        self.assertEqual(r.returncode, lib.EXIT_SYSTEM, r.stderr)
        self.assertIn(f"pid={p.p.pid}", r.stderr)
        self.assertTrue(p.alive())
        # and after it is gone there is nothing in the way
        p.stop()
        self.i.load()

    def test_two_instances_side_by_side(self):
        other = lib.Instance(LEAN)
        self.addCleanup(other.close)
        self.serve()
        other.load()
        self.assert_good_state()
        self.assertEqual(other.pins("links"), ["process_exec", "process_exit", "process_fork"])

    def test_privilege(self):
        p = self.serve()
        status = dict(line.split(":\t", 1) for line in open(f"/proc/{p.p.pid}/status").read().splitlines() if ":\t" in line)
        kept = int(status["CapEff"], 16)
        allowed = 1 << 12 | 1 << 38 | 1 << 39  # net_admin, perfmon, bpf
        self.assertEqual(kept & ~allowed, 0, status["CapEff"])
        self.assertEqual(kept, int(status["CapPrm"], 16))
        self.assertEqual(int(status["CapInh"], 16) | int(status["CapAmb"], 16) | int(status["CapBnd"], 16), 0)
        self.assertEqual(status["NoNewPrivs"].strip(), "1")
        self.assertEqual(status["Seccomp"].strip(), "2")

    def test_descriptors_by_user(self):
        self.serve()
        script = ("import sys; sys.path.insert(0, sys.argv[1]); import lib; "
                  "f, e = lib.request_fds(sys.argv[2]); print(e, *sorted(f))")

        def ask(uid, groups):
            p = subprocess.run(["/usr/bin/python3", "-c", script, os.path.dirname(os.path.abspath(lib.__file__)),
                                self.socket()], user=uid, group=uid, extra_groups=groups, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
            return p.returncode, p.stdout.split(), p.stderr

        rings = ["class_stats", "ring_ctl", "ring_process"]
        self.assertEqual(ask(self.i.uid("collector"), [lib.COMMON_GROUP])[1], ["0", *rings])
        self.assertEqual(ask(0, [])[1], ["0", *rings])
        for stage in ("enricher", "policyd", "exporter"):
            self.assertEqual(ask(self.i.uid(stage), [lib.COMMON_GROUP])[1], ["0"], stage)
        self.assertEqual(ask(lib.STRANGER, [lib.COMMON_GROUP])[1], ["13"])  # EACCES
        code, _, err = ask(lib.STRANGER, [])
        self.assertNotEqual(code, 0)
        self.assertIn("PermissionError", err)

    def test_clients_that_misbehave(self):
        import socket
        p = self.serve()
        idle = []
        for _ in range(20):  # more than it serves at once, and none says a word
            s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            s.setblocking(False)
            try:
                s.connect(self.socket())
            except BlockingIOError:
                pass
            idle.append(s)
        for text in (b"", b"2", b"11", b"x" * 60000):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
                s.settimeout(10)
                try:
                    s.connect(self.socket())
                    s.send(text)
                    self.assertEqual(s.recv(4096), b"")
                except (ConnectionError, BlockingIOError, OSError):
                    pass  # turned away, which is fine too
        # the patient are served within the time that the silent are given
        fds, error = lib.wait_for(self.try_request, 10, "an answer")
        self.assertEqual(error, 0)
        self.assertIn("ring_process", fds)
        for fd, _ in fds.values():
            os.close(fd)
        for s in idle:
            s.close()
        self.assertTrue(p.alive())

    def test_without_a_descriptor_for_another_client(self):
        """It waits for better times, and not in a loop; who asked meanwhile is served then."""
        p = self.serve()
        pid = p.p.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)

        def cpu():
            with open(f"/proc/{pid}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
        used, done = cpu(), []
        asking = threading.Thread(target=lambda: done.append(lib.request_fds(self.socket())))
        asking.start()
        lib.wait_for(lambda: "cannot accept" in p.text(), 30, "the line in the log")
        time.sleep(1)
        self.assertLess(cpu() - used, 0.3)
        self.assertFalse(done)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        asking.join(30)
        got, error = done[0]
        self.assertEqual(error, 0)
        self.assertIn("ring_process", got)
        for fd, _ in got.values():
            os.close(fd)

    def test_what_others_put_in_its_place(self):
        """Members of the group may make files in the run folder: nothing there of the loader's names keeps it from working."""
        names = ("loader.lock", "loader.fds", "loader.json", "loader.json.next")
        put = {"folder": "os.mkdir(p)",
               "full folder": "os.mkdir(p); open(p + '/x', 'w').close()",
               "fifo": "os.mkfifo(p)",
               "link": "os.symlink('/etc/passwd', p)",
               "file": "import fcntl; f = open(p, 'w'); f.write('{}'); f.flush(); fcntl.flock(f, fcntl.LOCK_EX); hold.append(f)"}
        self.i.load()
        before = lib.read("/etc/passwd")
        for what, code in put.items():
            for name in names:
                with self.subTest(what=what, name=name):
                    for n in names:
                        if os.path.exists(os.path.join(self.i.run_dir, n)):
                            os.unlink(os.path.join(self.i.run_dir, n))
                    other = subprocess.Popen(
                        ["/usr/bin/python3", "-c", f"import os, sys, time; hold = []; p = sys.argv[1]\n{code}\n"
                         "print('done', flush=True); time.sleep(60)", os.path.join(self.i.run_dir, name)],
                        user=self.i.uid("exporter"), group=self.i.uid("exporter"), extra_groups=[lib.COMMON_GROUP],
                        stdout=subprocess.PIPE, text=True)
                    try:
                        self.assertEqual(other.stdout.readline(), "done\n")
                        p = self.serve()
                        fds, error = lib.wait_for(self.try_request, 10, "an answer")
                        self.assertEqual(error, 0)
                        for fd, _ in fds.values():
                            os.close(fd)
                        for n in ("loader.lock", "loader.fds", "loader.json"):
                            self.assertEqual(os.lstat(os.path.join(self.i.run_dir, n)).st_uid, 0, n)
                        self.assertEqual(self.i.report()["pid"], p.p.pid)
                        p.close()
                    finally:
                        other.kill()
                        other.wait()
                        other.stdout.close()
        self.assertEqual(lib.read("/etc/passwd"), before)

    def try_request(self):
        try:
            fds, error = lib.request_fds(self.socket())
        except OSError:
            return None
        return (fds, error) if error is not None else None

    def test_reload(self):
        p = self.serve()
        ring = map_id(self.i, "ring_process")
        self.i.configure(LEAN.replace("udp: no", "udp: yes"))
        p.send(signal.SIGHUP)
        lib.wait_for(lambda: "udp_ingress" in self.i.pins("links") and not self.i.pins("staging"), 60, "the new sensor")
        lib.wait_for(lambda: self.sensor("udp")["state"] == "active", 10, "the report")
        self.assertEqual(map_id(self.i, "ring_process"), ring)
        # a mistake changes nothing and is named with its place
        self.i.configure(LEAN.replace("udp: no", "udpp: no"))
        p.send(signal.SIGHUP)
        lib.wait_for(lambda: "penstock.yaml:5:" in p.text(), 10, "the message")
        self.assertIn('did you mean "udp"', p.text())
        self.assertIn("udp_ingress", self.i.pins("links"))
        self.i.configure(LEAN)
        p.send(signal.SIGHUP)
        lib.wait_for(lambda: "udp_ingress" not in self.i.pins("links"), 60, "the sensor gone")
        self.assertTrue(p.alive())

    def test_killed_and_started_again(self):
        p = self.serve()
        before = link_ids(self.i)
        p.stop(signal.SIGKILL)
        self.assertEqual(link_ids(self.i), before)
        again = self.serve()
        self.assertIn("nothing changed", again.text())
        self.assertEqual(link_ids(self.i), before)
        self.assertIsNotNone(self.try_request())
        self.assertEqual(again.stop(), 0)
        self.assertEqual(link_ids(self.i), before)

    def test_unload_on_exit(self):
        p = self.serve("--unload-on-exit")
        ids = self.i.own_programs()
        self.assertEqual(p.stop(), 0)
        self.assertFalse(os.path.exists(self.i.bpffs))
        self.assertFalse(os.path.exists(self.i.run_dir))
        lib.wait_for(lambda: not programs_alive(ids), 10, "programs gone")

    def test_report_is_a_heartbeat(self):
        self.serve()
        path = os.path.join(self.i.run_dir, "loader.json")
        first = self.i.report()
        self.assertTrue(first["serving"])
        before = os.stat(path).st_mtime_ns
        lib.wait_for(lambda: os.stat(path).st_mtime_ns != before, 15, "the next report")
        self.assertGreater(self.i.report()["written_boot_ns"], first["written_boot_ns"])

    def test_stats_while_serving(self):
        self.i.configure(LEAN + "  bpf_stats: yes\n")
        p = self.serve()
        self.assertTrue(self.i.report()["bpf_stats"]["on"])
        for _ in range(5):
            subprocess.run(["/bin/true"], check=True)
        lib.read(self.i.pin("iters", "programs"))
        raw = lib.read(self.i.pin("iters", "programs"))
        runs = {raw[at + 8:at + 24].rstrip(b"\0").decode(): struct.unpack_from("Q", raw, at + 24)[0]
                for at in range(0, len(raw), 56)}
        self.assertGreaterEqual(runs["process_exec"], 5)
        p.stop()


class Interfaces(LoaderTest):
    config = FLOWS

    def setUp(self):
        super().setUp()
        self.i.run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")

    def iface(self, name, direction="in"):
        return next((x for x in self.i.report()["interfaces"] if (x["name"], x["dir"]) == (name, direction)), None)

    def index(self, name):
        return json.loads(self.i.run("ip", "-j", "link", "show", name).stdout)[0]["ifindex"]

    def tcx(self):
        """Does this kernel have tcx?"""
        return next(s for s in self.i.report()["sensors"] if s["name"] == "flows")["rung"] == "tcx"

    def attached(self, name, way):
        """By another program's view."""
        out = self.i.run("bpftool", "-j", "net", "show", "dev", name, check=False)
        if out.returncode == 0 and out.stdout.strip():
            tc = json.loads(out.stdout)[0]["tc"]
            if any(way in json.dumps(x) for x in tc):
                return True
        if os.path.exists(self.i.pin("links", f"tcx_{'in' if way.endswith('ingress') else 'out'}_{self.index(name)}")):
            return True
        return False

    def test_all_but_loopback(self):
        self.i.load()
        mode = "tcx" if self.tcx() else "clsact"
        for name in ("v0", "v1"):
            for direction in ("in", "out"):
                self.assertEqual(self.iface(name, direction)["mode"], mode)
        self.assertEqual(self.iface("lo")["mode"], "none")
        self.assertTrue(self.iface("lo")["why"])
        self.count_packets()

    def count_packets(self):
        """Packets pass and are counted on the interface that they pass."""
        self.i.run("ip", "link", "set", "v0", "up")
        self.i.run("ip", "link", "set", "v1", "up")
        index = self.index("v0")

        def counted():
            raw = lib.read(self.i.pin("iters", "interfaces"))
            return sum(struct.unpack_from("Q", raw, at + 16)[0] for at in range(0, len(raw), 32)
                       if struct.unpack_from("I", raw, at)[0] == index)
        before = counted()
        self.i.run("ip", "addr", "add", "192.0.2.1/24", "dev", "v0", check=False)
        self.i.run("ip", "neigh", "replace", "192.0.2.2", "lladdr", "02:00:00:00:00:02", "dev", "v0")
        self.i.run("/usr/bin/python3", "-c", "import socket; s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                   "for _ in range(10): s.sendto(b'x', ('192.0.2.2', 9))")
        lib.wait_for(lambda: counted() >= before + 10, 10, "packets counted")

    def test_patterns(self):
        self.i.configure(FLOWS + "  interfaces: ['v*', '!v1']\n")
        self.i.load()
        self.assertNotEqual(self.iface("v0")["mode"], "none")
        self.assertEqual(self.iface("v1")["mode"], "none")
        self.i.configure(FLOWS + "  interfaces: [v1]\n")
        self.assertIn("nothing changed", self.i.load())  # of the programs
        self.assertEqual(self.iface("v0")["mode"], "none")
        self.assertNotEqual(self.iface("v1")["mode"], "none")
        self.assertFalse(self.attached("v0", "ingress"))

    def test_interfaces_that_come_and_go(self):
        p = self.i.start("penstock-loader", "serve")
        self.addCleanup(p.close)
        self.i.run("ip", "link", "add", "w0", "type", "veth", "peer", "name", "w1")
        lib.wait_for(lambda: (self.iface("w0") or {}).get("mode") in ("tcx", "clsact"), 10, "w0 attached")
        lib.wait_for(lambda: (self.iface("w1") or {}).get("mode") in ("tcx", "clsact"), 10, "w1 attached")
        index = self.index("w0")
        self.assertTrue(self.attached("w0", "ingress"))
        self.i.run("ip", "link", "set", "w0", "name", "other0")
        lib.wait_for(lambda: self.iface("other0"), 10, "the new name")
        self.i.run("ip", "link", "del", "other0")
        lib.wait_for(lambda: not self.iface("other0") and not self.iface("w1"), 10, "gone from the report")
        self.assertFalse([n for n in self.i.pins("links") if n.endswith(f"_{index}")])
        # many at once
        for n in range(20):
            self.i.run("ip", "link", "add", f"m{n}", "type", "veth", "peer", "name", f"n{n}")
        lib.wait_for(lambda: all((self.iface(f"{x}{n}") or {}).get("mode", "none") != "none"
                                 for n in range(20) for x in "mn"), 15, "all attached")
        for n in range(20):
            self.i.run("ip", "link", "del", f"m{n}")
        lib.wait_for(lambda: len(self.i.report()["interfaces"]) == 6, 15, "all gone")

    def test_missed_while_nobody_served(self):
        self.i.load()
        index = self.index("v0")
        self.i.run("ip", "link", "del", "v0")
        self.i.run("ip", "link", "add", "x0", "type", "veth", "peer", "name", "x1")
        self.i.load()
        self.assertNotEqual(self.iface("x0")["mode"], "none")
        self.assertIsNone(self.iface("v0"))
        if self.tcx():
            self.assertFalse([n for n in self.i.pins("links") if n.endswith(f"_{index}")])

    def test_programs_are_exchanged_in_place(self):
        self.i.load()
        if not self.tcx():
            self.skipTest("no tcx in this kernel")
        pin = self.i.pin("links", f"tcx_in_{self.index('v0')}")
        before = lib.bpftool("link", "show", "pinned", pin)
        self.i.load("--force")
        after = lib.bpftool("link", "show", "pinned", pin)
        self.assertEqual(after["id"], before["id"])
        self.assertNotEqual(after["prog_id"], before["prog_id"])
        self.count_packets()

    def test_clsact(self):
        self.i.configure(FLOWS + "  rungs: {flows: clsact}\n")
        self.i.load()
        self.assertEqual(self.iface("v0")["mode"], "clsact")
        self.assertIn("clsact", self.i.run("tc", "qdisc", "show", "dev", "v0").stdout)
        self.assertIn("flow_ingress", self.i.run("tc", "filter", "show", "dev", "v0", "ingress").stdout)
        self.count_packets()
        # exchanged in place: one filter before, one after
        self.i.load("--force")
        text = self.i.run("tc", "filter", "show", "dev", "v0", "ingress").stdout
        self.assertEqual(text.count("handle"), 1, text)
        # the other way round on the same folder
        self.i.configure(FLOWS)
        self.i.load()
        if self.tcx():
            self.assertNotIn("flow_ingress", self.i.run("tc", "filter", "show", "dev", "v0", "ingress").stdout)
            self.assertNotIn("clsact", self.i.run("tc", "qdisc", "show", "dev", "v0").stdout)
        self.i.configure(FLOWS + "  rungs: {flows: clsact}\n")
        self.i.load()
        self.assertEqual(self.i.loader("unload")[0], 0)
        self.assertNotIn("clsact", self.i.run("tc", "qdisc", "show").stdout)

    def test_what_others_attached_stays(self):
        # a qdisc that was there, and a filter of somebody else on one that we made
        self.i.run("tc", "qdisc", "add", "dev", "v0", "clsact")
        self.i.configure(FLOWS + "  rungs: {flows: clsact}\n")
        self.i.load()
        r = self.i.run("tc", "filter", "add", "dev", "v1", "ingress", "prio", "7", "matchall", "action", "ok", check=False)
        if r.returncode:
            obj = None
            self.i.run("tc", "qdisc", "show")  # no matchall in this kernel: only the first half is tested
        else:
            obj = "matchall"
        self.assertEqual(self.i.loader("unload")[0], 0)
        self.assertIn("clsact", self.i.run("tc", "qdisc", "show", "dev", "v0").stdout)
        self.assertNotIn("flow_", self.i.run("tc", "filter", "show", "dev", "v0", "ingress").stdout)
        if obj:
            self.assertIn(obj, self.i.run("tc", "filter", "show", "dev", "v1", "ingress").stdout)
            self.assertNotIn("flow_", self.i.run("tc", "filter", "show", "dev", "v1", "ingress").stdout)

    def test_xdp_where_the_configuration_says(self):
        self.i.configure(FLOWS + "  xdp: [v0]\n")
        self.i.load()
        self.assertIn(self.iface("v0")["mode"], ("xdp", "xdp-generic"))
        self.assertIn(self.iface("v0", "out")["mode"], ("tcx", "clsact"))
        self.assertIn(self.iface("v1")["mode"], ("tcx", "clsact"))
        self.assertIn("xdp", self.i.run("ip", "link", "show", "v0").stdout)
        if self.tcx():
            self.assertNotIn(f"tcx_in_{self.index('v0')}", self.i.pins("links"))
        self.i.configure(FLOWS)
        self.i.load()
        self.assertNotIn("xdp", self.i.run("ip", "link", "show", "v0").stdout)
        self.assertIn(self.iface("v0")["mode"], ("tcx", "clsact"))

    def test_sensor_off_detaches(self):
        self.i.load()
        self.i.configure(LEAN)
        self.i.load()
        self.assertFalse(self.attached("v0", "ingress"))
        self.assertEqual(self.iface("v0")["mode"], "none")
        self.assertNotIn("flows", self.i.pins("maps"))


if __name__ == "__main__":
    unittest.main()
