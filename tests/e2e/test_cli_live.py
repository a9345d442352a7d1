#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The `penstock` command beside a pipeline that works on live kernel events."""
import collections
import json
import os
import re
import signal
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
import net  # noqa: E402
import pipeline  # noqa: E402
from pipeline import PATIENCE, Spawner, unique, wait_for  # noqa: E402
from terminal import Terminal  # noqa: E402

PENSTOCK = os.path.join(lib.BINDIR, "penstock")
MEMBER = lib.FIRST_ID + 90  # of the group penstock and of nothing else
AS_MEMBER = ("setpriv", f"--reuid={MEMBER}", f"--regid={MEMBER}", f"--groups={lib.COMMON_GROUP}", "--inh-caps=-all", "--bounding-set=-all")
ENV = {k: v for k, v in os.environ.items() if not k.startswith("PENSTOCK_") and k != "NO_COLOR"}


class LiveTest(pipeline.PipelineTest):
    def command(self, p, *args, before=AS_MEMBER):
        """A command line within the instance, as an ordinary member of the group."""
        return p.inside(*before, PENSTOCK, args[0], "--run-dir", p.run_dir, *args[1:])

    def penstock(self, p, *args, before=AS_MEMBER, code=0):
        out = subprocess.run(self.command(p, *args, before=before), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True, env=ENV, timeout=PATIENCE)
        self.assertEqual(out.returncode, code, f"{args}: {out.stdout}\n{out.stderr}")
        return out

    def start(self, p, *args, before=AS_MEMBER, **kw):
        child = subprocess.Popen(self.command(p, *args, before=before), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 env=ENV, **kw)
        self.addCleanup(self.end, child)
        return child

    def end(self, child):
        if child.poll() is None:
            child.kill()
        child.communicate()

    def terminal(self, p, *args, **kw):
        t = Terminal(self.command(p, *args), env=ENV, **kw)
        self.addCleanup(t.close)
        return t

    def spawn(self, mark, count, rate=0):
        spawner = Spawner(mark, count, rate)
        self.addCleanup(spawner.close)
        return spawner

    def stored(self, p, query):
        return p.events(query)


def key(o):
    """What names an event in JSON."""
    return o["kind"], o["ts_ns"], o.get("pid"), o.get("child_pid"), o.get("rule"), o.get("laddr"), o.get("lport")


def marked(objects, mark):
    """Numbers of a spawner's processes in events of the exec: {number: events}"""
    out = collections.defaultdict(list)
    for o in objects:
        argv = o.get("argv", [])
        if o["kind"] == "process_exec" and len(argv) == 4 and argv[0] == mark:
            out[int(argv[1])].append(o)
    return out


