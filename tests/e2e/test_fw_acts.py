#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What rules do beside their verdicts, as who stands behind or before the guard sees it: answers to what is rejected, and marks, and the log."""
import ctypes
import errno
import fcntl
import json
import os
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

MARKED, PLAIN = 4001, 4003
RULES = """
firewall:
  policy: accept
  rules:
    - {name: every, dport: [4001, 4003], action: continue, mark: 5}
    - {name: some, dport: 4001, action: accept, mark: 0x70000}
"""


class ActsTest(test_firewall.FirewallTest):
    rules = RULES
    at = "tc"

    def setUp(self):
        self.loader = test_firewall.LOADER + f"\nrungs: {{guard: {self.at}}}"
        super().setUp()

    def penstock(self, *args):
        n = 1 if args[0] == "why" else 2
        p = subprocess.run([os.path.join(lib.BINDIR, "penstock"), *args[:n], "--run-dir", self.p.run_dir, *args[n:]],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=pipeline.PATIENCE)
        self.assertEqual(p.returncode, 0, p.stdout)
        return p.stdout

    def events(self):
        return {r[2]: r[4] for r in self.p.ctl("policyd", op="status")["stats"] if r[0] == "guard_events"}


class Marks(ActsTest):
    def nft(self, text):
        subprocess.run(["nsenter", "--net", "-t", str(self.p.holder.pid), "nft", "-f", "-"], input=text, text=True, check=True)

    def seen(self):
        p = subprocess.run(["nsenter", "--net", "-t", str(self.p.holder.pid), "nft", "-j", "list", "counters"],
                           stdout=subprocess.PIPE, text=True, check=True)
        return {c["counter"]["name"]: c["counter"]["packets"] for c in json.loads(p.stdout)["nftables"] if "counter" in c}

    def test_netfilter_sees_them(self):
        """The last rule's mark is the packet's, in both families; where nothing is said of it, nothing is idle."""
        self.nft("table inet t {\ncounter five {}\ncounter large {}\ncounter none {}\nchain c {\ntype filter hook input priority 0\n"
                 "meta mark 5 counter name five\nmeta mark 0x70000 counter name large\nudp dport 4002 meta mark 0 counter name none\n}\n}\n")
        for n, family in enumerate(test_firewall.FAMILIES, 1):
            for port in (MARKED, PLAIN, test_firewall.SHUT):
                self.assertTrue(self.passes(port, family))
            pipeline.wait_for(lambda n=n: self.seen() == {"five": 3 * n, "large": 3 * n, "none": 3 * n}, "marks in netfilter's hook")
        self.assertEqual(self.ask("firewall")["idle"], "")
        self.assertNotIn("not done", self.penstock("fw", "list"))

    def test_routing_sees_them(self):
        """A policy route by the mark."""
        for family in ("-4", "-6"):
            for args in (("add", "pref", "100", "table", "local"), ("del", "pref", "0"), ("add", "pref", "50", "fwmark", "0x70000", "blackhole")):
                self.p.run("ip", family, "rule", *args)
        for family in test_firewall.FAMILIES:
            self.assertTrue(self.passes(PLAIN, family))
            self.assertFalse(self.passes(MARKED, family))


