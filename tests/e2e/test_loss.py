#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""emitted = delivered + lost, per class of event, with a consumer that is too slow: each event is there or counted."""
import collections
import os
import signal
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
import net  # noqa: E402
import pipeline  # noqa: E402
from pipeline import execs_of, unique  # noqa: E402
from test_crash import Kernel  # noqa: E402

PROCESS, NET, FLOW = 0, 1, 2
BEGIN, FLOOD, END = map(unique, ("loss-begin", "loss-flood", "loss-end"))
SENSORS = "sensors: {exec_failed: no, cred: no, udp: no, drops: no, flows: no, syscalls: no, " + lib.NO_RARE + "}"
PROCESS_KINDS = ("process_fork", "process_exec", "process_exit")
NET_KINDS = ("tcp_connect", "tcp_accept", "tcp_listen", "tcp_close", "tcp_retransmit", "tcp_reset")


def identity(e):
    """What two instances that saw the same thing agree on: not the time, and before Linux 5.12 not the socket's number."""
    if e.name == "process_fork":
        return e.kind, e.get("tid"), e.get("child_pid"), e.get("child_start_ns")
    if e.name == "process_exec":
        return e.kind, e.get("pid"), e.get("start_ns"), tuple(e.get("argv", [])), e.get("filename", b"")
    if e.name == "process_exit":
        return e.kind, e.get("pid"), e.get("start_ns")
    return (e.kind, *(e.get(f) for f in ("laddr", "lport", "raddr", "rport", "state", "dir", "retransmits")))


