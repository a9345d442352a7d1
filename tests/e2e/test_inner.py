#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Inner headers: tunnel devices between two namespaces, and the guard on the interface that carries them."""
import contextlib
import os
import socket
import struct
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import net  # noqa: E402
import pipeline  # noqa: E402
import test_firewall  # noqa: E402
import test_why  # noqa: E402
from test_firewall import OPEN, SHUT, VM  # noqa: E402

INNER = "inner: {ipip: yes, gre: yes, vxlan: yes}\n"
# Devices by their options, families of what they carry: over IPv4, then over IPv6.
DEVICES = (("vxlan", "type vxlan id 42 dstport 4789", "46", 4), ("vxlan6", "type vxlan id 43 dstport 4789", "46", 6),
           ("ipip", "type ipip", "4", 4), ("sit", "type sit", "6", 4), ("ip4ip6", "type ip6tnl mode any", "46", 6),
           ("gre", "type gre", "46", 4), ("grekey", "type gre key 7 csum seq", "46", 4), ("gretap", "type gretap", "46", 4),
           ("ip6gre", "type ip6gre", "46", 6), ("ip6gretap", "type ip6gretap key 9", "46", 6))


class Tunnels(test_firewall.FirewallTest):
    policyd = INNER
    rung = "xdp"

    def setUp(self):
        self.loader = test_firewall.LOADER + f"\nrungs: {{guard: {self.rung}}}"
        super().setUp()

    def add(self, i, options, family):
        """Both ends of tunnel number @i; False: this kernel has no such device."""
        ends = net.V4 if family == 4 else net.V6
        for side, run in ((0, self.p.run), (1, self.peer.run)):
            r = run("ip", "link", "add", f"pstt{i}", *options.split(), "local", ends[side], "remote", ends[1 - side], check=False)
            if r.returncode and not VM:
                return False
            self.assertEqual(r.returncode, 0, r.stderr)
            run("ip", "link", "set", f"pstt{i}", "up")
            for address in (f"10.77.{i}.{side + 1}/24", f"fd77:{i}::{side + 1}/64"):
                run("ip", "addr", "add", address, "dev", f"pstt{i}", *(["nodad"] if ":" in address else []), check=False)
        return True

    def remove(self, i):
        self.p.run("ip", "link", "del", f"pstt{i}")
        self.peer.run("ip", "link", "del", f"pstt{i}")

    @contextlib.contextmanager
    def ends(self, i, family, port):
        """A socket here, and one there that is connected to it through tunnel number @i."""
        addresses = [f"10.77.{i}.{n}" if family == "4" else f"fd77:{i}::{n}" for n in (1, 2)]
        af = socket.AF_INET if family == "4" else socket.AF_INET6
        near = net.within(self.p.holder.pid, lambda: socket.socket(af, socket.SOCK_DGRAM))
        far = net.within(self.peer.holder.pid, lambda: socket.socket(af, socket.SOCK_DGRAM))
        with near, far:
            near.bind((addresses[0], port))
            far.bind((addresses[1], 0))
            far.connect(near.getsockname())
            yield near, far

    def check_passes(self, i, family, port):
        def sent():
            far.send(b"?")
            return self.there(near, 0.2)
        with self.ends(i, family, port) as (near, far):
            pipeline.wait_for(sent, "a datagram")

    def check_dropped(self, i, family, counted):
        """All that comes to the port that is shut; @counted() says how many were."""
        before = counted()
        with self.ends(i, family, SHUT) as (near, far):
            for _ in range(3):
                far.send(b"?")
            pipeline.wait_for(lambda: counted() >= before + 3, "what was dropped")
            self.assertFalse(self.there(near, 0))

    def each(self, *checks):
        """How many kinds of tunnel there are here."""
        n = 0
        for i, (name, options, carries, family) in enumerate(DEVICES):
            if not self.add(i, options, family):
                continue
            for inner in carries:
                with self.subTest(device=name, inner=inner):
                    for check in checks:
                        check(i, inner)
                    n += 1
            self.remove(i)
        self.assertGreaterEqual(n, sum(len(d[2]) for d in DEVICES) if VM else 1)

    def check_rule(self, i, inner):
        self.check_passes(i, inner, OPEN)  # so that neighbours know each other
        before = self.counted("shut")[0]
        self.check_dropped(i, inner, lambda: self.counted("shut")[0])
        self.assertEqual(self.counted("shut")[0], before + 3)

    def check_stream(self, i, inner):
        """Segments that are larger than the wire's, where devices leave it to others to cut them."""
        address = f"10.77.{i}.1" if inner == "4" else f"fd77:{i}::1"
        af = socket.AF_INET if inner == "4" else socket.AF_INET6
        server = net.within(self.p.holder.pid, lambda: socket.create_server((address, OPEN), family=af))
        client = net.within(self.peer.holder.pid, lambda: socket.socket(af))
        self.addCleanup(client.close)
        self.addCleanup(server.close)
        client.settimeout(pipeline.PATIENCE)
        client.connect((address, OPEN))
        accepted, _ = server.accept()
        self.addCleanup(accepted.close)
        accepted.settimeout(pipeline.PATIENCE)
        sent = os.urandom(1 << 16) * 8
        sender = threading.Thread(target=client.sendall, args=(sent,))
        sender.start()
        self.addCleanup(sender.join)
        got = b""
        while len(got) < len(sent):
            part = accepted.recv(1 << 20)
            self.assertTrue(part)
            got += part
        self.assertEqual(got, sent)

    def test_rules_see_what_is_inside(self):
        """A port inside is shut, while all else in the tunnel passes; nothing of it is unread."""
        self.each(self.check_rule, self.check_stream)
        reasons = self.reasons()
        self.assertEqual((reasons.get("truncated", 0), reasons.get("malformed", 0)), (0, 0), reasons)

    def test_lists_see_both(self):
        self.assertTrue(self.add(0, DEVICES[0][1], 4))
        self.check_passes(0, "4", OPEN)
        for blocked in (net.V4[1], "10.77.0.2"):
            self.put(self.block, blocked + "\n")
            self.assertEqual(self.reload(), "")
            self.check_dropped(0, "4", lambda: self.reasons().get("blocked", 0))
        self.put(self.block, "")
        self.assertEqual(self.reload(), "")
        self.check_passes(0, "4", OPEN)


