#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The `penstock` command and stages of the test's own: what it says of those that are not there or answer strangely, and what it
shows of events that are made to deceive a terminal."""
import array
import fcntl
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unicodedata
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fake_stage  # noqa: E402
import lib  # noqa: E402
from pipeline import PATIENCE, wait_for  # noqa: E402
from terminal import Terminal  # noqa: E402
from test_cli import ENV, PENSTOCK, penstock  # noqa: E402


class RunDir(unittest.TestCase):
    """A run folder with stages of ours."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="pst-cli-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.dir)
        self.run_dir = os.path.join(self.dir, "run")
        os.mkdir(self.run_dir)
        self.schema = fake_stage.Schema()

    def fake(self, name, topics=()):
        stage = fake_stage.FakeStage(self.run_dir, name, topics)
        self.addCleanup(stage.close)
        stage.cursors = 0

        def cursor(request):
            reply = stage.cursor(request)
            stage.cursors += 1
            return reply
        stage.handlers["cursor"] = cursor
        return stage

    def wait_watched(self, stage, count=1):
        """Until so many commands will see what is published from now on: each has asked where the stage is (and before that, the
        enricher, whether it is there)."""
        wait_for(lambda: len(stage.subscribers) >= count and stage.cursors >= count * (2 if stage.name == "enricher" else 1),
                 f"{count} subscribers of {stage.name}")

    def penstock(self, *args, **kw):
        return penstock(args[0], "--run-dir", self.run_dir, *args[1:], **kw)

    def report(self, **more):
        report = {"report": 1, "version": "0.1.0", "pid": os.getpid(), "serving": False, "sensors": [], "interfaces": [],
                  "written_boot_ns": time.clock_gettime_ns(time.CLOCK_BOOTTIME), **more}
        with open(os.path.join(self.run_dir, "loader.json"), "w") as f:
            json.dump(report, f, ensure_ascii=False)

    def start(self, *args, **kw):
        p = subprocess.Popen([PENSTOCK, args[0], "--run-dir", self.run_dir, *args[1:]], stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENV, **kw)
        self.addCleanup(self.end, p)
        return p

    def end(self, p):
        if p.poll() is None:
            p.kill()
        p.communicate()


class Changes(RunDir):
    """`penstock fw` and `ddos`: changes that policyd takes its time for, or cannot save."""

    def setUp(self):
        super().setUp()
        self.policyd = self.fake("policyd")

    def answer(self, op, **reply):
        self.policyd.handlers[op] = lambda _: {"ok": True, "state": "in force", "generation": 1, **reply}

    def fw(self, *args):
        return penstock("fw", args[0], "--run-dir", self.run_dir, *args[1:])

    def test_kept_or_not(self):
        self.answer("firewall_add", warning="")
        p = self.fw("add", "{name: x, action: drop}")
        self.assertEqual((p.returncode, p.stdout, p.stderr), (0, "", ""))
        self.answer("firewall_delete", warning="lost \x1b[31m: No space left on device")
        p = self.fw("delete", "x")
        self.assertEqual((p.returncode, p.stdout), (1, ""))
        self.assertIn("warning: lost", p.stderr)
        self.assertIn("No space left on device", p.stderr)
        self.assertNotIn("\x1b", p.stderr)
        # each address is a change: those behind one that is not saved are not left out, those behind one that is refused are
        seen = []
        self.policyd.handlers["block"] = lambda r: seen.append(r["address"]) or (
            {"error": "refused"} if r["address"] == "192.0.2.3" else {"ok": True, "warning": "lost"})
        p = penstock("ddos", "block", "--run-dir", self.run_dir, "192.0.2.1", "192.0.2.2")
        self.assertEqual((p.returncode, p.stderr.count("warning: lost")), (1, 2))
        p = penstock("ddos", "block", "--run-dir", self.run_dir, "192.0.2.1", "192.0.2.3", "192.0.2.4")
        self.assertEqual(p.returncode, lib.EXIT_SYSTEM)
        self.assertEqual(seen, ["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.3"])

    def test_slow(self):
        """A change may take longer than a question; on a terminal that is said."""
        self.answer("firewall_add", warning="")
        self.policyd.hang = True
        t = Terminal([PENSTOCK, "fw", "add", "--run-dir", self.run_dir, "{name: x, action: drop}"], env=ENV)
        self.addCleanup(t.close)
        t.see("policyd is at work")
        self.policyd.hang = False
        self.assertEqual(t.wait(), 0)


