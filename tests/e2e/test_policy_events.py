#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What policies did, from the record to those who read it: event, alert, counter, line. The records are of a recording, made here."""
import collections
import os
import re
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
import pipeline  # noqa: E402
from pipeline import wait_for  # noqa: E402

OPEN, RENAME, CONNECT, SIGNAL = 12, 14, 25, 3  # proto/abi/policy_ops.h
AUDIT, ALERT, THROTTLE, DENY, KILL = range(2, 7)
TOLD, DENIED, KILLED = range(3)
LSM, FENTRY, TRACEPOINT, CGROUP = range(1, 5)
PID, START = 4242, 5 * 10**9
RULE = "rules: [{name: refused, kinds: policy, match: {done: denied, access: {contains: write}}, severity: notice, message: '{path}', rate: none}]\n"


def abi():
    with open(os.path.join(lib.ROOT, "proto", "abi", "maps.h"), encoding="utf-8") as f:
        return int(re.search(r"#define PST_ABI_VERSION\s+(\w+)", f.read()).group(1).rstrip("u"), 0)


def head():
    return struct.pack("=8sIIq40s72s72s32x", b"PSTREC\r\n", 0x01020304, abi(), 10**18, b"0" * 36, b"recorded", b"6.1.0")


class Recording:
    """Times are 10 us apart."""

    def __init__(self):
        self.bytes, self.ts = bytearray(head()), 10**10

    def add(self, kind, body, flags=0):
        body += bytes(-len(body) % 8)
        self.ts += 10000
        self.bytes += struct.pack("=HHIQ", kind, flags, 16 + len(body), self.ts) + body
        return self

    def task(self):
        return struct.pack("=QQIIII16s", START, 1, PID, PID, 1000, 1000, b"thread")

    def exec(self, exe):
        return self.add(2, self.task() + bytes(32) + struct.pack("=QQQIIIII", 0, 1, 7, 1, 0, 1000, 1000, 0) + struct.pack("=4HI", len(exe), len(exe), 0, 4, 1)
                        + exe + exe + b"name")

    def act(self, op, action, done, hook=LSM, path=b"", to=b"", rule=0, would=0, file=0, addr=bytes(16), port=0, family=0, signal=0, target=0, error=13, names=None):
        return self.add(48, self.task() + struct.pack("=QQIIIHH8B16sHBBB3xIIQHHI", 99, 0, 0x800001, 7, rule, rule // 10, error, op, action, would or action, done,
                                                      hook, file, 0, 1, addr, port, family, 6 if family else 0, signal, target, 0, 0, len(path), len(to), 0)
                        + path + to + (bytes(-len(path + to) % 8) + struct.pack("64s64s", *names) if names else b""), flags=1 if names else 0)


