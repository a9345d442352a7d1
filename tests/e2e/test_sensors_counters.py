#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The counters, end to end: system calls by name and cgroup, and the kernel's view of our programs, maps and rings, as /metrics has
them and as the callers and bpftool count them."""
import ctypes
import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
import sensors  # noqa: E402
from pipeline import unique  # noqa: E402
from test_crash import Kernel  # noqa: E402

ID = "0123456789abcdef" * 4
CALLS = 1000


class Syscalls(sensors.SensorTest):
    @classmethod
    def prepare(cls):
        cls.groups = sensors.Cgroups(unique("pst-syscalls"))
        cls.addClassCleanup(cls.groups.close)

    def caller(self, path, program=True):
        """A child in a cgroup of that path that calls getppid(2) when told; @program: starts one there before."""
        folder = self.groups.make(path)

        def work(c):
            with open(folder + "/cgroup.procs", "w") as f:
                f.write("0")
            if program:
                os.waitpid(os.posix_spawn("/usr/bin/true", ["true"], {}), 0)
            while True:
                for _ in range(c.ask()):
                    os.getppid()
        c = self.child(work)
        c.hear()
        return c, f"{self.groups.name}/{path}"

    def counted(self, name, path, container=""):
        key = f'penstock_syscalls_total{{syscall="{name}",abi="native",cgroup="{path}",container_id="{container}"}}'
        return int(self.p.metrics().get(key, "0"))

    def test_by_name_and_cgroup(self):
        """Exactly the calls that were made, in the cgroup where they were made; containers by their id."""
        self.needs("syscalls")
        (a, one), (b, two) = self.caller("plain"), self.caller("docker/" + ID)
        a.ask(CALLS)
        b.ask(2 * CALLS)
        self.until(lambda: self.counted("getppid", one) >= CALLS, "calls in the first")
        self.until(lambda: self.counted("getppid", two, ID) >= 2 * CALLS, "calls in the container")
        a.ask(1)
        self.until(lambda: self.counted("getppid", one) > CALLS, "one more")
        self.assertEqual((self.counted("getppid", one), self.counted("getppid", two, ID)), (CALLS + 1, 2 * CALLS))

    def test_cgroup_without_a_name(self):
        """A cgroup in which no program was started has its number for a name, until one is."""
        self.needs("syscalls")
        c, path = self.caller("unnamed", program=False)
        number = f"id:{sensors.inode(self.groups.mount + path)}"
        c.ask(CALLS)
        self.until(lambda: self.counted("getppid", number) >= CALLS, "calls by number")
        self.assertEqual(self.counted("getppid", number), CALLS)
        folder = self.groups.mount + path

        def enter():
            with open(folder + "/cgroup.procs", "w") as f:
                f.write("0")
        self.popen(["/usr/bin/cat"], preexec_fn=enter)
        self.until(lambda: self.counted("getppid", path) >= CALLS, "calls by name")
        self.assertEqual((self.counted("getppid", path), self.counted("getppid", number)), (CALLS, 0))

    def test_names(self):
        """Names by this machine's numbers, and a number that no kernel has."""
        self.needs("syscalls")
        libc = ctypes.CDLL(None)
        folder = self.groups.make("names")

        def work(c):
            with open(folder + "/cgroup.procs", "w") as f:
                f.write("0")
            os.waitpid(os.posix_spawn("/usr/bin/true", ["true"], {}), 0)
            c.hear()
            for _ in range(7):
                os.sched_yield()
                os.umask(0)
                libc.syscall(999999)
            c.ask()
        c = self.child(work)
        c.ask()
        path = self.groups.name + "/names"
        for name, count in (("sched_yield", 7), ("umask", 7), ("unknown", 7)):
            self.until(lambda n=name: self.counted(n, path) >= 7, name)
            self.assertEqual(self.counted(name, path), count)

    def test_switched_off_means_not_attached(self):
        """With the sensor off there is no program at the hook and no series; the status says that it is off."""
        p = self.pipeline(loader="sensors: {syscalls: no}", exporter="scrape: {iterators: 300ms, status: 300ms}").up()
        names = {q["name"] for q in lib.bpftool("prog", "show") if q["id"] in p.own_programs()}
        self.assertFalse([n for n in names if n.startswith("syscalls")], names)
        self.until(lambda: p.metrics().get('penstock_iterator_up{iterator="maps"}') == "1", "a pass over the iterators")
        metrics = p.metrics()
        self.assertEqual([k for k in metrics if k.startswith("penstock_syscalls")], [])
        self.assertEqual(metrics['penstock_sensor_active{sensor="syscalls"}'], "0")
        self.assertTrue([k for k in metrics if k.startswith('penstock_sensor_info{sensor="syscalls",state="off"')])
        p.down()