class NothingRuns(RunDir):
    def test_status(self):
        p = self.penstock("status")
        self.assertEqual((p.returncode, p.stderr), (1, ""))
        self.assertEqual(len(re.findall(r"^  \w+ +down  ", p.stdout, re.M)), 5, p.stdout)
        self.assertIn("is Penstock up?", p.stdout)
        p = self.penstock("status", "--json")
        self.assertEqual((p.returncode, p.stderr), (1, ""))
        told = json.loads(p.stdout)
        self.assertEqual({s: told["stages"][s] for s in lib.STAGES}, {s: {"error": "not running"} for s in lib.STAGES})
        self.assertEqual(told["loader_state"], "down")

    def test_others_say_so_and_end(self):
        for args, who in ((["observe"], "enricher"), (["top"], "enricher"), (["observe", "--last", "5"], "exporter"),
                          (["observe", "--since", "5m", "--follow"], "exporter"), (["record", os.path.join(self.dir, "x.rec")], "collector")):
            with self.subTest(args=args):
                p = self.penstock(*args)
                self.assertEqual((p.returncode, p.stdout), (lib.EXIT_SYSTEM, ""))
                self.assertRegex(p.stderr, rf"the {who}.*not running")
                self.assertEqual(p.stderr.count("\n"), 1)
        self.assertFalse(os.path.exists(os.path.join(self.dir, "x.rec")))

    def test_not_a_member_of_the_group(self):
        for name in ("enricher", "exporter", "collector", "policyd"):
            self.fake(name, ("proc",))
        for path in glob.glob(self.run_dir + "/*"):
            os.chmod(path, 0o660)
        os.chmod(self.dir, 0o755)
        for args in (["status"], ["observe"], ["observe", "--last", "5"], ["top"]):
            with self.subTest(args=args):
                p = self.penstock(*args, user=65534, group=65534, extra_groups=[])
                self.assertEqual(p.returncode, 1 if args == ["status"] else lib.EXIT_SYSTEM)
                self.assertIn("are you in the group penstock?", p.stdout + p.stderr)

    def test_stages_that_hang_or_talk_nonsense(self):
        hangs, nonsense = self.fake("collector"), self.fake("enricher")
        hangs.hang = True
        nonsense.handlers["status"] = lambda _: b"\xc1\xff\x00"
        odd = self.fake("policyd")
        odd.handlers["status"] = lambda _: {"version": 7, "stats": [[1], "x", None, ["lost_events", None, 3, 0, -5, ""]],
                                            "inputs": {"x": 5, "y": {"lag_ns": "z"}}, "sandbox": ["a"], "rss_bytes": None}
        self.fake("exporter").handlers["status"] = lambda _: [1, 2, 3]
        p = self.penstock("status")
        self.assertEqual((p.returncode, p.stderr), (1, ""))
        self.assertRegex(p.stdout, r"(?m)^  collector +down  does not answer$")
        self.assertRegex(p.stdout, r"(?m)^  enricher +down  ")
        self.assertRegex(p.stdout, r"(?m)^  policyd +(up|wait) ")
        self.assertEqual(self.penstock("status", "--json").returncode, 1)

    def test_report_that_is_none(self):
        for text in ("", "{", "[]", "5", '{"sensors": 5, "interfaces": {"a": 1}, "pid": "x", "serving": 1}',
                     '{"sensors": [1, {"can": [5, "' + "x" * 500 + '"], "why_not": [7]}], "interfaces": [null]}'):
            with self.subTest(text=text[:40]):
                with open(os.path.join(self.run_dir, "loader.json"), "w") as f:
                    f.write(text)
                for args in (["status"], ["status", "--json"]):
                    p = self.penstock(*args)
                    self.assertEqual((p.returncode, p.stderr), (1, ""))
        os.unlink(os.path.join(self.run_dir, "loader.json"))
        os.mkfifo(os.path.join(self.run_dir, "loader.json"))
        self.assertEqual(self.penstock("status").returncode, 1)


