#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`penstock record` and `penstock replay`: what was recorded comes out again, and nothing that goes wrong is silent or stays behind."""
import calendar
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
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
import pipeline  # noqa: E402
from pipeline import PATIENCE, unique, wait_for  # noqa: E402
from terminal import Terminal  # noqa: E402
from test_cli_live import ENV, MEMBER, PENSTOCK, LiveTest, marked  # noqa: E402

SENSORS = "sensors: {exec_failed: no, cred: no, accept: no, udp: no, drops: no, flows: no, syscalls: no, " + lib.NO_RARE + "}"
KINDS = ("process_fork", "process_exec", "process_exit", "tcp_connect", "tcp_listen", "tcp_close")


def setUpModule():
    lib.make_users()


def sensor_fields(o):
    """What came from the kernel; the enricher's fields may know more or less in another run."""
    if not hasattr(sensor_fields, "names"):
        with open(os.path.join(lib.ROOT, "proto", "wire", "schema.json"), encoding="utf-8") as f:
            schema = json.load(f)
        later = {f["name"] for f in schema["enricher"]}
        sensor_fields.names = {k["name"]: {f["name"] for f in k["fields"]} - later for k in schema["kinds"]}
    return {k: v for k, v in o.items() if k in sensor_fields.names[o["kind"]] or k in ("kind", "ts_ns")}


