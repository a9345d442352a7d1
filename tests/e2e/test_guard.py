#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Where the guard attaches, and that nothing passes it while loaders come, go and change it."""
import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import guard  # noqa: E402
import lib  # noqa: E402
import loader  # noqa: E402
import net  # noqa: E402
import pipeline  # noqa: E402

SENSORS = ("process", "exec_failed", "cred", "tcp", "accept", "udp", "drops", "flows", "syscalls", *lib.RARE)
PORT = 4242
FLOOD = ("import socket,sys\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n"
         "while True:\n for _ in range(20): s.sendto(b'x'*30,(sys.argv[1],int(sys.argv[2])))\n"
         " import time; time.sleep(0.001)")


def config(guarded="[pstn0]", rung="auto", flows=False, more=""):
    off = ", ".join(f"{s}: no" for s in SENSORS if s != "flows" or not flows)
    return (f"loader:\n  sensors: {{{off}}}\n  rings: {{process: 64KiB, net: 64KiB, flow: 64KiB}}\n  flows: {{slots: 1024}}\n"
            f"  rungs: {{guard: {rung}}}\n  guard: {{interfaces: {guarded}, firewall_memory: 16KiB, list_memory: 16KiB}}\n{more}")


class GuardTest(loader.LoaderTest):
    config = config()

    def setUp(self):
        super().setUp()
        self.peer = net.Peer(self.i, v6=False)
        self.addCleanup(self.peer.close)

    def guard(self, name="pstn0"):
        return next((g for g in self.i.report()["guard"] if g["name"] == name), None)

    def tables(self):
        t = guard.Tables(self.i)
        self.addCleanup(t.close)
        return t

    def receiver(self):
        """Datagrams that come in over the interface."""
        def listen():
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            s.bind((net.V4[0], PORT))
            s.settimeout(0.5)
            return s
        s = net.within(self.i.holder.pid, listen)
        self.addCleanup(s.close)
        return s

    def send(self, n=1):
        self.peer.run("/usr/bin/python3", "-c", "import socket,sys\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n"
                      f"for _ in range({n}): s.sendto(b'x',('{net.V4[0]}',{PORT}))")

    @staticmethod
    def received(s):
        n = 0
        while True:
            try:
                s.recv(64)
                n += 1
            except TimeoutError:
                return n

    def assert_guarded(self, n=5):
        """A policy that drops does, and is counted; one that accepts does not."""
        t, s = self.tables(), self.receiver()
        before = t.packets("fw_no_match")
        t.force(guard.DROP)
        self.send(n)
        self.assertEqual(self.received(s), 0)
        self.assertGreaterEqual(t.packets("fw_no_match"), before + n)
        t.force(guard.ACCEPT)
        before = t.packets("fw_policy")
        self.send(n)
        self.assertEqual(self.received(s), n)
        self.assertGreaterEqual(t.packets("fw_policy"), before + n)
        t.off()
        before = t.packets("off")
        self.send(n)
        self.assertEqual(self.received(s), n)
        self.assertGreaterEqual(t.packets("off"), before + n)
        s.close()