class Status(RunDir):
    def test_row_of_a_stage(self):
        for name in lib.STAGES:
            stage = self.fake(name)
            stage.inputs = {"collector": {"connected": True, "lag_ns": 2_500_000}} if name == "enricher" else {}
            stage.stats = [["received_events", "topic", "proc", 0, 40, ""], ["received_events", "topic", "net", 0, 2, ""],
                           ["published_events", "topic", "proc", 0, 41, ""], ["lost_events", "cause", "retention", 0, 7, ""],
                           ["lost_events", "cause", "gone", 0, 0, ""], ["busy_ns", None, None, 0, 99, ""]]
        self.report()
        p = self.penstock("status")
        self.assertEqual((p.returncode, p.stderr), (0, ""))
        self.assertRegex(p.stdout, r"(?m)^  loader +done  0\.1\.0 ")
        self.assertRegex(p.stdout, r"(?m)^  enricher +up +0\.0\.1-test +42 +41 +7 +2\.5 +3\.9 +1\.5  uid=1 caps=none nnp seccomp landlock=3\n"
                                   r"    lost_events\{retention\} 7$")
        self.assertEqual(p.stdout.count("lost_events{retention} 7"), 4)
        self.assertNotRegex(p.stdout, "busy_ns|gone")
        self.assertIn("    busy_ns 99\n", self.penstock("status", "--verbose").stdout)

    def test_input_that_is_away(self):
        for name in lib.STAGES:
            self.fake(name).inputs = {"x": {"connected": name != "policyd", "lag_ns": 0}}
        self.report()
        p = self.penstock("status")
        self.assertEqual(p.returncode, 0)
        self.assertEqual(re.findall(r"^  (\w+) +wait ", p.stdout, re.M), ["policyd"])

    def test_loader_by_its_socket(self):
        """Its report says that it serves; whether it does is asked."""
        for name in lib.STAGES:
            self.fake(name)
        self.report(serving=True)
        self.assertEqual(json.loads(self.penstock("status", "--json").stdout)["loader_state"], "down")
        path = os.path.join(self.run_dir, "loader.fds")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.bind(path)
            s.listen(8)
            p = self.penstock("status", "--json")
            self.assertEqual((json.loads(p.stdout)["loader_state"], p.returncode), ("up", 0))
            self.report(serving=True, written_boot_ns=1)
            p = self.penstock("status")
            self.assertEqual(p.returncode, 1)  # it hangs: it would write its report every 10 s
            self.assertRegex(p.stdout, r"(?m)^  loader +down ")
            self.report(serving=True)
        self.assertEqual(self.penstock("status").returncode, 1)

    def test_sensors_and_interfaces(self):
        self.report(sensors=[{"name": "process", "help": "fork, exec, exit", "state": "active", "rung": "tp_btf", "can": ["observe"], "why_not": []},
                             {"name": "accept", "help": "accepted", "state": "weaker", "rung": "sys_exit", "can": ["observe", "kill"],
                              "why_not": [{"rung": "fentry", "reason": "fentry: refused by lockdown"}]}],
                    interfaces=[{"name": "eth7", "dir": "in", "mode": "tcx", "why": ""}])
        text = self.penstock("status").stdout
        self.assertRegex(text, r"(?m)^  process +active +tp_btf +observe +fork, exec, exit$")
        self.assertRegex(text, r"(?m)^  accept +weaker +sys_exit +observe,kill +accepted\n +not fentry: refused by lockdown$")
        self.assertRegex(text, r"(?m)^  eth7 +in +tcx$")

    def test_colour_is_for_terminals_that_want_it(self):
        self.report()
        self.assertNotIn("\x1b", self.penstock("status").stdout)
        for env, coloured in (((), True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)):
            t = Terminal([PENSTOCK, "status", "--run-dir", self.run_dir], env={**ENV, **dict(env)})
            self.addCleanup(t.close)
            self.assertEqual(t.wait(), 1)
            self.assertIn("collector", t.text)
            self.assertEqual("\x1b[31mdown" in t.text, coloured)
            self.assertEqual("\x1b" in t.text, coloured)


