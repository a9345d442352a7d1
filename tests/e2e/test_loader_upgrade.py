#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The loader: programs exchanged at work, and loads that die in the middle."""
import os
import signal
import struct
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
import pipeline  # noqa: E402
from loader import LEAN, EXEC, UPGRADES, link_ids, map_id, programs_alive, gate_words, LoaderTest  # noqa: E402


class Upgrade(LoaderTest):
    config = LEAN.replace("process: 1MiB", "process: 32MiB")

    def test_every_exec_is_seen_once_while_programs_are_exchanged(self):
        server = self.i.start("penstock-loader", "serve")
        fds, _ = lib.request_fds(os.path.join(self.i.run_dir, "loader.fds"))
        server.stop()
        ring = lib.Ring(*fds["ring_process"])
        self.addCleanup(ring.close)
        done = threading.Event()
        seen = {}

        def drain():
            while not done.is_set():
                for r in ring.records():
                    kind, _, _, _ = struct.unpack_from("HHIQ", r, 0)
                    if kind == EXEC:
                        pid = struct.unpack_from("I", r, 16 + 16)[0]
                        seen[pid] = seen.get(pid, 0) + 1
                time.sleep(0.005)

        reader = threading.Thread(target=drain)
        reader.start()
        pids, stop = [], threading.Event()

        def spawn():
            while not stop.is_set():
                pid = os.posix_spawn("/bin/true", ["/bin/true"], {})
                os.waitpid(pid, 0)
                pids.append(pid)

        spawners = [threading.Thread(target=spawn) for _ in range(3)]
        for t in spawners:
            t.start()
        for _ in range(UPGRADES):
            self.i.load("--force")
        stop.set()
        for t in spawners:
            t.join()
        time.sleep(0.2)
        done.set()
        reader.join()
        lost = self.lost(fds["class_stats"][0])
        for fd, _ in fds.values():
            os.close(fd)
        if lost:  # the host was too busy for this reader; nothing can be said
            self.skipTest(f"{lost} records did not fit the ring")
        self.assertGreater(len(pids), 100)
        self.assertEqual(len(pids), len(set(pids)), "pid numbers came round")
        missed = [p for p in pids if p not in seen]
        twice = [p for p in pids if seen.get(p, 0) > 1]
        if os.environ.get("PENSTOCK_UPGRADES"):
            print(f"# {len(pids)} execs, {UPGRADES} exchanges")
        self.assertEqual((len(missed), len(twice)), (0, 0), f"of {len(pids)}")


    @staticmethod
    def lost(fd):
        import mmap
        with mmap.mmap(fd, 256 * 64, mmap.MAP_SHARED, mmap.PROT_READ) as m:
            return sum(struct.unpack_from("Q", m, cpu * 64 + 16)[0] for cpu in range(256))


def some(*steps):
    """All of them; one of each kind where each takes ten times as long."""
    kinds = {}
    for step in steps:
        kinds.setdefault(step.split(":")[0], step)
    return kinds.values() if pipeline.VM else steps


class Crash(LoaderTest):
    """Killed, or a call made to fail, at every kind of step (tests/helpers/preload/faults.c)."""

    config = LEAN.replace("udp: no", "udp: yes")
    LINKS = ("process_exec", "process_exit", "process_fork", "udp_bind4", "udp_bind6", "udp_egress", "udp_ingress")

    def at(self, where, fail=False):
        env = {"LD_PRELOAD": pipeline.helper("faults.so"), "PST_AT": where, **({"PST_FAIL": "1"} if fail else {})}
        return self.i.loader("load", "--force", env=env)

    def execs_seen_once(self):
        """Events flow, and each once: no second generation works beside the first."""
        server = self.i.start("penstock-loader", "serve")
        fds, _ = lib.request_fds(os.path.join(self.i.run_dir, "loader.fds"))
        server.stop()
        ring = lib.Ring(*fds["ring_process"])
        ring.records()
        pids = []
        for _ in range(20):
            pid = os.posix_spawn("/bin/true", ["/bin/true"], {})
            os.waitpid(pid, 0)
            pids.append(pid)
        seen = [struct.unpack_from("I", r, 32)[0] for r in ring.records() if struct.unpack_from("H", r)[0] == EXEC]
        ring.close()
        for fd, _ in fds.values():
            os.close(fd)
        return [seen.count(p) for p in pids]

    def test_killed_at_every_step_of_the_first_load(self):
        for where in some("pin:1", "cpu:1", "rename:1", "pin:3", "cpu:2", "rename:7", "pin:12", "pin:25", "rename:18"):
            with self.subTest(killed_at=where):
                code, log = self.at(where)
                self.assertEqual(code, -signal.SIGKILL, log)
                self.i.load()
                self.assert_good_state(self.LINKS)
                self.assertEqual(set(self.execs_seen_once()), {1})
                self.assertEqual(self.i.loader("unload")[0], 0)
                self.assertFalse(os.path.exists(self.i.bpffs))

    def test_killed_in_the_middle_of_an_upgrade(self):
        for where in some("pin:2", "update:1", "cpu:1", "rename:1", "pin:8", "update:3", "cpu:2", "rename:5", "rename:9"):
            with self.subTest(killed_at=where):
                self.i.load()
                old = self.i.own_programs()
                ring = map_id(self.i, "ring_process")
                code, log = self.at(where)
                self.assertEqual(code, -signal.SIGKILL, log)
                self.i.load()
                self.assert_good_state(self.LINKS)
                self.assertEqual(map_id(self.i, "ring_process"), ring)
                self.assertEqual(set(self.execs_seen_once()), {1})
                alive = self.i.own_programs()
                lib.wait_for(lambda: not programs_alive(old - alive), 10, "old programs gone")

    def test_unload_after_a_crash(self):
        for where in ("pin:9", "cpu:2", "rename:4"):
            with self.subTest(killed_at=where):
                self.at(where)
                code, log = self.i.loader("unload")
                self.assertEqual(code, 0, log)
                self.assertFalse(os.path.exists(self.i.bpffs))

    def test_a_load_that_fails_changes_nothing(self):
        self.i.load()
        before = (link_ids(self.i), self.i.own_programs(), gate_words(self.i), self.i.pins("maps"))
        bigger = self.config.replace("net: 64KiB", "net: 128KiB").replace("process: 1MiB", "process: 2MiB")
        for where in some("map:1", "pin:2", "update:2", "pin:4", "pin:7", "pin:11", "update:4"):
            with self.subTest(fails_at=where):
                self.i.configure(bigger)
                code, log = self.at(where, fail=True)
                self.assertEqual(code, lib.EXIT_SYSTEM, log)
                self.assertIn("what was in force stays", log)
                self.assertEqual(self.i.pins("staging"), [])
                self.assertEqual((link_ids(self.i), self.i.own_programs(), gate_words(self.i), self.i.pins("maps")),
                                 before)
                self.i.configure(self.config)
                self.assertIn("nothing changed", self.i.load())
        self.assertEqual(set(self.execs_seen_once()), {1})


if __name__ == "__main__":
    unittest.main()