class Attach(GuardTest):
    def test_native_xdp(self):
        self.i.load()
        self.assertEqual((self.guard()["mode"], self.guard()["why"]), ("xdp", ""))
        self.assertEqual(self.sensor("guard")["state"], "active")
        self.assertEqual(sorted(self.sensor("guard")["can"]), ["deny", "observe"])
        self.assert_guarded()

    def test_tags_that_the_interface_takes_off(self):
        """At XDP they are hidden, and that is said; not where it leaves them, and not at tc."""
        def rxvlan(on):  # ETHTOOL_GFLAGS, ETHTOOL_SFLAGS; ETH_FLAG_RXVLAN
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                value = ctypes.create_string_buffer(struct.pack("II", 0x25, 0))
                request = struct.pack("16sQ16x", b"pstn0", ctypes.addressof(value))
                fcntl.ioctl(s, 0x8946, request)
                flags = struct.unpack_from("I", value.raw, 4)[0] & ~(1 << 8) | on << 8
                value.raw = struct.pack("II", 0x26, flags) + b"\0"
                fcntl.ioctl(s, 0x8946, request)

        for rung, on, hidden in (("xdp", True, True), ("xdp", False, False), ("tc", True, False)):
            net.within(self.i.holder.pid, lambda on=on: rxvlan(on))
            self.i.configure(config(rung=rung))
            self.i.load()
            self.assertEqual(self.guard()["tags_hidden"], hidden, (rung, on))
            shown = self.i.run(os.path.join(lib.BINDIR, "penstock"), "status", "--run-dir", self.i.run_dir, check=False).stdout
            self.assertEqual("rules with vlan see no tag here" in shown, hidden)

    def test_tc(self):
        self.i.configure(config(rung="tc"))
        self.i.load()
        self.assertIn(self.guard()["mode"], ("tcx", "clsact"))
        self.assertNotIn("xdp", self.i.run("ip", "link", "show", "pstn0").stdout)
        self.assert_guarded()

    def put_under(self, kind):
        """The interface under a new one of this kind, which takes its address over."""
        if self.i.run("ip", "link", "add", "pstb0", "address", net.Peer.mac(self.i.run, "pstn0"), "type", kind,
                      check=False).returncode:
            self.skipTest(f"no {kind} in this kernel")
        for command in (f"addr del {net.V4[0]}/24 dev pstn0", "link set pstn0 down", "link set pstn0 master pstb0",
                        "link set pstn0 up", f"addr add {net.V4[0]}/24 dev pstb0", "link set pstb0 up"):
            self.i.run("ip", *command.split())
        for run, name in ((self.i.run, "pstb0"), (self.peer.run, "pstf0")):
            lib.wait_for(lambda r=run, n=name: json.loads(r("ip", "-j", "link", "show", n).stdout)[0]["operstate"] == "UP", 20, name)
        self.i.configure(config("[pstb0]"))
        self.i.load()

    def test_a_bond(self):
        self.put_under("bond")
        self.assertIn(self.guard("pstb0")["mode"], ("xdp", "xdp-generic"))
        self.assert_guarded()

    def test_generic_xdp(self):
        """A bridge has no XDP of its own."""
        self.put_under("bridge")
        self.assertEqual(self.guard("pstb0")["mode"], "xdp-generic")
        self.assertIn("native xdp", self.guard("pstb0")["why"])
        self.assertIsNone(self.guard("pstn0"))
        self.assert_guarded()

    def test_a_vlan_of_an_interface(self):
        for run, name, address in ((self.i.run, "pstn0", "10.99.8.1"), (self.peer.run, "pstf0", "10.99.8.2")):
            if run("ip", "link", "add", "link", name, "name", name + ".7", "type", "vlan", "id", "7", check=False).returncode:
                self.skipTest("no VLANs in this kernel")
            run("ip", "addr", "add", address + "/24", "dev", name + ".7")
            run("ip", "link", "set", name + ".7", "up")
        self.i.configure(config("[pstn0.7]"))
        self.i.load()
        self.assertIn(self.guard("pstn0.7")["mode"], ("xdp-generic", "tcx", "clsact"))
        t = self.tables()
        t.force(guard.DROP)
        ping = self.peer.run("ping", "-c1", "-W1", "10.99.8.1", check=False)
        self.assertNotEqual(ping.returncode, 0, ping.stdout)
        self.assertEqual(self.peer.run("ping", "-c1", "-W1", net.V4[0], check=False).returncode, 0)
        self.assertGreater(t.packets("fw_no_match"), 0)

    def test_flows_give_way(self):
        """An interface has one XDP program: the guard's. What it drops the flows do not see."""
        self.i.configure(config(flows=True, more="  xdp: [pstn0]\n  interfaces: [pstn0]\n"))
        self.i.load()
        row = next(x for x in self.i.report()["interfaces"] if (x["name"], x["dir"]) == ("pstn0", "in"))
        self.assertEqual(self.guard()["mode"], "xdp")
        self.assertIn(row["mode"], ("tcx", "clsact"))
        self.assertIn("guard", row["why"])
        self.i.configure(config("[]", flows=True, more="  xdp: [pstn0]\n  interfaces: [pstn0]\n"))
        self.i.load()
        row = next(x for x in self.i.report()["interfaces"] if (x["name"], x["dir"]) == ("pstn0", "in"))
        self.assertEqual(row["mode"], "xdp")
        self.assertIsNone(self.guard())

    def flows_in(self):
        """UDP packets that the flows' program has seen come in over the interface."""
        index = json.loads(self.i.run("ip", "-j", "link", "show", "pstn0").stdout)[0]["ifindex"]
        raw = lib.read(self.i.pin("iters", "interfaces"))
        return sum(packets for ifindex, _, _, protocol, way, _, packets, _ in struct.iter_unpack("=IIHBBIQQ", raw)
                   if (ifindex, protocol, way) == (index, socket.IPPROTO_UDP, 1))

    def test_before_flows_at_tc(self):
        """What the guard drops the flows do not see."""
        for rungs in ("guard: tc", "guard: tc, flows: clsact"):
            with self.subTest(rungs=rungs):
                self.i.configure(config(flows=True, more="  interfaces: [pstn0]\n").replace("guard: auto", rungs))
                self.i.load()
                self.assertIn(self.guard()["mode"], ("tcx", "clsact"))
                t, before = self.tables(), self.flows_in()
                t.force(guard.DROP)
                dropped = t.packets("fw_no_match")
                self.send(20)
                lib.wait_for(lambda t=t, n=dropped: t.packets("fw_no_match") >= n + 20, 10, "dropped packets")
                self.assertEqual(self.flows_in(), before)
                t.off()
                self.send(20)
                lib.wait_for(lambda n=before: self.flows_in() >= n + 20, 10, "packets that the flows see")

    def test_never_loads(self):
        """Where there was none that works, the rest is loaded without a guard, and it is said."""
        code, log = self.i.loader("load", env=loader.refuse("prog:guard"))
        self.assertEqual(code, 0, log)
        self.assertEqual((self.sensor("guard")["state"], self.guard()["mode"]), ("unavailable", "none"))

    def test_off(self):
        """Without an interface to guard nothing is made, loaded or attached."""
        self.i.configure(config("[]"))
        self.i.load()
        self.assertEqual(self.sensor("guard")["state"], "off")
        self.assertEqual(self.i.report()["guard"], [])
        self.assertFalse([m for m in self.i.pins("maps") if m in ("guard", "fw_lines", "block_lines", "fw_cache", "guard_sigs", "offenders", "drop_samples", "guard_counts")])
        self.i.configure(config())
        self.i.load()
        self.assertEqual(self.guard()["mode"], "xdp")
        self.i.configure(config().replace("{process: no", "{guard: no, process: no"))
        self.i.load()
        self.assertEqual(self.sensor("guard")["state"], "off")
        self.assertNotIn("xdp", self.i.run("ip", "link", "show", "pstn0").stdout)

    def test_somebody_else_is_there(self):
        """Another agent's XDP program stays, we say so, and guard at tc."""
        other = lib.Instance(config())
        self.addCleanup(other.close)
        own, other.inside = other.inside, self.i.inside
        other.load()
        self.i.load()
        self.assertIn(self.guard()["mode"], ("tcx", "clsact"))
        self.assertIn("somebody else's program", self.guard()["why"])
        self.assert_guarded()
        self.assertEqual(next(g for g in other.report()["guard"])["mode"], "xdp")
        self.assertEqual(other.loader("unload")[0], 0)
        other.inside = own
        self.i.load()
        self.assertEqual(self.guard()["mode"], "xdp")
        self.assert_guarded()

    def test_unload(self):
        for rung in ("xdp", "tc"):
            self.i.configure(config(rung=rung))
            self.i.load()
            t = self.tables()
            t.force(guard.DROP)
            self.assertEqual(self.i.loader("unload")[0], 0)
            self.assertNotIn("xdp", self.i.run("ip", "link", "show", "pstn0").stdout)
            self.assertNotIn("guard_tc", self.i.run("tc", "filter", "show", "dev", "pstn0", "ingress").stdout)
            s = self.receiver()
            self.send(3)
            self.assertEqual(self.received(s), 3)
            s.close()

    def test_sizes(self):
        """As configured; what does not fit together is refused with its place and changes nothing."""
        self.i.load()
        sizes = {m["name"]: (m["entries"], m["value_bytes"]) for m in self.i.report()["maps"]}
        self.assertEqual((sizes["fw_lines"], sizes["block_lines"]), ((2, 8 << 10), (256, 64)))
        self.assertEqual(sizes["guard_counts"][1], guard.COUNTS)
        self.assertGreaterEqual(sizes["guard_counts"][0], os.cpu_count())
        self.i.configure(config().replace("firewall_memory: 16KiB", "firewall_memory: 24KiB"))
        code, log = self.i.loader("load")
        self.assertEqual(code, lib.EXIT_USAGE)
        self.assertIn("power of two", log)
        self.i.configure(config().replace("firewall_memory: 16KiB", "firewall_memory: 32KiB"))
        self.i.load()
        sizes = {m["name"]: (m["entries"], m["value_bytes"]) for m in self.i.report()["maps"]}
        self.assertEqual(sizes["fw_lines"], (2, 16 << 10))
        self.assert_guarded()

    def test_tables_of_connections(self):
        """New ones are empty: where connections are tracked they are picked up in their middle, until policyd ends that."""
        self.i.load()
        t = self.tables()
        struct.pack_into("Q", t.maps["guard"], 32, 1)  # PST_GUARD_CT
        self.i.load("--force")
        self.assertEqual(struct.unpack_from("Q", t.maps["guard"], 32)[0], 1)
        self.i.configure(config().replace("list_memory: 16KiB", "list_memory: 16KiB, connections: 1024"))
        self.i.load()
        self.assertEqual(struct.unpack_from("Q", t.maps["guard"], 32)[0], 3)  # and PST_GUARD_CT_LOOSE

    def test_descriptors(self):
        """policyd's and nobody else's."""
        own = {"guard", "fw_lines", "block_lines", "guard_sigs", "offenders", "drop_samples", "guard_counts"}
        p = self.i.start("penstock-loader", "serve")
        self.addCleanup(p.close)
        script = ("import sys,os,json\nsys.path.insert(0,sys.argv[1])\nimport lib\nos.setgroups([int(sys.argv[3])])\n"
                  "os.setgid(int(sys.argv[2]))\nos.setuid(int(sys.argv[2]))\n"
                  "print(json.dumps(sorted(lib.request_fds(sys.argv[4])[0])))")
        for stage in lib.STAGES:
            out = subprocess.run(["/usr/bin/python3", "-c", script, os.path.dirname(os.path.abspath(__file__)),
                                  str(self.i.uid(stage)), str(lib.COMMON_GROUP), os.path.join(self.i.run_dir, "loader.fds")],
                                 stdout=subprocess.PIPE, check=True)
            got = set(json.loads(out.stdout))
            self.assertEqual(got & own, own if stage == "policyd" else set(), stage)
        for name in own:
            mode = os.stat(self.i.pin("maps", name))
            self.assertEqual((mode.st_uid, mode.st_gid, mode.st_mode & 0o777), (0, self.i.uid("policyd"), 0o660))
        for name in ("fw_cache", "guard_scratch"):
            self.assertEqual(os.stat(self.i.pin("maps", name)).st_mode & 0o777, 0o600)