def connections(count):
    """Connections over the loopback, accepted and closed."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        for _ in range(count):
            with socket.create_connection(server.getsockname()):
                server.accept()[0].close()


def forks(count):
    """(pid of the parent, number of children)"""
    p = subprocess.Popen([pipeline.helper("spawner"), "--forks", str(count)], stdout=subprocess.PIPE)
    out, _ = p.communicate()
    assert p.returncode == 0
    return p.pid, int(out)


class TwoEyes(pipeline.PipelineTest):
    """One instance with tiny rings whose collector is stopped for a while; a second one, large enough, saw everything."""

    def setUp(self):
        self.small = self.pipeline(loader=SENSORS + "\nrings: {process: 64KiB, net: 64KiB, flow: 64KiB}",
                                   collector="retention: 64MiB", enricher="retention: 64MiB")
        self.large = self.pipeline(loader=SENSORS + "\nrings: {process: 32MiB, net: 32MiB, flow: 64KiB}",
                                   collector="retention: 64MiB")
        self.large.up("loader", "collector")
        self.small.up()
        self.kernel = [Kernel(p) for p in (self.small, self.large)]
        self.watch = [pipeline.Observer(p, "collector") for p in (self.small, self.large)]
        self.behind = pipeline.Observer(self.small, "enricher")
        for o in (*self.kernel, *self.watch, self.behind):
            self.addCleanup(o.close)

    def spawn(self, mark, count, rate=0):
        s = pipeline.Spawner(mark, count, rate, 1)
        self.addCleanup(s.close)
        out = s.result()
        return out

    def everyone_saw(self, mark, count):
        for o in (*self.watch, self.behind):
            o.wait_marks(mark, count)

    def lost(self, ring):
        return self.kernel[0].counts(ring)[1]

    def overload(self):
        """Stops the collector, floods both rings, lets it go on. (parent of the forks, their number)"""
        collector = self.small.stage["collector"]
        collector.send(signal.SIGSTOP)
        try:
            pipeline.wait_for(lambda: open(f"/proc/{collector.p.pid}/stat").read().rsplit(")", 1)[1].split()[0] == "T",
                              "the collector to stand still")
            self.spawn(FLOOD, 200 if pipeline.VM else 1000)
            made = forks(500 if pipeline.VM else 3000)
            connections(400 if pipeline.VM else 2000)
        finally:
            collector.send(signal.SIGCONT)
        return made

    def missing(self, kinds, since, until):
        """Events that the large instance has between two of its times, and the small one nowhere."""
        few, all_ = self.watch
        mine = collections.Counter(identity(e) for kind in kinds for e in few.select(kind))
        seen = collections.Counter(identity(e) for kind in kinds
                                   for e in all_.select(kind, lambda e: since < e.ts < until))
        return seen - mine

    def test_each_event_is_delivered_or_counted(self):
        self.spawn(BEGIN, 1)
        self.everyone_saw(BEGIN, 1)
        before = [self.lost(PROCESS), self.lost(NET)]
        self.assertEqual(before, [0, 0])
        parent, made = self.overload()
        self.spawn(END, 20, 40)
        self.everyone_saw(END, 20)
        (begin,), (end,) = execs_of(self.watch[1], BEGIN)[0], execs_of(self.watch[1], END)[0]
        lost = {PROCESS: self.lost(PROCESS), NET: self.lost(NET)}
        self.assertTrue(all(lost.values()), "the flood did not fill the rings")
        self.assertEqual([self.kernel[1].counts(c)[1] for c in (PROCESS, NET)], [0, 0])

        missing = self.missing(PROCESS_KINDS, begin.ts, end.ts)
        self.assertEqual(sum(missing.values()), lost[PROCESS])
        unseen = self.missing(NET_KINDS, begin.ts, end.ts)
        kinds = collections.Counter(pipeline.Event.schema.kinds[k[0]][0] for k in unseen.elements())
        self.assertEqual(sum(unseen.values()), lost[NET], kinds)

        # The same for the forks of one process, whose number is known without any sensor.
        fork = self.watch[0].select("process_fork", lambda e: e.get("pid") == parent)
        gone = sum(n for k, n in missing.items() if k[0] == pipeline.Event.schema.ids["process_fork"] and k[1] == parent)
        self.assertEqual(len(fork) + gone, made)
        self.assertEqual(len(self.watch[1].select("process_fork", lambda e: e.get("pid") == parent)), made)

        self.check_counters(lost)
        self.check_told(lost)
        for o in (*self.watch, self.behind):
            self.assertEqual((o.faults, dict(o.lost)), ([], {}))
        self.small.down()
        self.large.down()

    def balance(self, ring, name):
        """The kernel's count and the collector's, of the same moment: nothing came in between."""
        for _ in range(2000):
            before = self.kernel[0].counts(ring)[0]
            stats = self.small.stats("collector")
            if stats.get(("ring_backlog_bytes", name), 0) == 0 and self.kernel[0].counts(ring)[0] == before \
                    and stats["kernel_emitted_records", name] == before:
                return before, stats
            time.sleep(0.02)
        raise AssertionError("the host never was quiet for a moment")

    def check_counters(self, lost):
        for ring, name, topic in ((PROCESS, "process", "proc"), (NET, "net", "net")):
            emitted, stats = self.balance(ring, name)
            self.assertEqual(stats["drained_records", name], emitted)
            self.assertEqual(stats["kernel_lost_records", name], lost[ring])
            self.assertEqual(stats.get(("malformed_records", None), 0), 0)
            self.assertEqual(stats["published_events", topic], emitted)
            self.assertEqual(stats["dropped_events", topic], 0)
            for stage in ("enricher", "exporter"):
                pipeline.wait_for(lambda s=stage, t=topic, n=emitted: self.small.stats(s)["received_events", t] >= n,
                                  f"{stage}: all that was published")
            for stage in ("enricher", "exporter"):
                stats = self.small.stats(stage)
                self.assertEqual([v for k, v in stats.items() if k[0] == "lost_events" and v], [], stage)
                published = self.small.status("collector")["topics"][topic]["next_seq"]
                self.assertLessEqual(stats["received_events", topic], published)

    def check_told(self, lost):
        def told():
            out = collections.Counter()
            for e in self.behind.select("events_lost"):
                out[e.get("stage"), e.get("where"), e.get("cause")] += e.get("count")
            return out
        want = {(b"collector", b"process", b"ring_full"): lost[PROCESS], (b"collector", b"net", b"ring_full"): lost[NET]}
        self.behind.wait(lambda: told() == want, f"events_lost that say {want}")
        for name, n in (("process", lost[PROCESS]), ("net", lost[NET])):
            key = f'penstock_events_lost_total{{stage="collector",where="{name}",cause="ring_full"}}'
            pipeline.wait_for(lambda k=key, n=n: self.small.metrics().get(k) == str(n), f"{key} {n}")


class Flows(pipeline.PipelineTest):
    PORTS, PACKETS = (200, 5) if pipeline.VM else (600, 20)

    def test_packets_of_flows_and_those_without_room(self):
        """Every packet is in a flow's totals or counted as one that found no room."""
        p = self.pipeline(
            loader="sensors: {process: no, exec_failed: no, cred: no, tcp: no, accept: no, udp: no, drops: no, syscalls: no, "
                   + lib.NO_RARE + "}\n"
                   "flows: {slots: 128, idle: 1s}\ninterfaces: [pstn0]\nrings: {process: 64KiB, net: 64KiB, flow: 64KiB}",
            collector="flow_interval: 100ms\nflow_active: 1s\nflow_idle: 1s")
        peer = net.Peer(p, v6=False)
        self.addCleanup(peer.close)
        p.up()
        kernel = Kernel(p, "ring_flow")
        seen = pipeline.Observer(p, "collector")
        for o in (kernel, seen):
            self.addCleanup(o.close)
        script = (f"import socket,time\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n"
                  f"for n in range({self.PACKETS}):\n"
                  f" for port in range(20000,{20000 + self.PORTS}): s.sendto(b'x'*100,('{net.V4[1]}',port))\n"
                  f" time.sleep(0.3)\n")
        p.run("/usr/bin/python3", "-c", script)
        sent = self.PORTS * self.PACKETS

        def full():
            return sum(r[5] for r in kernel.rows(FLOW))

        def packets():
            return sum(e.get("delta_packets") for e in seen.select("flow", lambda e: e.get("dir") == 2))
        seen.wait(lambda: packets() + full() >= sent, f"{sent} packets")
        self.assertGreater(full(), 0)
        self.assertGreater(packets(), 0)
        self.assertEqual(packets() + full(), sent)
        bytes_ = sum(e.get("delta_bytes") for e in seen.select("flow", lambda e: e.get("dir") == 2))
        self.assertEqual(bytes_, packets() * 128)
        self.assertEqual((kernel.counts(FLOW)[1], seen.faults, dict(seen.lost)), (0, [], {}))
        key = 'penstock_events_lost_total{stage="collector",where="flow",cause="table_full"}'
        pipeline.wait_for(lambda: p.metrics().get(key) == str(full()), f"{key} {full()}")
        p.down()