class Looking(LiveTest):
    """What only asks; one pipeline for all."""

    @classmethod
    def setUpClass(cls):
        cls.p = pipeline.Pipeline("rules:\n  - name: marked\n    kinds: process_exec\n    match: {argv: 'cli-alert'}\n    rate: none\n"
                                  "    severity: error\n", loader="flows: {slots: 4096}")
        cls.addClassCleanup(cls.p.close)
        cls.p.up()
        cls.peer = net.Peer(cls.p)
        cls.addClassCleanup(cls.peer.close)

    def setUp(self):
        self.instances = [self.p]

    def connections(self, count=3):
        """From the instance's namespace to its peer, some bytes each way."""
        script = ("import socket,sys,threading\n"
                  "s=socket.create_server(('0.0.0.0',7007)); print(1,flush=True)\n"
                  f"for _ in range({count}):\n c=s.accept()[0]; c.sendall(c.recv(4096)); c.close()\n")
        server = subprocess.Popen(self.peer.inside("/usr/bin/python3", "-c", script), stdout=subprocess.PIPE)
        server.stdout.readline()
        client = (f"import socket\nfor _ in range({count}):\n s=socket.create_connection(('{net.V4[1]}',7007)); s.sendall(b'x'*2000)\n"
                  " while s.recv(4096): pass\n s.close()\n")
        self.p.run("/usr/bin/python3", "-c", client)
        self.assertEqual(server.wait(PATIENCE), 0)
        server.stdout.close()

    # ---- status ----

    def test_status_of_all(self):
        """A row a process with what it does, a line a sensor with what the loader's report says of it."""
        text = self.penstock(self.p, "status").stdout
        rows = {m.group(1): m.group(2) for m in re.finditer(r"^  (\w+) +(up|wait|done|down) ", text, re.M)}
        self.assertEqual(rows, dict.fromkeys(("loader", *lib.STAGES), "up"), text)
        version = re.search(r"\d+\.\d+\.\d+", self.penstock(self.p, "status", "--version").stdout).group(0)
        for stage in lib.STAGES:
            row = re.search(rf"^  {stage} +up +(\S+) +(\d+) +(\d+) +(\d+) +([\d.]+) +([\d.]+) +([\d.]+)  (.*)$", text, re.M)
            self.assertTrue(row, text)
            status = self.p.status(stage)
            self.assertEqual((row.group(1), row.group(8)), (version, status["sandbox"]))
            if stage != "policyd":
                self.assertGreater(int(row.group(2)), 0)
            self.assertAlmostEqual(float(row.group(6)), status["rss_bytes"] / 1048576, delta=8)
            self.assertIn("caps=none nnp seccomp", row.group(8))
        loader = re.search(r"^  loader +up +(\S+) .* ([\d.]+) +([\d.]+)  (root caps=.*)$", text, re.M)
        self.assertTrue(loader, text)
        self.assertEqual(loader.group(1), version)
        self.assertGreater(float(loader.group(2)), 0.5)
        self.assertIn("nnp seccomp", loader.group(4))
        report = self.p.report()
        for sensor in report["sensors"]:
            line = re.search(rf"^  {sensor['name']} +{sensor['state']} +(.*)$", text, re.M)
            self.assertTrue(line, f"{sensor['name']} in\n{text}")
            self.assertTrue(line.group(1).startswith(sensor["rung"] or ""))
            self.assertTrue(line.group(1).endswith(sensor["help"]))
            for why in sensor["why_not"]:
                self.assertIn(f"not {why['rung']}: ", text)
        for interface in report["interfaces"]:
            self.assertRegex(text, rf"(?m)^  {interface['name']} +{interface['dir']} +{interface['mode']}(:|$)")

    def test_status_as_json(self):
        told = json.loads(self.penstock(self.p, "status", "--json").stdout)
        self.assertEqual(set(told), {"stages", "loader_state", "loader"})
        self.assertEqual((set(told["stages"]), told["loader_state"]), (set(lib.STAGES), "up"))
        for stage, status in told["stages"].items():
            self.assertEqual((status["stage"], status["pid"]), (stage, self.p.pid(stage)))
            self.assertTrue(all(len(s) == 6 for s in status["stats"]))
        self.assertEqual([s["name"] for s in told["loader"]["sensors"]], [s["name"] for s in self.p.report()["sensors"]])

    def test_not_for_strangers(self):
        stranger = ("setpriv", f"--reuid={lib.STRANGER}", f"--regid={lib.STRANGER}", "--clear-groups")
        text = self.penstock(self.p, "status", before=stranger, code=1).stdout
        self.assertEqual(text.count("are you in the group penstock?"), 5)
        err = self.penstock(self.p, "observe", before=stranger, code=lib.EXIT_SYSTEM).stderr
        self.assertIn("are you in the group penstock?", err)

    # ---- observe ----

    def test_filters_of_the_store_are_those_of_the_api(self):
        """Each filter gives what the API gives for it: some, and not all."""
        mark = unique("cli-filter")
        self.spawn(mark, 20).result()
        self.connections()
        subprocess.run(["/bin/bash", "-c", "exec -a cli-alert /bin/true"], check=True)
        wait_for(lambda: len(marked(self.stored(self.p, "kind=process_exec&last=100000"), mark)) == 20, "the execs")
        wait_for(lambda: len(self.stored(self.p, f"kind=tcp_close&address={net.V4[1]}")) >= 3, "the connections")
        wait_for(lambda: self.stored(self.p, "alert=true"), "the alert")
        some = marked(self.stored(self.p, "kind=process_exec&last=100000"), mark)[7][0]
        until = max(o["time"] for o in self.stored(self.p, "last=1000000"))
        everything = len(self.stored(self.p, f"last=1000000&until={until}"))
        for query, args in (("kind=process_exec", ["--kind", "process_exec"]), ("kind=tcp_*", ["-k", "tcp_*"]),
                            ("kind=tcp_close&kind=process_exit", ["-k", "tcp_close", "-k", "process_exit"]),
                            (f"pid={some['pid']}", ["--pid", str(some["pid"])]), (f"comm={some['comm']}", ["--comm", some["comm"]]),
                            ("exe=*/python3*", ["--exe", "*/python3*"]), (f"address={net.V4[1]}/32", ["-a", net.V4[1] + "/32"]),
                            ("port=7007", ["--port", "7007"]), ("user=root", ["--user", "root"]), ("uid=0", ["--uid", "0"]),
                            ("alert=true", ["--alert", "true"]), ("severity=error", ["--severity", "error"]), ("rule=mark*", ["--rule", "mark*"]),
                            (f"since={some['time']}", ["--since", some["time"]]),
                            (f"since={some['time']}&kind=process_exec", ["--since", some["time"], "--kind", "process_exec"])):
            with self.subTest(query=query):
                args = ["observe", *args, "--until", until, "--last", "1000000", "-o", "jsonl"]

                def both():  # what was on its way may still come between the two
                    api = collections.Counter(key(o) for o in self.stored(self.p, f"{query}&last=1000000&until={until}"))
                    lines = self.penstock(self.p, *args).stdout.splitlines()
                    return api if collections.Counter(key(json.loads(line)) for line in lines) == api else None
                self.assertTrue(0 < len(wait_for(both, "the same events of both")) < everything)

    def test_last(self):
        self.spawn(unique("cli-last"), 30).result()
        wait_for(lambda: len(self.stored(self.p, "kind=process_exec&last=50")) == 50 or self.spawn("x", 20).result() and False, "execs")
        for n in (1, 7, 50):
            lines = self.penstock(self.p, "observe", "--last", str(n), "--kind", "process_exec").stdout.splitlines()
            self.assertEqual(len(lines), n)
            self.assertTrue(all(re.match(r"\d\d:\d\d:\d\d\.\d{3} .* exec ", line) for line in lines), lines)

    def test_stored_and_then_live_without_a_gap(self):
        """Begun in the middle of a run: each of its execs once, in order."""
        mark = unique("cli-follow")
        spawner = self.spawn(mark, 300, rate=100)
        wait_for(lambda: len(marked(self.stored(self.p, "kind=process_exec&last=100000"), mark)) > 30, "the beginning")
        child = self.start(self.p, "observe", "--since", "5m", "--follow", "--kind", "process_exec", "-o", "jsonl")
        found = []
        while len(found) < 300:
            o = json.loads(child.stdout.readline())
            found += [int(o["argv"][1])] if o.get("argv", [None])[0] == mark else []
        self.assertEqual(sorted(found), list(range(300)))
        child.send_signal(signal.SIGINT)
        rest = child.stdout.read()  # not communicate(), which does not know of what readline() has read ahead
        self.assertEqual((child.wait(PATIENCE), child.stderr.read()), (0, b""))
        self.assertFalse(marked(map(json.loads, rest.splitlines()), mark))
        spawner.result()

    def test_live_line(self):
        """Time, process with its ancestors, what happened; as an ordinary member of the group."""
        mark = unique("cli-live")
        child = self.start(self.p, "observe", "--kind", "process_exec")
        lines = []
        threading.Thread(target=lambda: lines.extend(child.stdout), daemon=True).start()

        def look():  # whoever looks on live sees what happens after the connection
            subprocess.run(["/bin/echo", mark], stdout=subprocess.DEVNULL, check=True)
            return next((line.decode() for line in list(lines) if mark.encode() in line), None)
        line = wait_for(look, "the line")
        self.assertRegex(line, rf"^\d\d:\d\d:\d\d\.\d{{3}} \S*python3?\S*→\S+\[\d+\] exec \S*/echo {mark}\n$")

    # ---- top ----

    def test_top_in_a_batch(self):
        """Rates of an interval: the process that did most, the flow that had most bytes."""
        script = "for i in $(seq 400); do /bin/true; done"
        shell = subprocess.Popen(["/bin/bash", "-c", f"while :; do {script}; done"])
        try:
            talk = subprocess.Popen(self.p.inside("/usr/bin/python3", "-c", TALK), stdout=subprocess.DEVNULL)
            try:
                told = wait_for(lambda: self.top_with(shell.pid), "the shell and the flow among the first")
            finally:
                talk.kill()
                talk.wait()
        finally:
            shell.kill()
            shell.wait()
        row = next(r for r in told["processes"] if r["pid"] == shell.pid)
        self.assertEqual(row["comm"], "bash")
        self.assertGreater(row["events_per_second"], 0)
        rates = [r["events_per_second"] for r in told["processes"]]
        self.assertEqual(rates, sorted(rates, reverse=True))
        self.assertGreaterEqual(told["events_per_second"] * 1.01, sum(rates))

    def top_with(self, pid):
        out = self.penstock(self.p, "top", "--once", "--json", "--interval", "3s", "--rows", "50").stdout
        told = json.loads(out)
        self.assertAlmostEqual(told["seconds"], 3, delta=PATIENCE)
        flows = [f for f in told["flows"] if f"{net.V4[1]}:7008" in f["flow"] and f["bytes_per_second"] > 100]
        return told if flows and any(r["pid"] == pid for r in told["processes"]) else None

    def test_top_on_a_terminal(self):
        """Drawn anew at the upper left, no more lines than there are, none longer than the screen is wide; Ctrl-C ends it."""
        t = self.terminal(self.p, "top", "--interval", "500ms", rows=20, cols=60)
        wait_for(lambda: t.raw().count("\x1b[H\x1b[2J") >= 3, "three screens")
        t.press(b"\x03")
        self.assertEqual(t.wait(), 0)
        for screen in t.text.split("\x1b[H\x1b[2J")[1:]:
            self.assertTrue(screen.startswith("\x1b[?7l"))
            self.assertLess(screen.count("\n"), 20)
            self.assertIn("events/s", screen)
        self.assertTrue(t.text.rstrip().endswith("\x1b[?7h") or "^C" in t.text)
        plain = self.penstock(self.p, "top", "--once", "--interval", "500ms").stdout
        self.assertNotIn("\x1b", plain)
        self.assertRegex(plain, r"(?m)^ +events/s +execs/s .* process$")