class Waiting(GuardTest):
    """Entries that match no interface are told, and attached to what comes."""
    config = config("[pstn0, pstd0, 'pstx*', '!pstx9', lo?]")
    ENTRIES = [{"list": "guard.interfaces", "entry": e} for e in ("pstd0", "pstx*", "lo?")]

    def status(self):
        return self.i.run(os.path.join(lib.BINDIR, "penstock"), "status", "--run-dir", self.i.run_dir, check=False).stdout

    def test_load(self):
        code, log = self.i.loader("load")
        self.assertEqual(code, 0, log)
        self.assertEqual(self.i.report()["waiting"], self.ENTRIES)
        self.assertIn('load again when it is there list=loader.guard.interfaces entry="pstd0"', log)
        self.assertNotIn("pstx9", log)
        shown = next(line for line in self.status().splitlines() if "pstd0" in line)
        self.assertIn("loader.guard.interfaces: attached by the next load", shown)
        self.i.run("ip", "link", "add", "pstd0", "type", "veth", "peer", "name", "pstp0")
        code, log = self.i.loader("load")
        self.assertEqual(self.i.report()["waiting"], self.ENTRIES[1:])
        self.assertNotEqual(self.guard("pstd0")["mode"], "none")

    def test_serve(self):
        p = self.i.start("penstock-loader", "serve")
        self.addCleanup(p.close)
        self.assertEqual(self.i.report()["waiting"], self.ENTRIES)
        self.assertIn('waiting for one list=loader.guard.interfaces entry="pstx*"', p.text())
        self.assertIn("attached when one appears", self.status())
        for name in ("pstd0", "pstx3"):
            self.i.run("ip", "link", "add", name, "type", "veth", "peer", "name", f"p{name}")
            lib.wait_for(lambda n=name: self.guard(n) and self.guard(n)["mode"] != "none", 20, name)
        self.assertEqual(self.i.report()["waiting"], self.ENTRIES[2:])
        self.assertIn('that was waited for list=loader.guard.interfaces entry="pstd0"', p.text())
        self.i.run("ip", "link", "del", "pstd0")
        lib.wait_for(lambda: self.ENTRIES[0] in self.i.report()["waiting"], 20, "the end of the interface")

    def test_what_cannot_be_a_name(self):
        """Refused with its place, and what is in force stays."""
        self.i.load()
        self.addCleanup(self.i.configure, self.config)
        for entry in ("averyveryverylongname", "net/eth0", "'eth 0'", "''"):
            text = f"loader:\n  guard:\n    interfaces:\n      - pstn0\n      - {entry}\n"
            self.i.configure(text)
            code, log = self.i.loader("load")
            self.assertEqual(code, lib.EXIT_USAGE, log)
            line = open(self.i.config_path).read().splitlines().index(f"      - {entry}") + 1
            self.assertIn(f":{line}:9: expected the name of an interface, a glob", log)
        self.assertEqual(self.guard()["mode"], "xdp")