# ESC, CSI and OSC sequences in 7 and 8 bit, line ends, delete, characters that turn the writing round, and no UTF-8 at all
NASTY = (b"\x1b]0;owned\x07", b"\x1b[2J\x1b[H", b"a\nb\rc\td\x08", b"\x9b31m", "\u009b2J".encode(), "x\u202egpj.exe".encode(), b"\x7f\x00\xff\xfe",
         "\u2066\u2028\u200f\ufeff".encode(), b"\xed\xa0\x80", b'"quoted\\')


def harmless(text, lines):
    """What a terminal is given: printable characters, and line ends only where a line is meant to end."""
    bad = {c for c in text if c != "\n" and (unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs"))}
    return not bad and text.count("\n") == lines


class Hostile(RunDir):
    """Names made to deceive, in every place where one can be."""

    def setUp(self):
        super().setUp()
        self.enricher = self.fake("enricher", ("proc", "net", "flow", "meta"))
        self.policyd = self.fake("policyd", ("alert",))
        self.events = []
        for i, name in enumerate(NASTY):
            who = {"pid": 1000 + i, "start_ns": 5, "comm": name[:15]}
            deep = {"exe": name, "user": name, "container_id": name, "container_runtime": name, "unit": name, "service": name,
                    "cgroup": name, "parent_exe": name, "ancestors": [[1, 2, name]]}
            self.events += [self.schema.event("process_exec", enricher=deep, exe=b"/bin/" + name, argv=[name, name, b"-c", name], argc=4,
                                              filename=name, cwd=name, **who),
                            self.schema.event("process_exec_failed", enricher=deep, filename=name, argv=[name], error=2, **who),
                            self.schema.event("flow", enricher=deep, interface=name, saddr=b"\x0a\0\0\1", daddr=b"\x0a\0\0\2", sport=1, dport=2,
                                              protocol=6, family=2, delta_packets=1, delta_bytes=100, packets=1, bytes=100),
                            self.schema.event("events_lost", stage=name, where=name, cause=name, count=3)]
        self.alerts = [self.schema.event("process_exit", enricher={"exe": name}, pid=77, comm=name[:15],
                                         policyd={"rule": name, "severity": 5, "message": name, "tags": [name]}) for name in NASTY]

    def exporter(self):
        exporter = self.fake("exporter")
        exporter.handlers["events"] = lambda r: {"events": self.events + self.alerts, "epoch": 7, "next": 100, "more": False, "skipped": 0,
                                                 "wall_offset_ns": 0} if "after" not in r else {
            "events": [], "epoch": 7, "next": 100, "more": False, "skipped": 0, "wall_offset_ns": 0}
        return exporter

    def live(self, *args, count):
        p = self.start("observe", *args)
        for stage in (self.enricher, self.policyd):
            self.wait_watched(stage)
        self.enricher.publish("proc", *self.events)
        self.policyd.publish("alert", *self.alerts)
        out = b""
        os.set_blocking(p.stdout.fileno(), False)

        def read():
            nonlocal out
            out += p.stdout.read() or b""
            return out.count(b"\n") >= count
        wait_for(read, f"{count} lines, not {out}")
        p.send_signal(signal.SIGINT)
        os.set_blocking(p.stdout.fileno(), True)
        rest, err = p.communicate(timeout=PATIENCE)
        self.assertEqual((p.returncode, err), (0, b""))
        return (out + rest).decode("utf-8")

    def test_live(self):
        n = len(self.events) + len(self.alerts)
        self.assertTrue(harmless(self.live(count=n), n))

    def test_live_jsonl_keeps_the_bytes(self):
        n = len(self.events) + len(self.alerts)
        text = self.live("-o", "jsonl", count=n)
        self.assertTrue(harmless(text, n))
        self.check_objects([json.loads(line) for line in text.splitlines()])

    def test_live_json_is_one_array_when_interrupted(self):
        n = len(self.events) + len(self.alerts)
        self.check_objects(json.loads(self.live("-o", "json", count=n)))

    def check_objects(self, objects):
        self.assertEqual(len(objects), len(self.events) + len(self.alerts))
        execs = [o for o in objects if o["kind"] == "process_exec"]
        self.assertEqual(len(execs), len(NASTY))
        for o, name in zip(execs, NASTY):
            if name.isascii() and b"\0" not in name:
                self.assertEqual(o["argv"][0], name.decode())

    def test_stored(self):
        self.exporter()
        n = len(self.events) + len(self.alerts)
        p = self.penstock("observe", "--last", "1000")
        self.assertEqual((p.returncode, p.stderr), (0, ""))
        self.assertTrue(harmless(p.stdout, n), p.stdout)
        p = self.penstock("observe", "--last", "1000", "-o", "jsonl")
        self.assertTrue(harmless(p.stdout, n))
        self.check_objects([json.loads(line) for line in p.stdout.splitlines()])
        self.check_objects(json.loads(self.penstock("observe", "--since", "1h", "-o", "json").stdout))

    def test_terminal(self):
        """With colour: no escape sequence but those of colours."""
        self.exporter()
        t = Terminal([PENSTOCK, "observe", "--run-dir", self.run_dir, "--last", "1000"], env=ENV)
        self.addCleanup(t.close)
        self.assertEqual(t.wait(), 0)
        self.assertIn("\x1b[", t.text)
        self.assertTrue(harmless(t.read(), len(self.events) + len(self.alerts)))
        self.assertLessEqual(set(re.findall(r"\x1b\[[0-9;]*[^0-9;]", t.text)), {f"\x1b[{c}m" for c in (0, 1, 2, *range(31, 38))})

    def test_top(self):
        p = self.start("top", "--once", "--interval", "3s")
        self.wait_watched(self.enricher)
        self.enricher.publish("proc", *self.events)
        out, err = p.communicate(timeout=PATIENCE)
        self.assertEqual((p.returncode, err), (0, b""))
        text = out.decode("utf-8")
        self.assertTrue(harmless(text, text.count("\n")))
        self.assertRegex(text, r"(?m) 1000  \S")
        self.assertIn("tcp 10.0.0.1:1 → 10.0.0.2:2", text)

    def test_status(self):
        for stage in (self.enricher, self.policyd, self.fake("collector"), self.exporter()):
            names = [n.decode("utf-8", "surrogateescape").encode("utf-8", "surrogateescape") for n in NASTY]
            reply = stage.status({})
            reply["stats"] = [["lost_events", "cause", n, 0, 5, n] for n in names] + [[n, None, None, 0, 5, ""] for n in names]
            reply.update(version=names[0], sandbox=names[4], inputs={names[1]: {"connected": True, "lag_ns": 1}})
            stage.handlers["status"] = lambda _, reply=reply: reply
        text = [n.decode("utf-8", "ignore").replace("\0", "") for n in NASTY]
        self.report(version=text[0], sensors=[{"name": t, "help": t, "state": t, "rung": t, "can": [t], "why_not": [{"rung": t, "reason": t}]}
                                              for t in text],
                    interfaces=[{"name": t, "dir": t, "mode": t, "why": t} for t in text])
        for args in (["status", "-v"], ["status", "--json"]):
            p = self.penstock(*args)
            self.assertEqual((p.returncode, p.stderr), (0, ""))
            self.assertTrue(harmless(p.stdout, p.stdout.count("\n")), p.stdout)

    def test_messages_of_a_stage(self):
        """What a stage says is wrong goes to a terminal, too."""
        bad = {"error": NASTY[1].decode() + "\u009b2J"}
        self.fake("exporter").handlers["events"] = lambda _: bad
        self.fake("collector").handlers["record"] = lambda _: bad
        for args in (["observe", "--last", "1"], ["record", os.path.join(self.dir, "x.rec")]):
            p = self.penstock(*args)
            self.assertEqual((p.returncode, p.stdout), (lib.EXIT_SYSTEM, ""))
            self.assertTrue(harmless(p.stderr, 1), p.stderr)
        p = self.penstock("observe", "--kind", "\x1b[2J")
        self.assertTrue(harmless(p.stderr, 1), p.stderr)

    def test_replies_that_are_nonsense(self):
        exporter = self.fake("exporter")
        for reply in ({}, {"events": 5}, {"events": [1, None, b"", b"\xc1", b"\x95\x01"], "epoch": "x", "next": -1, "more": 7, "wall_offset_ns": "z"},
                      {"events": [b"\x93\x02\x00\x90"], "next": 1, "epoch": 1, "more": False, "skipped": 1 << 63}, [], 5, None):
            exporter.handlers["events"] = lambda _, r=reply: r
            with self.subTest(reply=reply):
                p = self.penstock("observe", "--last", "3", "-o", "jsonl")
                self.assertIn(p.returncode, (0, lib.EXIT_SYSTEM))
                for line in p.stdout.splitlines():
                    json.loads(line)


class Filters(RunDir):
    """Live filters are the command's own; the API's and the store's are the exporter's (test_cli_live.py compares them)."""

    def setUp(self):
        super().setUp()
        event = self.schema.event
        v4, v6 = bytes([10, 1, 2, 3]), bytes.fromhex("20010db8" + "00" * 11 + "07")
        net = {"protocol": 6, "family": 2, "laddr": bytes([10, 9, 9, 9]), "lport": 40000}
        self.events = {
            "shell": event("process_exec", pid=11, start_ns=1, uid=0, comm="sh", argv=["sh"], enricher={
                "exe": "/bin/dash", "user": "root", "container_id": "3f2a" + "0" * 60, "container_runtime": "docker"}),
            "curl": event("tcp_connect", pid=12, start_ns=1, uid=1000, comm="curl", raddr=v4, rport=443, enricher={
                "exe": "/usr/bin/curl", "user": "alice"}, **net),
            "six": event("tcp_close", pid=13, start_ns=1, uid=33, comm="nginx", raddr=v6, rport=8080, enricher={
                "exe": "/usr/sbin/nginx", "user": "www-data", "container_id": "3f2b" + "1" * 60}, **{**net, "family": 10, "laddr": v6, "lport": 80}),
            "fork": event("process_fork", pid=11, start_ns=1, comm="sh", child_pid=14, child_start_ns=2, enricher={"exe": "/bin/dash"})}
        self.alerts = {name: event("process_exit", pid=15, comm="x", policyd={"rule": rule, "severity": severity, "message": "m"})
                       for name, rule, severity in (("low", "r-low", 1), ("high", "r-high", 4))}

    CASES = ((["--kind", "process_exec"], {"shell"}), (["--kind", "tcp_*"], {"curl", "six"}),
             (["-k", "process_fork", "-k", "tcp_close"], {"fork", "six"}), (["--pid", "12"], {"curl"}), (["-p", "14"], {"fork"}),
             (["--comm", "ng*"], {"six"}), (["--exe", "/usr/*"], {"curl", "six"}), (["--container", "3f2a"], {"shell"}),
             (["--container", "3f"], {"shell", "six"}), (["--address", "10.1.0.0/16"], {"curl"}), (["-a", "2001:db8::/32"], {"six"}),
             (["-a", "10.9.9.9"], {"curl"}), (["--port", "443"], {"curl"}), (["--port", "80"], {"six"}), (["--user", "alice"], {"curl"}),
             (["--uid", "33"], {"six"}), (["--alert", "true"], {"low", "high"}), (["--severity", "error"], {"high"}),
             (["--rule", "r-l*"], {"low"}), (["--alert", "false", "--pid", "11"], {"shell", "fork"}),
             (["--exe", "/usr/*", "--port", "8080"], {"six"}))

    WHO = {"shell": ("process_exec", 11, None), "curl": ("tcp_connect", 12, None), "six": ("tcp_close", 13, None),
           "fork": ("process_fork", 11, None), "low": ("process_exit", 15, "r-low"), "high": ("process_exit", 15, "r-high")}

    def test_each(self):
        stages = [(self.fake("enricher", ("proc",)), "proc", self.events), (self.fake("policyd", ("alert",)), "alert", self.alerts)]
        runs = []
        for args, want in self.CASES:
            runs.append((args, want, self.start("observe", "-o", "jsonl", *args)))
            for stage, _, _ in stages:
                self.wait_watched(stage, len(runs))
        for stage, topic, events in stages:
            stage.publish(topic, *events.values())
        for args, want, p in runs:
            with self.subTest(args=args):
                shown = [json.loads(p.stdout.readline()) for _ in want]
                p.send_signal(signal.SIGTERM)
                rest, err = p.communicate(timeout=PATIENCE)
                self.assertEqual((p.returncode, err, rest), (0, b"", b""))
                self.assertEqual({(o["kind"], o.get("pid"), o.get("rule")) for o in shown}, {self.WHO[w] for w in want})


class Output(RunDir):
    def setUp(self):
        super().setUp()
        self.enricher = self.fake("enricher", ("proc",))
        self.fake("policyd", ("alert",))

    def execs(self, n, first=0):
        return [self.schema.event("process_exec", pid=100 + first + i, start_ns=1, comm="x", argv=["x", "y" * 200], exe="/bin/x")
                for i in range(n)]

    def test_reader_that_goes_away(self):
        p = self.start("observe")
        self.wait_watched(self.enricher)
        self.enricher.publish("proc", *self.execs(5))
        self.assertIn(b"exec", p.stdout.readline())
        p.stdout.close()
        self.enricher.publish("proc", *self.execs(500, 5))
        self.assertEqual(p.wait(PATIENCE), 0)
        self.assertEqual(p.stderr.read(), b"")

    def test_reader_that_does_not_read(self):
        """The command waits for it, and can be ended meanwhile."""
        p = self.start("observe")
        self.wait_watched(self.enricher)
        threading.Thread(target=self.enricher.publish, args=("proc", *self.execs(4000)), daemon=True).start()
        wait_for(lambda: waiting(p.stdout) > 60000, "a full pipe")
        p.send_signal(signal.SIGTERM)
        self.assertEqual(p.wait(PATIENCE), 0)

    def test_full_disk(self):
        """Told, and an exit code that says so."""
        with open("/dev/full", "wb") as full:
            p = subprocess.Popen([PENSTOCK, "observe", "--run-dir", self.run_dir], stdin=subprocess.DEVNULL, stdout=full,
                                 stderr=subprocess.PIPE, text=True, env=ENV)
            self.addCleanup(self.end, p)
            self.wait_watched(self.enricher)
            self.enricher.publish("proc", *self.execs(5))
            self.assertEqual(p.wait(PATIENCE), lib.EXIT_SYSTEM)
            self.assertIn("No space left on device", p.stderr.read())


def waiting(pipe):
    """Bytes in it that nobody has read."""
    n = array.array("i", [0])
    fcntl.ioctl(pipe.fileno(), termios.FIONREAD, n)
    return n[0]


if __name__ == "__main__":
    unittest.main()