class RecordTest(LiveTest):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="pst-rec-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.dir)
        os.chmod(self.dir, 0o1777)
        self.file = os.path.join(self.dir, "day.rec")

    def up(self, **sections):
        return self.pipeline(**{"loader": SENSORS, **sections}).up()

    def recording(self, p):
        """Name of the recording in the run folder, None while there is none."""
        return next(iter(glob.glob(p.run_dir + "/record-*.rec")), None)

    def record(self, p, *args, **kw):
        child = self.start(p, "record", *args, **kw)
        wait_for(lambda: self.recording(p) or child.poll() is not None, "the recording")
        return child

    def stop(self, child, number=signal.SIGINT, code=0):
        child.send_signal(number)
        out, err = child.communicate(timeout=PATIENCE)
        self.assertEqual(child.returncode, code, err)
        return out.decode(), err.decode()

    def replay(self, *args, code=0, **kw):
        """As nobody in particular."""
        tmp = tempfile.mkdtemp(dir=self.dir)
        os.chmod(tmp, 0o1777)
        p = subprocess.run([PENSTOCK, "replay", *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                           env={**ENV, "TMPDIR": tmp}, timeout=2 * PATIENCE, **{"user": MEMBER, "group": MEMBER, "extra_groups": [], **kw})
        self.assertEqual(p.returncode, code, p.stderr)
        self.assertEqual(os.listdir(tmp), [])
        return p

    def objects(self, *args, **kw):
        return [json.loads(line) for line in self.replay("-o", "jsonl", *args, **kw).stdout.splitlines()]


class SameEvents(RecordTest):
    def test_what_was_recorded_comes_out_again(self):
        """Each exec, exit, fork and connection of a run, with all that the kernel told of it, once; recorded and replayed by users
        without any right but the group's."""
        p = self.up()
        mark = unique("cli-record")
        child = self.record(p, self.file)
        self.spawn(mark, 200).result()
        p.run("/usr/bin/python3", "-c", "import socket\ns = socket.create_server(('127.0.0.1', 7010))\nfor _ in range(5):\n"
              " c = socket.create_connection(('127.0.0.1', 7010)); d = s.accept()[0]; c.sendall(b'x' * 99); c.close(); d.close()\n")
        wait_for(lambda: len(self.of_run(p.events("last=1000000"), mark)) >= 600 + 10, "the events of the run")
        out, err = self.stop(child)
        self.assertRegex(out, rf"^{self.file}: \d+ bytes\n$")
        self.assertEqual(err, "")
        self.assertIsNone(self.recording(p))
        st = os.stat(self.file)
        self.assertEqual((st.st_uid, st.st_mode & 0o777, int(out.split()[1])), (MEMBER, 0o600, st.st_size))
        live = self.of_run(p.events("last=1000000"), mark)
        played = self.of_run(self.objects(self.file), mark)
        self.assertEqual(len(played), len(live))
        self.assertEqual(played, live)

    def of_run(self, objects, mark):
        """Events of the marked processes and of the port, as the kernel told them, in order of time."""
        execs = [o for events in marked(objects, mark).values() for o in events]
        who = {(o["pid"], o["start_ns"]) for o in execs}
        chosen = [o for o in objects if o["kind"] in KINDS and
                  ((o.get("pid"), o.get("start_ns")) in who or (o.get("child_pid"), o.get("child_start_ns")) in who or
                   7010 in (o.get("lport"), o.get("rport")))]
        return sorted(map(sensor_fields, chosen), key=lambda o: (o["ts_ns"], o["kind"], str(o)))

    def test_rules_on_a_recording(self):
        p = self.up()
        mark = unique("cli-rule")
        child = self.record(p, self.file)
        self.spawn(mark, 30).result()
        wait_for(lambda: len(marked(p.events("kind=process_exec&last=100000"), mark)) == 30, "the execs")
        self.stop(child, signal.SIGTERM)
        rules = os.path.join(self.dir, "rules.yaml")
        with open(rules, "w") as f:
            f.write(f"rules:\n  - name: it-is-there\n    kinds: process_exec\n    match: {{argv: {mark}}}\n    rate: none\n")
        os.chmod(rules, 0o644)
        alerts = [o for o in self.objects("--rules", rules, self.file) if o.get("rule") == "it-is-there"]
        self.assertEqual({n: len(e) for n, e in marked(alerts, mark).items()}, dict.fromkeys(range(30), 1))
        array = json.loads(self.replay("-o", "json", self.file).stdout)
        self.assertEqual(set(marked(array, mark)), set(range(30)))
        lines = self.replay(self.file).stdout
        self.assertEqual(len(re.findall(rf" exec \S+ .*(?:\n|$)", "".join(x for x in lines.splitlines(True) if f"{mark[:3]}" in x or " exec " in x))),
                         len([o for o in array if o["kind"] == "process_exec"]))


class Endings(RecordTest):
    """One pipeline; one recording after the other."""

    @classmethod
    def setUpClass(cls):
        cls.p = pipeline.Pipeline(loader=pipeline.ALL_BUT_PROCESS, collector="record_max: 1MiB")
        cls.addClassCleanup(cls.p.close)
        cls.p.up()

    def setUp(self):
        super().setUp()
        self.instances = [self.p]

    def test_ctrl_c(self):
        t = self.terminal(self.p, "record", self.file)
        t.see(r"^recording, stop with Ctrl-C$")
        t.press(b"\x03")
        self.assertEqual(t.wait(), 0)
        t.see(rf"^(\^C)?{self.file}: \d+ bytes$")
        self.assertIsNone(self.recording(self.p))
        self.replay(self.file, user=0, group=0)

    def test_duration(self):
        out = self.penstock(self.p, "record", "--duration", "1500ms", self.file).stdout
        self.assertRegex(out, r"day\.rec: \d+ bytes")

    def test_file_that_exists(self):
        with open(self.file, "w") as f:
            f.write("dear to me")
        os.chmod(self.file, 0o666)
        err = self.penstock(self.p, "record", self.file, code=lib.EXIT_USAGE).stderr
        self.assertIn("File exists (--force writes over it)", err)
        self.assertEqual(lib.read(self.file), b"dear to me")
        self.penstock(self.p, "record", "--force", "-d", "100ms", self.file)
        self.assertEqual(lib.read(self.file)[:6], b"PSTREC")

    def test_folder_that_does_not_exist(self):
        err = self.penstock(self.p, "record", "/nowhere/day.rec", code=lib.EXIT_USAGE).stderr
        self.assertIn("/nowhere/day.rec: No such file", err)

    def test_one_at_a_time(self):
        child = self.record(self.p, self.file)
        second = os.path.join(self.dir, "second.rec")
        err = self.penstock(self.p, "record", second, code=lib.EXIT_SYSTEM).stderr
        self.assertIn("a recording is running", err)
        self.assertFalse(os.path.exists(second))
        self.stop(child)  # the first one goes on meanwhile

    def test_somebody_elses_cannot_be_ended(self):
        child = self.record(self.p, self.file)
        for action in ("stop", "renew", "remove"):
            for name in ("record-other.rec", "other.rec", "record-/../../x.rec", "record-x", "collector.ckpt", ".rec"):
                self.assertIn("error", self.p.ctl("collector", op="record", action=action, name=name))
        self.assertIn("error", self.p.ctl("collector", op="record", action="remove", name=os.path.basename(self.recording(self.p))))
        self.assertTrue(self.recording(self.p))
        self.stop(child)

    def test_owner_that_was_killed(self):
        """Nobody asks for the recording any more: it ends, its file goes, and the next one can begin."""
        child = self.record(self.p, self.file)
        child.kill()
        child.wait()
        wait_for(lambda: not self.recording(self.p), "the end of the recording")
        self.penstock(self.p, "record", "--force", "-d", "100ms", self.file)

    def test_full_disk_at_the_destination(self):
        full = os.path.join(self.dir, "full")
        os.mkdir(full)
        script = f"mount -t tmpfs -o size=64k,mode=1777 none {full} && exec \"$@\""
        child = self.record(self.p, os.path.join(full, "x.rec"), before=("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"))
        self.spawn(unique("cli-full"), 1000).result()
        wait_for(lambda: os.path.getsize(self.recording(self.p)) > 100000, "more than fits")
        out, err = self.stop(child, code=lib.EXIT_SYSTEM)
        self.assertEqual(out, "")
        self.assertRegex(err, r"x\.rec is incomplete, \d+ of \d+ bytes: No space left on device")
        self.assertIsNone(self.recording(self.p))

    def test_more_than_may_be_recorded(self):
        """It ends by itself, tells what is missing, and what is there can be played."""
        child = self.record(self.p, self.file)
        spawner = self.spawn(unique("cli-much"), 20000)
        out, err = child.communicate(timeout=PATIENCE)
        spawner.close()
        self.assertEqual(child.returncode, lib.EXIT_SYSTEM)
        self.assertRegex(out.decode(), r"day\.rec: \d+ bytes")
        self.assertRegex(err.decode(), r"^penstock record: \d+ records were lost: there was no room for them\n$")
        self.assertLessEqual(os.path.getsize(self.file), 1 << 20)
        self.assertGreater(len(self.objects(self.file)), 1000)

    def test_collector_that_is_killed(self):
        child = self.record(self.p, self.file)
        self.spawn(unique("cli-killed"), 50).result()
        wait_for(lambda: os.path.getsize(self.recording(self.p)) > 5000, "records in the file")
        self.p.kill("collector")
        out, err = child.communicate(timeout=PATIENCE)
        self.assertEqual(child.returncode, lib.EXIT_SYSTEM)
        self.assertIn(b"the collector: not running\n", err)
        self.assertIn(b"it ended early", err)
        self.assertTrue(self.objects(self.file))  # what was written until then
        self.p.begin("collector")
        self.assertIsNone(self.recording(self.p))
        self.penstock(self.p, "record", "--force", "-d", "100ms", self.file)


class Files(RecordTest):
    def make(self, records=300):
        subprocess.run([pipeline.helper("mkrec"), str(records), self.file], check=True, stdout=subprocess.DEVNULL)
        os.chmod(self.file, 0o644)

    def test_not_a_recording(self):
        for name, content in (("empty", b""), ("text", b"hello\n" * 100), ("short", b"PSTREC\r\n"), ("other", b"PSTREC\r\n" + b"\xff" * 400)):
            with self.subTest(name=name):
                path = os.path.join(self.dir, name)
                with open(path, "wb") as f:
                    f.write(content)
                os.chmod(path, 0o644)
                p = self.replay(path, code=lib.EXIT_SYSTEM)
                self.assertEqual(p.stdout, "")
                self.assertIn(path, p.stderr)

    def test_cut_short(self):
        """What is whole is shown, where it breaks is told."""
        self.make()
        size = os.path.getsize(self.file)
        whole = len(self.objects(self.file))
        self.assertGreater(whole, 100)
        os.truncate(self.file, size - 5)
        p = self.replay("-o", "jsonl", self.file, code=lib.EXIT_SYSTEM)
        self.assertRegex(p.stderr, rf"{self.file}.*offset=\d+")
        self.assertIn(len(p.stdout.splitlines()), range(whole // 2, whole))

    def test_time_is_that_of_the_recording(self):
        """Also of the first events: the clock of the recorded host is known before them."""
        self.make()
        offsets = set()
        for o in self.objects(self.file):
            day, clock = o["time"].rstrip("Z").split(".")
            offsets.add(calendar.timegm(time.strptime(day, "%Y-%m-%dT%H:%M:%S")) * 10**9 + int(clock) - o["ts_ns"])
        self.assertEqual(len(offsets), 1, offsets)

    def test_in_real_time_until_ctrl_c(self):
        """Ctrl-C ends it and takes its processes and its folder with it."""
        self.make(100000)
        tmp = tempfile.mkdtemp(dir=self.dir)
        os.chmod(tmp, 0o1777)  # as root the stages run under users of their own
        t = Terminal([PENSTOCK, "replay", "--speed", "0.0001", self.file], env={**ENV, "TMPDIR": tmp})
        self.addCleanup(t.close)
        t.see(r"\[\d+\] ")
        run_dir = os.path.join(tmp, os.listdir(tmp)[0])
        t.press(b"\x03")
        self.assertEqual(t.wait(), 0)
        self.assertEqual(os.listdir(tmp), [])
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                self.assertNotIn(run_dir.encode(), lib.read(path), path)
            except (FileNotFoundError, ProcessLookupError):
                pass

    def test_bad_speed(self):
        self.make(1)
        p = self.replay("--speed", "fast", self.file, code=lib.EXIT_SYSTEM)
        self.assertIn('--speed: expected max, real or a factor above 0, got "fast"', p.stderr)


if __name__ == "__main__":
    unittest.main()