class DefaultRoute(GuardTest):
    """Entry "default route": where it leads, and where it goes."""
    config = config("[default route, '!pstn9']")

    def setUp(self):
        super().setUp()
        self.i.run("ip", "link", "add", "pstd0", "type", "veth", "peer", "name", "pstd1")
        for name in ("pstd0", "pstd1"):
            self.i.run("sh", "-c", f"echo 0 >/proc/sys/net/ipv6/conf/{name}/disable_ipv6")
            self.i.run("ip", "link", "set", name, "up")

    def guarded(self):
        return sorted(g["name"] for g in self.i.report()["guard"] if g["mode"] != "none")

    def wait_guarded(self, *names):
        lib.wait_for(lambda: self.guarded() == sorted(names), 30, f"the guard on {names}")

    def serve(self):
        p = self.i.start("penstock-loader", "serve")
        self.addCleanup(p.close)
        return p

    def test_load(self):
        self.i.load()
        self.assertEqual((self.guarded(), self.i.report()["waiting"]), ([], [{"list": "guard.interfaces", "entry": "default route"}]))
        self.i.run("ip", "route", "add", "default", "dev", "pstn0", "metric", "5")
        self.i.load()
        self.assertEqual((self.guarded(), self.i.report()["waiting"]), (["pstn0"], []))
        self.assert_guarded()

    def test_moves(self):
        self.i.run("ip", "route", "add", "default", "dev", "pstn0")
        self.i.run("ip", "route", "add", "10.99.0.0/16", "dev", "pstd1")  # leads elsewhere, and is none
        self.i.run("ip", "route", "add", "default", "dev", "pstd1", "table", "77")
        p = self.serve()
        self.assertEqual(self.guarded(), ["pstn0"])
        self.i.run("ip", "route", "replace", "default", "dev", "pstd0")
        self.wait_guarded("pstd0")
        log = p.text()
        self.assertLess(log.index("default route came interface=pstd0"), log.index("default route went interface=pstn0"))
        # a route that is away for a while leaves nothing unguarded
        self.i.run("ip", "route", "del", "default")
        self.i.run("ip", "-6", "route", "add", "default", "dev", "pstd1")
        self.wait_guarded("pstd0", "pstd1")
        self.i.run("ip", "route", "add", "default", "nexthop", "dev", "pstn0", "nexthop", "dev", "pstd1")
        self.wait_guarded("pstn0", "pstd1")
        self.assert_guarded()

    def test_many_routes(self):
        """It is found among many others, of which IPv6 has it last."""
        lines = [f"route add 2001:db8:{i:x}::/64 dev pstd0" for i in range(1, 3000)] + ["route add ::/0 dev pstd1"]
        lines += [f"route add 10.{i >> 8}.{i & 255}.0/24 dev pstd0" for i in range(3000)] + ["route add default dev pstn0"]
        subprocess.run(self.i.inside("ip", "-batch", "-"), input="\n".join(lines), text=True, check=True)
        self.serve()
        self.assertEqual(self.guarded(), ["pstd1", "pstn0"])
        self.i.run("ip", "-6", "route", "replace", "default", "dev", "pstd0")
        self.wait_guarded("pstd0", "pstn0")