class Recorded(pipeline.PipelineTest):
    def up(self, recording, rules="rules: []\n"):
        p = self.pipeline(rules, loader=pipeline.ALL_BUT_PROCESS)
        path = os.path.join(p.dir, "acts.rec")
        with open(path, "wb") as f:
            f.write(recording.bytes)
        os.chmod(path, 0o644)
        for stage in ("loader", "enricher", "policyd", "exporter"):
            p.begin(stage)
        p.begin("collector", "--replay", path)
        return p

    def count(self, p, name):
        return int(p.metrics().get(name, 0))

    def seen(self, p, n):
        wait_for(lambda: self.count(p, 'penstock_events_total{kind="policy"}') >= n, f"{n} events of policies")

    def test_what_is_told(self):
        r = Recording().exec(b"/usr/bin/cat")
        r.act(OPEN, DENY, DENIED, path=b"/etc/shadow", file=2)
        r.act(RENAME, AUDIT, TOLD, FENTRY, path=b"/a", to=b"/b", rule=11, would=DENY)
        r.act(CONNECT, THROTTLE, DENIED, CGROUP, addr=b"\0" * 10 + b"\xff\xff\x0a\0\0\2", port=443, family=2, rule=12)
        r.act(SIGNAL, KILL, KILLED, TRACEPOINT, signal=9, target=77, rule=13)
        r.act(99, ALERT, TOLD, path=b"/\xff\n", rule=14)
        r.act(OPEN, DENY, TOLD, TRACEPOINT, path=b"/x", rule=15, names=(b"secrets", b"nobody else does"))
        p = self.up(r, RULE)
        self.seen(p, 6)
        wait_for(lambda: len(p.events("alert=true&last=100")) >= 6, "the alerts")

        opened, renamed, connected, signalled, odd, named = p.events("kind=policy&alert=false&last=100")
        self.assertEqual({k: opened[k] for k in ("operation", "action", "done", "hook", "error", "path", "access", "dev", "ino", "policy_generation", "exe", "comm",
                                                 "pid")},
                         {"operation": "file.open", "action": "deny", "done": "denied", "hook": "lsm", "error": "EACCES", "path": "/etc/shadow",
                          "access": ["write"], "dev": "8:1", "ino": 99, "policy_generation": 7, "exe": "/usr/bin/cat", "comm": "thread", "pid": PID})
        self.assertNotIn("policy", opened)  # its record has no names
        self.assertEqual((named["policy"], named["policy_rule"], named["policy_id"], named["policy_rule_id"]), ("secrets", "nobody else does", 1, 15))
        self.assertEqual((renamed["path"], renamed["to_path"], renamed["would"], renamed["hook"]), ("/a", "/b", "deny", "fentry"))
        self.assertNotIn("error", renamed)
        self.assertEqual((connected["raddr"], connected["rport"], connected["protocol"], connected["family"], connected["policy_rule_id"]),
                         ("10.0.0.2", 443, "tcp", "inet", 12))
        self.assertEqual((signalled["signal"], signalled["target_pid"], signalled["done"]), ("SIGKILL", 77, "killed"))
        self.assertEqual((odd["operation"], odd["path"]), ("99", "/\ufffd\n"))
        self.assertEqual([e["path"] for e in p.events("policy=sec*&last=9")], ["/x", "/x"])  # and its alert
        self.assertEqual([e["rport"] for e in p.events("kind=policy&port=443&alert=false&last=9")], [443])

        alerts = {(a["rule"], a["severity"]): a["message"] for a in p.events("alert=true&last=100")}
        self.assertEqual(alerts, {
            ("#0/#0", "error"): "denied: /usr/bin/cat opens /etc/shadow (policy #0, rule #0)",
            ("refused", "notice"): "/etc/shadow",  # rules of one's own see these events as all others
            ("#1/#12", "warning"): "denied: /usr/bin/cat connects to 10.0.0.2:443 (policy #1, rule #12)",
            ("#1/#13", "critical"): "killed: /usr/bin/cat sends SIGKILL to 77 (policy #1, rule #13)",
            ("secrets/nobody else does", "error"): "not denied: /usr/bin/cat opens /x (policy secrets, rule nobody else does)",
            ("#1/#14", "warning"): "seen: /usr/bin/cat 99 /\ufffd\n (policy #1, rule #14)"})
        self.assertEqual([a["tags"] for a in p.events("alert=true&last=100&rule=%230/*")], [["policy", "deny"]])
        self.assertEqual(self.count(p, 'penstock_policy_acts_total{policy="",rule="",action="kill",done="killed"}'), 1)
        self.assertEqual(self.count(p, 'penstock_policy_acts_total{policy="secrets",rule="nobody else does",action="deny",done="told"}'), 1)
        self.assertEqual(p.stats("collector")[("unnamed_policy_events", None)], 5)
        out = subprocess.run([os.path.join(lib.BINDIR, "penstock"), "observe", "--run-dir", p.run_dir, "--kind", "policy", "--alert", "false", "--last", "100"],
                             stdout=subprocess.PIPE, check=True, timeout=pipeline.PATIENCE).stdout.decode()
        of_policy = subprocess.run([os.path.join(lib.BINDIR, "penstock"), "observe", "--run-dir", p.run_dir, "--policy", "secrets", "--last", "100"],
                                   stdout=subprocess.PIPE, check=True, timeout=pipeline.PATIENCE).stdout.decode()
        self.assertEqual(len(of_policy.splitlines()), 2)
        self.assertRegex(of_policy, r"ALERT error secrets/nobody else does: not denied: /usr/bin/cat opens /x \(policy secrets")
        self.assertIn("thread[4242] policy denied file.open /etc/shadow EACCES by #0/#0\n", out)
        self.assertIn("thread[4242] policy audit file.rename /a → /b by #1/#11 (would deny)\n", out)
        self.assertIn("policy deny file.open /x by secrets/nobody else does (only told)\n", out)
        self.assertIn("policy alert 99 /\\xff\\x0a by #1/#14\n", out)

    def test_a_flood_is_counted(self):
        """Each record is an event, and each event that is to be an alert is one or is counted as held back."""
        n, audits = 20000, 1000
        r = Recording().exec(b"/usr/bin/cat")
        for i in range(n):
            r.act(OPEN, DENY, DENIED, path=b"/etc/shadow", rule=i % 3)
        for i in range(audits):
            r.act(OPEN, AUDIT, TOLD, path=b"/etc/passwd", rule=5)
        p = self.up(r)
        self.seen(p, n + audits)
        wait_for(lambda: p.stats("policyd").get(("received_events", "proc"), 0) >= n + audits + 1, "policyd to have them all")
        stats = p.stats("policyd")
        alerts, held = stats[("alerts", None)], stats[("suppressed_alerts", None)]
        self.assertEqual(alerts + held, n)
        self.assertLess(alerts, 100)  # 0.2 s of recorded time, 10 a second of each rule
        wait_for(lambda: sum(int(v) for k, v in p.metrics().items() if k.startswith("penstock_alerts_total{")) >= alerts, "the alerts")
        by_rule = collections.Counter(a["rule"] for a in p.events("alert=true&last=1000"))
        self.assertEqual(set(by_rule), {"#0/#0", "#0/#1", "#0/#2"})
        self.assertEqual(sum(by_rule.values()), alerts)
        self.assertEqual(self.count(p, 'penstock_policy_acts_total{policy="",rule="",action="deny",done="denied"}'), n)
        self.assertEqual(self.count(p, 'penstock_policy_acts_total{policy="",rule="",action="audit",done="told"}'), audits)
        self.assertEqual([k for k in p.metrics() if k.startswith("penstock_events_lost_total{")], [])

    def test_killed_stages_lose_none(self):
        """Whoever is killed meanwhile: each record is an event once."""
        n = 60000
        r = Recording().exec(b"/usr/bin/cat")
        for i in range(n):
            r.act(OPEN, DENY, DENIED, path=b"/n/%d" % i, rule=i % 3)
        p = self.up(r)
        eyes = pipeline.Observer(p, "enricher")
        self.addCleanup(eyes.close)
        wait_for(lambda: self.count(p, 'penstock_events_total{kind="policy"}') > 0, "the first events")
        for stage in ("policyd", "enricher"):
            p.kill(stage)
            p.begin(stage)
        wait_for(lambda: len(eyes.select("policy")) >= n, "all events")
        self.assertEqual(eyes.faults, [])
        self.assertEqual(sum(eyes.lost.values()), 0)
        self.assertEqual(sorted(int(e.get("path")[3:]) for e in eyes.select("policy")), list(range(n)))


