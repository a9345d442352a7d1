#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Who goes on to send what is dropped is blocked for a time, by the kernel alone: listed, named, let in again; with real packets."""
import os
import re
import socket
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
import net  # noqa: E402
import pipeline  # noqa: E402
import test_firewall  # noqa: E402
from test_firewall import FAMILIES, OPEN  # noqa: E402

AFTER = 20


class OffendersTest(test_firewall.FirewallTest):
    def penstock(self, *args, code=0):
        p = subprocess.run([os.path.join(lib.BINDIR, "penstock"), *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True, timeout=pipeline.PATIENCE)
        self.assertEqual(p.returncode, code, p.stdout + p.stderr)
        return p.stdout

    def ddos(self, op, *args, **kw):
        return self.penstock("ddos", op, "--run-dir", self.p.run_dir, *args, **kw)

    def listed(self):
        """address: cause"""
        return {row[0]: row[2] for row in self.ask("lists")["offenders"]["list"]}

    def steps(self):
        return {s[0]: s[1:] for s in self.p.ctl("policyd", op="ddos")["steps"]}

    def null_segments(self, family, n):
        """TCP without any flag, as a scan sends it, or somebody in another's name."""
        af, (near, _) = FAMILIES[family]
        raw = net.within(self.peer.holder.pid, lambda: socket.socket(af, socket.SOCK_RAW, socket.IPPROTO_TCP))
        self.addCleanup(raw.close)
        before = self.steps()["bad_flags"][1]
        for _ in range(n):
            raw.sendto(struct.pack(">HHIIBBHHH", 5000, OPEN, 1, 0, 0x50, 0, 1000, 0, 0), (near, 0))
        pipeline.wait_for(lambda: self.steps()["bad_flags"][1] >= before + n, "the segments")


class Forgeable(OffendersTest):
    """What anybody can send counts: the operator's choice."""
    policyd = f"ddos: {{flags: drop, offenders: {{after: {AFTER}, within: 1h, for: 1h, forgeable: yes}}}}"

    def source(self, family):
        far = FAMILIES[family][1][1]
        return far if family == "inet" else far.split("::")[0].rstrip(":") + "::/64"

    def check(self, family):
        far, near = FAMILIES[family][1][1], FAMILIES[family][1][0]
        self.null_segments(family, AFTER - 2)
        self.assertTrue(self.passes(OPEN, family))
        self.null_segments(family, 2)
        pipeline.wait_for(self.listed, "an offender")
        self.assertEqual(list(self.listed().values()), ["bad_flags"])
        self.assertFalse(self.passes(OPEN, family))
        self.assertFalse(self.connects(OPEN, family))
        source = next(iter(self.listed()))
        text = self.ddos("list")
        self.assertIn("offenders (drop): 1\n", text)
        self.assertRegex(text, rf"(?m)^  {re.escape(source)} +3[56]\d\d s more +bad_flags$")
        self.assertGreaterEqual(self.steps()["offender"][1], 3)
        brackets = "[%s]:%d" if ":" in far else "%s:%d"
        why = self.penstock("why", "--run-dir", self.p.run_dir, "udp", brackets % (far, 9), brackets % (near, OPEN), "--dev", "pstn0")
        self.assertIn(": offender\n", why)
        self.assertRegex(why, r"(?m)^  offenders   blocked: bad_flags, for 3[56]\d\d s more$")
        self.assertRegex(why, r"(?m)^  rules       not asked$")
        stats = self.p.stats("policyd")
        self.assertEqual(stats["guard_offenders", None], 1)
        self.ddos("unblock", far)
        self.assertEqual(self.listed(), {})
        self.assertTrue(self.passes(OPEN, family))
        self.null_segments(family, AFTER - 2)  # what was before is forgotten
        self.assertTrue(self.passes(OPEN, family))

    def test_blocked(self):
        for family in FAMILIES:
            with self.subTest(family):
                self.check(family)
        self.ddos("unblock", "192.0.2.1", code=lib.EXIT_SYSTEM)

    def test_without_policyd(self):
        """The kernel goes on, and blocks; a policyd that comes has the list."""
        self.p.kill("policyd")
        raw = net.within(self.peer.holder.pid, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP))
        self.addCleanup(raw.close)
        self.assertTrue(self.passes(OPEN))
        for _ in range(2 * AFTER):
            raw.sendto(struct.pack(">HHIIBBHHH", 5000, OPEN, 1, 0, 0x50, 0, 1000, 0, 0), (net.V4[0], 0))
        pipeline.wait_for(lambda: not self.passes(OPEN), "the block")
        self.p.begin("policyd")
        self.in_force()
        self.assertEqual(self.listed(), {net.V4[1]: "bad_flags"})

    def test_the_allow_list(self):
        self.put(self.allow, net.V4[1] + "\n")
        self.assertEqual(self.reload(), "")
        raw = net.within(self.peer.holder.pid, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP))
        self.addCleanup(raw.close)
        for _ in range(2 * AFTER):
            raw.sendto(struct.pack(">HHIIBBHHH", 5000, OPEN, 1, 0, 0x50, 0, 1000, 0, 0), (net.V4[0], 0))
        self.assertTrue(self.passes(OPEN))
        self.assertEqual((self.listed(), self.steps()["bad_flags"][1]), ({}, 0))