class TakenOff(GuardTest):
    """What somebody takes off an interface while the loader serves is noticed, counted, and attached again."""

    def serve(self):
        p = self.i.start("penstock-loader", "serve")
        self.addCleanup(p.close)
        return p

    def wait_reattached(self, n):
        lib.wait_for(lambda: self.i.report()["reattached"] >= n, 20, "another attachment")

    def test_links(self):
        p = self.serve()
        index = self.guard()["ifindex"]
        # the kernel itself protects a link from this one
        self.i.run("ip", "link", "set", "dev", "pstn0", "xdp", "off", check=False)
        self.assertIn("xdp", self.i.run("ip", "link", "show", "pstn0").stdout)
        self.assertEqual(self.i.report()["reattached"], 0)
        os.unlink(self.i.pin("links", f"xdp_{index}"))
        self.wait_reattached(1)
        self.assertIn("xdp", self.i.run("ip", "link", "show", "pstn0").stdout)
        self.assert_guarded()
        if os.path.exists(self.i.pin("links", f"guard_out_{index}")):
            lib.bpftool("link", "detach", "pinned", self.i.pin("links", f"guard_out_{index}"))
            self.wait_reattached(2)
        # an interface that is deleted is no loss
        self.i.run("ip", "link", "del", "pstn0")
        lib.wait_for(lambda: self.guard() is None, 20, "the end of the interface")
        self.assertIn("somebody took off what was attached, attaching it again interface=pstn0", p.text())
        self.assertLessEqual(self.i.report()["reattached"], 2)

    def test_clsact(self):
        self.i.configure(config(rung="tc", flows=True, more="  rungs: {flows: clsact, guard: tc}\n").replace("  rungs: {guard: tc}\n", ""))
        self.serve()
        self.assertEqual((self.guard()["mode"], self.guard()["out"]), ("clsact", "clsact"))
        self.i.run("tc", "qdisc", "del", "dev", "pstn0", "clsact")
        self.wait_reattached(1)
        self.assert_guarded()
        self.i.run("tc", "filter", "del", "dev", "pstn0", "egress")
        self.wait_reattached(2)
        self.assertIn("guard_tc", self.i.run("tc", "filter", "show", "dev", "pstn0", "egress").stdout)

    def test_egress_that_cannot_be(self):
        """The guard is half, and says so; once nothing is in the way it is whole."""
        self.i.configure(config(flows=True, more="  rungs: {flows: clsact, guard: xdp}\n").replace("  rungs: {guard: auto}\n", ""))
        self.i.run("tc", "qdisc", "add", "dev", "pstn0", "ingress")
        p = self.serve()
        self.assertEqual((self.guard()["mode"], self.guard()["why"], self.guard()["out"]), ("xdp", "", "none"))
        self.assertIn("clsact: ", self.guard()["out_why"])
        lib.wait_for(lambda: "no connection is established for the rules interface=pstn0" in p.text(), 20, "the loader says it")
        shown = self.i.run(os.path.join(lib.BINDIR, "penstock"), "status", "--run-dir", self.i.run_dir, check=False).stdout
        self.assertIn("what the host sends is not seen", shown)
        self.i.run("tc", "qdisc", "del", "dev", "pstn0", "ingress")
        lib.wait_for(lambda: self.guard()["out"] == "clsact", 20, "the other half")
        self.assertEqual(self.guard()["out_why"], "")


