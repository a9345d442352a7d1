#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What processes rarely do and break-ins often, end to end: what the API shows is what the process that did it knows, and what a
bound held back is counted."""
import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import deeds  # noqa: E402
import lib  # noqa: E402
import pipeline  # noqa: E402
import sensors  # noqa: E402

CLONE_NEWIPC, CLONE_NEWUSER = 0x08000000, 0x10000000
MANY = 40


def target_of(s):
    """What an event says of a sleeper."""
    return {"target_pid": s.pid, "target_tid": s.pid, "target_comm": sensors.Proc.of(s.pid).comm,
            "target_cgroup_id": sensors.inode(sensors.cgroup_mount() + sensors.cgroup_of(s.pid))}


class Rare(sensors.SensorTest):
    def sleeper(self, group=None):
        s = deeds.Sleeper(group)
        self.addCleanup(s.close)
        return s

    def event(self, kind, pid, check=None):
        e = self.one(f"kind={kind}&pid={pid}", check)
        self.assertEqual(e["exe"], os.path.realpath("/proc/self/exe"))
        self.assertEqual(e["parent_exe"], e["exe"])
        self.assertEqual(e["ancestors"][0]["pid"], os.getpid())
        return e

    def assert_target(self, e, s):
        self.assertEqual({k: e.get(k) for k in target_of(s)}, target_of(s))
        self.assertTrue(sensors.Proc.of(s.pid).born(e["target_start_ns"]))

    def test_module(self):
        self.needs("module")
        path = deeds.module_to_spare()
        if not path:
            self.skipTest("no module to spare")
        self.assertEqual(self.event("kernel_module", deeds.load_module(path))["module"], "udp_diag")

    def test_bpf(self):
        self.needs("bpf")
        e = self.event("bpf_load", deeds.bpf_load(b"pst_e2e"))
        self.assertEqual((e["prog_name"], e["prog_type"], e["instructions"]), ("pst_e2e", "socket_filter", 2))
        self.assertNotIn("error", e)

    def test_trace(self):
        self.needs("ptrace")
        s = self.sleeper()
        e = self.event("process_ptrace", deeds.seize(s.pid))
        self.assertEqual((e["operation"], e["given_pid"]), ("seize", s.pid))
        self.assert_target(e, s)

    def test_trace_refused(self):
        """Nobody traces what is not there."""
        self.needs("ptrace")

        def deed():
            with self.assertRaises(ProcessLookupError):
                deeds.check(deeds.libc.ptrace(deeds.PTRACE_SEIZE, 2**22 + 1, None, None), "ptrace")
        pid = deeds.child(deed)
        e = self.event("process_ptrace", pid)
        self.assertEqual((e["operation"], e["error"], e["given_pid"]), ("seize", "ESRCH", 2**22 + 1))
        self.assertNotIn("target_comm", e)
        self.assertIn(f"seize {2**22 + 1} ESRCH\n", self.lines(pid))

    def test_signal(self):
        self.needs("signal")
        group = deeds.Group()
        self.addCleanup(group.close)
        s, near = self.sleeper(group.path), self.sleeper()
        pid = deeds.kill(s.pid, signal.SIGWINCH)
        e = self.event("process_signal", pid)
        self.assertEqual((e["signal"], e["group"], e["result"]), ("SIGWINCH", True, "ignored"))
        self.assert_target(e, s)
        self.assertNotEqual(e["cgroup_id"], e["target_cgroup_id"])
        self.assertRegex(self.lines(pid), rf"signal SIGWINCH → .*\[{s.pid}\]\n")
        quiet = deeds.kill(near.pid, signal.SIGWINCH)
        later = deeds.kill(s.pid, signal.SIGCONT)
        self.event("process_signal", later)
        self.assertEqual(self.events(f"kind=process_signal&pid={quiet}"), [])

    def test_namespaces(self):
        self.needs("namespace")
        told = {}

        def work(c):
            deeds.check(deeds.libc.unshare(deeds.CLONE_NEWUTS | CLONE_NEWIPC), "unshare")
            c.say({n: sensors.inode(f"/proc/self/ns/{n}") for n in ("mnt", "net", "user", "uts", "ipc", "cgroup")})
            c.hear()
        c = self.child(work)
        told = c.hear()
        e = self.one(f"kind=process_namespace&pid={c.pid}")
        self.assertEqual((e["operation"], int(e["clone_flags"], 16)), ("unshare", deeds.CLONE_NEWUTS | CLONE_NEWIPC))
        self.assertEqual({n: e[n + "_ns"] for n in told}, told)
        self.assertNotEqual(told["uts"], sensors.inode("/proc/self/ns/uts"))
        self.assertEqual(told["net"], sensors.inode("/proc/self/ns/net"))
        c.say()

    def test_memfd_and_what_runs_from_it(self):
        """A program that was never a file: made here, written, executed."""
        self.needs("memfd")

        def deed():
            fd = os.memfd_create("pst-fileless")
            with open("/bin/true", "rb") as f:
                os.write(fd, f.read())
            os.execve(fd, ["pst-fileless"], {})
        pid = deeds.child(deed)
        self.assertEqual(self.one(f"kind=memfd_create&pid={pid}")["name"], "pst-fileless")
        x = self.one(f"kind=process_exec&pid={pid}")
        self.assertIn("memfd", x["flags"])
        self.assertIn("pst-fileless", x["exe"])

    def test_executable_memory(self):
        rung = self.needs("exec_memory")
        pid = deeds.executable_memory()
        found = {e["operation"]: e for e in self.want(f"kind=memory_exec&pid={pid}", count=2)}
        self.assertEqual((found["mmap"]["bytes"], found["mmap"]["prot"], found["mmap"]["mapping"]),
                         (deeds.PAGE, "rwx", "anonymous"))
        e = found["mprotect"]
        self.assertEqual((e["bytes"], e["prot"]), (2 * deeds.PAGE, "r-x"))
        self.assertEqual((e.get("old_prot"), e["mapping"]), ("rw-", "anonymous") if rung == "fexit" else (None, "unknown"))
        self.assertIn("mprotect 8.0 KiB " + ("rw-→r-x anonymous" if rung == "fexit" else "r-x unknown"), self.lines(pid))

    def test_perf(self):
        self.needs("perf")
        e = self.event("perf_event_open", deeds.perf(3))
        self.assertEqual((e["perf_type"], int(e["config"], 16), e["cpu"]), ("software", 3, -1))

    def test_memory_of_another(self):
        self.needs("proc_mem")
        s = self.sleeper()
        pid = deeds.open_memory(s.pid)
        e = self.event("memory_open", pid)
        self.assertTrue(e["readable"])
        self.assert_target(e, s)
        self.assertRegex(self.lines(pid), rf"write memory .* → {e['target_comm']}\[{s.pid}\]\n")

    def lines(self, pid):
        """What `penstock observe` prints of a process."""
        return self.p.run(os.path.join(lib.BINDIR, "penstock"), "observe", "--run-dir", self.p.run_dir, "--last", "1000000",
                          "--pid", str(pid)).stdout


class Bound(pipeline.PipelineTest):
    def test_ledger(self):
        """Each deed is an event, or it was held back, counted and told."""
        p = self.pipeline(loader=pipeline.ALL_BUT_PROCESS.replace("memfd: no", "memfd: yes") + "\ncgroup_rate: 1")
        p.up()

        def deed():
            for n in range(MANY):
                os.memfd_create(f"pst-many-{n}")
        pid = deeds.child(deed)
        last = deeds.child(lambda: None)

        def told():
            """events_lost with this cause"""
            return sum(e["count"] for e in p.events("last=1000000&kind=events_lost") if e["cause"] == "suppressed")
        pipeline.wait_for(lambda: p.events(f"last=1000000&kind=process_exit&pid={last}"), "what came after it")
        seen = len(p.events(f"last=1000000&kind=memfd_create&pid={pid}"))
        self.assertGreaterEqual(seen, 1)
        self.assertLess(seen, MANY)
        pipeline.wait_for(lambda: seen + told() >= MANY, "what was held back to be told")
        p.down()


if __name__ == "__main__":
    unittest.main()
