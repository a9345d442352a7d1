#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of any process under load: nothing lost that a ring or the retention covers, nothing twice, gaps counted to the event."""
import collections
import json
import mmap
import os
import random
import struct
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
import pipeline  # noqa: E402
from pipeline import execs_of, exits_of, unique  # noqa: E402

COUNT = 200 if pipeline.VM else 4000
RATE = 30 if pipeline.VM else 600  # a worker, of which there are two
RULES = """
rules:
  - name: marked
    kinds: process_exec
    match: {argv: {prefix: "crash-"}}
    severity: notice
    message: "{argv}"
    rate: none
"""
LEAN = pipeline.ALL_BUT_PROCESS
STAT = struct.Struct("8Q")
BEFORE, AWAY, DEAD, FLOOD, AFTER, END = map(unique, ("crash-before", "crash-away", "crash-dead", "crash-flood", "crash-after",
                                                     "crash-end"))
AWAY += "-" + "x" * 400  # fewer of them fill a retention
CPUS = 256  # PST_CPUS_MAX


class Kernel:
    """The kernel side as the loader's maps show it, also when every process is dead."""

    def __init__(self, p, ring="ring_process"):
        fds, error = lib.request_fds(os.path.join(p.run_dir, "loader.fds"))
        assert error == 0, error
        self.stats = mmap.mmap(fds["class_stats"][0], 3 * CPUS * STAT.size, mmap.MAP_SHARED, mmap.PROT_READ)
        ring = fds[ring][0]
        self.consumer = mmap.mmap(ring, mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ)
        self.producer = mmap.mmap(ring, mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ, offset=mmap.PAGESIZE)
        for fd, _ in fds.values():
            os.close(fd)

    def rows(self, ring):
        """struct pst_class_stat of each CPU"""
        return [STAT.unpack_from(self.stats, (ring * CPUS + cpu) * STAT.size) for cpu in range(CPUS)]

    def counts(self, ring=0):
        """(emitted, lost) of a class"""
        rows = self.rows(ring)
        return sum(r[0] for r in rows), sum(r[2] for r in rows)

    def positions(self):
        return struct.unpack_from("Q", self.consumer)[0], struct.unpack_from("Q", self.producer)[0]

    def close(self):
        for m in (self.stats, self.consumer, self.producer):
            m.close()


class CrashTest(pipeline.PipelineTest):
    def observe(self, p, *publishers):
        out = [pipeline.Observer(p, name, from_oldest=False) for name in publishers]
        for o in out:
            self.addCleanup(o.close)
        for o in out:
            o.wait(lambda o=o: o.connects, "connection")
        return out

    def spawn(self, mark, count=COUNT, rate=RATE):
        s = pipeline.Spawner(mark, count, rate)
        self.addCleanup(s.close)
        return s

    def assert_each_once(self, observer, mark, children):
        observer.wait_marks(mark, len(children))
        execs, exits = execs_of(observer, mark), exits_of(observer, mark)
        self.assertEqual([(i, len(v)) for i, v in execs.items() if len(v) != 1], [])
        self.assertEqual([(i, len(v)) for i, v in exits.items() if len(v) != 1], [])
        self.assertEqual(sorted(execs), list(range(len(children))))
        self.assertEqual({c.index: (c.pid, c.code, c.signal) for c in children},
                         {i: (e.get("pid"), e.get("exit_code"), e.get("signal")) for i, (e,) in exits.items()})
        self.assertEqual((observer.faults, dict(observer.lost)), ([], {}), observer.publisher)

    def assert_alerts_once(self, observer, mark, count):
        mark = mark.encode()

        def alerts():
            return collections.Counter(int(e.get("argv")[1]) for e in observer.select("process_exec")
                                       if e.get("rule", b"") == b"marked" and e.get("argv")[0] == mark)
        observer.wait(lambda: len(alerts()) >= count, f"{count} alerts")
        self.assertEqual([(i, n) for i, n in alerts().items() if n != 1], [])
        self.assertEqual((observer.faults, dict(observer.lost)), ([], {}), "policyd")


