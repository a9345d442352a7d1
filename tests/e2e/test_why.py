#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`penstock why`: what the attached guard would do to a packet, beside what it does to the real one; captures; who may ask; and what
strangers can do to the loader's socket."""
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
import net  # noqa: E402
import pipeline  # noqa: E402
import test_firewall  # noqa: E402
from test_firewall import OPEN, SHUT  # noqa: E402

RULES = """
firewall:
  policy: accept
  rules:
    - {name: counted, proto: udp, dport: 4001, action: continue}
    - {name: shut, dport: 4002, action: drop}
    - {name: known, state: established, action: accept}
    - {name: not these, vlan: 9, action: reject}
"""
NEAR, FAR = net.V4
MAGIC = 0x3f796877


def at(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def udp_frame(sport, dport, payload=b"hello"):
    total = 28 + len(payload)
    return (b"\2\0\0\0\0\2\2\0\0\0\0\1\x08\0" +
            struct.pack("!BBHHHBBH4s4s", 0x45, 0, total, 0, 0, 64, 17, 0, socket.inet_aton(FAR), socket.inet_aton(NEAR)) +
            struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload)


def pcap(frames, order="<", magic=0xa1b2c3d4, link=1, cut=None):
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    for f in frames:
        kept = f[:cut]
        out += struct.pack(order + "IIII", 1, 2, len(kept), len(f)) + kept
    return out


class WhyTest(test_firewall.FirewallTest):
    rules = RULES
    rung = "xdp"

    def setUp(self):
        self.loader = test_firewall.LOADER + f"\nrungs: {{guard: {self.rung}}}"
        super().setUp()

    def run_why(self, *args, **kw):
        return subprocess.run([os.path.join(lib.BINDIR, "penstock"), "why", "--run-dir", self.p.run_dir, *args], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=pipeline.PATIENCE, **kw)

    def all_of(self, *args):
        """Each answer as an object; and nothing was counted."""
        before = self.ask("firewall")
        r = self.run_why(*args, "--dev", "pstn0", "--json")
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        self.assertEqual(self.ask("firewall"), before)
        return [json.loads(line) for line in r.stdout.splitlines()]

    def why(self, *args):
        answers = self.all_of(*args)
        self.assertEqual(len(answers), 1)
        return answers[0]

    def text(self, *args):
        r = self.run_why(*args, "--dev", "pstn0")
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        return r.stdout

    def fails(self, code, want, *args, **kw):
        r = self.run_why(*args, **kw)
        self.assertEqual((r.returncode, r.stdout), (code, ""), r.stderr)
        self.assertIn(want, r.stderr)

    def write(self, data):
        path = os.path.join(self.p.dir, "file.pcap")
        with open(path, "wb") as f:
            f.write(data)
        return path


class Verdicts(WhyTest):
    def check_rules(self, family):
        near, far = (net.V4 if family == "inet" else net.V6)
        a = self.why("udp", at(far, 1000), at(near, SHUT))
        self.assertEqual((a["verdict"], a["reason"], a["rules"]["name"]), ("drop", "fw_drop", "shut"))
        self.assertTrue(a["mode"].startswith("xdp") if self.rung == "xdp" else a["mode"] in ("tcx", "clsact"), a)
        self.assertEqual((a["headers"]["src"], a["headers"]["dport"], a["headers"]["protocol"]), (far, SHUT, "udp"))
        self.assertFalse(self.passes(SHUT, family))
        again = self.why("udp", at(far, 1000), at(near, SHUT))
        self.assertEqual((again["verdict"], again["rules"]["name"]), ("drop", "shut"))
        a = self.why("udp", at(far, 1000), at(near, OPEN))
        self.assertEqual((a["verdict"], a["reason"], a["rules"]["action"]), ("pass", "fw_policy", "accept"))
        self.assertEqual((len(a["rules"]["passed"]), a["rules"]["passed_total"]), (1, 1))
        self.assertEqual(a["connection"]["state"], "new")
        self.assertEqual(a["connection"]["entries"], [])
        self.assertTrue(self.passes(OPEN, family))

    def test_rules_and_policy(self):
        """The rule by its name, rules on the way, and the policy; the real packet after it fares the same."""
        for family in ("inet", "inet6"):
            with self.subTest(family=family):
                self.check_rules(family)
        a = self.why("tcp", at(FAR, 1), at(NEAR, 2), "--vlan", "9")
        self.assertEqual((a["verdict"], a["reason"], a["rules"]["name"], a["headers"]["vlan"]), ("answer" if self.rung == "tc" else "drop", "fw_reject", "not these", 9))
        text = self.text("udp", at(FAR, 1000), at(NEAR, SHUT))
        self.assertRegex(text, rf"(?m)^udp {FAR}:1000 > {NEAR}:{SHUT}, 42 bytes$")
        self.assertRegex(text, r"(?m)^drop at \S+ of pstn0: fw_drop$")
        self.assertRegex(text, r"(?m)^  rules       drop by rule 2, shut: dport 4002 \(generation \d+")
        self.assertRegex(text, r"(?m)^  lists       ")

    def test_lists(self):
        self.put(self.block, f"{FAR} expires=1h reason=scan\nfd99:7::/64 reason=net\n")
        self.put(self.allow, "192.0.2.0/24\n")
        self.assertEqual(self.reload(), "")
        a = self.why("tcp", at(FAR, 1), at(NEAR, OPEN))
        self.assertEqual((a["verdict"], a["reason"], a["lists"]["state"], a["lists"]["prefix"], a["lists"]["text"]),
                         ("drop", "blocked", "blocked", FAR, "scan"))
        self.assertIn(a["lists"]["expires_s"], range(1, 3602))
        self.assertEqual((a["limits"]["state"], a["connection"]["state"], a["rules"]["state"]), ("off", "not asked", "not asked"))
        self.assertFalse(self.passes(OPEN))
        a = self.why("icmpv6", net.V6[1], net.V6[0])
        self.assertEqual((a["lists"]["state"], a["lists"]["prefix"], a["headers"]["icmp_type"]), ("blocked", "fd99:7::/64", 128))
        a = self.why("icmp", "192.0.2.9", NEAR, "--icmp", "3/1")
        self.assertEqual((a["lists"]["state"], a["lists"]["prefix"], a["connection"]["state"]), ("allowed", "192.0.2.0/24", "invalid"))
        self.put(self.block, "")
        self.put(self.allow, "")
        self.assertEqual(self.reload(), "")
        a = self.why("tcp", at(FAR, 1), at(NEAR, OPEN))
        self.assertNotEqual(a["lists"]["state"], "blocked")

    def test_connection(self):
        """One that is open is known, with its entry; a segment of none is not."""
        listener = self.socket("near", kind=socket.SOCK_STREAM, port=OPEN)
        listener.listen()
        client = self.socket("far", kind=socket.SOCK_STREAM)
        a = self.why("tcp", at(FAR, 5), at(NEAR, OPEN), "--flags", "ack")
        self.assertEqual((a["connection"]["state"], a["connection"]["then"]), ("new", "begins"))  # as always in the minutes after a start
        client.connect((NEAR, OPEN))
        peer, _ = listener.accept()
        self.addCleanup(peer.close)
        client.sendall(b"x")
        self.assertEqual(peer.recv(1), b"x")
        flow = ("tcp", at(*client.getsockname()), at(NEAR, OPEN), "--flags", "ack,psh", "--len", "100")
        a = self.why(*flow)
        self.assertEqual((a["verdict"], a["rules"]["name"], a["connection"]["state"]), ("pass", "known", "established"))
        self.assertEqual([e["table"] for e in a["connection"]["entries"]], ["ct"])
        self.assertIn("acked", a["connection"]["entries"][0]["sides"][0])
        self.assertEqual((a["headers"]["tcp_flags"], a["headers"]["bytes"]), (["psh", "ack"], 100))
        self.assertRegex(self.text(*flow), r"(?m)^              in ct, idle \d+ s: ")
        client.sendall(b"y")
        self.assertEqual(peer.recv(1), b"y")

    def test_limits(self):
        self.p.sections["policyd"] += "\nlimits: {packets: 1, burst: 20s}"
        self.p.write_config()
        self.p.kill("policyd")
        self.p.begin("policyd")
        self.in_force()
        near, far = self.socket("near", port=OPEN), self.socket("far")
        a = self.why("udp", at("192.0.2.77", 9), at(NEAR, OPEN))
        self.assertEqual((a["limits"]["state"], a["limits"]["known"], a["limits"]["packets"]["used_ms"]), ("within", False, 0))
        self.assertEqual(a["limits"]["packets"]["burst_ms"], 20000)
        end = threading.Event()

        def flood():
            while not end.wait(0.002):
                far.sendto(b"x", near.getsockname())
        thread = threading.Thread(target=flood)
        thread.start()
        try:
            def over():
                r = self.run_why("udp", at(FAR, 9), at(NEAR, OPEN), "--dev", "pstn0", "--json")
                answer = json.loads(r.stdout)
                return answer if answer["reason"] == "rate" else None
            answer = []
            pipeline.wait_for(lambda: answer.append(over()) or answer[-1], "over its limit")
        finally:
            end.set()
            thread.join()
        a = answer[-1]
        self.assertEqual((a["verdict"], a["limits"]["state"], a["limits"]["known"], a["limits"]["packets"]["over"]), ("drop", "over", True, True))
        self.assertEqual(a["rules"]["state"], "not asked")

    def test_under_traffic(self):
        """Trials between and, before Linux 6.11, in the middle of real packets: each of those is counted once, by the right rule."""
        path = os.path.join(self.p.run_dir, "loader.fds")
        message = struct.pack("<II16s", MAGIC, 1, b"pstn0") + udp_frame(1, SHUT)
        near, far = self.socket("near", port=OPEN), self.socket("far")
        before = self.counted("counted")[0], self.counted("shut")[0]
        sent = []

        def flood():
            for i in range(20000):
                sent.append(far.sendto(b"x", near.getsockname()))
        thread = threading.Thread(target=flood)
        thread.start()
        asked = 0
        while thread.is_alive() or asked < 100:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
                s.settimeout(pipeline.PATIENCE)
                s.connect(path)
                s.send(message)
                reply = s.recv(65536)
            magic, _, error, verdict = struct.unpack_from("<IIII", reply)
            self.assertEqual((magic, error, verdict), (MAGIC, 0, 1 if self.rung == "xdp" else 2))
            asked += 1
        thread.join()
        self.assertEqual(self.counted("shut")[0], before[1])
        self.assertEqual(self.counted("counted")[0], before[0] + len(sent))

    def test_capture(self):
        frames = [udp_frame(1, SHUT), udp_frame(2, OPEN), b"\xff" * 12 + b"\x08\x06" + bytes(40), udp_frame(3, SHUT, b"x" * 900)]
        for order in "<>":
            for magic in (0xa1b2c3d4, 0xa1b23c4d):
                answers = self.all_of(self.write(pcap(frames, order, magic)))
                self.assertEqual([(a["packet"], a["verdict"], a["reason"]) for a in answers],
                                 [(1, "drop", "fw_drop"), (2, "pass", "fw_policy"), (3, "pass", "no_ip"), (4, "drop", "fw_drop")])
        self.assertEqual(len(self.all_of(self.write(pcap(frames)), "-n", "2")), 2)
        a = self.all_of(self.write(pcap(frames, cut=60)))[3]
        self.assertEqual((a["headers"]["bytes"], a["headers"]["filled_bytes"], a["reason"]), (942, 882, "fw_drop"))
        self.assertRegex(self.text(self.write(pcap(frames))), r"(?m)^packet 4: udp ")
        self.assertEqual(self.all_of(self.write(pcap([]))), [])


class VerdictsAtTc(Verdicts):
    rung = "tc"


class Floods(WhyTest):
    policyd = "ddos: {flags: count, amplification: drop}\nsyn: {rate: 1, burst: 20ms}"

    def test_flags(self):
        a = self.why("tcp", at(FAR, 1), at(NEAR, OPEN), "--flags", "syn,fin")
        self.assertEqual((a["verdict"], a["flags"], a["rules"]["action"]), ("pass", {"state": "bad", "dry": True}, "accept"))
        self.assertRegex(self.text("tcp", at(FAR, 1), at(NEAR, OPEN), "--flags", "syn,fin"), r"(?m)^  flags       bad, but it only counts$")
        self.assertEqual(self.why("tcp", at(FAR, 1), at(NEAR, OPEN), "--flags", "ack")["flags"], {"state": "good"})

    def test_signatures(self):
        pipeline.wait_for(lambda: self.ask("ddos")["state"] == "in force", "signatures")
        a = self.why("udp", at(FAR, 19), at(NEAR, OPEN), "--len", "100")
        self.assertEqual((a["verdict"], a["reason"]), ("drop", "signature"))
        self.assertEqual((a["signatures"]["state"], a["signatures"].get("name")), ("matches", "amp-chargen"), a["signatures"])
        self.assertEqual((a["limits"]["state"], a["rules"]["state"]), ("off", "not asked"))
        # what it has to have in its payload is not there
        a = self.why("udp", at(FAR, 53), at(NEAR, OPEN), "--len", "900")
        self.assertEqual((a["verdict"], a["signatures"]["state"]), ("pass", "none matches"))

    def test_syns(self):
        """A trial takes nothing of the rate; what does says above it."""
        flow = "tcp", at(FAR, 1), at(NEAR, OPEN)
        for _ in range(3):
            self.assertEqual(self.why(*flow)["syns"]["state"], "below the rate")

        def above():
            with self.socket("far", kind=socket.SOCK_STREAM) as far:
                far.setblocking(False)
                far.connect_ex((NEAR, OPEN))
            a = self.why(*flow)
            return a["syns"]["state"] == "above the rate" and a
        a = pipeline.wait_for(above, "above the rate")
        self.assertEqual((a["verdict"], a["reason"], a["syns"]["action"], a["rules"]["action"]), ("drop", "syn_limit", "drop", "accept"))


class Refused(WhyTest):
    def test_words(self):
        good = ("udp", at(FAR, 1), at(NEAR, 2))
        for want, args in (("expected PROTO SRC DST", ()), ("expected PROTO SRC DST", good[:2]), ("expected --dev", good),
                           ("expected a port", ("udp", FAR, at(NEAR, 2), "-i", "x")), ("no ports", ("icmp", at(FAR, 1), NEAR, "-i", "x")),
                           ("is no address", ("icmp", "1.2.3", NEAR, "-i", "x")), ("IPv4, the other IPv6", ("icmp", FAR, "::1", "-i", "x")),
                           ("expected tcp, udp", ("sdp", FAR, NEAR, "-i", "x")), ("--vlan", (*good, "-i", "x", "--vlan", "4096")),
                           ("--len", (*good, "-i", "x", "--len", "41")), ("--len", (*good, "-i", "x", "--len", "2049")),
                           ("--flags", (*good, "-i", "x", "--flags", "syn")), ("--icmp", (*good, "-i", "x", "--icmp", "8")),
                           ("--flags", ("tcp", *good[1:], "-i", "x", "--flags", "syn,,ack")), ("as they are", ("f", "-i", "x", "--vlan", "1"))):
            with self.subTest(args=args):
                self.fails(lib.EXIT_USAGE, want, *args)

    def test_interface(self):
        good = ("udp", at(FAR, 1), at(NEAR, 2), "--dev")
        self.fails(lib.EXIT_SYSTEM, "no such interface", *good, "nobody0")
        self.fails(lib.EXIT_SYSTEM, "no such interface", *good, "a-name-that-is-too-long")
        self.fails(lib.EXIT_SYSTEM, "the guard is not on it", *good, "lo")

    def test_captures(self):
        """What is wrong with a file is said with the place; what came before it is answered."""
        whole = pcap([udp_frame(1, SHUT), udp_frame(2, SHUT)])
        second = 24 + 16 + len(udp_frame(1, SHUT))
        for data, want in ((b"", "too short"), (whole[:20], "too short"), (b"x" * 100, "no pcap"), (struct.pack("<I", 0x0a0d0d0a) + bytes(60), "pcapng"),
                           (pcap([], link=113), "link type 113")):
            with self.subTest(want=want):
                self.fails(lib.EXIT_SYSTEM, want, self.write(data), "--dev", "pstn0")
        for data, want in ((whole[:-1], f"packet 2, at byte {second}: the file ends in it"),
                           (whole[:second + 7], f"packet 2, at byte {second}: the file ends in its header"),
                           (whole[:second + 8] + b"\xff\xff\xff\x7f" * 2, f"packet 2, at byte {second}: its length makes no sense"),
                           (pcap([udp_frame(1, SHUT), udp_frame(2, SHUT, b"x" * 3000)]), "packet 2: has 3042 bytes, expected 14 to 2048")):
            with self.subTest(want=want):
                r = self.run_why(self.write(data), "--dev", "pstn0", "--json")
                self.assertEqual((r.returncode, len(r.stdout.splitlines())), (lib.EXIT_SYSTEM, 1))
                self.assertIn(want, r.stderr)
        self.fails(lib.EXIT_SYSTEM, "No such file", "/nowhere.pcap", "--dev", "pstn0")

    def test_who(self):
        """Others than root are told nothing, whether or not they may talk to the loader."""
        path = os.path.join(self.p.run_dir, "loader.fds")
        for group in (65534, os.stat(path).st_gid):
            with self.subTest(group=group):
                self.fails(lib.EXIT_SYSTEM, "only root may ask", "udp", at(FAR, 1), at(NEAR, 2), "--dev", "pstn0",
                           user=65534, group=group, extra_groups=[])

    def test_strangers(self):
        """Clients that say nothing, go away, or say something else: the loader answers others, and hands nothing out."""
        path = os.path.join(self.p.run_dir, "loader.fds")
        good = struct.pack("<II16s", MAGIC, 1, b"pstn0") + udp_frame(1, SHUT)

        def dial():
            s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            s.connect(path)
            s.settimeout(pipeline.PATIENCE)
            self.addCleanup(s.close)
            return s
        silent = [dial() for _ in range(12)]
        self.assertEqual(self.why("udp", at(FAR, 1), at(NEAR, SHUT))["verdict"], "drop")
        gone = dial()
        gone.send(good)
        gone.close()
        for bad in (b"\0", b"1" * 2, good[:37], good[:24], b"\0" + good[1:], good[:4] + b"\2" + good[5:], good[:8] + b"a" * 16 + good[24:],
                    good + bytes(2048), bytes(60000), os.urandom(100)):
            with self.subTest(bad=bad[:30]):
                s = dial()
                s.send(bad)
                self.assertEqual(s.recv(65536), b"")
        s = dial()
        s.send(good)
        reply = s.recv(65536)
        self.assertEqual(struct.unpack_from("<III", reply), (MAGIC, 1, 0))
        self.assertEqual(self.why("udp", at(FAR, 1), at(NEAR, SHUT))["verdict"], "drop")
        self.assertIn("spoke another protocol", self.p.stage["loader"].text())
        del silent

    def test_no_loader(self):
        self.p.kill("loader")
        self.fails(lib.EXIT_SYSTEM, "no loader serves", "udp", at(FAR, 1), at(NEAR, 2), "--dev", "pstn0")
        self.p.begin("loader")

    def test_no_policyd(self):
        """The verdict is the kernel's; only names are missing."""
        self.p.kill("policyd")
        r = self.run_why("udp", at(FAR, 1), at(NEAR, SHUT), "--dev", "pstn0", "--json")
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        a = json.loads(r.stdout)
        self.assertEqual((a["verdict"], a["rules"]["id"], a["rules"]["unknown"]), ("drop", 2, "not running"))


if __name__ == "__main__":
    unittest.main()
