#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The loader and policies: what is attached, told in the page that policyd maps, and what is in force while programs are exchanged.

Tables without a rule: the programs judge, and nothing is forbidden; or with one for a control group that the test made.
"""
import functools
import os
import stat
import struct
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from loader import LEAN, UPGRADES, LoaderTest, link_ids, map_id, refuse, resize_state, STATE  # noqa: E402
from pipeline import unique  # noqa: E402
from polmaps import MAPS, MOVED, OPS, Page, half_bytes, judged, no_rules, put, read_half, write_half  # noqa: E402
from sensors import Cgroups  # noqa: E402

ON = functools.reduce(lambda text, name: text.replace(f"{name}: no", f"{name}: yes"), lib.POLICIES, LEAN)
# Programs of the root cgroup, whose links get another program.
IN_PLACE = {f"enforce_{name}" for name in ("socket_g", "connect4", "connect6", "sendmsg4", "sendmsg6", "bind4", "bind6")}
SMALL = ON + "  policies: {memory: 1MiB}\n"

EXEC, DENY, KILL = 1, 5, 6  # enum pst_pol_op, pst_pol_action
REC_POLICY = 48
# In a control group of its own: starts programs until its input ends, and says how many, and how many of them ran.
SPAWNER = """
import os, select, sys
with open(sys.argv[1] + "/cgroup.procs", "w") as f:
    f.write(str(os.getpid()))
print("ready", flush=True)
tries = ran = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    tries += 1
    try:
        pid = os.posix_spawn("/bin/true", ["/bin/true"], {})
    except PermissionError:
        continue
    ran += os.waitpid(pid, 0)[1] == 0