class TunnelsAtTc(Tunnels):
    rung = "tc"


class NotAsked(Tunnels):
    """The default: what is around it is judged."""
    policyd = ""

    def check_rule(self, i, inner):
        self.check_passes(i, inner, SHUT)

    test_lists_see_both = None


class Why(test_why.WhyTest):
    policyd = INNER

    @staticmethod
    def frames():
        inner = test_why.udp_frame(1000, SHUT)
        vxlan = struct.pack("!HHHHII", 50000, 4789, 16 + len(inner), 0, 8 << 24, 42 << 8)
        for protocol, payload in ((17, vxlan + inner), (47, struct.pack("!HH", 0, 0x0800) + inner[14:]), (4, inner[14:]),
                                  (47, struct.pack("!HH", 1, 0x880b) + inner[14:])):
            yield b"\2\0\0\0\0\2\2\0\0\0\0\1\x08\0" + struct.pack(
                "!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0,
                socket.inet_aton("192.0.2.9"), socket.inet_aton("192.0.2.1")) + payload

    def test_tunnels(self):
        path = self.write(test_why.pcap(list(self.frames())))
        answers = self.all_of(path)
        heads = [a["headers"] for a in answers]
        self.assertEqual([(a["verdict"], a["reason"]) for a in answers], [("drop", "fw_drop")] * 3 + [("pass", "no_ip")])
        self.assertEqual([h["tunnel"] for h in heads], ["vxlan", "gre", "ipip", "gre"])
        self.assertEqual({(h["outer_src"], h["outer_dst"]) for h in heads}, {("192.0.2.9", "192.0.2.1")})
        self.assertEqual({(h["src"], h["dport"]) for h in heads[:3]}, {(net.V4[1], SHUT)})
        self.assertEqual((heads[3]["state"], heads[3]["src"]), ("no ip", "192.0.2.9"))
        self.assertEqual({a["connection"]["state"] for a in answers[:3]}, {"untracked"})
        text = self.text(path)
        self.assertRegex(text, r"(?m)^  headers     good, inside of vxlan 192\.0\.2\.9 > 192\.0\.2\.1$")
        self.assertRegex(text, r"(?m)^  headers     no ip, inside of gre 192\.0\.2\.9 > 192\.0\.2\.1$")
        self.assertRegex(text, r"(?m)^  connection  untracked$")


if __name__ == "__main__":
    unittest.main()