class NothingPasses(GuardTest):
    """Under a policy that drops, datagrams that never stop: none may arrive, whatever happens to the loader."""

    def setUp(self):
        super().setUp()
        self.i.load()
        self.t = self.tables()
        self.t.force(guard.DROP)
        self.s = self.receiver()
        self.flood = subprocess.Popen(self.peer.inside("/usr/bin/python3", "-c", FLOOD, net.V4[0], str(PORT)))
        self.addCleanup(self.flood.wait)
        self.addCleanup(self.flood.kill)
        self.advance()

    def advance(self, n=200):
        """The flood goes on, and is dropped."""
        before = self.t.packets("fw_no_match")
        lib.wait_for(lambda: self.t.packets("fw_no_match") >= before + n, 20, "the flood")

    def tearDown(self):
        self.assertIsNone(self.flood.poll())
        self.assertEqual(self.received(self.s), 0, "datagrams passed")

    def test_loads(self):
        """Programs exchanged in place, again and again."""
        for _ in range(4):
            self.i.load("--force")
            self.advance()

    def test_ways(self):
        """From XDP to tc and back; the flows come and go beside it."""
        for rung, flows in (("tc", False), ("xdp", True), ("tc", True), ("tc, flows: clsact", True), ("tc", True), ("xdp", False)):
            self.i.configure(config(rung=rung, flows=flows, more="  interfaces: [pstn0]\n"))
            self.i.load()
            self.assertEqual(self.guard()["mode"] == "xdp", rung == "xdp")
            self.advance()

    def resize(self, size):
        self.i.configure(config().replace("firewall_memory: 16KiB", f"firewall_memory: {size}"))
        return self.i.load()

    def test_larger_tables(self):
        """What is in force goes over; whoever has mapped the old tables is told, and moves nothing."""
        self.assertFalse(self.t.moved())
        log = self.resize("32KiB")
        self.assertIn("policyd asks for them", log)
        self.assertTrue(self.t.moved())
        self.t.off()
        self.t.force(guard.ACCEPT)
        self.t.close()
        self.t = self.tables()
        self.assertFalse(self.t.moved())
        self.advance()
        log = self.resize("32KiB")
        self.assertNotIn("policyd asks for them", log)
        self.assertFalse(self.t.moved())
        self.advance()

    def put_in_place(self, name, value, entries):
        """A map of another size, as another build made it."""
        os.unlink(self.i.pin("maps", name))
        fd = lib.create_array(name, value, entries)
        lib.obj_pin(self.i.pin("maps", name), fd)
        os.close(fd)

    def test_other_maps_of_another_size(self):
        """Whoever has mapped them is told, or would read what nobody writes any more."""
        for name in ("guard_counts", "offenders", "drop_samples", "guard_sigs"):
            with self.subTest(map=name):
                self.t.sig_generation(6)
                self.put_in_place(name, 4096, 2)
                log = self.i.load("--force")
                self.assertIn("policyd asks for them", log)
                self.assertTrue(self.t.moved())
                self.t.close()
                self.t = self.tables()
                self.assertFalse(self.t.moved())
                self.assertEqual(self.t.sig_generation(), 0 if name == "guard_sigs" else 6)
                self.assertEqual("signatures are off until policyd has written them anew" in log, name == "guard_sigs")
                self.advance()

    def test_a_load_that_was_killed_moves_nothing(self):
        """It had told that the tables move: the next one tells that they stay."""
        self.t.set_moved()
        self.i.load()
        self.assertFalse(self.t.moved())
        self.advance()

    def test_smaller_tables(self):
        """Cannot go over: said, and off until they are written."""
        self.resize("32KiB")
        self.t.close()
        log = self.resize("16KiB")
        self.assertIn("the firewall is off until policyd has written it anew: its table became smaller", log)
        self.t.close()
        self.t = self.tables()
        lib.wait_for(lambda: self.t.packets("off") > 0, 20, "packets that nothing judges")
        self.t.force(guard.DROP)
        self.advance()
        self.received(self.s)

    def test_killed_while_it_loads(self):
        for delay in (0.02, 0.1, 0.2, 0.4):
            p = self.i.start("penstock-loader", "load", "--force", ready=None)
            timer = threading.Timer(delay, p.p.kill)
            timer.start()
            p.p.wait(60)
            timer.join()
            p.close()
            self.advance()
        self.i.load()
        self.advance()

    def link_ids(self):
        """Of the kernel's objects: they stay when a program is exchanged, and go with what is taken down."""
        links = loader.link_ids(self.i)
        return {name: lib.bpftool("link", "show", "pinned", self.i.pin("links", name))["id"] for name in links}

    def state_bytes(self):
        return lib.bpftool("map", "show", "pinned", os.path.join(self.i.bpffs, "version"))["bytes_value"]

    def assert_kept(self, log, links, generation):
        self.assertNotIn("taking all of it down", log)
        self.assertEqual((self.link_ids(), self.i.report()["generation"]), (links, generation))
        self.assertEqual(self.state_bytes(), loader.STATE)
        self.assertFalse(os.path.exists(os.path.join(self.i.bpffs, "version_next")))
        self.advance()

    def test_a_build_whose_state_has_another_size(self):
        """Before and after: what is in force stays in force until the new programs are there."""
        links, generation = self.link_ids(), self.i.report()["generation"]
        for size in (8192, 4096, 65536, 112):
            loader.resize_state(self.i, size)
            generation += 1
            self.assert_kept(self.i.load(), links, generation)
        self.assertIn("nothing changed", self.i.load())

    def test_killed_while_the_state_grows(self):
        links, generation = self.link_ids(), self.i.report()["generation"]
        for where, left in (("pin:1", False), ("rename:1", True)):
            loader.resize_state(self.i, 8192)
            code, log = self.i.loader("load", env={"LD_PRELOAD": pipeline.helper("faults.so"), "PST_AT": where})
            self.assertEqual((code, self.state_bytes()), (-signal.SIGKILL, 8192), log)
            self.assertEqual(os.path.exists(os.path.join(self.i.bpffs, "version_next")), left)
            generation += 1
            self.assert_kept(self.i.load(), links, generation)

    def test_what_a_killed_load_left_beside_the_state(self):
        links, generation = self.link_ids(), self.i.report()["generation"]
        fd = lib.create_array("version", loader.STATE, 1)
        lib.obj_pin(os.path.join(self.i.bpffs, "version_next"), fd)
        os.close(fd)
        self.assert_kept(self.i.load(), links, generation)

    def test_grown_state_and_a_guard_that_does_not_load(self):
        """What became of the rungs is not known: it is not served, it is told, and all goes on."""
        links, generation = self.link_ids(), self.i.report()["generation"]
        loader.resize_state(self.i, 8192)
        p = self.i.start("penstock-loader", "serve", env=loader.refuse("prog:guard"), ready=None)
        self.assertEqual(p.wait(60), lib.EXIT_SYSTEM, p.text())
        self.assertIn("another build made it: it goes on as it is", p.text())
        self.assertEqual(self.link_ids(), links)
        self.advance()
        self.assert_kept(self.i.load(), links, generation + 1)

    def test_a_new_version_that_does_not_load(self):
        """The load is refused as a whole, and what is attached goes on; off by configuration is another thing."""
        generation = self.i.report()["generation"]
        code, log = self.i.loader("load", "--force", env=loader.refuse("prog:guard"))
        self.assertEqual(code, lib.EXIT_SYSTEM, log)
        self.assertIn("the guard does not load, the one that is attached goes on working", log)
        self.advance()
        self.i.load()
        self.assertEqual((self.guard()["mode"], self.i.report()["generation"]), ("xdp", generation))
        self.advance()

    def test_served_with_what_was_there(self):
        """A new version's guard does not load: the old one is served, said, and attached to what comes."""
        generation = self.i.report()["generation"]
        self.i.configure(config("[pstn0, pstd0]"))
        p = self.i.start("penstock-loader", "serve", "--force", env=loader.refuse("prog:guard"))
        self.addCleanup(p.close)
        self.assertEqual(self.i.report()["generation"], generation)
        self.assertIn("the guard does not load", self.i.report()["load_error"])
        shown = self.i.run(os.path.join(lib.BINDIR, "penstock"), "status", "--run-dir", self.i.run_dir, check=False).stdout
        self.assertIn("the last load failed, what was in force stays", shown)
        self.advance()
        self.i.run("ip", "link", "add", "pstd0", "type", "veth", "peer", "name", "pstd1")
        lib.wait_for(lambda: (self.guard("pstd0") or {}).get("mode", "none") != "none", 20, "the guard on a new interface")
        self.advance()
        p.send(signal.SIGTERM)
        self.assertEqual(p.wait(), 0)
        p = self.i.start("penstock-loader", "serve", "--force")
        self.addCleanup(p.close)
        self.assertEqual((self.i.report()["load_error"], self.i.report()["generation"]), ("", generation + 1))
        self.advance()

    def test_without_memory_for_a_while(self):
        """It cannot look at its links, which says nothing of them: all stay, and none is made anew."""
        short = os.path.join(self.i.dir, "short")
        p = self.i.start("penstock-loader", "serve", env={**loader.refuse("get:xdp_,get:guard_in_,get:guard_out_"), "PST_REFUSE_WHILE": short})
        self.addCleanup(p.close)
        links = loader.link_ids(self.i)
        self.assertTrue(links)
        open(short, "w").close()
        for _ in range(3):  # looks
            self.advance()
            time.sleep(1.1)
        self.assertEqual(loader.link_ids(self.i), links)
        # neither does one that reads its configuration anew
        p.send(signal.SIGHUP)
        lib.wait_for(lambda: "configuration loaded anew" in p.text(), 30, "the reload")
        self.advance()
        self.assertEqual((loader.link_ids(self.i), self.guard()["mode"]), (links, "xdp"))
        self.assertIn("Cannot allocate memory", self.guard()["why"])
        os.unlink(short)
        lib.wait_for(lambda: self.guard()["why"] == self.guard()["out_why"] == "", 60, "better times")
        self.assertEqual((loader.link_ids(self.i), self.i.report()["reattached"], self.guard()["mode"]), (links, 0, "xdp"))
        self.advance()
        # one that begins then, and knows nothing yet
        p.send(signal.SIGTERM)
        self.assertEqual(p.wait(), 0)
        open(short, "w").close()
        p = self.i.start("penstock-loader", "serve", env={**loader.refuse("get:xdp_,get:guard_in_,get:guard_out_"), "PST_REFUSE_WHILE": short})
        self.addCleanup(p.close)
        self.advance()
        os.unlink(short)
        lib.wait_for(lambda: self.guard()["mode"] == "xdp", 60, "better times")
        self.assertEqual(loader.link_ids(self.i), links)
        self.advance()

    def test_served_and_killed(self):
        p = self.i.start("penstock-loader", "serve")
        self.advance()
        p.p.kill()
        p.p.wait(30)
        p.close()
        self.advance()
        p = self.i.start("penstock-loader", "serve")
        self.advance()
        p.stop()
        self.advance()


if __name__ == "__main__":
    unittest.main()