class DryRun(OffendersTest):
    policyd = f"ddos: {{flags: drop, offenders: {{after: {AFTER}, within: 1h, for: 1h, forgeable: yes, action: count}}}}"

    def test_counts(self):
        self.null_segments("inet", AFTER + 5)
        self.assertTrue(self.passes(OPEN))
        self.assertEqual(self.listed(), {net.V4[1]: "bad_flags"})
        action, dropped, _, would, _ = self.steps()["offender"]
        self.assertEqual((action, dropped), ("count", 0))
        self.assertGreaterEqual(would, 5 + 3)


class TopSources(OffendersTest):
    """Who sends what a flood is made of is in its events."""
    policyd = "ddos: {flags: count, detect: {packets: 20, quiet: 2s}}"

    def test_events(self):
        observer = pipeline.Observer(self.p, "policyd")
        self.addCleanup(observer.close)
        raw = net.within(self.peer.holder.pid, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP))
        self.addCleanup(raw.close)

        def flooded():
            for _ in range(300):
                raw.sendto(struct.pack(">HHIIBBHHH", 5000, OPEN, 1, 0, 0x50, 0, 1000, 0, 0), (net.V4[0], 0))
            return observer.select("ddos_detected")
        began = observer.wait(flooded, "a flood's beginning")
        ended = observer.wait(lambda: observer.select("ddos_ended"), "its end")
        for event in (began[0], ended[0]):
            sources = event.get("top_sources")
            self.assertEqual(len(sources), 1)
            address, packets = sources[0].split()
            self.assertEqual(address, net.V4[1].encode())
            self.assertLessEqual(int(packets), event.get("packets"))
            self.assertGreaterEqual(int(packets), event.get("packets") // 2)
            self.assertGreaterEqual(event.get("sampled"), 2)
            self.assertEqual(event.get("top_interfaces"), [b"pstn0 " + packets])


class Ends(OffendersTest):
    policyd = f"ddos: {{flags: drop, offenders: {{after: {AFTER}, within: 1h, for: 2s, forgeable: yes}}}}"

    def test_by_itself(self):
        self.null_segments("inet", AFTER)
        pipeline.wait_for(lambda: self.passes(OPEN), "the end of the block")
        self.assertEqual(self.listed(), {})
        self.assertEqual(self.p.stats("policyd")["guard_events", "offender_blocked"], 1)


class Proven(OffendersTest):
    """By default only what the source's own open connections send counts."""
    policyd = ("limits: {bytes: 30KiB, burst: 500ms}\n"
               "ddos: {flags: drop, offenders: {after: 5, within: 1h, for: 1h}}")

    def test_in_its_name(self):
        """Datagrams and segments that another could have sent: dropped, and nobody is blocked."""
        self.null_segments("inet", 50)
        near, loud = self.socket("near", port=OPEN), self.socket("far")
        for _ in range(200):
            loud.sendto(bytes(1000), near.getsockname())
        near.close()
        self.assertGreaterEqual(self.reasons()["rate"], 50)
        self.assertEqual(self.listed(), {})
        pipeline.wait_for(lambda: self.connects(OPEN), "a connection")  # once its share has come back

    def flood(self, family):
        server = self.socket("near", family, socket.SOCK_STREAM, OPEN)
        server.listen()
        client = self.socket("far", family, socket.SOCK_STREAM)
        client.connect(server.getsockname())
        accepted, _ = server.accept()
        for s in (client, accepted):
            self.addCleanup(s.close)
            s.setblocking(False)

        def blocked():
            for call in (lambda: client.send(bytes(65536)), lambda: accepted.recv(1 << 20)):
                try:
                    call()
                except BlockingIOError:
                    pass
            return self.listed()
        pipeline.wait_for(blocked, "an offender")

    def test_its_own_connection(self):
        for family in FAMILIES:
            with self.subTest(family):
                self.flood(family)
                self.assertEqual(list(self.listed().values()), ["rate"])
                self.assertFalse(self.passes(4003, family))
                self.ddos("unblock", next(iter(self.listed())))
                self.assertEqual(self.listed(), {})


class Scrub(OffendersTest):
    """What limits drop goes out over another interface, as it came; what other steps drop does not."""
    rung = "tc"
    policyd = "limits: {udp: {packets: 5}, burst: 1s}\nddos: {flags: drop, scrub: {interface: pstscrub0}}"

    def setUp(self):
        self.loader = test_firewall.LOADER + f"\nrungs: {{guard: {self.rung}}}"
        super().setUp()

    def scrubbed(self):
        return self.p.ctl("policyd", op="ddos")["scrub"]

    def loud(self):
        """Of 60 datagrams: how many arrive, and how many are dropped."""
        near, far = self.socket("near", port=OPEN), self.socket("far")
        before = self.reasons()["rate"]
        for i in range(60):
            far.sendto(b"loud %d" % i, near.getsockname())
        got = 0
        while self.there(near, 0.3):
            near.recv(64)
            got += 1
        near.close()
        return got, self.reasons()["rate"] - before

    def test_sent_there(self):
        got, dropped = self.loud()  # the interface is not there yet: dropped as ever
        self.assertEqual((got + dropped, self.scrubbed()), (60, ["pstscrub0", 0, 0, 0]))
        self.p.run("ip", "link", "add", "pstscrub0", "type", "veth", "peer", "name", "pstscrub1")
        for name in ("pstscrub0", "pstscrub1"):
            self.p.run("sh", "-c", f"echo 1 >/proc/sys/net/ipv6/conf/{name}/disable_ipv6")
            self.p.run("ip", "link", "set", name, "up")
        self.addCleanup(os.close, net.xdp_pass(self.p.holder.pid, "pstscrub1"))  # what a veth needs to take what XDP sends
        other = net.within(self.p.holder.pid, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)))
        self.addCleanup(other.close)
        other.bind(("pstscrub1", 0))
        pipeline.wait_for(lambda: self.scrubbed()[1], "the interface")
        got, dropped = self.loud()
        self.assertEqual(got + dropped, 60)
        self.assertGreaterEqual(dropped, 30)
        self.assertEqual(self.scrubbed()[2], dropped)
        frames = []
        while self.there(other, 0.3):
            frames.append(other.recv(2048))
        self.assertEqual(len([f for f in frames if b"loud " in f]), dropped)
        mac = bytes.fromhex(net.Peer.mac(self.p.run, "pstn0").replace(":", ""))
        self.assertEqual({f[:6] for f in frames if b"loud " in f}, {mac})
        self.null_segments("inet", 10)
        self.assertEqual(self.scrubbed()[2], dropped)
        self.assertRegex(self.ddos("stats"), rf"(?m)^sent to pstscrub0 instead: {dropped} packets, \d+ bytes$")
        far, near = net.V4[1], net.V4[0]
        self.p.run("ip", "link", "del", "pstscrub0")
        pipeline.wait_for(lambda: not self.scrubbed()[1], "its end")
        self.assertIn("(there is none now)", self.ddos("stats"))
        self.assertEqual(self.loud()[1] > 0, True)
        self.assertIn("pass", self.penstock("why", "--run-dir", self.p.run_dir, "tcp", f"{far}:9", f"{near}:{OPEN}", "--dev", "pstn0"))


class ScrubAtXdp(Scrub):
    rung = "xdp"


if __name__ == "__main__":
    unittest.main()