TALK = f"""
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    for _ in range(20):
        s.sendto(b'x' * 1000, ('{net.V4[1]}', 7008))
    time.sleep(0.05)
"""


class Dead(LiveTest):
    def test_status_with_one_dead_after_the_other(self):
        p = self.pipeline(loader=pipeline.ALL_BUT_PROCESS)
        p.up()
        dead = set()
        for stage in ("policyd", "exporter", "enricher", "collector", "loader"):
            p.kill(stage)
            dead.add(stage)
            text = self.penstock(p, "status", code=1).stdout
            rows = {m.group(1): m.group(2) for m in re.finditer(r"^  (\w+) +(up|wait|done|down) ", text, re.M)}
            self.assertEqual({s for s, state in rows.items() if state == "down"}, dead, text)
            self.assertEqual(set(rows), {"loader", *lib.STAGES})
            self.assertIn("\n  process ", text)  # the sensors work on
            told = json.loads(self.penstock(p, "status", "--json", code=1).stdout)
            self.assertEqual({s for s, v in told["stages"].items() if v == {"error": "not running"}}, dead - {"loader"})
            self.assertEqual(told["loader_state"], "down" if stage == "loader" else "up")

    def test_observe_goes_on_when_the_exporter_starts_again(self):
        p = self.pipeline(loader=pipeline.ALL_BUT_PROCESS)
        p.up()
        child = self.start(p, "observe", "--since", "1h", "--follow", "--kind", "process_exec", "-o", "jsonl")
        before, after = unique("cli-before"), unique("cli-after")
        self.spawn(before, 20).result()
        found = collections.Counter()
        self.collect(child, found, before, 20)
        p.kill("exporter")
        p.begin("exporter")
        self.spawn(after, 20).result()
        self.collect(child, found, after, 20)
        self.assertEqual(found, {(m, i): 1 for m in (before, after) for i in range(20)})
        child.send_signal(signal.SIGTERM)
        _, err = child.communicate(timeout=PATIENCE)
        self.assertEqual(child.returncode, 0)
        self.assertLessEqual(err.count(b"\n"), 1)

    def collect(self, child, found, mark, count):
        while sum(n for (m, _), n in found.items() if m == mark) < count:
            line = child.stdout.readline()
            self.assertTrue(line, f"it ended: {child.poll()}")
            for number, events in marked([json.loads(line)], mark).items():
                found[mark, number] += len(events)


class Probe(unittest.TestCase):
    def probe(self, *args, **kw):
        return subprocess.run([PENSTOCK, "probe", *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=ENV, timeout=PATIENCE, **kw)

    def test_for_people_and_machines(self):
        lib.ensure_bpffs()
        p = self.probe("--json")
        self.assertEqual(p.returncode, 0, p.stderr)
        told = json.loads(p.stdout)
        self.assertEqual(told["kernel"]["release"], os.uname().release)
        names = [s["name"] for s in told["sensors"]]
        self.assertIn("process", names)
        text = self.probe()
        self.assertEqual(text.returncode, 0, text.stderr)
        self.assertIn(os.uname().release, text.stdout)
        for name in names:
            self.assertRegex(text.stdout, rf"(?m)^\s*{name}\b")
        self.assertNotIn("\x1b", text.stdout)

    def test_needs_root(self):
        p = self.probe(user=65534, group=65534, extra_groups=[])
        self.assertNotEqual(p.returncode, 0)
        self.assertIn("root", p.stderr)


if __name__ == "__main__":
    unittest.main()