class Descriptor(pipeline.PipelineTest):
    """The map of names is the loader's to give: without it the collector works, with another thing in its place it says so."""
    VALUE = 128 + 128 * 10240  # struct pst_pol_labels

    def test_the_map_of_names(self):
        p = self.pipeline(loader=pipeline.ALL_BUT_PROCESS).up("loader")
        fds, error = lib.request_fds(os.path.join(p.run_dir, "loader.fds"))
        self.assertEqual(error, 0)
        ring, size = fds["ring_process"]
        names = lib.create_array("policy_names", self.VALUE, 2)
        small = lib.create_array("policy_names", self.VALUE - 128, 2)
        one = lib.create_array("policy_names", self.VALUE, 1)
        self.addCleanup(lambda: [os.close(fd) for fd in (names, small, one, *(fd for fd, _ in fds.values()))])
        for fd in (small, one, fds["class_stats"][0]):
            c = p.start("penstock-collector", env={"PENSTOCK_FDS": f"{ring}:ring_process:{size},{fd}:policy_names:2"}, pass_fds=(ring, fd), ready=0)
            self.assertEqual(c.wait(pipeline.PATIENCE), lib.EXIT_SYSTEM, c.text())
            self.assertRegex(c.text(), "error .*policy_names")
        c = p.begin("collector", env={"PENSTOCK_FDS": f"{ring}:ring_process:{size},{names}:policy_names:2"}, pass_fds=(ring, names))
        mapped = [line.split()[0] for line in lib.read(f"/proc/{c.p.pid}/maps").decode().splitlines() if "bpf-map" in line and " r--s " in line]
        sizes = [int(b, 16) - int(a, 16) for a, b in (m.split("-") for m in mapped)]
        self.assertIn(-(-2 * self.VALUE // 4096) * 4096, sizes)
        self.assertEqual(c.stop(), 0)


if __name__ == "__main__":
    unittest.main()