class Kill(CrashTest):
    """One instance for all: it has to survive everything anyway."""

    @classmethod
    def setUpClass(cls):
        cls.p = pipeline.Pipeline(RULES, loader=LEAN + "\nrings: {process: 32MiB}", collector="retention: 64MiB",
                                  enricher="retention: 64MiB", policyd="retention: 16MiB")
        cls.addClassCleanup(cls.p.close)
        cls.output = os.path.join(cls.p.run_dir, "events.jsonl")
        cls.p.sections["exporter"] = (
            f"output: {{path: {cls.output}, kinds: [process_exec, alert], max_size: 100GiB}}")
        cls.p.write_config()
        cls.p.up()

    def setUp(self):
        self.instances = [self.p]
        self.watched = self.observe(self.p, "collector", "enricher", "policyd")
        self.execs, self.alerts = (collections.defaultdict(collections.Counter) for _ in range(2))
        self.unread = ""
        self.file = open(self.output)
        self.addCleanup(self.file.close)
        self.file.seek(0, os.SEEK_END)

    def in_file(self, mark):
        """({number: execs}, {number: alerts}) of the JSON-lines file since the test began."""
        text = self.file.read()
        self.unread += text
        lines, _, self.unread = self.unread.rpartition("\n")
        for line in lines.splitlines():
            e = json.loads(line)
            argv = e.get("argv", [])
            if e["kind"] == "process_exec" and len(argv) > 1 and argv[0].startswith("crash-") and argv[1].isdigit():
                (self.alerts if "rule" in e else self.execs)[argv[0]][int(argv[1])] += 1
        return self.execs[mark], self.alerts[mark]

    def assert_nothing_lost(self, mark, spawner):
        children = spawner.result()
        collector, enricher, policyd = self.watched
        self.assert_each_once(collector, mark, children)
        self.assert_each_once(enricher, mark, children)
        self.assert_alerts_once(policyd, mark, len(children))
        once = dict.fromkeys(range(len(children)), 1)

        def complete():
            execs, alerts = self.in_file(mark)
            return len(execs) >= len(children) and len(alerts) >= len(children)
        try:
            pipeline.wait_for(complete, f"all of {mark} in the exporter's file")
        except AssertionError as e:
            execs, alerts = self.in_file(mark)
            status = {s: self.p.status(s) for s in lib.STAGES}
            raise AssertionError(
                f"{e}: no exec {sorted(set(once) - set(execs))[:9]}, no alert {sorted(set(once) - set(alerts))[:9]}, "
                + str({s: (v["topics"], v["inputs"], {k: n for k, n in self.p.stats(s, v).items() if n})
                       for s, v in status.items()})) from None
        execs, alerts = self.in_file(mark)
        self.assertEqual(dict(execs), once)
        self.assertEqual(dict(alerts), once)
        for stage in lib.STAGES:
            stats = self.p.stats(stage)
            self.assertEqual({k: v for k, v in stats.items() if v and ("lost" in k[0] or k[0] == "unknown_gaps")}, {},
                             stage)

    def kill_under_load(self, *stages, again=None):
        """At least two times, however long a start takes here."""
        mark = unique("crash-" + "-".join(stages))
        spawners = {mark: self.spawn(mark)}
        kills = 0
        while kills < 2 or spawners[mark].p.poll() is None and kills < 6:
            if spawners[mark].p.poll() is not None:
                mark += "+"
                spawners[mark] = self.spawn(mark)
            time.sleep(random.uniform(0.05, 0.6))
            self.p.kill(*stages)
            time.sleep(random.uniform(0, 0.3))
            for s in again or stages:
                self.p.begin(s)
            kills += 1
        for mark, spawner in spawners.items():
            self.assert_nothing_lost(mark, spawner)

    def test_collector(self):
        self.kill_under_load("collector")

    def test_enricher(self):
        self.kill_under_load("enricher")

    def test_policyd(self):
        self.kill_under_load("policyd")

    def test_exporter(self):
        self.kill_under_load("exporter")

    def test_loader(self):
        before = self.p.report()["generation"]
        self.kill_under_load("loader")
        self.assertEqual(self.p.report()["generation"], before)  # found as it was left, nothing exchanged

    def test_all_four(self):
        self.kill_under_load(*lib.STAGES)

    def test_collector_while_the_loader_is_away(self):
        """As penstock up does it: descriptors that were kept are handed on."""
        fds, error = lib.request_fds(os.path.join(self.p.run_dir, "loader.fds"))
        self.assertEqual(error, 0)
        self.addCleanup(lambda: [os.close(fd) for fd, _ in fds.values()])
        mark = unique("crash-passed")
        spawner = self.spawn(mark, COUNT // 4)
        self.p.kill("loader", "collector")
        env = {"PENSTOCK_FDS": ",".join(f"{fd}:{name}:{size}" for name, (fd, size) in fds.items())}
        self.p.begin("collector", env=env, pass_fds=[fd for fd, _ in fds.values()])
        self.p.begin("loader")
        self.assert_nothing_lost(mark, spawner)


class AllDead(CrashTest):
    def test_kernel_programs_go_on(self):
        p = self.pipeline(loader=LEAN + "\nrings: {process: 8MiB}").up()
        kernel = Kernel(p)
        self.addCleanup(kernel.close)
        (seen,) = self.observe(p, "enricher")
        before = self.spawn(BEFORE, 100).result()
        self.assert_each_once(seen, BEFORE, before)
        p.kill(*pipeline.ORDER)
        emitted, lost = kernel.counts()
        consumer, producer = kernel.positions()
        children = self.spawn(DEAD, 300).result()
        now_emitted, now_lost = kernel.counts()
        now_consumer, now_producer = kernel.positions()
        self.assertGreaterEqual(now_emitted - emitted, 3 * len(children))
        self.assertGreater(now_producer, producer)
        self.assertEqual((now_lost, now_consumer), (lost, consumer))
        p.up()
        self.assert_each_once(seen, DEAD, children)
        self.assertEqual(dict(seen.lost), {})
        p.down()

    def test_ring_overflow_while_dead_is_counted(self):
        p = self.pipeline(loader=LEAN + "\nrings: {process: 64KiB}").up()
        kernel = Kernel(p)
        self.addCleanup(kernel.close)
        (seen,) = self.observe(p, "enricher")
        p.kill(*lib.STAGES)
        lost = kernel.counts()[1]
        children = self.spawn(FLOOD, 1000, 0).result()
        dead_lost = kernel.counts()[1] - lost
        self.assertGreater(dead_lost, 0)
        p.up(*lib.STAGES)
        end = self.spawn(END, 20, 20).result()
        seen.wait_marks(END, len(end))

        # Told as an event by the collector, although no collector was there when it happened.
        def told():
            return sum(e.get("count") for e in seen.select("events_lost")
                       if (e.get("stage"), e.get("where"), e.get("cause")) == (b"collector", b"process", b"ring_full"))
        seen.wait(lambda: told() >= dead_lost and told() == kernel.counts()[1] - lost,
                  f"events_lost of {dead_lost}, and what more the kernel counted")
        execs, exits = execs_of(seen, FLOOD), exits_of(seen, FLOOD)
        self.assertEqual([i for i, v in execs.items() if len(v) != 1], [])
        self.assertLess(len(execs), len(children))
        # Each is there or lost: the loss may also have hit others, so it covers at least what is missing.
        forks = [f for f in seen.select("process_fork") if f.get("pid") in {c.parent for c in children}]
        self.assertGreaterEqual(len(execs) + len(exits) + len(forks) + dead_lost, 3 * len(children))
        self.assertEqual((seen.faults, dict(seen.lost)), ([], {}))
        p.down()


class Gap(CrashTest):
    """Away for longer than the retention: the gap is known to the event."""

    def both(self, collector, enricher, mark):
        """Process events of both sides up to the first exec of the mark, which both have."""
        out = []
        for o in (collector, enricher):
            (end,) = execs_of(o, mark)[0]
            kinds = ("process_fork", "process_exec", "process_exit", "process_cred", "process_exec_failed")
            out.append({(e.kind, e.ts, *map(str, e.arrays[0])) for kind in kinds for e in o.select(kind)
                        if e.seq <= end.seq})
        return out

    def test_enricher_away_too_long(self):
        p = self.pipeline(loader=LEAN, collector="retention: 1MiB").up()
        collector, enricher = self.observe(p, "collector", "enricher")
        self.spawn(BEFORE, 50).result()
        enricher.wait_marks(BEFORE, 50)
        p.kill("enricher")
        flood = self.spawn(AWAY, 2000 if pipeline.VM else 6000, 0).result()
        collector.wait_marks(AWAY, len(flood))
        p.begin("enricher")
        self.spawn(AFTER, 50).result()
        for o in (collector, enricher):
            o.wait_marks(AFTER, 50)
        came, passed = self.both(collector, enricher, AFTER)
        self.assertEqual(passed - came, set())
        gap = len(came - passed)
        self.assertGreater(gap, 0)
        told = [(e.get("stage"), e.get("where"), e.get("cause"), e.get("count")) for e in enricher.select("events_lost")]
        # On a slow machine a node_info or two went the same way.
        self.assertLessEqual({t[:3] for t in told}, {(b"enricher", w, b"retention") for w in (b"collector/proc", b"collector/meta")})
        self.assertEqual(sum(t[3] for t in told if t[1] == b"collector/proc"), gap)
        self.assertEqual(p.stats("enricher")["lost_events", "retention"], sum(t[3] for t in told))
        # What the retention still had was not thrown away with the rest.
        self.assertTrue(set(execs_of(enricher, AWAY)))
        self.assertEqual((dict(collector.lost), collector.faults, enricher.faults), ({}, [], []))
        # The numbers of the published events go on without a gap for those behind.
        self.assertEqual(dict(enricher.lost), {})
        p.down()

    def test_publisher_that_lost_its_files(self):
        """A new epoch: how much is missing is told by the file of the old one, or said to be unknown."""
        p = self.pipeline(loader=LEAN).up()
        before = self.spawn(BEFORE, 20).result()
        (seen,) = self.observe(p, "enricher")
        pipeline.wait_for(lambda: p.status("enricher")["inputs"]["collector"]["proc"], "events in the enricher")
        p.kill("collector")
        for end in ("ckpt", "ret"):
            os.unlink(os.path.join(p.run_dir, f"collector.{end}"))
        p.begin("collector")
        self.spawn(AFTER, 20).result()
        seen.wait_marks(AFTER, len(before))
        self.assertGreater(p.stats("enricher")["unknown_gaps", None], 0)
        self.assertIn("topic=proc", "".join(line for line in p.stage["enricher"].log if "loss unknown" in line))
        self.assertEqual((dict(seen.lost), seen.faults), ({}, []))
        p.down()


if __name__ == "__main__":
    unittest.main()