class Rejects(ActsTest):
    rules = """
firewall:
  policy: accept
  rules:
    - {name: no, dport: 4001, action: reject}
    - {name: forbidden, dport: 4003, action: reject, reject_with: admin-prohibited}
    - {name: begun, proto: tcp, dport: 4004, action: accept}
"""

    def error_of(self, port, family, kind):
        """What a client on the other side is told; None: nothing, within a time that no answer needs."""
        far = self.socket("far", family, kind)
        far.settimeout(20)
        level, option = (socket.SOL_IP, 11) if family == "inet" else (socket.IPPROTO_IPV6, 25)  # IP_RECVERR: what is transient too
        far.setsockopt(level, option, 1)
        try:
            far.connect((test_firewall.FAMILIES[family][1][0], port))
            far.send(b"?" * 700)
            return far.recv(10)
        except OSError as e:
            return e.errno
        finally:
            far.close()

    def test_clients_are_told(self):
        """connect() fails at once, where a listener is and where none is; a datagram's sender is told by its next call. UDP over a veth comes
        with a checksum that nobody has filled in yet, as from a virtual machine."""
        listener = net.within(self.p.holder.pid, lambda: socket.create_server(("::", MARKED), family=socket.AF_INET6, dualstack_ipv6=True))
        self.addCleanup(listener.close)
        for family in test_firewall.FAMILIES:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with self.subTest(family=family, kind=kind):
                    self.assertEqual(self.error_of(MARKED, family, kind), errno.ECONNREFUSED)
            forbidden = errno.EHOSTUNREACH if family == "inet" else errno.EACCES
            self.assertEqual(self.error_of(PLAIN, family, socket.SOCK_DGRAM), forbidden)
        self.assertEqual(self.counted("no")[0] + self.counted("forbidden")[0], 6)
        self.assertEqual(self.reasons()["fw_reject"], 6)
        self.assertEqual(self.events()["unanswered"], 0)
        self.assertRegex(self.penstock("fw", "list"), r"(?m) reject .* forbidden +dport 4003 reject_with admin-prohibited$")
        self.assertNotIn("not done", self.penstock("fw", "list"))

    @staticmethod
    def no_offload(name):
        """The device sends no packet whose checksum is not filled in."""
        for command in (0x17, 0x15):  # ETHTOOL_STXCSUM, ETHTOOL_SRXCSUM
            value = ctypes.create_string_buffer(struct.pack("II", command, 0))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                fcntl.ioctl(s, 0x8946, struct.pack("16sP16x", name.encode(), ctypes.addressof(value)))  # SIOCETHTOOL

    def test_without_offload(self):
        """The same with checksums that are there, so the answers' are looked at."""
        for side, name in ((self.p.holder.pid, self.peer.near), (self.peer.holder.pid, self.peer.far)):
            net.within(side, lambda name=name: self.no_offload(name))
        self.test_clients_are_told()

    def test_an_open_connection(self):
        """A rule that comes later ends it, at both its ends."""
        server = net.within(self.p.holder.pid, lambda: socket.create_server(("::", 4004), family=socket.AF_INET6, dualstack_ipv6=True))
        self.addCleanup(server.close)
        for family in test_firewall.FAMILIES:
            self.put(self.firewall, self.rules)
            self.reload()
            far = self.socket("far", family, socket.SOCK_STREAM)
            far.settimeout(20)
            far.connect((test_firewall.FAMILIES[family][1][0], 4004))
            far.sendall(b"1")
            self.put(self.firewall, self.rules.replace("4004, action: accept", "4004, action: reject"))
            self.reload()
            far.sendall(b"2")
            with self.assertRaises(ConnectionResetError):
                far.recv(1)

    def test_none_above_the_rate(self):
        """Answers are bounded, and what is not answered is counted."""
        far = self.socket("far")
        near = (net.V4[0], MARKED)

        def flood():
            for _ in range(3000):
                try:
                    far.sendto(b"?", near)
                except ConnectionRefusedError:  # of an earlier one
                    pass
            return self.events()["unanswered"] > 0
        pipeline.wait_for(flood, "an answer that was not sent")


class Next(ActsTest):
    """Past rules and policy, and shown as what it is."""
    at = "xdp"
    rules = """
firewall:
  policy: drop
  rules:
    - {name: on, proto: udp, dport: 4001, action: next}
    - {name: never, dport: 4001, action: drop}
"""

    def test_shown(self):
        self.assertTrue(self.passes(MARKED))
        self.assertFalse(self.passes(PLAIN))
        self.assertEqual(self.reasons()["fw_next"], 3)
        self.assertEqual((self.counted("on")[0], self.counted("never")[0]), (3, 0))
        self.assertRegex(self.penstock("fw", "list"), r"(?m)^ +1 next +3 +\d+  on +proto udp dport 4001$")
        self.assertRegex(self.penstock("fw", "stats"), r"(?m)^fw_next +3 ")
        self.assertRegex(self.penstock("fw", "test", "--proto", "udp", "--dport", "4001"), "^next: rule 1, on: proto udp dport 4001\n$")
        text = self.penstock("why", "udp", f"{net.V4[1]}:4000", f"{net.V4[0]}:4001", "--dev", "pstn0")
        self.assertRegex(text, r"(?m)^pass at xdp of pstn0: fw_next$")
        self.assertRegex(text, r"(?m)^  rules +next by rule 1, on: proto udp dport 4001 ")


class Whys(ActsTest):
    rules = RULES + """    - {name: "no", dport: 4004, action: reject, reject_with: no-route, log: yes}
"""

    def test_shown(self):
        """What a trial says of a mark, a log and an answer, and that it did none of it."""
        def why(port):
            return self.penstock("why", "udp", f"{net.V4[1]}:4000", f"{net.V4[0]}:{port}", "--dev", "pstn0")
        self.assertRegex(why(4001), r"(?m)^  rules +accept by rule 2, some: dport 4001 mark 0x70000 ")
        self.assertRegex(why(4004), r"(?m)^answer at tcx? of pstn0: fw_reject$")
        self.assertRegex(why(4004), r"(?m)^  rules +reject by rule 3, no: dport 4004 reject_with no-route log yes ")
        self.assertRegex(self.penstock("fw", "test", "--proto", "udp", "--dport", "4001"), "^accept: rule 2, some: dport 4001 mark 0x70000\n$")
        self.assertEqual(self.counted("no")[0], 0)


