#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`penstock up` as a user has it: on a terminal, without a configuration file, with the host's own users; and nothing left after."""
import glob
import http.client
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fake_stage  # noqa: E402
import lib  # noqa: E402
import net  # noqa: E402
import pipeline  # noqa: E402
from pipeline import PATIENCE, unique, wait_for  # noqa: E402
from terminal import Terminal  # noqa: E402

STAGES = ("loader", *lib.STAGES)
ENV = {k: v for k, v in os.environ.items() if not k.startswith("PENSTOCK_") and k != "NO_COLOR"}
IDS = {"programs": 56, "maps": 56}  # bytes of an element of the loader's iterators


def children(pid):
    out = set()
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        with open(path) as f:
            out |= {int(c) for c in f.read().split()}
    return out


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Up(Terminal):
    """`penstock up` on a terminal of its own, in a network namespace of its own (so that it finds other interfaces than this host's)."""

    def __init__(self, *args, run_dir=None, bpffs=None, holder=None, user=None, env=()):
        lib.ensure_bpffs()
        self.base = tempfile.mkdtemp(prefix="pst-up-", dir="/tmp")
        os.chmod(self.base, 0o755)
        self.run_dir = run_dir or os.path.join(self.base, "run")
        self.bpffs = bpffs or f"{lib.BPFFS}/pst-up-{os.getpid()}-{os.path.basename(self.base)[-4:].replace('.', '_')}"
        self.own_holder = holder is None
        self.holder = holder or subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link set lo up && exec sleep infinity"],
                                                 stdin=subprocess.DEVNULL)
        wait_for(lambda: os.readlink(f"/proc/{self.holder.pid}/ns/net") != os.readlink("/proc/self/ns/net"), "a namespace")
        super().__init__(["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", os.path.join(lib.BINDIR, "penstock"), "up", "--run-dir",
                          self.run_dir, "--bpffs", self.bpffs, *args], env={**ENV, **dict(env)})

    def started(self):
        self.see(r"^  stop with Ctrl-C$")
        return self

    def shows(self, pattern, *command):
        """Runs the command until its line is there: events are shown from a moment after the header on."""
        def look():
            subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
            time.sleep(0.3)
            return re.search(pattern, self.read(), re.M)
        return wait_for(look, f"'{pattern}'")

    def get(self, address, path):
        def connect():
            host, port = address.rsplit(":", 1)
            return socket.create_connection((host, int(port)), timeout=60)
        conn = http.client.HTTPConnection("localhost")
        conn.sock = net.within(self.holder.pid, connect)
        try:
            conn.request("GET", path, headers={"Host": address})
            reply = conn.getresponse()
            return reply.status, reply.read().decode()
        finally:
            conn.close()

    def ctl(self, stage, timeout=60, **request):
        return fake_stage.request(os.path.join(self.run_dir, stage + ".ctl"), request, timeout)

    def status(self, stage):
        return self.ctl(stage, op="status")

    def pids(self):
        """{stage: pid}"""
        out = {}
        for pid in children(self.p.pid):
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                name = os.path.basename(f.read().split(b"\0")[0]).decode()
            out[name.removeprefix("penstock-")] = pid
        return out

    def own_ids(self):
        """{"programs": {id}, "maps": {id}} of this instance, by its own iterators."""
        out = {}
        for name, size in IDS.items():
            raw = lib.read(os.path.join(self.bpffs, "iters", name))
            out[name] = {struct.unpack_from("I", raw, at)[0] for at in range(0, len(raw), size)}
        return out

    def close(self):
        super().close()
        if os.path.isdir(self.bpffs):
            subprocess.run([os.path.join(lib.BINDIR, "penstock-loader"), "unload", "--run-dir", self.run_dir, "--bpffs", self.bpffs],
                           stderr=subprocess.DEVNULL)
        if self.own_holder:
            self.holder.kill()
            self.holder.wait()
        shutil.rmtree(self.base, ignore_errors=True)


class UpTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if os.path.exists("/etc/penstock/penstock.yaml"):
            raise unittest.SkipTest("this host has a configuration of Penstock, and these tests are about having none")
        lib.make_users()

    def up(self, *args, **kw):
        u = Up(*args, **kw)
        self.addCleanup(u.close)
        return u

    def ids_alive(self, ids):
        out = {}
        for name, kind in (("programs", "prog"), ("maps", "map")):
            out[name] = {o["id"] for o in lib.bpftool(kind, "show")} & ids[name]
        out["links"] = {o["id"] for o in lib.bpftool("link", "show") if o.get("prog_id") in ids["programs"]}
        return out

    def assert_nothing_left(self, u, pids, ids):
        """No process, program, map, link, pin, file or socket."""
        wait_for(lambda: not any(alive(pid) for pid in pids), f"the end of {pids}")
        self.assertFalse(os.path.exists(u.bpffs), u.read())
        self.assertFalse(os.path.exists(u.run_dir), os.listdir(u.run_dir) if os.path.exists(u.run_dir) else "")
        none = {"programs": set(), "maps": set(), "links": set()}
        # The kernel frees what nothing holds any more after a grace period.
        wait_for(lambda: self.ids_alive(ids) == none, f"kernel objects to be freed: {self.ids_alive(ids)}")
        with open("/proc/net/unix") as f:
            self.assertNotIn(u.run_dir, f.read())
        cgroup = next((line.split()[1] for line in open("/proc/self/mounts") if line.split()[2] == "cgroup2"), None)
        if cgroup:
            self.assertFalse(glob.glob(f"{cgroup}/**/*penstock*", recursive=True))
            attached = {o["id"] for o in lib.bpftool("cgroup", "show", cgroup) or []}
            self.assertFalse(attached & ids["programs"])
        if u.own_holder:
            tc = subprocess.run(["nsenter", f"--net=/proc/{u.holder.pid}/ns/net", "tc", "qdisc", "show"], stdout=subprocess.PIPE,
                                text=True).stdout
            self.assertNotIn("clsact", tc)


class ByHand(UpTest):
    def test_header_events_and_ctrl_c(self):
        u = self.up("--rules", os.path.join(lib.ROOT, "compose", "rules"))
        subprocess.run(["nsenter", f"--net=/proc/{u.holder.pid}/ns/net", "ip", "link", "add", "pstu0", "type", "veth", "peer", "name",
                        "pstu1"], check=True)
        u.started()
        header = u.read()
        self.assertRegex(header, r"(?m)^Penstock \S+ on Linux \S+, all five processes are up$")
        address = re.search(r"^  metrics   http://(\S+?)/metrics$", header, re.M).group(1)
        self.assertTrue(address.startswith("127.0.0.1:"), address)
        self.assertRegex(header, r"(?m)^  sensors .* process\(\S+\)")
        code, text = u.get(address, "/metrics")
        self.assertEqual(code, 200)
        self.assertIn("penstock_build_info", text)
        pids, ids = u.pids(), u.own_ids()
        self.assertEqual(set(pids), set(STAGES))
        self.assertTrue(ids["programs"] and ids["maps"])
        self.assertEqual(self.ids_alive(ids)["programs"], ids["programs"])
        for stage, pid in pids.items():
            self.assertEqual(os.stat(f"/proc/{pid}").st_uid == 0 or stage != "loader", True)
        mark = unique("seen-on-the-terminal")
        line = u.shows(rf"^\d\d:\d\d:\d\d\.\d+ .*echo.* exec .*/echo {mark}$", "/bin/echo", mark).group(0)
        self.assertIn("python", line)  # its parent
        u.press(b"\x03")
        self.assertEqual(u.wait(), 0, u.read())
        self.assertNotRegex(u.read(), r"(?m)^\S+Z (error|warn .*kill)")  # log lines; what it shows of others may say anything
        self.assert_nothing_left(u, {u.p.pid, *pids.values()}, ids)

    def test_colour_is_for_terminals_that_want_it(self):
        u = self.up().started()
        u.shows(r"exit code 1", "/bin/false")
        self.assertIn("\x1b[", u.text)
        u.press(b"\x03")
        self.assertEqual(u.wait(), 0)
        v = self.up(env={"NO_COLOR": "1"}.items()).started()
        v.shows(r"exit code 1", "/bin/false")
        self.assertNotIn("\x1b[", v.text)
        v.p.terminate()
        self.assertEqual(v.wait(), 0)

    def test_terminal_that_takes_no_output(self):
        """Events are left out and their number told; meanwhile it goes on, and ends when it is asked to."""
        u = self.up().started()
        seen = pipeline.Observer(u, "enricher", from_oldest=False)
        self.addCleanup(seen.close)
        seen.wait(lambda: seen.connects, "connection")
        mark = unique("nobody-reads")
        for part in ("a", "b"):  # the second half comes when the first has long filled the terminal
            spawner = pipeline.Spawner(mark + part, 3000)
            self.addCleanup(spawner.close)
            spawner.result()
            seen.wait_marks(mark + part, 3000)
        after = unique("reads-again")
        u.shows(rf"/echo {after}", "/bin/echo", after)
        told = re.search(r"^\.\.\. (\d+) events were not shown: the terminal was too slow$", u.read(), re.M)
        self.assertTrue(told, u.read()[-2000:])
        self.assertGreater(int(told.group(1)), 1000)
        for part in ("c", "d"):
            spawner = pipeline.Spawner(mark + part, 3000)
            self.addCleanup(spawner.close)
            spawner.result()
        u.p.terminate()
        wait_for(lambda: u.p.poll() is not None, "the end, though nobody reads")
        self.assertEqual(u.p.returncode, 0, u.read()[-2000:])
        self.assertFalse(os.path.exists(u.bpffs))

    def test_quiet_and_a_second_one_on_the_same_folders(self):
        u = self.up("--quiet").started()
        shown = len(u.read())
        second = self.up("--quiet", run_dir=u.run_dir, bpffs=u.bpffs, holder=u.holder)
        second.see("another loader works on this folder")
        second.p.terminate()
        second.wait()
        # It has taken nothing of the first one with it.
        subprocess.run(["/bin/true"])
        for stage in lib.STAGES:
            self.assertEqual(u.status(stage)["stage"], stage)
        self.assertTrue(os.path.exists(os.path.join(u.bpffs, "links")))
        self.assertEqual(u.read()[shown:], "")
        pids, ids = u.pids(), u.own_ids()
        u.press(b"\x03")
        self.assertEqual(u.wait(), 0, u.read())
        self.assert_nothing_left(u, {u.p.pid, *pids.values()}, ids)


