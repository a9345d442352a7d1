#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A fork bomb of short-lived processes: one fork, one exec and one exit event each, with the right parent, arguments and exit code."""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
import pipeline  # noqa: E402
from pipeline import execs_of, exits_of  # noqa: E402

COUNT = 500 if pipeline.VM else 15000
MARK = pipeline.unique("bomb")


class ForkBomb(pipeline.PipelineTest):
    def test_one_exec_and_one_exit_each(self):
        p = self.pipeline(loader=pipeline.ALL_BUT_PROCESS + "\nrings: {process: 32MiB}", collector="retention: 64MiB",
                          enricher="retention: 64MiB").up()
        seen = pipeline.Observer(p, "enricher")
        self.addCleanup(seen.close)
        bomb = pipeline.Spawner(MARK, COUNT)
        self.addCleanup(bomb.close)
        children = bomb.result()
        self.assertEqual(len(children), COUNT)
        seen.wait_marks(MARK, COUNT)
        seen.wait(lambda: len(self.forks(seen, children)) >= COUNT, "all forks")
        execs, exits, forks = execs_of(seen, MARK), exits_of(seen, MARK), self.forks(seen, children)
        self.assertEqual((set(execs), set(exits)), (set(range(COUNT)), set(range(COUNT))))
        for c in children:
            (e,), (x,) = execs[c.index], exits[c.index]  # one of each, no more
            code = 255 if c.signal else c.code
            self.assertEqual(e.get("argv"), [MARK.encode(), b"%d" % c.index, b"%d" % code,
                                             b"3000" if c.index % 16 == 15 else b"0"])
            self.assertEqual((e.get("pid"), e.get("parent_pid"), e.get("argc")), (c.pid, c.parent, 4))
            self.assertEqual(e.arrays[0][7], pipeline.helper("brief").encode())
            self.assertEqual((x.get("pid"), x.get("parent_pid"), x.get("exit_code"), x.get("signal")),
                             (c.pid, c.parent, c.code, c.signal))
            (f,) = forks[c.pid, e.get("start_ns")]
            self.assertEqual(f.get("pid"), c.parent)
            self.assertLess(f.ts, e.ts)
            self.assertLess(e.ts, x.ts)
            # The enricher knew the parent although it may be gone.
            self.assertEqual([a[0] for a in e.get("ancestors", [])][:1], [c.parent])
            self.assertEqual(e.get("parent_exe", b""), pipeline.helper("spawner").encode())
        self.assertEqual((seen.faults, dict(seen.lost)), ([], {}))
        for stage in lib.STAGES:
            lost = {k: v for k, v in p.stats(stage).items() if "lost" in k[0] and v}
            self.assertEqual(lost, {}, stage)
        brief = [x for c in children for x in exits[c.index] if x.get("run_ns") < 1_000_000]
        if not pipeline.VM:  # an emulated CPU is not fast enough for that
            self.assertTrue(brief, "no process lived for less than a millisecond: this is not the load that was meant")
        times = [e.ts for (e,) in execs.values()]
        rate = COUNT / ((max(times) - min(times)) / 1e9)
        print(f"# {COUNT} processes, {rate:.0f} a second, of which {len(brief)} lived for less than a millisecond")
        p.down()

    @staticmethod
    def forks(seen, children):
        pids, out = {c.pid for c in children}, {}
        for f in seen.select("process_fork"):
            if f.get("child_pid") in pids:
                out.setdefault((f.get("child_pid"), f.get("child_start_ns")), []).append(f)
        return out


if __name__ == "__main__":
    unittest.main()