print(tries, ran, flush=True)
"""


class Policies(LoaderTest):
    config = ON

    def best(self, sensor):
        return next((s for s in ("deny", "kill", "observe") if s in self.sensor(sensor)["can"]), "none")

    def assert_page(self):
        """What it says is what is attached, and what the report says."""
        with Page(self.i) as page:
            self.assertEqual(page.levels(), {number: self.best(sensor) for number, sensor in OPS if self.best(sensor) != "none"})
            self.assertNotEqual(page.key(), bytes(16))
            self.assertEqual(page.flags(), 0)
            return page.key()

    def test_maps_and_what_is_attached(self):
        self.i.load()
        policyd = self.i.uid("policyd")
        for name in MAPS:
            with self.subTest(map=name):
                st = os.stat(self.i.pin("maps", name))
                self.assertEqual((stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid), (0o660, 0, policyd))
        for name in ("lineages", "judges", "judge_counts", "objects", "policy_rates"):
            with self.subTest(map=name):
                self.assertEqual(stat.S_IMODE(os.stat(self.i.pin("maps", name)).st_mode), 0o600)
        self.assert_page()
        self.assertTrue({"line_fork", "line_exec", "line_exit"} <= set(self.i.pins("links")))
        for sensor in ("policy_exec", "policy_open"):
            self.assertTrue({"observe", "kill"} <= set(self.sensor(sensor)["can"]), sensor)

    def test_descriptors(self):
        server = self.i.start("penstock-loader", "serve")
        self.addCleanup(server.close)
        fds, error = lib.request_fds(os.path.join(self.i.run_dir, "loader.fds"))
        self.assertEqual(error, 0)
        self.assertTrue(set(MAPS) <= set(fds))
        for fd, _ in fds.values():
            os.close(fd)

    def test_what_is_in_force_outlives_an_exchange_of_programs(self):
        self.i.load()
        key, before = self.assert_page(), [map_id(self.i, n) for n in MAPS]
        no_rules(self.i)
        links = link_ids(self.i)
        self.i.load("--force")
        self.assertEqual([map_id(self.i, n) for n in MAPS], before)
        self.assertEqual(self.assert_page(), key)
        stayed = {name for name, link in link_ids(self.i).items() if link in links.values()}
        self.assertLessEqual(stayed, IN_PLACE)
        with Page(self.i) as page:
            self.assertEqual(page.words(), (7, 7))

    def test_a_size_that_changes(self):
        self.i.configure(SMALL)
        self.i.load()
        self.assertEqual(half_bytes(self.i, "policy_lines"), 256 << 10)
        key = self.assert_page()
        no_rules(self.i)
        for name in MAPS[1:]:
            write_half(self.i, name, 7, 4096, name.encode())
        old = Page(self.i)
        self.addCleanup(old.m.close)
        self.i.configure(ON)
        self.i.load()
        self.assertEqual(half_bytes(self.i, "policy_lines"), 4 << 20)
        self.assertEqual(old.flags(), MOVED)
        self.assertEqual(self.assert_page(), key)
        with Page(self.i) as page:
            self.assertEqual(page.words(), (7, 7))
        for name in MAPS[1:]:
            self.assertEqual(read_half(self.i, name, 7, 4096, len(name)), name.encode())
        # and back: what is in force may not fit
        self.i.configure(SMALL)
        self.assertIn("set of policies is off until policyd has written it anew: its table became smaller", self.i.load())
        with Page(self.i) as page:
            self.assertEqual(page.words(), (0, 7))
        self.assertEqual(self.assert_page(), key)

    def test_a_state_of_another_size_keeps_the_key(self):
        self.i.load()
        key = self.assert_page()
        resize_state(self.i, STATE // 2)
        self.i.load()
        self.assertEqual(self.assert_page(), key)

    def test_lines_are_made_anew_when_nobody_kept_them(self):
        self.i.load()
        lines = map_id(self.i, "lineages")
        self.i.load("--force")
        self.assertEqual(map_id(self.i, "lineages"), lines)
        os.unlink(self.i.pin("links", "line_exec"))
        self.i.load()
        self.assertNotEqual(map_id(self.i, "lineages"), lines)

    def test_what_is_attached_stays_while_nothing_as_good_loads(self):
        self.i.load()
        env = refuse("prog:enforce_open")
        no_rules(self.i)
        before = link_ids(self.i), self.assert_page()
        code, log = self.i.loader("load", "--force", env=env)
        self.assertEqual(code, lib.EXIT_SYSTEM, log)
        self.assertIn("policies are in force, and policy_open would be weaker than what is attached, which goes on working", log)
        self.assertEqual((link_ids(self.i), self.assert_page()), before)
        # a loader that serves goes on with it, and says so
        server = self.i.start("penstock-loader", "serve", "--force", env=env)
        self.addCleanup(server.close)
        self.assertIn("policy_open would be weaker", self.i.report()["load_error"])
        self.assertEqual(link_ids(self.i), before[0])
        server.stop()
        # with none in force there is nothing to keep
        with Page(self.i) as page:
            page.off()
        code, log = self.i.loader("load", "--force", env=env)
        self.assertEqual(code, 0, log)
        self.assertEqual(self.sensor("policy_open")["state"], "unavailable")
        self.assert_page()

    def test_lines_are_kept_from_the_first_policy_on(self):
        """Also while none is in force."""
        self.i.load()

        def has_line():
            child = subprocess.Popen(["/bin/sleep", "60"])
            try:
                dump = lib.bpftool("map", "dump", "pinned", self.i.pin("maps", "lineages"))
                return any(struct.unpack_from("I", bytes(int(b, 16) for b in e["key"]), 8)[0] == child.pid for e in dump)
            finally:
                child.kill()
                child.wait()
        self.assertFalse(has_line())
        no_rules(self.i)
        self.assertTrue(has_line())
        with Page(self.i) as page:
            page.off()
        before = judged(self.i)
        self.assertTrue(has_line())
        self.assertEqual(judged(self.i), before)

    def test_with_everything_else(self):
        """All sensors and the guard: more maps and programs than any other load has."""
        self.i.load()
        every = [s["name"] for s in self.i.report()["sensors"]]
        self.i.configure("loader:\n  sensors: {" + ", ".join(f"{s}: yes" for s in every) + "}\n"
                         "  guard: {interfaces: ['*', '!lo'], firewall_memory: 16KiB, list_memory: 16KiB}\n"
                         "  flows: {slots: 1024}\n  policies: {memory: 1MiB}\n")
        self.i.load()
        off = {s["name"]: s["why_not"] for s in self.i.report()["sensors"] if s["state"] in ("off", "unavailable")}
        self.assertLessEqual(set(off), {"module", "policy_file", "policy_chown", "policy_module"}, off)  # a kernel may have none
        self.assert_page()

    def test_switched_off(self):
        self.i.load()
        old = Page(self.i)
        self.addCleanup(old.m.close)
        self.i.configure(LEAN)
        self.i.load()
        self.assert_good_state()
        self.assertFalse(set(MAPS) & set(self.i.pins("maps")))
        self.assertEqual((old.flags(), old.levels()), (MOVED, {}))

    def test_unload_says_that_nothing_is_judged(self):
        self.i.load()
        page = Page(self.i)
        self.addCleanup(page.m.close)
        self.assertTrue(page.levels())
        self.assertEqual(self.i.loader("unload")[0], 0)
        self.assertEqual(page.levels(), {})
        self.assertFalse(os.path.exists(self.i.bpffs))


class Unbroken(LoaderTest):
    config = LEAN.replace("policy_exec: no", "policy_exec: yes").replace("policy_open: no", "policy_open: yes") + "  cgroup_rate: 1000000\n"

    def fds(self):
        server = self.i.start("penstock-loader", "serve")
        fds, _ = lib.request_fds(os.path.join(self.i.run_dir, "loader.fds"))
        server.stop()
        self.addCleanup(lambda: [os.close(fd) for fd, _ in fds.values()])
        return fds

    def spawner(self, folder):
        p = subprocess.Popen(["/usr/bin/python3", "-c", SPAWNER, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(p.stdout.close)
        self.addCleanup(p.wait)
        self.addCleanup(p.stdin.close)
        self.assertEqual(p.stdout.readline(), "ready\n")
        return p

    @staticmethod
    def told(ring, group, into, done):
        """What was done (enum pst_policy_done), of each record."""
        last = False
        while not last:
            last = done.wait(0.005)
            into += [r[99] for r in ring.records() if struct.unpack_from("H", r)[0] == REC_POLICY
                     and struct.unpack_from("Q", r, 24)[0] == group]

    def test_nobody_slips_through_while_programs_are_exchanged(self):
        self.i.load()
        lsm = "deny" in self.sensor("policy_exec")["can"]
        ring = lib.Ring(*self.fds()["ring_process"])
        self.addCleanup(ring.close)
        groups = Cgroups(unique("pst-policy"))
        self.addCleanup(groups.close)
        group = os.stat(groups.mount + groups.name).st_ino
        put(self.i, [EXEC], group, DENY if lsm else KILL)
        told, done = [], threading.Event()
        reader = threading.Thread(target=self.told, args=(ring, group, told, done))
        reader.start()
        p = self.spawner(groups.mount + groups.name)
        for _ in range(UPGRADES):
            self.i.load("--force")
        p.stdin.close()
        tries, ran = map(int, p.stdout.readline().split())
        done.set()
        reader.join()
        with Page(self.i) as page:
            page.off()
        print(f"# {tries} programs, {UPGRADES} exchanges, {len(told)} told")
        self.assertEqual(ran, 0)
        self.assertGreater(tries, 20)
        self.assertEqual(set(told), {1 if lsm else 2})
        self.assertLessEqual(len(told), tries)
        # where programs may be preempted an act can meet the old one alone, which says no more
        self.assertGreaterEqual(len(told), tries - (UPGRADES if lsm else 0))


if __name__ == "__main__":
    unittest.main()