class Refused(UpTest):
    def run_up(self, *args, **kw):
        base = tempfile.mkdtemp(prefix="pst-up-", dir="/tmp")
        self.addCleanup(shutil.rmtree, base, True)
        os.chmod(base, 0o755)
        bpffs = f"{lib.BPFFS}/pst-up-{os.getpid()}-refused"
        p = subprocess.run([os.path.join(lib.BINDIR, "penstock"), "up", "--run-dir", base + "/run", "--bpffs", bpffs, *args],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENV,
                           timeout=PATIENCE, **kw)
        self.assertFalse(os.path.exists(base + "/run"))
        self.assertFalse(os.path.exists(bpffs))
        return p.returncode, p.stdout

    def test_not_root(self):
        code, text = self.run_up(user=65534, group=65534, extra_groups=[])
        self.assertEqual(code, lib.EXIT_USAGE)
        self.assertIn("needs root", text)

    def test_bad_configuration(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            f.write("common:\n  log: {level: info}\nloader:\n  sensors:\n    proces: no\n")
            f.flush()
            os.chmod(f.name, 0o644)
            code, text = self.run_up("--config", f.name)
        self.assertEqual(code, lib.EXIT_USAGE)
        self.assertRegex(text, rf"(?m)^{f.name}:5:5: .*proces.*did you mean \"process\"")

    def test_bad_options(self):
        for args, want in ((["--lisen", "x"], "did you mean --listen"), (["--listen", "0.0.0.0:1"], "other hosts"),
                           (["--bindir", "/nowhere"], "/nowhere/penstock-loader"), (["--rules", "/nowhere/rules"], "/nowhere/rules"),
                           (["--log-level", "loud"], "loud")):
            with self.subTest(args=args):
                code, text = self.run_up(*args)
                self.assertEqual(code, lib.EXIT_USAGE, text)
                self.assertIn(want, text)


class Accidents(UpTest):
    def test_stages_are_started_again(self):
        u = self.up("--quiet").started()
        seen = pipeline.Observer(u, "policyd", from_oldest=False)
        enricher = pipeline.Observer(u, "enricher", from_oldest=False)
        for o in (seen, enricher):
            self.addCleanup(o.close)
            o.wait(lambda o=o: o.connects, "connection")
        for stage in reversed(STAGES):
            before = u.pids()
            os.kill(before[stage], signal.SIGKILL)
            u.see(rf"{stage} was ended by SIGKILL, starting it again")
            wait_for(lambda s=stage, b=before: u.pids().get(s, b[s]) != b[s], f"another {stage}")
            if stage == "loader":
                wait_for(lambda: os.path.exists(os.path.join(u.run_dir, "loader.fds")), "the loader's socket")
            else:
                wait_for(lambda s=stage: self.answers(u, s), f"{stage} to answer")
            mark = unique(f"after-{stage}")
            spawner = pipeline.Spawner(mark, 30)
            self.addCleanup(spawner.close)
            spawner.result()
            enricher.wait_marks(mark, 30)
            self.assertEqual({len(v) for v in pipeline.execs_of(enricher, mark).values()}, {1})
        self.assertEqual((enricher.faults, dict(enricher.lost)), ([], {}))
        pids, ids = u.pids(), u.own_ids()
        u.press(b"\x03")
        self.assertEqual(u.wait(), 0, u.read())
        self.assert_nothing_left(u, {u.p.pid, *pids.values()}, ids)

    def answers(self, u, stage):
        try:
            return u.status(stage)
        except OSError:
            return None

    def test_collector_starts_while_the_loader_is_away(self):
        """With the descriptors that `penstock up` kept."""
        u = self.up("--quiet").started()
        before = u.pids()
        os.kill(before["loader"], signal.SIGSTOP)  # it is there and gives nothing
        os.kill(before["loader"], signal.SIGKILL)
        os.kill(before["collector"], signal.SIGKILL)
        wait_for(lambda: u.pids().get("collector", before["collector"]) != before["collector"], "another collector")
        wait_for(lambda: self.answers(u, "collector"), "the collector to answer")
        u.press(b"\x03")
        self.assertEqual(u.wait(), 0, u.read())

    def test_ctrl_c_while_the_loader_is_away(self):
        """What the loader would have taken down is taken down without it."""
        u = self.up("--quiet").started()
        pids, ids = u.pids(), u.own_ids()
        os.kill(pids["loader"], signal.SIGKILL)
        u.press(b"\x03")
        self.assertEqual(u.wait(), 0, u.read())
        self.assert_nothing_left(u, {u.p.pid, *pids.values()}, ids)

    def test_killed_itself_it_leaves_nothing_running(self):
        u = self.up().started()
        pids, ids = u.pids(), u.own_ids()
        self.assertEqual(set(pids), set(STAGES))
        os.kill(u.p.pid, signal.SIGKILL)
        u.wait()
        wait_for(lambda: not any(alive(pid) for pid in pids.values()),
                 f"the end of its processes: {[s for s, p in pids.items() if alive(p)]}")
        # The loader takes down what it had loaded; the stages' files go with the next start.
        self.assertFalse(os.path.exists(u.bpffs))
        wait_for(lambda: self.ids_alive(ids) == {"programs": set(), "maps": set(), "links": set()}, "kernel objects to be freed")

    def test_after_everything_was_killed(self):
        """Pins, sockets and files of a dead run are in nobody's way."""
        u = self.up("--quiet").started()
        pids, ids = u.pids(), u.own_ids()
        for pid in (u.p.pid, *pids.values()):
            os.kill(pid, signal.SIGSTOP)
        for pid in (u.p.pid, *pids.values()):
            os.kill(pid, signal.SIGKILL)
        u.wait()
        wait_for(lambda: not any(alive(pid) for pid in pids.values()), "the end")
        self.assertTrue(os.path.exists(os.path.join(u.bpffs, "links")))
        self.assertTrue(self.ids_alive(ids)["links"])
        v = self.up(run_dir=u.run_dir, bpffs=u.bpffs, holder=u.holder).started()
        mark = unique("second-life")
        v.shows(rf"/echo {mark}$", "/bin/echo", mark)
        pids, more = v.pids(), v.own_ids()
        v.press(b"\x03")
        self.assertEqual(v.wait(), 0, v.read())
        self.assert_nothing_left(v, {v.p.pid, *pids.values()}, {k: ids[k] | more[k] for k in ids})


if __name__ == "__main__":
    unittest.main()