class Logs(ActsTest):
    """A packet to an event that people read."""
    rules = """
firewall:
  policy: accept
  rules:
    - {name: who asks, dport: [4001, 4003], action: continue, log: yes}
    - {name: "no: \\"4002\\"", dport: 4002, action: drop, log: yes}
"""

    def setUp(self):
        super().setUp()
        self.p.up("collector", "enricher", "exporter")

    def logged(self, **fields):
        """Stored events with these values."""
        events = self.p.events("kind=packet_log&last=10000")
        return [e for e in events if all(e.get(k) == v for k, v in fields.items())]

    def test_events(self):
        for n, family in enumerate(test_firewall.FAMILIES, 1):
            self.assertTrue(self.passes(MARKED, family))
            self.assertFalse(self.passes(test_firewall.SHUT, family))
            near, far = test_firewall.FAMILIES[family][1]
            both = {"saddr": far, "daddr": near, "family": family, "protocol": "udp", "interface": "pstn0", "dir": "in", "hook": self.at,
                    "not_logged": None, "bytes": 43 if family == "inet" else 63}
            pipeline.wait_for(lambda both=both: len(self.logged(fw_rule="who asks", fw_rule_id=1, dport=MARKED, verdict="pass", reason="fw_policy",
                                                                **both)) == 3, "packets that pass")
            pipeline.wait_for(lambda both=both: len(self.logged(fw_rule='no: "4002"', fw_rule_id=2, dport=test_firewall.SHUT, verdict="drop",
                                                                reason="fw_drop", **both)) == 3, "packets that are dropped")
            self.assertEqual(len(self.logged()), 6 * n)
        text = subprocess.run([os.path.join(lib.BINDIR, "penstock"), "observe", "--run-dir", self.p.run_dir, "--kind", "packet_log", "--last", "100"],
                              stdout=subprocess.PIPE, text=True, check=True, timeout=pipeline.PATIENCE).stdout
        self.assertRegex(text, rf"udp {net.V4[1]}:\d+ → {net.V4[0]}:4001 in pstn0 43\S* ?\S*: pass by who asks\n")
        self.assertEqual(len(text.splitlines()), 12)

    def test_too_many(self):
        """Of a thousand some are told, and how many were not: none is missing."""
        far = self.socket("far")

        def told():
            events = self.logged()
            return len(events) + sum(e.get("not_logged", 0) for e in events)
        for _ in range(1000):
            far.sendto(b"?", (net.V4[0], PLAIN))
        pipeline.wait_for(lambda: self.counted("who asks")[0] == 1000, "the packets")
        held = self.events()["log_held"]
        self.assertGreater(held, 0)
        pipeline.wait_for(lambda: told() + held == 1000, "those that were told")

        def one_more():
            far.sendto(b"?", (net.V4[0], PLAIN))
            return any(e.get("not_logged") for e in self.logged())
        pipeline.wait_for(one_more, "a record after the flood")
        pipeline.wait_for(lambda: told() + self.events()["log_held"] - sum(e.get("not_logged", 0) for e in self.logged()) == self.counted("who asks")[0],
                          "all of them")
        self.assertEqual(self.p.stats("collector").get(("kernel_lost_records", "net"), 0), 0)


class LogsAtXdp(Logs):
    at = "xdp"
    test_too_many = None


class AtXdp(ActsTest):
    at = "xdp"

    def test_what_cannot_be_done_is_told(self):
        """Where the guard is at XDP: in the log, in the list, and counted by packet."""
        self.assertTrue(self.passes(MARKED))
        pipeline.wait_for(lambda: "marks are not set" in self.p.stage["policyd"].text(), "the word of it")
        self.assertIn("marks are not set", self.ask("firewall")["idle"])
        self.assertRegex(self.penstock("fw", "list"), r"(?m)^not done: marks are not set on interfaces that are guarded at XDP")
        self.assertEqual(self.events()["unmarked"], 3)
        self.put(self.firewall, RULES.replace(", mark: 5", ", reject_with: no-route").replace("continue", "reject"))
        self.reload()
        self.assertFalse(self.passes(MARKED))
        self.assertEqual(self.events()["unanswered"], 3)
        pipeline.wait_for(lambda: "rejects are not answered, marks are not set" in self.p.stage["policyd"].text(), "the word of it")
        self.put(self.firewall, RULES.replace(", mark: 5", "").replace(", mark: 0x70000", ""))
        self.reload()
        self.assertEqual(self.ask("firewall")["idle"], "")
        self.assertTrue(self.passes(MARKED))
        self.assertEqual(self.events()["unmarked"], 3)


del ActsTest
if __name__ == "__main__":
    unittest.main()