class SlowSubscriber(pipeline.PipelineTest):
    """A subscriber that does not read costs nobody else an event, and gets its own back."""

    def test_stopped_exporter_and_a_deaf_stranger(self):
        p = self.pipeline(loader=pipeline.ALL_BUT_PROCESS, collector="retention: 64MiB", enricher="retention: 64MiB").up()
        seen = pipeline.Observer(p, "enricher")
        self.addCleanup(seen.close)
        deaf = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for s in deaf:
            self.addCleanup(s.close)
            s.connect(os.path.join(p.run_dir, "enricher.pub"))
            s.sendall(b"\0SP\0\0\x21\0\0")
        p.stage["exporter"].send(signal.SIGSTOP)
        count = 500 if pipeline.VM else 5000
        spawner = pipeline.Spawner(FLOOD, count)
        self.addCleanup(spawner.close)
        spawner.result()
        seen.wait_marks(FLOOD, count)
        p.stage["exporter"].send(signal.SIGCONT)
        published = p.status("enricher")["topics"]["proc"]["next_seq"]
        pipeline.wait_for(lambda: p.stats("exporter")["received_events", "proc"] >= published, "the exporter to catch up")
        for stage in lib.STAGES:
            lost = {k: v for k, v in p.stats(stage).items() if "lost" in k[0] and v}
            self.assertEqual(lost, {}, stage)
        self.assertEqual((seen.faults, dict(seen.lost)), ([], {}))
        p.down()


if __name__ == "__main__":
    unittest.main()