class Programs(sensors.SensorTest):
    sections = {**sensors.SECTIONS, "loader": "bpf_stats: yes\nrings: {process: 4MiB, net: 1MiB, flow: 1MiB}"}

    @classmethod
    def prepare(cls):
        cls.programs = None

    def bpftool(self, field):
        """{program name: sum over our programs of that name}, as bpf(2) tells. The kernel keeps 15 letters of a name."""
        own, out = self.p.own_programs(), {}
        for q in lib.bpftool("prog", "show"):
            if q["id"] in own:
                out[q["name"][:15]] = out.get(q["name"][:15], 0) + q.get(field, 0)
        return out

    def test_runs_and_run_time(self):
        """Run count and run time of each program lie between what bpf(2) says before and after."""
        stats = self.api("status")["loader"]["bpf_stats"]
        metrics = self.p.metrics()
        if not stats["on"]:
            self.assertTrue(stats["why_not"])
            self.assertEqual(metrics["penstock_bpf_statistics_enabled"], "0")
            self.skipTest(f"no BPF statistics on this kernel: {stats['why_not']}")
        for _ in range(50):
            os.waitpid(os.posix_spawn("/usr/bin/true", ["true"], {}), 0)
        before, before_ns = self.bpftool("run_cnt"), self.bpftool("run_time_ns")
        self.assertGreaterEqual(before["process_exec"], 50)
        for name in ("process_fork", "process_exec", "process_exit"):
            runs = f'penstock_bpf_program_runs_total{{program="{name}"}}'
            seconds = f'penstock_bpf_program_run_seconds_total{{program="{name}"}}'
            values = []

            def grown(name=name, keys=(runs, seconds), values=values):
                metrics = self.p.metrics()
                values[:] = int(metrics.get(keys[0], 0)), round(float(metrics.get(keys[1], 0)) * 1e9)
                return values[0] >= before[name] and values[1] >= before_ns[name]
            self.until(grown, f"{name}: {before[name]} runs, {before_ns[name]} ns")
            after, after_ns = self.bpftool("run_cnt"), self.bpftool("run_time_ns")
            self.assertLessEqual(values[0], after[name], name)
            self.assertLessEqual(values[1], after_ns[name], name)
        self.assertEqual(self.p.metrics()["penstock_bpf_statistics_enabled"], "1")

    def test_every_program_is_listed(self):
        """Each program that the loader attached, with its length."""
        names = {n for n in self.bpftool("run_cnt")}
        key = 'penstock_bpf_program_instructions{program="'

        def listed():
            return {k[len(key):-2]: int(v) for k, v in self.p.metrics().items() if k.startswith(key)}
        self.until(lambda: names == set(listed()), f"all of {names}")
        self.assertTrue(all(n > 0 for n in listed().values()))
        for sensor, program in (("process", "process_exec"), ("tcp", "socket_state"), ("syscalls", "syscalls_enter")):
            active = self.p.metrics()[f'penstock_sensor_active{{sensor="{sensor}"}}'] == "1"
            self.assertEqual(program in names, active, program)

    def test_map_fill(self):
        """Entries of a table as bpftool counts them; no number where the kernel has none."""
        count = len(lib.bpftool("map", "dump", "pinned", self.p.pin("maps", "own_ids")))
        key, room = 'penstock_bpf_map_entries{map="own_ids"}', 'penstock_bpf_map_capacity_entries{map="own_ids"}'
        self.until(lambda: room in self.p.metrics(), room)
        capacity = next(m["entries"] for m in self.api("status")["loader"]["maps"] if m["name"] == "own_ids")
        self.assertEqual(int(self.p.metrics()[room]), capacity)
        if sensors.KERNEL >= (6, 6):
            self.until(lambda: self.p.metrics().get(key) == str(count), f"{key} {count}")
        else:
            self.assertNotIn(key, self.p.metrics())
        entries = {k: int(v) for k, v in self.p.metrics().items() if k.startswith("penstock_bpf_map_entries{")}
        self.assertTrue(entries)
        for k, v in entries.items():
            self.assertLessEqual(v, int(self.p.metrics()[k.replace("entries{", "capacity_entries{")]), k)

    def test_ring_fill_and_drops(self):
        """While the collector stands still its ring fills up, and then loses: both as the ring itself and its counters say."""
        kernel = Kernel(self.p)
        self.addCleanup(kernel.close)
        used, room = ('penstock_bpf_ring_%s_bytes{ring="ring_process"}' % w for w in ("used", "capacity"))
        self.until(lambda: self.p.metrics().get(room) == str(4 << 20), "the ring's size")
        collector = self.p.stage["collector"]
        collector.send(signal.SIGSTOP)
        try:
            lib.wait_for(lambda: sensors.lib.read(f"/proc/{collector.p.pid}/stat").rsplit(b")", 1)[1].split()[0] == b"T", 60, "the stop")
            for _ in range(50):
                os.waitpid(os.posix_spawn("/usr/bin/true", ["true"], {}), 0)
            consumer, producer = kernel.positions()
            got = int(self.until(lambda: next((v for v in [self.p.metrics().get(used, -1)] if int(v) >= producer - consumer), None), used))
            consumer, producer = kernel.positions()
            self.assertTrue(50 * 3 * 64 < got <= producer - consumer, (got, consumer, producer))
        finally:
            collector.send(signal.SIGCONT)
        lost = 'penstock_kernel_lost_records_total{stage="collector",class="process"}'
        emitted = 'penstock_kernel_emitted_records_total{stage="collector",class="process"}'
        before = kernel.counts()
        got = self.until(lambda: next((m for m in [self.p.metrics()] if int(m.get(emitted, -1)) >= before[0]), None), emitted)
        after = kernel.counts()
        self.assertTrue(before[0] <= int(got[emitted]) <= after[0])
        self.assertTrue(before[1] <= int(got[lost]) <= after[1])


if __name__ == "__main__":
    unittest.main()
